import EdgeCore
import Picture
import Testing

@Suite("y4m")
struct Y4MTests {
  /// What comes back has the nearest camera format; its planes hold the same samples.
  @Test(arguments: [PixelFormat.yuyv, .uyvy, .nv12, .yu12, .yv12, .grey, .y16])
  func `a written stream reads back with the same samples`(kind: PixelFormat) throws {
    let format = try #require(PictureFormat(width: 20, height: 18, pixelFormat: kind))
    let writer = try #require(Y4MWriter(format: format))
    var random = SeededRandom(seed: 5)
    let pictures = (0..<3).map { _ in random.bytes(format.byteCount) }
    var stream = writer.header(rateNumerator: 30, rateDenominator: 1)
    for picture in pictures { stream += try #require(writer.frame(picture)) }

    var reader = Y4MReader()
    var read: [[UInt8]] = []
    for byte in stream {
      reader.feed([byte])
      while let picture = try reader.nextFrame() { read.append(picture) }
    }
    let header = try #require(reader.header)
    #expect(header.rateNumerator == 30 && header.rateDenominator == 1)
    #expect(read.count == 3)
    #expect(reader.bufferedBytes == 0)
    for (before, after) in zip(pictures, read) {
      #expect(samples(before, format) == samples(after, header.format))
    }
  }

  private func samples(_ picture: [UInt8], _ format: PictureFormat) -> [[UInt8]] {
    format.planes.map { plane in
      (0..<plane.height).flatMap { row in
        (0..<plane.width).map { picture[plane.offset + row * plane.rowBytes + $0 * plane.step] }
      }
    }
  }

  @Test func `RGB is written as 4:4:4`() throws {
    let format = try #require(PictureFormat(width: 16, height: 16, pixelFormat: .bgr24))
    let writer = try #require(Y4MWriter(format: format))
    #expect(
      String(decoding: writer.header(rateNumerator: 15, rateDenominator: 2), as: UTF8.self)
        == "YUV4MPEG2 W16 H16 F15:2 Ip A1:1 C444\n")
    let frame = try #require(writer.frame([UInt8](repeating: 255, count: format.byteCount)))
    #expect(frame == Array("FRAME\n".utf8) + [UInt8](repeating: 235, count: 256) + [UInt8](repeating: 128, count: 512))
  }

  @Test func `streams that are not y4m, or not one a camera makes, are refused`() {
    func error(_ text: String) -> Y4MError? {
      var reader = Y4MReader()
      reader.feed(Array(text.utf8))
      do throws(Y4MError) {
        _ = try reader.nextFrame()
        return nil
      } catch { return error }
    }
    #expect(error("RIFF....\n") == .notY4M)
    #expect(error("YUV4MPEG2 W16 H16 C411\n") == .unsupported)
    #expect(error("YUV4MPEG2 W16 H16 It\n") == .unsupported)
    #expect(error("YUV4MPEG2 W15 H16\n") == .unsupported)
    #expect(error("YUV4MPEG2 W99999999999999999999 H16\n") == .unsupported)
    #expect(error("YUV4MPEG2 W16 H16 F30\n") == .malformedHeader)
    #expect(error(String(repeating: "x", count: 600)) == .malformedHeader)
    #expect(error("YUV4MPEG2 W16 H16\nFRAMES\n") == .malformedFrame)
    #expect(error("YUV4MPEG2 W16 H16\nFRAME") == nil)
    #expect(error("YUV4MPEG2 W16 H16 F0:0 I? XYSCSS=420\nFRAME Ixyz\n") == nil)
  }

  @Test func `any one changed byte is either accepted or refused, never fatal`() throws {
    let format = try #require(PictureFormat(width: 16, height: 16, pixelFormat: .grey))
    let writer = try #require(Y4MWriter(format: format))
    let stream =
      writer.header(rateNumerator: 30, rateDenominator: 1)
      + (try #require(writer.frame([UInt8](repeating: 9, count: 256))))
    for index in 0..<60 {
      for value: UInt8 in [0, 10, 32, 48, 57, 255] {
        var changed = stream
        changed[index] = value
        var reader = Y4MReader()
        reader.feed(changed)
        _ = try? reader.nextFrame()
      }
    }
  }
}
