import EdgeCore
import Testing

@Suite("Byte reader and writer")
struct ByteReaderTests {
  @Test func `what the writer wrote the reader reads`() throws {
    var writer = ByteWriter()
    writer.write(UInt8(7))
    writer.write(UInt16(0x0102))
    writer.write(UInt32(0x0304_0506))
    writer.write(UInt64(0x0708_090A_0B0C_0D0E))
    writer.write("tail")
    writer.patch(UInt16(0xBEEF), at: 1)
    let bytes = writer.bytes
    var reader = ByteReader(bytes.span.bytes)
    #expect(try reader.readUInt8() == 7)
    #expect(try reader.readUInt16() == 0xBEEF)
    #expect(try reader.readUInt32() == 0x0304_0506)
    #expect(try reader.readUInt64() == 0x0708_090A_0B0C_0D0E)
    #expect(try reader.readBytes(4) == Array("tail".utf8))
    #expect(reader.remaining == 0)
  }

  @Test func `a field that runs out names its offset and consumes nothing`() {
    let bytes: [UInt8] = [1, 2, 3]
    var reader = ByteReader(bytes.span.bytes)
    do throws(ShortRead) {
      _ = try reader.readUInt16()
      _ = try reader.readUInt32()
      Issue.record("four bytes were read where one was left")
    } catch {
      #expect(error == ShortRead(offset: 2, wanted: 4))
    }
    #expect(reader.remaining == 1)
  }

  @Test func `a negative or huge count is refused, not trapped on`() {
    let bytes: [UInt8] = [1, 2, 3]
    var reader = ByteReader(bytes.span.bytes)
    for count in [-1, 4, Int.max] {
      do throws(ShortRead) {
        try reader.skip(count)
        Issue.record("skipped \(count) of 3 bytes")
      } catch {
        #expect(error.wanted == count)
      }
    }
  }
}

@Suite("Instants")
struct InstantTests {
  @Test func `sums and differences keep their nanoseconds`() {
    let start = Instant(nanoseconds: 5)
    #expect(start + .milliseconds(1500) == Instant(nanoseconds: 1_500_000_005))
    #expect((start + .seconds(3)) - start == .seconds(3))
    #expect((start + .seconds(3)) - .seconds(3) == start)
    #expect(Instant.earliest(nil, start) == start)
    #expect(Instant.earliest(start, .zero) == .zero)
    #expect(Instant.earliest(nil, nil) == nil)
  }
}
