import EdgeCore
public import Picture

/// The parameter sets of an H.264 stream as last sent (ITU-T H.264 7.3.2.1, 7.3.2.2).
///
/// A camera may send them once, when its stream begins, or in a buffer of their own. Who joins later, or comes back after
/// a gap, needs them with the picture it begins with.
public struct H264ParameterSets {
  /// Units of one kind, each with its start code.
  private struct Sets {
    private var units: [(id: Int, bytes: [UInt8])] = []

    /// 32 of the one kind are allowed and 256 of the other; cameras have one of each.
    private static let most = 32
    private static let longest = 1024

    var bytes: [UInt8] { units.flatMap { $0.bytes } }

    mutating func keep(_ unit: [UInt8], id: Int) {
      guard unit.count <= Self.longest else { return }
      if let index = units.firstIndex(where: { $0.id == id }) {
        units[index].bytes = unit
      } else if units.count < Self.most {
        units.append((id: id, bytes: unit))
      }
    }
  }

  private var sequence = Sets()
  private var picture = Sets()
  private var format: PictureFormat?

  public init() {}

  /// Remembers what an access unit brings. A picture that decoding may begin with and that lacks some of them comes back
  /// with all of them; `nil` for what is complete or needs none.
  public mutating func complete(_ unit: RawSpan, of format: PictureFormat) -> [UInt8]? {
    if format != self.format {
      // Those of another stream would be worse than none.
      self = Self()
      self.format = format
    }
    let heads = H264.unitsBeforeSlice(unit)
    var ownSequence = false
    var ownPicture = false
    // After the delimiter, which is first in any case (7.4.1.2.3), and after the sets the picture ones build on.
    var place = 0
    for head in heads.units {
      switch head.type {
      case 7:
        ownSequence = true
        place = head.end
        if let id = Self.number(unit, at: head.payload + 3, end: head.end) {
          sequence.keep(Self.unit(unit, head), id: id)
        }
      case 8:
        ownPicture = true
        if let id = Self.number(unit, at: head.payload, end: head.end) { picture.keep(Self.unit(unit, head), id: id) }
      case 9: place = max(place, head.end)
      default: break
      }
    }
    guard heads.isKey, !ownSequence || !ownPicture else { return nil }
    let missing = (ownSequence ? [] : sequence.bytes) + (ownPicture ? [] : picture.bytes)
    guard !missing.isEmpty else { return nil }
    return [UInt8](copying: unit.extracting(0..<place)) + missing
      + [UInt8](copying: unit.extracting(place..<unit.byteCount))
  }

  private static func unit(_ bytes: RawSpan, _ head: H264.Unit) -> [UInt8] {
    [0, 0, 0, 1] + [UInt8](copying: bytes.extracting(head.payload - 1..<head.end))
  }

  /// An unsigned Exp-Golomb number (9.1) of at most 17 bits.
  private static func number(_ bytes: RawSpan, at start: Int, end: Int) -> Int? {
    var bit = start * 8
    func next() -> Int? {
      guard bit >> 3 < end else { return nil }
      defer { bit += 1 }
      return Int(bytes.unsafeLoad(fromByteOffset: bit >> 3, as: UInt8.self) >> (7 - UInt8(bit & 7)) & 1)
    }
    var zeros = 0
    while true {
      guard let value = next(), zeros <= 8 else { return nil }
      if value == 1 { break }
      zeros += 1
    }
    var number = 1
    for _ in 0..<zeros {
      guard let value = next() else { return nil }
      number = number << 1 | value
    }
    return number - 1
  }
}
