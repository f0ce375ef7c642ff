public import EdgeCore
internal import StatusModel

/// How fast a transfer goes and when it will be done, for people to read.
public struct TransferMeter: Hashable, Sendable {
  private struct Mark: Hashable, Sendable {
    var at: Instant
    var bytes: UInt64
  }

  /// Bytes of the whole file.
  public let size: UInt64
  public private(set) var bytes: UInt64
  private var marks: [Mark] = []
  private static let window = Duration.seconds(5)

  /// - Parameter bytes: what an earlier transfer brought.
  public init(size: UInt64, bytes: UInt64, at now: Instant) {
    self.size = size
    self.bytes = bytes
    marks = [Mark(at: now, bytes: bytes)]
  }

  public mutating func note(_ bytes: UInt64, at now: Instant) {
    self.bytes = bytes
    marks.append(Mark(at: now, bytes: bytes))
    while marks.count > 2, now - marks[1].at >= Self.window { marks.removeFirst() }
    // Called for every piece of a fast transfer: a mark for each would be many.
    if marks.count > 64 { marks.remove(at: marks.count / 2) }
  }

  /// Bytes a second over the last seconds; `nil` before anything came.
  public var rate: UInt64? {
    guard let first = marks.first, let last = marks.last, last.bytes > first.bytes else { return nil }
    let nanoseconds = (last.at - first.at).wholeNanoseconds
    guard nanoseconds > 0 else { return nil }
    return UInt64(Double(last.bytes - first.bytes) * 1e9 / Double(nanoseconds))
  }

  /// `[=====>    ]  48 %  4.8 MB of 10.0 MB  1.2 MB/s  4 s left`
  public func text(at now: Instant) -> String {
    let percent = size == 0 ? 100 : bytes >= size ? 100 : Int(Double(bytes) * 100 / Double(size))
    let width = 24
    let filled = percent * width / 100
    var bar = String(repeating: "=", count: filled)
    if filled < width { bar += ">" + String(repeating: " ", count: width - filled - 1) }
    var text = "[\(bar)] \(percent < 100 ? " " : "")\(percent < 10 ? " " : "")\(percent) %"
    text += "  \(Plain.byteCount(Int64(clamping: bytes))) of \(Plain.byteCount(Int64(clamping: size)))"
    if let rate, rate > 0 {
      text += "  \(Plain.byteCount(Int64(clamping: rate)))/s"
      if bytes < size { text += "  \(Plain.interval(.seconds(Int64((size - bytes) / rate + 1)))) left" }
    }
    return text
  }
}
