import EdgeCore
import FrameCodec
import Testing

@Suite("Adler-32")
struct Adler32Tests {
  @Test func `Adler-32 of known texts`() {
    let text = Array("Wikipedia".utf8)
    #expect(Adler32.checksum(text.span.bytes) == 0x11E6_0398)
    #expect(Adler32.checksum([UInt8]().span.bytes) == 1)
  }

  @Test func `Adler-32 equals its definition at every length and in any pieces`() {
    var random = SeededRandom(seed: 2)
    let bytes = random.bytes(40_000)
    func definition(_ slice: ArraySlice<UInt8>) -> UInt32 {
      var a: UInt32 = 1
      var b: UInt32 = 0
      for byte in slice {
        a = (a + UInt32(byte)) % 65521
        b = (b + a) % 65521
      }
      return b << 16 | a
    }
    let lengths = [
      1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 511, 512, 513, 1023, 1024, 1025, 5535, 5536, 5537, 5552, 40_000,
    ]
    for length in lengths {
      #expect(Adler32.checksum(Array(bytes[..<length]).span.bytes) == definition(bytes[..<length]))
    }
    let white = [UInt8](repeating: 255, count: 300_000)
    #expect(Adler32.checksum(white.span.bytes) == definition(white[...]))
    var sum = Adler32()
    var at = 0
    while at < bytes.count {
      let piece = min(bytes.count - at, 1 + Int(random.next() % 3000))
      sum.append(Array(bytes[at..<at + piece]).span.bytes)
      at += piece
    }
    #expect(sum.value == definition(bytes[...]))
  }
}
