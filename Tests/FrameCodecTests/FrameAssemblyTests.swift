import EdgeCore
import FrameCodec
import Picture
import Testing

@Suite("Frames in parts")
struct FrameAssemblyTests {
  @Test func `an MJPEG picture comes out as it went in, in parts of 64 KiB at most`() throws {
    let format = try #require(PictureFormat(width: 640, height: 480, pixelFormat: .mjpeg))
    var encoder = FrameEncoder(format: format)
    var decoder = FrameDecoder()
    var random = SeededRandom(seed: 6)
    for (sequence, length) in [1, 65_500, 65_501, 200_000].enumerated() {
      let picture = random.bytes(length)
      let frame = try encoder.encode(
        picture.span.bytes, captureTimeMicroseconds: 77, sequence: UInt32(sequence), key: false)
      #expect(frame.isKey)
      #expect(frame.parts.count == (length + 65_499) / 65_500)
      #expect(frame.parts.allSatisfy { $0.count <= 65_536 })
      var decoded: DecodedFrame?
      // Any order will do.
      for part in frame.parts.reversed() {
        #expect(decoded == nil)
        decoded = try decoder.receive(part.span.bytes)
      }
      #expect(decoded?.picture == picture)
      #expect(decoded?.header.captureTimeMicroseconds == 77)
      #expect(decoded?.header.sequence == UInt32(sequence))
    }
  }
}
