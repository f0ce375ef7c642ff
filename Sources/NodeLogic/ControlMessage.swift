import EdgeCore

/// What node and viewer tell each other on the `control` data channel.
///
/// One message is one line of UTF-8: a verb, then `name=value` words; `text=` takes the rest
/// of the line. Unknown verbs and words are ignored, so that either side may be newer.
///
///     viewer -> node   key-frame                               cannot decode, start afresh
///     viewer -> node   report frames=120 lost=2 delay-ms=35    once a second
///     node -> viewer   camera state=stalled text=no picture for 2 s
public enum ControlMessage: Hashable, Sendable {
  case keyFrame
  case report(Report)
  case camera(state: String, text: String)

  /// What a viewer measured since the session began.
  public struct Report: Hashable, Sendable {
    /// Pictures decoded with the right checksum.
    public var frames: UInt64
    /// Pictures that were sent but could not be shown.
    public var lost: UInt64
    /// From capture to decoded, in milliseconds, of the last picture. Meaningful only between
    /// synchronised clocks.
    public var delayMilliseconds: Int64

    public init(frames: UInt64, lost: UInt64, delayMilliseconds: Int64) {
      self.frames = frames
      self.lost = lost
      self.delayMilliseconds = delayMilliseconds
    }
  }

  /// Longest line accepted, in bytes.
  public static let maximumBytes = 1024

  public var bytes: [UInt8] {
    switch self {
    case .keyFrame: Array("key-frame".utf8)
    case .report(let report):
      Array("report frames=\(report.frames) lost=\(report.lost) delay-ms=\(report.delayMilliseconds)".utf8)
    case .camera(let state, let text): Array("camera state=\(state) text=\(text)".utf8.prefix(Self.maximumBytes))
    }
  }

  /// `nil` for anything this version does not know.
  public init?(_ bytes: [UInt8]) {
    guard bytes.count <= Self.maximumBytes, !bytes.contains(where: { $0 < 0x20 || $0 == 0x7F }) else { return nil }
    let space = UInt8(ascii: " ")
    let verb = bytes.prefix { $0 != space }
    let rest = bytes[verb.endIndex...]
    switch String(decoding: verb, as: UTF8.self) {
    case "key-frame":
      self = .keyFrame
    case "report":
      guard let frames = Self.number("frames", in: rest), let lost = Self.number("lost", in: rest) else { return nil }
      let delay = Self.number("delay-ms", in: rest).flatMap { Int64(exactly: $0) }
      self = .report(Report(frames: frames, lost: lost, delayMilliseconds: delay ?? 0))
    case "camera":
      guard let state = Self.word("state", in: rest) else { return nil }
      self = .camera(
        state: String(decoding: state, as: UTF8.self), text: String(decoding: Self.text(in: rest), as: UTF8.self))
    default:
      return nil
    }
  }

  private static func word(_ name: StaticString, in rest: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    let wanted = Array(name.description.utf8)
    for part in rest.split(separator: UInt8(ascii: " ")) {
      guard let equals = part.firstIndex(of: UInt8(ascii: "=")) else { continue }
      if part[..<equals].elementsEqual(wanted) { return part[(equals + 1)...] }
    }
    return nil
  }

  private static func number(_ name: StaticString, in rest: ArraySlice<UInt8>) -> UInt64? {
    word(name, in: rest).flatMap { ASCII.decimal($0, max: UInt64(Int64.max)) }
  }

  private static func text(in rest: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    let marker = Array(" text=".utf8)
    var start = rest.startIndex
    while start + marker.count <= rest.endIndex {
      if rest[start..<start + marker.count].elementsEqual(marker) { return rest[(start + marker.count)...] }
      start += 1
    }
    return []
  }
}
