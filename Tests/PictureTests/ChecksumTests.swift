import Picture
import Testing

@Suite("Checksums")
struct ChecksumTests {
  @Test func `CRC-32 of a known text`() {
    #expect(CRC32.checksum(Array("123456789".utf8)) == 0xCBF4_3926)
  }
}
