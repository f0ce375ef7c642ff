/// Writes a picture as a PNG file (ISO/IEC 15948): RGB, or grey with 8 or 16 bits.
public struct PNGWriter {
  /// Bytes to a zlib stream (RFC 1950).
  public typealias Deflate = ([UInt8]) -> [UInt8]

  private let deflate: Deflate

  public init(deflate: @escaping Deflate) { self.deflate = deflate }

  /// The whole file; `nil` if the picture is compressed or its length is not the format's.
  public func file(_ picture: [UInt8], _ format: PictureFormat) -> [UInt8]? {
    guard !format.pixelFormat.isCompressed, picture.count == format.byteCount else { return nil }
    switch format.pixelFormat {
    case .grey: return file(rows: picture, format, bytesPerPixel: 1, depth: 8, colour: 0)
    case .y16:
      var bigEndian = picture
      for index in stride(from: 0, to: bigEndian.count, by: 2) { bigEndian.swapAt(index, index + 1) }
      return file(rows: bigEndian, format, bytesPerPixel: 2, depth: 16, colour: 0)
    default:
      guard let rgb = RGBConversion.rgb24(picture, format) else { return nil }
      return file(rows: rgb, format, bytesPerPixel: 3, depth: 8, colour: 2)
    }
  }

  private func file(
    rows: [UInt8], _ format: PictureFormat, bytesPerPixel: Int, depth: UInt8, colour: UInt8
  ) -> [UInt8] {
    let rowBytes = format.width * bytesPerPixel
    var filtered: [UInt8] = []
    filtered.reserveCapacity((rowBytes + 1) * format.height)
    for row in 0..<format.height {
      let start = row * rowBytes
      // Filter 1, Sub: the difference to the pixel on the left. One filter for all rows does
      // nearly as well as a choice per row, and the choice costs several passes.
      filtered.append(1)
      for index in 0..<rowBytes {
        let left = index >= bytesPerPixel ? rows[start + index - bytesPerPixel] : 0
        filtered.append(rows[start + index] &- left)
      }
    }
    var output: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
    let header = bigEndian(format.width) + bigEndian(format.height) + [depth, colour, 0, 0, 0]
    for (type, body) in [("IHDR", header), ("IDAT", deflate(filtered)), ("IEND", [])] {
      let typed = Array(type.utf8) + body
      output += bigEndian(body.count)
      output += typed
      output += bigEndian(Int(CRC32.checksum(typed)))
    }
    return output
  }

  private func bigEndian(_ value: Int) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
  }
}
