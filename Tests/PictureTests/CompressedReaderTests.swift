import EdgeCore
import Picture
import Testing

@Suite("Compressed pictures in a row")
struct CompressedReaderTests {
  private static func format(_ kind: PixelFormat, _ width: Int, _ height: Int) -> PictureFormat {
    PictureFormat(width: width, height: height, pixelFormat: kind)!
  }

  /// A JPEG with a thumbnail in a segment of its own, which has an end of its own.
  private static let withThumbnail: [UInt8] = {
    let picture = Placeholder.picture(format(.mjpeg, 64, 48))
    let thumbnail = Placeholder.picture(format(.mjpeg, 16, 16))
    let length = thumbnail.count + 2
    return [0xFF, 0xD8, 0xFF, 0xE1, UInt8(length >> 8), UInt8(length & 255)] + thumbnail + picture.dropFirst(2)
  }()

  /// An IDR picture of two slices, and one that builds on it.
  private static let accessUnits: [[UInt8]] = [
    [0, 0, 0, 1, 0x67, 1, 2, 3, 0, 0, 0, 1, 0x68, 4, 0, 0, 1, 0x65, 0x88, 5, 6, 0, 0, 1, 0x65, 0x12, 7, 8],
    [0, 0, 0, 1, 0x41, 0x9A, 9, 10],
    [0, 0, 0, 1, 0x09, 0x30, 0, 0, 0, 1, 0x41, 0x9A, 11],
  ]

  private func taken(_ kind: PixelFormat, _ bytes: [UInt8], by piece: Int) throws -> [[UInt8]] {
    var reader = CompressedReader(kind)
    var pictures: [[UInt8]] = []
    for start in stride(from: 0, to: bytes.count, by: piece) {
      reader.feed(Array(bytes[start..<min(bytes.count, start + piece)]))
      while let picture = try reader.next(isEnd: false) { pictures.append(picture) }
    }
    while let picture = try reader.next(isEnd: true) { pictures.append(picture) }
    return pictures
  }

  @Test(arguments: [1, 2, 3, 7, 64, 100_000])
  func `JPEG pictures are taken apart whatever the pieces`(piece: Int) throws {
    let pictures = [Placeholder.picture(Self.format(.mjpeg, 320, 240)), Self.withThumbnail, Self.withThumbnail]
    #expect(try taken(.mjpeg, pictures.flatMap { $0 }, by: piece) == pictures)
    #expect(CompressedReader.jpegSize(Self.withThumbnail).map { [$0.width, $0.height] } == [64, 48])
  }

  @Test(arguments: [1, 2, 3, 7, 64, 100_000])
  func `H264 access units are taken apart whatever the pieces`(piece: Int) throws {
    let pictures = Self.accessUnits + [Placeholder.picture(Self.format(.h264, 32, 32))]
    #expect(try taken(.h264, pictures.flatMap { $0 }, by: piece) == pictures)
  }

  @Test func `what is no picture is refused, and a cut one is left out`() throws {
    #expect(throws: CompressedReader.Failure.malformed) {
      _ = try taken(.mjpeg, Self.withThumbnail + [1, 2, 3], by: 9)
    }
    #expect(try taken(.mjpeg, Self.withThumbnail + Self.withThumbnail.dropLast(5), by: 64).count == 1)
    #expect(CompressedReader.kind(of: Array("YUV4MPEG2 ".utf8)) == nil)
  }

  @Test func `a picture without an end is given up`() throws {
    var reader = CompressedReader(.h264)
    reader.feed([0, 0, 1, 0x65, 0x88] + [UInt8](repeating: 0x55, count: CompressedReader.longestPicture))
    #expect(throws: CompressedReader.Failure.tooLong) { _ = try reader.next(isEnd: false) }
  }

  @Test func `mutated pictures never trap`() throws {
    var random = SeededRandom(seed: 11)
    for kind in [PixelFormat.mjpeg, .h264] {
      let bytes = kind == .mjpeg ? Self.withThumbnail : Self.accessUnits.flatMap { $0 }
      for _ in 0..<500 {
        var mutated = bytes
        for _ in 0..<3 { mutated[Int(random.next() % UInt64(mutated.count))] = UInt8(random.next() & 255) }
        _ = try? taken(kind, mutated, by: 1 + Int(random.next() % 200))
        _ = CompressedReader.jpegSize(mutated)
      }
    }
  }
}
