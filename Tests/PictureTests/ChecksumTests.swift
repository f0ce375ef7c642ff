import EdgeCore
import Picture
import Testing

@Suite("Checksums")
struct ChecksumTests {
  @Test func `Adler-32 and CRC-32 of known texts`() {
    let text = Array("Wikipedia".utf8)
    #expect(Adler32.checksum(text.span.bytes) == 0x11E6_0398)
    #expect(CRC32.checksum(Array("123456789".utf8)) == 0xCBF4_3926)
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
    for length in [1, 2, 15, 16, 17, 31, 63, 64, 65, 1023, 1024, 1025, 5551, 5552, 5553, 40_000] {
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
