import Deflate
import EdgeCore
import FrameCodec
import Picture
import Testing

/// A part taken apart by what docs/frame-format.md says of it, not by the decoder's own code.
struct DocumentedPart {
  let firstUnit: Int
  let unitCount: Int
  let stream: [UInt8]

  init(_ part: [UInt8]) {
    func number(_ at: Int) -> Int { Int(part[at]) << 8 | Int(part[at + 1]) }
    firstUnit = number(36)
    unitCount = number(38)
    stream = Array(part[(44 + number(40))...])
  }
}

@Suite("Streams")
struct StreamTests {
  /// 32x8 blocks in the units of one frame, in the order of the parts.
  private func blocks(_ format: PictureFormat, _ units: Range<Int>) -> Int {
    let planes = format.planes
    let bandHeight = planes.allSatisfy { $0.height == format.height } ? 8 : 16
    var across: [Int] = []
    for band in 0..<(format.height + bandHeight - 1) / bandHeight {
      for plane in planes {
        let rows = bandHeight * plane.height / format.height
        for row in stride(from: band * rows, to: min((band + 1) * rows, plane.height), by: 8) {
          _ = row
          across.append((plane.width + 31) / 32)
        }
      }
    }
    return across[units].reduce(0, +)
  }

  @Test(arguments: rawKinds, Footage.Kind.allCases)
  func `every stream inflates with zlib to its map and the blocks the map announces`(
    kind: PixelFormat, footage: Footage.Kind
  ) throws {
    let format = try #require(PictureFormat(width: 320, height: 100, pixelFormat: kind))
    var source = Footage(format, footage, seed: 11)
    var encoder = FrameEncoder(format: format)
    for number in 0..<4 {
      var nextUnit = 0
      for bytes in try encoder.encode(source.picture(number), number).parts {
        let part = DocumentedPart(bytes)
        #expect(part.firstUnit == nextUnit)
        nextUnit += part.unitCount
        let payload = try Zlib.inflate(part.stream, limit: 1 << 22)
        let count = blocks(format, part.firstUnit..<nextUnit)
        var expected = count
        for entry in payload.prefix(count) {
          #expect(entry & 0x80 == 0 && entry & 0x60 != 0x60)
          let kind = entry & 31
          expected += kind == 0 ? 0 : kind < 7 ? 64 : kind < 20 ? 128 : 256
        }
        #expect(payload.count == expected)
      }
    }
  }

  /// The streams of these pictures are the same bytes on every machine and in every build.
  @Test func `encoding is a function of the pictures alone`() throws {
    var sum = Adler32()
    for kind in rawKinds {
      let format = try #require(PictureFormat(width: 130, height: 74, pixelFormat: kind))
      var source = Footage(format, .noisyCard, seed: 12)
      var one = FrameEncoder(format: format)
      var other = FrameEncoder(format: format)
      for number in 0..<5 {
        let picture = source.picture(number)
        let parts = try one.encode(picture, number).parts
        #expect(try other.encode(picture, number).parts == parts)
        for part in parts { sum.append(part.span.bytes) }
      }
    }
    // Changes with every change of the coder's choices, and only then.
    #expect(sum.value == 1_295_072_821)
  }
}
