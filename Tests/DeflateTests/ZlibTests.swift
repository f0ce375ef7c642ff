import Deflate
import EdgeCore
import Testing

@Suite("zlib adapter")
struct ZlibTests {
  @Test(arguments: [0, 1, 6, 9])
  func `what is deflated inflates to itself`(level: Int) throws {
    var random = SeededRandom(seed: 1)
    for length in [0, 1, 300, 70_000] {
      let bytes = random.bytes(length).map { $0 & 15 }
      #expect(try Zlib.inflate(Zlib.deflate(bytes, level: level), limit: length) == bytes)
    }
  }

  @Test func `output beyond the limit is refused`() {
    let stream = Zlib.deflate([UInt8](repeating: 0, count: 1_000_000))
    #expect(throws: ZlibError.tooLong(limit: 999_999)) { try Zlib.inflate(stream, limit: 999_999) }
  }

  @Test func `a stream cut short is truncated, a changed one damaged`() {
    var stream = Zlib.deflate(Array("forty-two bytes of text, more or less....".utf8))
    #expect(throws: ZlibError.truncated) { try Zlib.inflate(Array(stream.dropLast(3)), limit: 100) }
    #expect(throws: ZlibError.truncated) { try Zlib.inflate([], limit: 100) }
    #expect(throws: ZlibError.damaged) { try Zlib.inflate(stream + [0], limit: 100) }
    stream[stream.count - 1] ^= 1
    #expect(throws: ZlibError.damaged) { try Zlib.inflate(stream, limit: 100) }
  }

  @Test func `a stream followed by other bytes says where it ends`() throws {
    let stream = Zlib.deflate([1, 2, 3])
    let (output, used) = try Zlib.inflatePrefix(stream + [9, 9, 9], limit: 10)
    #expect(output == [1, 2, 3])
    #expect(used == stream.count)
  }
}
