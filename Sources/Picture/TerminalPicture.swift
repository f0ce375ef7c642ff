/// Pictures for a terminal: text with colours, or Sixel graphics.
public enum TerminalPicture {
  /// One character is two pixels: its upper half block has the colour of one, its background that of the other.
  ///
  /// At most `columns` by `rows` characters, in the picture's proportions, from the home position on. `nil` for a
  /// compressed picture, or one of the wrong length.
  public static func halfBlocks(_ picture: [UInt8], _ format: PictureFormat, columns: Int, rows: Int) -> [UInt8]? {
    let size = fit(format, width: max(2, columns), height: max(2, rows * 2))
    guard let rgb = sampled(picture, format, width: size.width, height: size.height) else { return nil }
    var text = Array("\u{1B}[H".utf8)
    text.reserveCapacity(size.width * size.height / 2 * 24)
    for row in stride(from: 0, to: size.height - 1, by: 2) {
      var last: (Int, Int)?
      for column in 0..<size.width {
        let upper = (row * size.width + column) * 3
        let lower = upper + size.width * 3
        let colours = (key(rgb, upper), key(rgb, lower))
        if last == nil || last! != colours {
          text += Array("\u{1B}[38;2;".utf8)
          number(rgb, upper, &text)
          text += Array(";48;2;".utf8)
          number(rgb, lower, &text)
          text.append(UInt8(ascii: "m"))
          last = colours
        }
        // U+2580, upper half block.
        text += [0xE2, 0x96, 0x80]
      }
      text += Array("\u{1B}[0m\u{1B}[K\r\n".utf8)
    }
    return text
  }

  /// Sixel graphics (DEC STD 070) in a palette of 6x6x6 colours, at most `width` by `height` pixels.
  public static func sixel(_ picture: [UInt8], _ format: PictureFormat, width: Int, height: Int) -> [UInt8]? {
    let size = fit(format, width: max(16, width), height: max(12, height))
    guard let rgb = sampled(picture, format, width: size.width, height: size.height) else { return nil }
    var text = Array("\u{1B}[H\u{1B}P0;1;0q\"1;1;\(size.width);\(size.height)".utf8)
    for colour in 0..<216 {
      text += Array("#\(colour);2;\(colour / 36 * 20);\(colour / 6 % 6 * 20);\(colour % 6 * 20)".utf8)
    }
    var indices = [UInt8](repeating: 0, count: size.width * size.height)
    for pixel in indices.indices {
      let (r, g, b) = (Int(rgb[pixel * 3]), Int(rgb[pixel * 3 + 1]), Int(rgb[pixel * 3 + 2]))
      indices[pixel] = UInt8((r + 25) / 51 * 36 + (g + 25) / 51 * 6 + (b + 25) / 51)
    }
    for top in stride(from: 0, to: size.height, by: 6) {
      band(indices, size.width, top, min(6, size.height - top), &text)
    }
    text += Array("\u{1B}\\".utf8)
    return text
  }

  /// Six rows: each colour in them once, with repeats counted.
  private static func band(_ indices: [UInt8], _ width: Int, _ top: Int, _ rows: Int, _ text: inout [UInt8]) {
    var isUsed = [Bool](repeating: false, count: 216)
    for row in 0..<rows {
      for column in 0..<width { isUsed[Int(indices[(top + row) * width + column])] = true }
    }
    for colour in 0..<216 where isUsed[colour] {
      text += Array("#\(colour)".utf8)
      var run = 0
      var last: UInt8 = 0
      for column in 0..<width {
        var bits: UInt8 = 0
        for row in 0..<rows where indices[(top + row) * width + column] == UInt8(colour) { bits |= 1 << UInt8(row) }
        if run > 0, bits != last {
          flush(run, last, &text)
          run = 0
        }
        last = bits
        run += 1
      }
      if last != 0 { flush(run, last, &text) }
      text.append(UInt8(ascii: "$"))
    }
    text.append(UInt8(ascii: "-"))
  }

  private static func flush(_ run: Int, _ bits: UInt8, _ text: inout [UInt8]) {
    if run > 3 {
      text += Array("!\(run)".utf8)
      text.append(63 + bits)
    } else {
      for _ in 0..<run { text.append(63 + bits) }
    }
  }

  /// The largest even size within the bounds that keeps the proportions.
  static func fit(_ format: PictureFormat, width: Int, height: Int) -> (width: Int, height: Int) {
    let byWidth = (width: width & ~1, height: format.height * width / format.width & ~1)
    if byWidth.height <= height, byWidth.height >= 2 { return byWidth }
    return (width: max(2, format.width * height / format.height & ~1), height: max(2, height & ~1))
  }

  /// R G B of the nearest samples.
  private static func sampled(_ picture: [UInt8], _ format: PictureFormat, width: Int, height: Int) -> [UInt8]? {
    guard !format.pixelFormat.isCompressed, picture.count == format.byteCount else { return nil }
    let planes = format.planes
    var output: [UInt8] = []
    output.reserveCapacity(width * height * 3)
    for row in 0..<height {
      let y = row * format.height / height
      for column in 0..<width {
        let x = column * format.width / width
        func sample(_ index: Int) -> UInt8 {
          let plane = planes[index]
          return picture[
            plane.offset + (plane.height == format.height ? y : y / 2) * plane.rowBytes
              + (plane.width == format.width ? x : x / 2) * plane.step]
        }
        switch format.pixelFormat {
        case .grey, .y16:
          let level = sample(format.pixelFormat == .y16 ? 1 : 0)
          output.append(level)
          output.append(level)
          output.append(level)
        case .rgb24, .bgr24:
          output.append(sample(1))
          output.append(sample(0))
          output.append(sample(2))
        default:
          let (r, g, b) = RGBConversion.rgb(y: sample(0), u: sample(1), v: sample(2))
          output.append(r)
          output.append(g)
          output.append(b)
        }
      }
    }
    return output
  }

  private static func key(_ rgb: [UInt8], _ at: Int) -> Int {
    Int(rgb[at]) << 16 | Int(rgb[at + 1]) << 8 | Int(rgb[at + 2])
  }

  private static func number(_ rgb: [UInt8], _ at: Int, _ text: inout [UInt8]) {
    for index in 0..<3 {
      if index > 0 { text.append(UInt8(ascii: ";")) }
      let value = rgb[at + index]
      if value >= 100 { text.append(UInt8(ascii: "0") + value / 100) }
      if value >= 10 { text.append(UInt8(ascii: "0") + value / 10 % 10) }
      text.append(UInt8(ascii: "0") + value % 10)
    }
  }
}
