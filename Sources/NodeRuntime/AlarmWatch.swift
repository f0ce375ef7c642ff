import Alarms
import Capture
import Config
import EdgeCore
import FrameCodec
import LinuxIO
import Picture

/// What a camera's detectors found.
struct AlarmSight: Sendable {
  var kind: AlarmEvent.Kind
  var phase: AlarmEvent.Phase
  /// Unix time: of a begin when the first picture that shows it was taken.
  var microseconds: Int64
}

/// Looks for motion and a covered lens in the pictures of one camera, on that camera's thread.
///
/// Ten pictures a second are enough, whatever the camera makes and whoever watches: what is slow differs more from a
/// tenth of a second before than from the picture before. The frame coder tells how much each block differs; of a large
/// picture it is given a smaller one.
final class AlarmWatch {
  private let settings: CameraAlarms
  private let post: (AlarmSight) -> Void
  private var motion: MotionDetector
  private var tamper = TamperDetector()
  private var coder: Coder?
  private var due = Instant.zero
  private var last: Instant?
  private var lastLook: Look?

  private final class Coder {
    let source: PictureFormat
    var encoder: FrameEncoder
    var sequence: UInt32 = 0

    init(source: PictureFormat, encoder: consuming FrameEncoder) {
      self.source = source
      self.encoder = encoder
    }
  }

  /// Less than a tenth of a second, so that a camera of 30 pictures a second is looked at with every third.
  private static let interval: Duration = .milliseconds(95)
  private static let largestWidth = 640
  /// Pictures further apart are not compared.
  private static let longestGap: Duration = .seconds(1)

  init(_ settings: CameraAlarms, post: @escaping (AlarmSight) -> Void) {
    self.settings = settings
    self.post = post
    motion = MotionDetector(settings.motion ?? .init())
  }

  /// One captured picture; the bytes are lent for the call.
  func see(_ info: FrameInfo, _ picture: RawSpan) {
    guard !info.isPlaceholder, !info.format.pixelFormat.isCompressed, info.captured >= due else { return }
    due = info.captured + Self.interval
    let now = info.captured
    let isGap = last.map { now - $0 > Self.longestGap } ?? true
    last = now
    if isGap { lastLook = nil }
    if let look = Self.look(info.format, picture) {
      if let before = lastLook, look.isLitOtherwise(than: before) { motion.lightChanged() }
      lastLook = look
      if settings.tamper { report(tamper.see(look, at: now), now) }
    }
    guard settings.motion != nil else { return }
    if isGap { motion.lightChanged() }
    compare(picture, info.format, key: isGap, now)
  }

  private static func look(_ format: PictureFormat, _ picture: RawSpan) -> Look? {
    // Of 16-bit samples the high byte.
    guard let plane = format.pixelFormat == .y16 ? format.planes.last : format.planes.first else { return nil }
    return Look(
      picture, width: plane.width, height: plane.height, offset: plane.offset, step: plane.step,
      rowBytes: plane.rowBytes)
  }

  private func compare(_ picture: RawSpan, _ format: PictureFormat, key: Bool, _ now: Instant) {
    var small: (picture: [UInt8], format: PictureFormat)?
    while (small?.format ?? format).width > Self.largestWidth {
      let halved =
        small.map { PictureHalving.halved($0.picture.span.bytes, $0.format) } ?? PictureHalving.halved(picture, format)
      guard let halved else { return }
      small = halved
    }
    if let small {
      encode(small.picture.span.bytes, small.format, key: key, now)
    } else {
      encode(picture, format, key: key, now)
    }
  }

  private func encode(_ picture: RawSpan, _ format: PictureFormat, key: Bool, _ now: Instant) {
    if coder?.source != format {
      coder = Coder(
        source: format,
        encoder: FrameEncoder(format: format, instructions: ProcessFacts.processorIsX86V3 ? .x86v3 : .common))
      motion.restart()
    }
    guard let coder else { return }
    coder.sequence &+= 1
    guard
      (try? coder.encoder.encode(picture, captureTimeMicroseconds: 0, sequence: coder.sequence, key: key)) != nil,
      let activity = coder.encoder.activity
    else { return }
    report(
      motion.see(
        columns: activity.columns, rows: activity.rows, energies: activity.energies, noise: activity.noise, at: now),
      now)
  }

  private func report(_ event: MotionDetector.Event?, _ now: Instant) {
    switch event {
    case .began(let first, _)?: post(.init(kind: .motion, phase: .begin, microseconds: Self.wallClock(of: first)))
    case .ended?: post(.init(kind: .motion, phase: .end, microseconds: Self.wallClock(of: now)))
    case nil: break
    }
  }

  private func report(_ event: TamperDetector.Event?, _ now: Instant) {
    switch event {
    case .began(let first)?: post(.init(kind: .tamper, phase: .begin, microseconds: Self.wallClock(of: first)))
    case .ended?: post(.init(kind: .tamper, phase: .end, microseconds: Self.wallClock(of: now)))
    case nil: break
    }
  }

  private static func wallClock(of captured: Instant) -> Int64 {
    MonotonicClock.wallClockMicroseconds - (MonotonicClock.now - captured).wholeNanoseconds / 1000
  }
}
