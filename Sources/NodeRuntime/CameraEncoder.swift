import Capture
import EdgeCore
import FrameCodec
import LinuxIO
import Picture
import Synchronization

/// A picture on its way from the camera's thread to the viewers.
struct EncodedPicture: Sendable {
  var frame: EncodedFrame
  var format: PictureFormat
  /// On the reactor's clock.
  var captured: Instant
  /// How long the encoder took.
  var encodeTime: Duration
}

/// The half of a camera that lives on the camera's thread: one capture, one encode, whatever the
/// number of viewers.
///
/// Everything but ``requestKeyFrame()`` is that thread's alone.
final class CameraEncoder: @unchecked Sendable {
  private let mailbox: Mailbox<EncodedPicture>
  private let configuration: FrameEncoder.Configuration
  private let wantsKey = Atomic<Bool>(false)
  /// Pictures the reactor was too busy to take.
  private let refused = Atomic<UInt64>(0)
  private var slot: Slot?
  private var sequence: UInt32 = 0

  private final class Slot {
    var encoder: FrameEncoder
    init(_ encoder: consuming FrameEncoder) { self.encoder = encoder }
  }

  init(mailbox: Mailbox<EncodedPicture>, configuration: FrameEncoder.Configuration) {
    self.mailbox = mailbox
    self.configuration = configuration
  }

  /// From any thread: the next picture is to need no other.
  func requestKeyFrame() { wantsKey.store(true, ordering: .relaxed) }

  /// From any thread.
  var refusedPictures: UInt64 { refused.load(ordering: .relaxed) }

  /// One captured picture; the bytes are lent for the call.
  func encode(_ info: FrameInfo, _ picture: RawSpan) {
    let key = wantsKey.exchange(false, ordering: .relaxed)
    let began = MonotonicClock.now
    if slot?.encoder.format != info.format {
      slot = Slot(
        FrameEncoder(
          format: info.format, configuration: configuration,
          instructions: ProcessFacts.processorIsX86V3 ? .x86v3 : .common))
    }
    guard let slot else { return }
    sequence &+= 1
    let frame: EncodedFrame
    do throws(FrameError) {
      frame = try slot.encoder.encode(
        picture, captureTimeMicroseconds: Self.wallClock(of: info.captured, now: began), sequence: sequence, key: key)
    } catch {
      // A picture of the wrong length is the source's doing, which counts and reports bad frames itself.
      if key { requestKeyFrame() }
      return
    }
    let encoded = EncodedPicture(
      frame: frame, format: info.format, captured: info.captured, encodeTime: MonotonicClock.now - began)
    if !mailbox.post(encoded) {
      // The next frame would build on one that nobody got.
      requestKeyFrame()
      refused.wrappingAdd(1, ordering: .relaxed)
    }
  }

  /// The viewer measures delay by it, so it is told in the clock that both may share.
  private static func wallClock(of captured: Instant, now: Instant) -> UInt64 {
    let age = (now - captured).wholeNanoseconds / 1000
    return UInt64(max(0, MonotonicClock.wallClockMicroseconds - age))
  }
}
