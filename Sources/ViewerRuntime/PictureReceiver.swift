import EdgeCore
import FrameCodec
import LinuxIO
import Picture
import StatusModel

/// Puts pictures together from parts, verifies them, and counts.
struct PictureReceiver: ~Copyable {
  /// What a received part came to.
  enum Outcome {
    case incomplete
    case picture(DecodedFrame)
    /// The stream cannot be followed without a key frame.
    case needsKeyFrame
    /// A sender newer than this program.
    case tooNew(UInt8)
  }

  private(set) var frames: Int64 = 0
  private(set) var lost: Int64 = 0
  private(set) var checksumErrors: Int64 = 0
  private(set) var bytes: Int64 = 0
  private(set) var rawBytes: Int64 = 0
  /// From capture to decoded, by the two machines' wall clocks.
  private(set) var lastDelayMicroseconds: Int64 = 0
  private(set) var lastFormat: PictureFormat?
  /// Decoding one picture, and the way to here less the node's own stages.
  private(set) var decodeLatency = LatencyMeter()
  private(set) var networkLatency = LatencyMeter()
  private(set) var totalLatency = LatencyMeter()
  /// The node's stages, as it last told them.
  var nodeLatency = LatencyTrace()
  private var decoding = Duration.zero
  private var decoder = Self.makeDecoder()
  private var lastSequence: UInt32?

  private static func makeDecoder() -> FrameDecoder {
    FrameDecoder(instructions: ProcessFacts.processorIsX86V3 ? .x86v3 : .common)
  }

  /// A new session's stream begins: what was half received is of no use.
  mutating func restart() {
    decoder = Self.makeDecoder()
    lastSequence = nil
  }

  var latency: LatencyTrace {
    var trace = nodeLatency
    trace.network = networkLatency.summary
    trace.decode = decodeLatency.summary
    trace.total = totalLatency.summary
    return trace
  }

  mutating func receive(_ part: RawSpan) -> Outcome {
    bytes += Int64(part.byteCount)
    let began = MonotonicClock.now
    let outcome = decode(part)
    decoding += MonotonicClock.now - began
    if case .picture(let frame) = outcome { note(frame) }
    return outcome
  }

  private mutating func decode(_ part: RawSpan) -> Outcome {
    do throws(FrameError) {
      guard let frame = try decoder.receive(part) else { return .incomplete }
      return .picture(frame)
    } catch {
      switch error {
      case .unsupportedVersion(let version): return .tooNew(version)
      case .checksumMismatch: checksumErrors += 1
      case .truncated, .malformed, .refusedSize, .missingReference, .incomplete, .wrongPictureLength: break
      }
      return decoder.needsKeyFrame ? .needsKeyFrame : .incomplete
    }
  }

  private mutating func note(_ frame: DecodedFrame) {
    let wallClockMicroseconds = MonotonicClock.wallClockMicroseconds
    frames += 1
    rawBytes += Int64(frame.picture.count)
    lastFormat = frame.header.format
    lastDelayMicroseconds = wallClockMicroseconds - Int64(clamping: frame.header.captureTimeMicroseconds)
    decodeLatency.note(decoding)
    totalLatency.note(.microseconds(lastDelayMicroseconds))
    var before = decoding
    for stage in [nodeLatency.capture, nodeLatency.encode, nodeLatency.queue] { before += stage?.median ?? .zero }
    decoding = .zero
    networkLatency.note(max(.zero, .microseconds(lastDelayMicroseconds) - before))
    // The node numbers every picture of a rendition: a gap is what was dropped for us, or lost. Another rendition's
    // numbers are millions away.
    if let last = lastSequence {
      let gap = frame.header.sequence &- last &- 1
      if gap < 1 << 16 { lost += Int64(gap) }
    }
    lastSequence = frame.header.sequence
  }
}
