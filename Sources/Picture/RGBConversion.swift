/// Conversion to and from 8-bit RGB, for previews and for y4m, which has no RGB.
///
/// Video samples are BT.601 with Y in 16...235, what USB cameras deliver unless they say
/// otherwise. The arithmetic is in 1/65536, rounded; results are the same on every machine.
public enum RGBConversion {
  /// R G B bytes of a raw picture; `nil` if the picture is compressed or its length is not the
  /// format's. 16-bit luminance is cut to its high byte, chroma is repeated, not smoothed.
  public static func rgb24(_ picture: [UInt8], _ format: PictureFormat) -> [UInt8]? {
    guard !format.pixelFormat.isCompressed, picture.count == format.byteCount else { return nil }
    if format.pixelFormat == .rgb24 { return picture }
    let planes = format.planes
    var output: [UInt8] = []
    output.reserveCapacity(format.width * format.height * 3)
    for row in 0..<format.height {
      for column in 0..<format.width {
        func sample(_ index: Int) -> UInt8 {
          let plane = planes[index]
          let y = plane.height == format.height ? row : row / 2
          let x = plane.width == format.width ? column : column / 2
          return picture[plane.offset + y * plane.rowBytes + x * plane.step]
        }
        switch format.pixelFormat {
        case .grey: output.append(contentsOf: repeatElement(sample(0), count: 3))
        case .y16: output.append(contentsOf: repeatElement(sample(1), count: 3))
        case .rgb24, .bgr24: for index in [1, 0, 2] { output.append(sample(index)) }
        default:
          let (r, g, b) = rgb(y: sample(0), u: sample(1), v: sample(2))
          output.append(r)
          output.append(g)
          output.append(b)
        }
      }
    }
    return output
  }

  /// One pixel from video YCbCr to RGB.
  public static func rgb(y: UInt8, u: UInt8, v: UInt8) -> (r: UInt8, g: UInt8, b: UInt8) {
    let luma = (Int32(y) - 16) * 76309 + 32768
    let blue = Int32(u) - 128
    let red = Int32(v) - 128
    return (
      clamp((luma + 104597 * red) >> 16), clamp((luma - 25675 * blue - 53279 * red) >> 16),
      clamp((luma + 132201 * blue) >> 16)
    )
  }

  /// One pixel from RGB to video YCbCr.
  public static func yuv(r: UInt8, g: UInt8, b: UInt8) -> (y: UInt8, u: UInt8, v: UInt8) {
    let (r, g, b) = (Int32(r), Int32(g), Int32(b))
    return (
      clamp((16829 * r + 33039 * g + 6416 * b + 32768) >> 16 + 16),
      clamp((-9714 * r - 19071 * g + 28784 * b + 32768) >> 16 + 128),
      clamp((28784 * r - 24103 * g - 4681 * b + 32768) >> 16 + 128)
    )
  }

  private static func clamp(_ value: Int32) -> UInt8 { UInt8(max(0, min(255, value))) }
}
