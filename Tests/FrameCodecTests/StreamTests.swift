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

extension DocumentedPart {
  /// HLIT and HDIST of wherever in the first 4 KiB BFINAL, BTYPE 10 and a code length code of at least 14 might begin:
  /// enough to see that a kind of block is there, too much to see that one is not.
  fileprivate var dynamicHeaders: [(Int, Int)] {
    func bits(_ from: Int, _ count: Int) -> Int {
      (0..<count).reduce(0) { $0 | Int(stream[(from + $1) / 8] >> UInt8((from + $1) % 8) & 1) << $1 }
    }
    return (16..<min(stream.count * 8 - 32, 32768)).compactMap { at in
      bits(at, 3) >> 1 == 2 && bits(at + 13, 4) >= 10 ? (bits(at + 3, 5), bits(at + 8, 5)) : nil
    }
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

  /// HLIT and HDIST of the first dynamic block: 265 symbols and one distance code where there are runs.
  @Test func `what stands still beside what moves is sent as runs`() throws {
    let format = try #require(PictureFormat(width: 640, height: 480, pixelFormat: .grey))
    var random = SeededRandom(seed: 13)
    var encoder = FrameEncoder(format: format)
    var decoder = FrameDecoder()
    var picture = [UInt8](repeating: 90, count: format.byteCount)
    for number in 0..<4 {
      // Every block changes in a corner of its own.
      for block in 0..<1200 {
        let corner = block / 20 * 8 * 640 + block % 20 * 32
        for column in 0..<8 { picture[corner + column] = UInt8(85 + random.next() % 7) }
      }
      let frame = try encoder.encode(picture, number)
      #expect(try decoder.receiveAll(frame.parts).picture == picture)
      guard number > 1 else { continue }
      // 1,200 blocks of 128 symbols, seven eighths of them 0: without runs each takes a bit.
      #expect(frame.byteCount < 1200 * 128 / 8)
      let headers = frame.parts.flatMap { DocumentedPart($0).dynamicHeaders }
      #expect(headers.contains { $0 == (8, 0) })
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
    #expect(sum.value == 2_655_382_576)
  }
}
