import Picture
import Testing

@Suite("Pictures made smaller, and for terminals")
struct PicturePeopleTests {
  static func format(_ pixelFormat: PixelFormat, _ width: Int = 64, _ height: Int = 48) -> PictureFormat {
    PictureFormat(width: width, height: height, pixelFormat: pixelFormat)!
  }

  @Test(arguments: PixelFormat.allCases.filter { !$0.isCompressed })
  func `half a test card has the test card's colours`(pixelFormat: PixelFormat) throws {
    let format = Self.format(pixelFormat, 112, 64)
    let whole = TestCard(format: format)!.picture(3)
    let made = PictureHalving.halved(whole.span.bytes, format)
    let half = try #require(made)
    #expect(half.format == Self.format(pixelFormat, 56, 32))
    #expect(half.picture.count == half.format.byteCount)
    let large = try #require(RGBConversion.rgb24(whole, format))
    let small = try #require(RGBConversion.rgb24(half.picture, half.format))
    // The middle of a bar is one colour, in both.
    for bar in 0..<7 {
      let from = ((2 * 112) + bar * 16 + 8) * 3
      let to = ((1 * 56) + bar * 8 + 4) * 3
      #expect(Array(large[from..<from + 3]) == Array(small[to..<to + 3]), "bar \(bar)")
    }
  }

  @Test func `a sample is the rounded mean of four`() throws {
    let format = Self.format(.grey, 32, 32)
    var picture = [UInt8](repeating: 0, count: format.byteCount)
    picture[0] = 255
    picture[1] = 254
    picture[32] = 1
    let made = PictureHalving.halved(picture.span.bytes, format)
    let half = try #require(made)
    #expect(half.picture[0] == UInt8((255 + 254 + 1 + 2) / 4))
    let deep = Self.format(.y16, 32, 32)
    var words = [UInt8](repeating: 0, count: deep.byteCount)
    // 0x0102 and 0x0300: their low bytes alone would give another mean.
    words[0] = 0x02
    words[1] = 0x01
    words[2] = 0x00
    words[3] = 0x03
    let small = PictureHalving.halved(words.span.bytes, deep)
    let shallow = try #require(small)
    let mean = (0x0102 + 0x0300 + 2) / 4
    #expect(shallow.picture[0] == UInt8(mean & 0xFF))
    #expect(shallow.picture[1] == UInt8(mean >> 8))
  }

  @Test func `what is too small, compressed or of the wrong length is not halved`() {
    #expect(PictureHalving.format(of: Self.format(.yuyv, 30, 30)) == nil)
    #expect(PictureHalving.format(of: Self.format(.mjpeg)) == nil)
    let short: [UInt8] = [1, 2]
    let none = PictureHalving.halved(short.span.bytes, Self.format(.grey))
    #expect(none == nil)
    #expect(PictureHalving.format(of: Self.format(.grey, 70, 66)).map { [$0.width, $0.height] } == [34, 32])
  }

  @Test func `half blocks show two pixels a character and fit the terminal`() throws {
    let format = Self.format(.rgb24, 64, 48)
    let red = [UInt8](repeating: 0, count: format.byteCount).indices.map { $0 % 3 == 0 ? UInt8(200) : 0 }
    let text = String(
      decoding: try #require(TerminalPicture.halfBlocks(red, format, columns: 40, rows: 12)), as: UTF8.self)
    let lines = text.split(separator: "\r\n")
    #expect(lines.count == 12)
    for line in lines { #expect(line.filter { $0 == "\u{2580}" }.count == 32) }
    #expect(text.contains("\u{1B}[38;2;200;0;0;48;2;200;0;0m"))
  }

  @Test func `sixel text has the picture's size and its colours`() throws {
    let format = Self.format(.rgb24, 64, 48)
    let white = [UInt8](repeating: 255, count: format.byteCount)
    let text = String(
      decoding: try #require(TerminalPicture.sixel(white, format, width: 64, height: 48)), as: UTF8.self)
    #expect(text.hasPrefix("\u{1B}[H\u{1B}P0;1;0q\"1;1;64;48"))
    // Eight bands of 64 columns, all bits of colour 215.
    #expect(text.components("#215!64~$-") == 8)
    #expect(text.hasSuffix("\u{1B}\\"))
  }

  @Test(arguments: PixelFormat.allCases)
  func `a placeholder has the camera's format`(pixelFormat: PixelFormat) {
    let format = Self.format(pixelFormat, 320, 240)
    let picture = Placeholder.picture(format)
    #expect(Set(picture).count > 1)
    guard pixelFormat.isCompressed else {
      #expect(picture.count == format.byteCount)
      return
    }
    // Smaller than a sixteenth, and of the kind and size it should be.
    #expect(picture.count < 320 * 240 / 16)
    #expect(CompressedReader.kind(of: picture) == pixelFormat)
    if pixelFormat == .mjpeg {
      #expect(CompressedReader.jpegSize(picture).map { [$0.width, $0.height] } == [320, 240])
    }
  }
}

extension String {
  fileprivate func components(_ part: String) -> Int {
    var count = 0
    var rest = Substring(self)
    while let range = rest.firstRange(of: part) {
      count += 1
      rest = rest[range.upperBound...]
    }
    return count
  }
}
