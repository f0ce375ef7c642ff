import Capture
import EdgeCore
import FrameCodec
import LinuxIO
import NodeLogic
import Picture
import Synchronization

/// A picture on its way from the camera's thread to the viewers.
struct EncodedPicture: Sendable {
  var frame: EncodedFrame
  var rendition: Rendition
  /// Counts the camera's pictures.
  var number: Int
  /// Builds on the ones before as the camera made them, so that only the camera can make a key frame.
  var isInterCoded: Bool
  /// From the camera's time stamp to the encoder.
  var captureTime: Duration
  /// How long the encoder took.
  var encodeTime: Duration
  /// When it was done, on the reactor's clock.
  var encoded: Instant
  /// Pictures before this one that were not encoded, because nobody had room for them.
  var held: Int
}

/// The half of a camera that lives on the camera's thread: one capture, and one encode for each rendition that anybody
/// watches, whatever the number of viewers.
///
/// Everything said to be for any thread is; the rest is that thread's alone.
final class CameraEncoder: @unchecked Sendable {
  private struct Order {
    var rendition: Rendition
    var limiter = KeyFrameLimiter()
    /// Its next picture is to need no other.
    var wantsKey = false
    /// Nobody has room for it now.
    var isHeld = false
    /// Pictures left out while held, since the last that was encoded.
    var held = 0
    /// The number of that one.
    var last: Int?
    /// H.264 of which something was left out goes on at a key frame, which only the camera can make.
    var awaitsKey = false
  }

  /// One rendition's encoder.
  private final class Line {
    let rendition: Rendition
    var encoder: FrameEncoder
    var sequence: UInt32

    init(rendition: Rendition, encoder: consuming FrameEncoder, sequence: UInt32) {
      self.rendition = rendition
      self.encoder = encoder
      self.sequence = sequence
    }
  }

  private let mailbox: Mailbox<EncodedPicture>
  private let lock = Lock()
  /// Under the lock.
  private var orders: [Order] = []
  /// Under the lock: each waits for the next picture.
  private var snapshots: [WorkQueue<SnapshotTaker.Raw>] = []
  /// Pictures the reactor was too busy to take.
  private let refused = Atomic<UInt64>(0)
  private var lines: [Line] = []
  private var captured = 0
  private var parameterSets = H264ParameterSets()
  private var linesMade: UInt32 = 0

  /// Sees every picture.
  private let watch: AlarmWatch?

  init(mailbox: Mailbox<EncodedPicture>, watch: AlarmWatch? = nil) {
    self.mailbox = mailbox
    self.watch = watch
  }

  /// From any thread: what to encode from the next picture on. A rendition that was not there begins with a key frame.
  func setRenditions(_ renditions: [Rendition]) {
    lock.withLock {
      var next: [Order] = []
      for rendition in renditions {
        let known = orders.first { $0.rendition == rendition }
        next.append(known ?? Order(rendition: rendition))
      }
      orders = next
    }
  }

  /// From any thread: a picture of the rendition is to need no other, the next one or as soon as its limit allows.
  func requestKeyFrame(_ rendition: Rendition) { limit(rendition) { $0.request() } }

  private func limit(_ rendition: Rendition, _ change: (inout KeyFrameLimiter) -> Void) {
    lock.withLock {
      for index in orders.indices where orders[index].rendition == rendition { change(&orders[index].limiter) }
    }
  }

  /// From any thread: the rendition is left out until it is held no longer. What is never encoded leaves no gap, so the
  /// next picture builds on the last that was.
  func setHeld(_ rendition: Rendition, _ isHeld: Bool) {
    lock.withLock {
      for index in orders.indices where orders[index].rendition == rendition { orders[index].isHeld = isHeld }
    }
  }

  /// From any thread: wants a copy of the next picture, once.
  func add(_ snapshot: WorkQueue<SnapshotTaker.Raw>) { lock.withLock { snapshots.append(snapshot) } }

  /// From any thread.
  var refusedPictures: UInt64 { refused.load(ordering: .relaxed) }

  /// One captured picture; the bytes are lent for the call.
  func encode(_ info: FrameInfo, _ picture: RawSpan, at now: Instant = MonotonicClock.now) {
    captured &+= 1
    watch?.see(info, picture)
    if !info.isPlaceholder { serveSnapshots(info, picture) }
    let isInterCoded = info.format.pixelFormat == .h264
    if isInterCoded, !info.isPlaceholder, let whole = parameterSets.complete(picture, of: info.format) {
      return distribute(info, whole.span.bytes, isInterCoded: true, at: now)
    }
    distribute(info, picture, isInterCoded: isInterCoded, at: now)
  }

  private func distribute(_ info: FrameInfo, _ picture: RawSpan, isInterCoded: Bool, at now: Instant) {
    let due = takeDue(isInterCoded: isInterCoded, isOpening: !isInterCoded || H264.isKeyFrame(picture), at: now)
    guard !due.isEmpty else { return }
    let captureTime = Self.wallClock(of: info.captured, now: now)
    var smaller: [(picture: [UInt8], format: PictureFormat)] = []
    for order in due {
      while smaller.count < order.rendition.halvings {
        guard let halved = Self.halved(smaller.last, picture, info.format) else { break }
        smaller.append(halved)
      }
      // As small as it gets, for a picture that cannot be halved so often.
      let halvings = min(order.rendition.halvings, smaller.count)
      let delay = max(.zero, now - info.captured)
      if halvings == 0 {
        encode(picture, info.format, order, captureTime, delay, now)
      } else {
        let small = smaller[halvings - 1]
        encode(small.picture.span.bytes, small.format, order, captureTime, delay, now)
      }
    }
  }

  private func serveSnapshots(_ info: FrameInfo, _ picture: RawSpan) {
    let waiting = lock.withLock {
      defer { snapshots = [] }
      return snapshots
    }
    guard !waiting.isEmpty else { return }
    let time = Self.wallClock(of: info.captured, now: MonotonicClock.now)
    for snapshot in waiting {
      _ = snapshot.push(.init(picture: [UInt8](copying: picture), format: info.format, capturedMicroseconds: time))
    }
  }

  private static func halved(
    _ last: (picture: [UInt8], format: PictureFormat)?, _ picture: RawSpan, _ format: PictureFormat
  ) -> (picture: [UInt8], format: PictureFormat)? {
    guard let last else { return PictureHalving.halved(picture, format) }
    return PictureHalving.halved(last.picture.span.bytes, last.format)
  }

  /// The orders whose turn it is. `isOpening`: the picture needs no other that was not sent.
  /// `isInterCoded`: it needs the one before, so every one has its turn.
  private func takeDue(isInterCoded: Bool, isOpening: Bool, at now: Instant) -> [Order] {
    // Nobody else posts, so what there is room for now will be taken.
    let room = mailbox.room
    let due: [Order] = lock.withLock {
      var due: [Order] = []
      for index in orders.indices {
        var order = orders[index]
        order.wantsKey = order.limiter.isDue(at: now)
        let isDue = isInterCoded || order.last.map { captured &- $0 >= order.rendition.divisor } ?? true
        guard order.wantsKey || isDue else { continue }
        if order.isHeld || order.awaitsKey && !isOpening {
          orders[index].held += 1
          orders[index].awaitsKey = true
          continue
        }
        guard due.count < room else {
          // Not made, so the next one builds on the last that was.
          orders[index].awaitsKey = true
          refused.wrappingAdd(1, ordering: .relaxed)
          continue
        }
        orders[index].awaitsKey = false
        due.append(order)
        orders[index].held = 0
        orders[index].last = captured
      }
      let wanted = orders
      lines.removeAll { line in !wanted.contains { $0.rendition == line.rendition } }
      return due
    }
    return due
  }

  private func encode(
    _ picture: RawSpan, _ format: PictureFormat, _ order: Order, _ captureTime: UInt64, _ delay: Duration,
    _ arrived: Instant
  ) {
    let began = MonotonicClock.now
    let line = line(order.rendition, format)
    line.sequence &+= 1
    let isKey = format.pixelFormat == .h264 ? H264.isKeyFrame(picture) : order.wantsKey
    let frame: EncodedFrame
    do throws(FrameError) {
      frame = try line.encoder.encode(
        picture, captureTimeMicroseconds: captureTime, sequence: line.sequence, key: isKey)
    } catch {
      // A picture of the wrong length is the source's doing, which counts and reports bad frames itself.
      return
    }
    if frame.isKey { limit(order.rendition) { $0.made(at: arrived) } }
    let now = MonotonicClock.now
    mailbox.post(
      EncodedPicture(
        frame: frame, rendition: order.rendition, number: captured, isInterCoded: format.pixelFormat == .h264,
        captureTime: delay, encodeTime: now - began, encoded: now, held: order.held))
  }

  private func line(_ rendition: Rendition, _ format: PictureFormat) -> Line {
    if let line = lines.first(where: { $0.rendition == rendition }) {
      if line.encoder.format != format { line.encoder = Self.encoder(rendition, format) }
      return line
    }
    // Far from the numbers of any other rendition: a viewer that changes over sees that nothing was lost.
    linesMade &+= 1
    let line = Line(rendition: rendition, encoder: Self.encoder(rendition, format), sequence: linesMade << 24)
    lines.append(line)
    return line
  }

  private static func encoder(_ rendition: Rendition, _ format: PictureFormat) -> FrameEncoder {
    let quality: FrameQuality =
      switch rendition.quality {
      case .lossless: .lossless
      case .maximumError(let error): .maximumError(error)
      case .gate: .gate
      }
    return FrameEncoder(
      format: format, configuration: .init(quality: quality),
      instructions: ProcessFacts.processorIsX86V3 ? .x86v3 : .common)
  }

  /// The viewer measures delay by it, so it is told in the clock that both may share.
  private static func wallClock(of captured: Instant, now: Instant) -> UInt64 {
    let age = (now - captured).wholeNanoseconds / 1000
    return UInt64(max(0, MonotonicClock.wallClockMicroseconds - age))
  }
}
