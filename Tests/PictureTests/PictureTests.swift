import Deflate
import EdgeCore
import Picture
import Testing

private let rawKinds = PixelFormat.allCases.filter { !$0.isCompressed }

@Suite("Pictures")
struct PictureTests {
  @Test(arguments: rawKinds)
  func `the planes of a format touch every byte exactly once`(kind: PixelFormat) throws {
    let format = try #require(PictureFormat(width: 34, height: 18, pixelFormat: kind))
    var touched = [Int](repeating: 0, count: format.byteCount)
    for plane in format.planes {
      for row in 0..<plane.height {
        for column in 0..<plane.width { touched[plane.offset + row * plane.rowBytes + column * plane.step] += 1 }
      }
    }
    #expect(touched.allSatisfy { $0 == 1 })
  }

  @Test func `odd, tiny and huge sizes are refused`() {
    #expect(PictureFormat(width: 17, height: 16, pixelFormat: .yuyv) == nil)
    #expect(PictureFormat(width: 14, height: 16, pixelFormat: .yuyv) == nil)
    #expect(PictureFormat(width: 4098, height: 16, pixelFormat: .yuyv) == nil)
    #expect(PictureFormat(width: 16, height: 2306, pixelFormat: .yuyv) == nil)
    #expect(PictureFormat(width: 4096, height: 2304, pixelFormat: .yuyv) != nil)
  }

  @Test func `names read back, in any case`() {
    for format in PixelFormat.allCases { #expect(PixelFormat(name: format.name) == format) }
    #expect(PixelFormat(name: "yuyv") == .yuyv)
    #expect(PixelFormat(name: "YUY2") == nil)
  }

  @Test(arguments: rawKinds)
  func `row padding is taken out`(kind: PixelFormat) throws {
    let format = try #require(PictureFormat(width: 32, height: 16, pixelFormat: kind))
    var random = SeededRandom(seed: 3)
    let tight = random.bytes(format.byteCount)
    #expect(format.removingPadding(from: tight.span.bytes, bytesPerLine: format.rowBytes) == tight)

    let line = format.rowBytes + 8
    var rows = [(16, format.rowBytes, line)]
    if kind == .nv12 { rows.append((8, 32, line)) }
    if kind == .yu12 || kind == .yv12 { rows += [(8, 16, line / 2), (8, 16, line / 2)] }
    var padded: [UInt8] = []
    var at = 0
    for (count, row, line) in rows {
      for _ in 0..<count {
        padded += tight[at..<at + row] + [UInt8](repeating: 0xAA, count: line - row)
        at += row
      }
    }
    #expect(format.removingPadding(from: padded.span.bytes, bytesPerLine: line) == tight)
    #expect(format.removingPadding(from: tight.span.bytes, bytesPerLine: line) == nil)
    #expect(format.removingPadding(from: padded.span.bytes, bytesPerLine: format.rowBytes - 2) == nil)
  }

  @Test(arguments: rawKinds)
  func `the test card shows its number and moves`(kind: PixelFormat) throws {
    let format = try #require(PictureFormat(width: 160, height: 120, pixelFormat: kind))
    let card = try #require(TestCard(format: format))
    for number: UInt32 in [0, 1, 42, 9876, 12_345, .max] {
      let picture = card.picture(number)
      #expect(picture.count == format.byteCount)
      #expect(card.number(in: picture) == number % 10_000)
    }
    #expect(card.picture(7) == card.picture(7))
    #expect(card.picture(7) != card.picture(8))
    #expect(card.number(in: [UInt8](repeating: 0, count: format.byteCount)) == nil)
  }

  @Test func `the smallest test card can be painted`() throws {
    for kind in rawKinds {
      let format = try #require(PictureFormat(width: 16, height: 16, pixelFormat: kind))
      #expect(TestCard(format: format)?.picture(3).count == format.byteCount)
    }
  }

  @Test func `black, white and primary colours survive the way through YUV`() {
    for (r, g, b): (UInt8, UInt8, UInt8) in [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255)] {
      let (y, u, v) = RGBConversion.yuv(r: r, g: g, b: b)
      let back = RGBConversion.rgb(y: y, u: u, v: v)
      for (one, other) in [(r, back.r), (g, back.g), (b, back.b)] { #expect(abs(Int(one) - Int(other)) <= 2) }
    }
    #expect(RGBConversion.yuv(r: 255, g: 255, b: 255).y == 235)
    #expect(RGBConversion.yuv(r: 0, g: 0, b: 0).y == 16)
  }

  @Test(arguments: rawKinds)
  func `a PNG holds the picture's pixels`(kind: PixelFormat) throws {
    let format = try #require(PictureFormat(width: 20, height: 16, pixelFormat: kind))
    var random = SeededRandom(seed: 4)
    let picture = random.bytes(format.byteCount)
    let file = try #require(PNGWriter(deflate: { Zlib.deflate($0) }).file(picture, format))
    #expect(file.starts(with: [0x89, 0x50, 0x4E, 0x47, 13, 10, 26, 10]))
    // Chunks: length, type, body, CRC.
    var at = 8
    var data: [UInt8] = []
    var depth = 0
    var samples = 0
    var types: [String] = []
    while at < file.count {
      let length = file[at..<at + 4].reduce(0) { $0 << 8 | Int($1) }
      let typed = Array(file[at + 4..<at + 8 + length])
      #expect(file[at + 8 + length..<at + 12 + length].reduce(0) { $0 << 8 | UInt32($1) } == CRC32.checksum(typed))
      types.append(String(decoding: typed[..<4], as: UTF8.self))
      if types.last == "IHDR" {
        depth = Int(typed[12])
        samples = typed[13] == 2 ? 3 : 1
      }
      if types.last == "IDAT" { data = Array(typed[4...]) }
      at += 12 + length
    }
    #expect(types == ["IHDR", "IDAT", "IEND"])
    let pixelBytes = samples * depth / 8
    var rows = try Zlib.inflate(data, limit: 1 << 20)
    var pixels: [UInt8] = []
    for row in 0..<16 {
      let start = row * (20 * pixelBytes + 1)
      #expect(rows[start] == 1)
      for index in 0..<20 * pixelBytes {
        if index >= pixelBytes { rows[start + 1 + index] &+= rows[start + 1 + index - pixelBytes] }
        pixels.append(rows[start + 1 + index])
      }
    }
    switch kind {
    case .grey, .rgb24: #expect(pixels == picture)
    case .y16: #expect(pixels == picture.indices.map { picture[$0 ^ 1] })
    default: #expect(pixels == RGBConversion.rgb24(picture, format))
    }
  }
}
