internal import EdgeCore
internal import STUN

/// Cuts a TCP or TLS stream into STUN messages and ChannelData frames (RFC 8656 §12.5, RFC 8489 §6.2.2).
///
/// What arrives whole is handed on where it lies; only a frame's beginning is kept until the rest comes,
/// so one stream holds at most one frame: 65,555 bytes.
public struct TURNStreamFramer {
  /// A stream that is neither cannot be found its way in again.
  public struct Broken: Error, Hashable, Sendable {}

  private var pending: [UInt8] = []
  /// The first byte of a frame is at most this.
  private let lastChannelByte: UInt8

  /// `takesOldChannels`: frames of RFC 5766's channel numbers too.
  public init(takesOldChannels: Bool = false) { lastChannelByte = takesOldChannels ? 127 : 79 }

  /// Bytes that wait for the rest of their frame.
  public var pendingByteCount: Int { pending.count }

  /// Hands each frame that is complete to `deliver`, padding included.
  public mutating func receive(_ chunk: RawSpan, deliver: (RawSpan) -> Void) throws(Broken) {
    if pending.isEmpty {
      let used = try cut(chunk, deliver)
      if used < chunk.byteCount { pending = [UInt8](copying: chunk.extracting(used..<chunk.byteCount)) }
      return
    }
    // Only what the begun frame lacks is copied: the rest of the chunk is cut where it lies.
    var taken = 0
    while taken < chunk.byteCount {
      let wanted = pending.count < 4 ? 4 : try frameByteCount(pending[0], pending[1], pending[2], pending[3])
      let step = min(wanted - pending.count, chunk.byteCount - taken)
      pending += [UInt8](copying: chunk.extracting(taken..<taken + step))
      taken += step
      guard pending.count >= 4 else { return }
      let whole = try frameByteCount(pending[0], pending[1], pending[2], pending[3])
      if pending.count == whole {
        let frame = pending
        pending = []
        unsafe deliver(frame.span.bytes)
        break
      }
    }
    guard taken < chunk.byteCount else { return }
    try receive(chunk.extracting(taken..<chunk.byteCount), deliver: deliver)
  }

  /// Delivers the whole frames at the start; returns how many bytes they are.
  private func cut(_ chunk: RawSpan, _ deliver: (RawSpan) -> Void) throws(Broken) -> Int {
    var start = 0
    while chunk.byteCount - start >= 4 {
      let whole = try unsafe frameByteCount(
        chunk.unsafeLoad(fromByteOffset: start, as: UInt8.self),
        chunk.unsafeLoad(fromByteOffset: start + 1, as: UInt8.self),
        chunk.unsafeLoad(fromByteOffset: start + 2, as: UInt8.self),
        chunk.unsafeLoad(fromByteOffset: start + 3, as: UInt8.self))
      guard chunk.byteCount - start >= whole else { break }
      deliver(chunk.extracting(start..<start + whole))
      start += whole
    }
    return start
  }

  /// RFC 7983 §7 tells the two apart by the first byte; both have their length at bytes 2 and 3.
  private func frameByteCount(_ b0: UInt8, _ b1: UInt8, _ b2: UInt8, _ b3: UInt8) throws(Broken) -> Int {
    let length = Int(b2) << 8 | Int(b3)
    switch b0 {
    case 0...3:
      guard length % 4 == 0 else { throw Broken() }
      return STUNHeader.byteCount + length
    // RFC 8656 §12.5: padded to a multiple of four on a stream, the length not counting it.
    case 64...lastChannelByte: return (ChannelData.headerByteCount + length + 3) & ~3
    default: throw Broken()
    }
  }
}
