import EdgeCore
import FrameCodec
import Picture
import Testing

@Suite("Lossless round trips")
struct RoundTripTests {
  @Test(arguments: rawKinds, Footage.Kind.allCases)
  func `every picture comes back bit for bit`(kind: PixelFormat, footage: Footage.Kind) throws {
    for (width, height) in [(16, 16), (34, 18), (62, 40), (160, 70)] {
      let format = try #require(PictureFormat(width: width, height: height, pixelFormat: kind))
      try check(format, footage, pictures: 7)
    }
  }

  /// Widths and heights that leave a block, a band or a chroma block unfinished.
  @Test(arguments: UInt64(0)..<60)
  func `pictures of any size come back bit for bit`(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let kind = rawKinds[Int(random.next() % UInt64(rawKinds.count))]
    let footage = Footage.Kind.allCases[Int(random.next() % 6)]
    let width = 16 + 2 * Int(random.next() % 200)
    let height = 16 + 2 * Int(random.next() % 100)
    let format = try #require(PictureFormat(width: width, height: height, pixelFormat: kind))
    try check(format, footage, pictures: 6)
  }

  @Test(arguments: [
    (4096, 2304, PixelFormat.yuyv, 2), (4096, 16, .rgb24, 3), (16, 2304, .nv12, 3), (4096, 32, .yu12, 3),
  ])
  func `the largest, widest and tallest pictures come back bit for bit`(
    width: Int, height: Int, kind: PixelFormat, pictures: Int
  ) throws {
    let format = try #require(PictureFormat(width: width, height: height, pixelFormat: kind))
    // Random bytes need parts that end inside a band.
    try check(format, .randomBytes, pictures: pictures)
    try check(format, .card, pictures: pictures)
  }

  private func check(_ format: PictureFormat, _ footage: Footage.Kind, pictures: Int) throws {
    let seed = UInt64(format.width * 4096 + format.height)
    let padded = format.planes.reduce(0) { $0 + ($1.width + 31) / 32 * 32 * (($1.height + 7) / 8 * 8) }
    var source = Footage(format, footage, seed: seed)
    var encoder = FrameEncoder(format: format)
    var decoder = FrameDecoder()
    for number in 0..<pictures {
      let picture = source.picture(number)
      let frame = try encoder.encode(picture, number, key: number == 5)
      #expect(frame.isKey == (number == 0 || number == 5))
      #expect(frame.parts.allSatisfy { $0.count <= 65_536 })
      // Stored blocks bound the growth of what cannot be compressed, whole blocks of it.
      #expect(frame.byteCount <= padded + padded / 50 + 4096)
      let decoded = try decoder.receiveAll(frame.parts)
      let isSame = decoded.picture == picture
      #expect(isSame, "\(format) \(footage) picture \(number) seed \(seed)")
      #expect(decoded.header.isExact && decoded.header.maximumError == 0)
      #expect(decoded.header.checksum == Adler32.checksum(picture))
      #expect(decoded.header.captureTimeMicroseconds == UInt64(number) * 40_000)
    }
  }

  @Test func `parts of a frame may come in any order`() throws {
    let format = try #require(PictureFormat(width: 640, height: 480, pixelFormat: .uyvy))
    var source = Footage(format, .randomBytes, seed: 7)
    var encoder = FrameEncoder(format: format)
    var decoder = FrameDecoder()
    var random = SeededRandom(seed: 8)
    for number in 0..<3 {
      let picture = source.picture(number)
      var parts = try encoder.encode(picture, number).parts
      #expect(parts.count > 8)
      parts.shuffle(using: &random)
      // And twice.
      let first = parts[0]
      let early = try decoder.receive(first.span.bytes)
      #expect(early == nil)
      #expect(try decoder.receiveAll(parts).picture == picture)
      let late = try decoder.receive(first.span.bytes)
      #expect(late == nil)
    }
  }

  /// A still picture costs next to nothing, a moving one a fraction.
  @Test func `the test card compresses`() throws {
    let format = try #require(PictureFormat(width: 640, height: 480, pixelFormat: .yuyv))
    let card = try #require(TestCard(format: format))
    var encoder = FrameEncoder(format: format)
    let key = try encoder.encode(card.picture(0), 0)
    #expect(key.byteCount < format.byteCount / 15)
    let still = try encoder.encode(card.picture(0), 1)
    #expect(still.byteCount < 1000)
    let moved = try encoder.encode(card.picture(1), 2)
    #expect(moved.byteCount < format.byteCount / 50)
  }

  @Test func `a picture of the wrong length is refused and changes nothing`() throws {
    let format = try #require(PictureFormat(width: 64, height: 48, pixelFormat: .grey))
    let pictures = (0..<3).map { TestCard(format: format)!.picture(UInt32($0)) }
    var encoder = FrameEncoder(format: format)
    var undisturbed = FrameEncoder(format: format)
    for (number, picture) in pictures.enumerated() {
      #expect(throws: FrameError.wrongPictureLength(expected: 3072, got: 3071)) {
        let short = Array(picture.dropLast())
        _ = try encoder.encode(short, number)
      }
      #expect(try encoder.encode(picture, number).parts == undisturbed.encode(picture, number).parts)
    }
  }
}
