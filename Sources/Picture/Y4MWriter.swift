/// Writes YUV4MPEG2, the stream format of raw video that players and encoders read.
///
/// y4m has planar samples only. Packed 4:2:2 becomes `C422`, NV12 and YV12 become `C420jpeg` and
/// GREY and Y16 become `Cmono` and `Cmono16`: the same samples in another order. RGB becomes
/// `C444` by way of BT.601, which rounds; bit-exact RGB needs the raw format.
public struct Y4MWriter {
  public let format: PictureFormat
  private let planes: [PictureFormat.Plane]

  /// `nil` for a compressed kind.
  public init?(format: PictureFormat) {
    guard !format.pixelFormat.isCompressed else { return nil }
    self.format = format
    planes = format.planes
  }

  /// The first line of the stream. The rate is in frames per second, as a fraction.
  public func header(rateNumerator: Int, rateDenominator: Int) -> [UInt8] {
    let colour =
      switch format.pixelFormat {
      case .yuyv, .uyvy: "422"
      case .grey: "mono"
      case .y16: "mono16"
      case .rgb24, .bgr24: "444"
      default: "420jpeg"
      }
    return Array(
      "YUV4MPEG2 W\(format.width) H\(format.height) F\(rateNumerator):\(rateDenominator) Ip A1:1 C\(colour)\n".utf8)
  }

  /// One picture with its `FRAME` line; `nil` if its length is not the format's.
  public func frame(_ picture: [UInt8]) -> [UInt8]? {
    guard picture.count == format.byteCount else { return nil }
    var output = Array("FRAME\n".utf8)
    output.reserveCapacity(output.count + picture.count)
    switch format.pixelFormat {
    case .grey, .y16, .yu12: output += picture
    case .rgb24, .bgr24: appendRGB(picture, to: &output)
    default: for plane in planes { append(plane, of: picture, to: &output) }
    }
    return output
  }

  private func append(_ plane: PictureFormat.Plane, of picture: [UInt8], to output: inout [UInt8]) {
    for row in 0..<plane.height {
      let start = plane.offset + row * plane.rowBytes
      if plane.step == 1 {
        output += picture[start..<start + plane.width]
      } else {
        for column in 0..<plane.width { output.append(picture[start + column * plane.step]) }
      }
    }
  }

  private func appendRGB(_ picture: [UInt8], to output: inout [UInt8]) {
    let pixels = format.width * format.height
    let (green, red, blue) = (planes[0].offset, planes[1].offset, planes[2].offset)
    var chroma: (u: [UInt8], v: [UInt8]) = ([], [])
    chroma.u.reserveCapacity(pixels)
    chroma.v.reserveCapacity(pixels)
    for pixel in 0..<pixels {
      let at = pixel * 3
      let (y, u, v) = RGBConversion.yuv(r: picture[at + red], g: picture[at + green], b: picture[at + blue])
      output.append(y)
      chroma.u.append(u)
      chroma.v.append(v)
    }
    output += chroma.u
    output += chroma.v
  }
}
