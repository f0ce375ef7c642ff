import EdgeCore
import FrameCodec
import Picture
import Testing

let rawKinds = PixelFormat.allCases.filter { !$0.isCompressed }

/// Sequences of pictures that exercise every path of the coder, from a seed.
struct Footage {
  enum Kind: CaseIterable {
    case card, noisyCard, randomBytes, flat, drift, extremes
  }

  let format: PictureFormat
  let kind: Kind
  var random: SeededRandom

  init(_ format: PictureFormat, _ kind: Kind, seed: UInt64) {
    self.format = format
    self.kind = kind
    random = SeededRandom(seed: seed)
  }

  mutating func picture(_ number: Int) -> [UInt8] {
    switch kind {
    case .card: return TestCard(format: format)!.picture(UInt32(number))
    case .noisyCard:
      var picture = TestCard(format: format)!.picture(UInt32(number))
      for index in picture.indices {
        let noise = Int(random.next() % 5) - 2
        picture[index] = UInt8(max(0, min(255, Int(picture[index]) + noise)))
      }
      return picture
    case .randomBytes:
      // A few thousand random bytes, over and over at a stride no block has: as hard, and made faster.
      let some = random.bytes(4099)
      var picture: [UInt8] = []
      picture.reserveCapacity(format.byteCount + some.count)
      while picture.count < format.byteCount { picture += some }
      return Array(picture.prefix(format.byteCount))
    case .flat: return [UInt8](repeating: UInt8(truncatingIfNeeded: number * 91), count: format.byteCount)
    case .drift:
      return (0..<format.byteCount).map { UInt8(truncatingIfNeeded: $0 / 3 + number * 2 + Int(random.next() & 1)) }
    case .extremes:
      return (0..<format.byteCount).map { _ in
        let word = random.next()
        return word & 0x700 == 0 ? UInt8(truncatingIfNeeded: word) : word & 1 == 0 ? 0 : 255
      }
    }
  }
}

extension FrameEncoder {
  mutating func encode(_ picture: [UInt8], _ sequence: Int, key: Bool = false) throws -> EncodedFrame {
    try encode(
      picture.span.bytes, captureTimeMicroseconds: UInt64(sequence) * 40_000, sequence: UInt32(sequence), key: key)
  }
}

extension FrameDecoder {
  /// Feeds all parts; the last must complete the frame and no other.
  mutating func receiveAll(_ parts: [[UInt8]]) throws -> DecodedFrame {
    for part in parts.dropLast() {
      let early = try receive(part.span.bytes)
      #expect(early == nil)
    }
    let last = parts[parts.count - 1]
    let frame = try receive(last.span.bytes)
    return try #require(frame)
  }
}
