/// A moving picture made by arithmetic: colour bars, a grey ramp, a bouncing box, a sweeping line
/// and the last four digits of the frame number. Picture `n` is a function of `n` alone.
public struct TestCard {
  public let format: PictureFormat
  private let background: [UInt8]
  private let planes: [PictureFormat.Plane]

  /// `nil` for a compressed kind.
  public init?(format: PictureFormat) {
    guard !format.pixelFormat.isCompressed else { return nil }
    self.format = format
    planes = format.planes
    var canvas = [UInt8](repeating: 0, count: format.byteCount)
    Self.paintBackground(&canvas, format, planes)
    background = canvas
  }

  public func picture(_ number: UInt32) -> [UInt8] {
    var canvas = background
    let (w, h) = (format.width, format.height)
    // A period far longer than anyone looks, small enough for 32-bit arithmetic.
    let time = Int(number % 1_000_000)
    let box = max(4, min(w, h) / 6)
    paint(
      &canvas, x: Self.bounce(time * 3, w - box), y: Self.bounce(time * 2, h - box), width: box, height: box,
      Colour(r: 235, g: UInt8(truncatingIfNeeded: time &* 5), b: 40))
    paint(
      &canvas, x: time * 4 % (w - 2), y: h * 5 / 8, width: 2, height: max(2, h / 16), Colour(r: 255, g: 255, b: 255))
    paintDigits(&canvas, number)
    return canvas
  }

  /// The four digits painted in a picture, read back from its pixels; `nil` if none are legible, as
  /// in pictures narrower than 48 pixels.
  public func number(in picture: [UInt8]) -> UInt32? {
    guard picture.count == format.byteCount else { return nil }
    var number: UInt32 = 0
    for place in 0..<Self.digits {
      var pattern: UInt16 = 0
      for cell in 0..<15 {
        let (x, y) = cellOrigin(place: place, cell: cell)
        let plane = planes[format.pixelFormat == .y16 ? 1 : 0]
        if picture[plane.offset + y * plane.rowBytes + x * plane.step] > 128 { pattern |= 1 << UInt16(cell) }
      }
      guard let digit = Self.glyphs.firstIndex(of: pattern) else { return nil }
      number = number * 10 + UInt32(digit)
    }
    return number
  }

  struct Colour {
    let r: UInt8
    let g: UInt8
    let b: UInt8
  }

  private func paint(_ canvas: inout [UInt8], x: Int, y: Int, width: Int, height: Int, _ colour: Colour) {
    Self.paint(&canvas, format, planes, x: x, y: y, width: width, height: height, colour)
  }

  /// Fills a rectangle; coordinates are cut to even ones, so that chroma samples are never shared.
  static func paint(
    _ canvas: inout [UInt8], _ format: PictureFormat, _ planes: [PictureFormat.Plane], x: Int, y: Int, width: Int,
    height: Int, _ colour: Colour
  ) {
    let left = max(0, x & ~1)
    let top = max(0, y & ~1)
    let right = min(format.width, (x + width + 1) & ~1)
    let bottom = min(format.height, (y + height + 1) & ~1)
    guard left < right, top < bottom else { return }
    let video = RGBConversion.yuv(r: colour.r, g: colour.g, b: colour.b)
    for (index, plane) in planes.enumerated() {
      let value: UInt8 =
        switch format.pixelFormat {
        case .rgb24, .bgr24: [colour.g, colour.r, colour.b][index]
        case .y16: index == 0 ? 0 : video.y
        default: [video.y, video.u, video.v][index]
        }
      let acrossShift = plane.width == format.width ? 0 : 1
      let downShift = plane.height == format.height ? 0 : 1
      for row in top >> downShift..<bottom >> downShift {
        var at = plane.offset + row * plane.rowBytes + (left >> acrossShift) * plane.step
        for _ in left >> acrossShift..<right >> acrossShift {
          canvas[at] = value
          at += plane.step
        }
      }
    }
  }

  private static func paintBackground(
    _ canvas: inout [UInt8], _ format: PictureFormat, _ planes: [PictureFormat.Plane]
  ) {
    let (w, h) = (format.width, format.height)
    let bars = [
      Colour(r: 191, g: 191, b: 191), Colour(r: 191, g: 191, b: 0), Colour(r: 0, g: 191, b: 191),
      Colour(r: 0, g: 191, b: 0), Colour(r: 191, g: 0, b: 191), Colour(r: 191, g: 0, b: 0), Colour(r: 0, g: 0, b: 191),
    ]
    for (index, bar) in bars.enumerated() {
      let left = w * index / bars.count
      paint(
        &canvas, format, planes, x: left, y: 0, width: w * (index + 1) / bars.count - left, height: h, bar)
    }
    for column in stride(from: 0, to: w, by: 2) {
      let level = UInt8(column * 255 / w)
      paint(
        &canvas, format, planes, x: column, y: h * 3 / 4, width: 2, height: h / 4, Colour(r: level, g: level, b: level))
    }
  }

  private func paintDigits(_ canvas: inout [UInt8], _ number: UInt32) {
    let cell = cellSide
    let origin = cellOrigin(place: 0, cell: 0)
    paint(
      &canvas, x: origin.x - cell, y: origin.y - cell, width: cell * (Self.digits * 4 + 1), height: cell * 7,
      Colour(r: 0, g: 0, b: 0))
    var rest = number % 10_000
    for place in (0..<Self.digits).reversed() {
      let glyph = Self.glyphs[Int(rest % 10)]
      rest /= 10
      for index in 0..<15 where glyph >> UInt16(index) & 1 == 1 {
        let (x, y) = cellOrigin(place: place, cell: index)
        paint(&canvas, x: x, y: y, width: cell, height: cell, Colour(r: 255, g: 255, b: 255))
      }
    }
  }

  /// Side of one dot of a digit, in pixels. Digits are 3x5 dots; the field is 17x7 dots with its margin.
  private var cellSide: Int { max(2, min(format.width / 40, format.height / 20) & ~1) }

  private func cellOrigin(place: Int, cell: Int) -> (x: Int, y: Int) {
    // At 16x16 the field is wider than the picture: coordinates are cut to it, digits are then not legible.
    let x = cellSide * (1 + place * 4 + cell % 3)
    let y = cellSide * (1 + cell / 3)
    return (min(x, format.width - 1), min(y, format.height - 1))
  }

  /// A triangle wave between 0 and `range`.
  private static func bounce(_ distance: Int, _ range: Int) -> Int {
    guard range > 0 else { return 0 }
    let phase = distance % (2 * range)
    return phase < range ? phase : 2 * range - phase
  }

  private static let digits = 4
  /// 3x5 dots, row by row from the top left, lowest bit first.
  private static let glyphs: [UInt16] = [
    0b111_101_101_101_111, 0b111_010_010_011_010, 0b111_001_111_100_111, 0b111_100_111_100_111,
    0b100_100_111_101_101, 0b111_100_111_001_111, 0b111_101_111_001_111, 0b100_100_100_100_111,
    0b111_101_111_101_111, 0b111_100_111_101_111,
  ]
}
