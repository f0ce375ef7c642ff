import EdgeCore

/// `Byte-Range: start-end/total` (RFC 4975 §7.1.1): which bytes of the message a chunk holds, counted from 1.
public struct MSRPByteRange: Hashable, Sendable {
  public var start: UInt64
  /// The last byte; `nil` is `*`: not known yet, or the chunk may be interrupted.
  public var end: UInt64?
  /// Of the whole message; `nil` is `*`.
  public var total: UInt64?

  public init(start: UInt64, end: UInt64?, total: UInt64?) {
    self.start = start
    self.end = end
    self.total = total
  }

  /// Far beyond any file, and no sum of two overflows.
  private static let maximum = UInt64.max / 4

  init?(_ text: String) {
    let bytes = Array(text.utf8)[...]
    guard let dash = bytes.firstIndex(of: UInt8(ascii: "-")), let slash = bytes.firstIndex(of: UInt8(ascii: "/")),
      dash < slash, let start = ASCII.decimal(bytes[..<dash], max: Self.maximum), start > 0
    else { return nil }
    self.start = start
    let last = bytes[(dash + 1)..<slash]
    if !last.elementsEqual("*".utf8) {
      guard let end = ASCII.decimal(last, max: Self.maximum), end &+ 1 >= start else { return nil }
      self.end = end
    }
    let whole = bytes[(slash + 1)...]
    if !whole.elementsEqual("*".utf8) {
      guard let total = ASCII.decimal(whole, max: Self.maximum) else { return nil }
      self.total = total
    }
  }
}

extension MSRPByteRange: CustomStringConvertible {
  public var description: String {
    "\(start)-" + (end.map { "\($0)" } ?? "*") + "/" + (total.map { "\($0)" } ?? "*")
  }
}

/// Which bytes of a message are there: pieces in order, none touching the next. Offsets count from 0.
struct ByteCoverage: Hashable, Sendable {
  private(set) var pieces: [Range<UInt64>] = []

  /// All of 0..<`count` is there.
  func covers(_ count: UInt64) -> Bool {
    count == 0 || (pieces.count == 1 && pieces[0].lowerBound == 0 && pieces[0].upperBound >= count)
  }

  /// Bytes from the beginning without a hole.
  var contiguous: UInt64 { pieces.first.flatMap { $0.lowerBound == 0 ? $0.upperBound : nil } ?? 0 }

  var end: UInt64 { pieces.last?.upperBound ?? 0 }

  /// `false`, and nothing changed, when there would be more pieces than ``MSRPLimits/pieces``.
  mutating func insert(_ piece: Range<UInt64>) -> Bool {
    guard !piece.isEmpty else { return true }
    var merged = piece
    var kept: [Range<UInt64>] = []
    var isPlaced = false
    for other in pieces {
      if other.upperBound < merged.lowerBound {
        kept.append(other)
      } else if merged.upperBound < other.lowerBound {
        if !isPlaced {
          kept.append(merged)
          isPlaced = true
        }
        kept.append(other)
      } else {
        merged = min(merged.lowerBound, other.lowerBound)..<max(merged.upperBound, other.upperBound)
      }
    }
    if !isPlaced { kept.append(merged) }
    guard kept.count <= MSRPLimits.pieces else { return false }
    pieces = kept
    return true
  }
}
