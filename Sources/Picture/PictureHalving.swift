/// Makes pictures a quarter of their size.
public enum PictureHalving {
  /// The format of a picture with half the sides, cut to even ones; `nil` if that is too small or the picture is
  /// compressed.
  public static func format(of format: PictureFormat) -> PictureFormat? {
    guard !format.pixelFormat.isCompressed else { return nil }
    return PictureFormat(
      width: format.width / 4 * 2, height: format.height / 4 * 2, pixelFormat: format.pixelFormat)
  }

  /// Each sample is the rounded mean of four; `nil` if ``format(of:)`` is, or the picture's length is not its format's.
  public static func halved(_ picture: RawSpan, _ format: PictureFormat) -> (picture: [UInt8], format: PictureFormat)? {
    guard let small = Self.format(of: format), picture.byteCount == format.byteCount else { return nil }
    var output = [UInt8](repeating: 0, count: small.byteCount)
    unsafe picture.withUnsafeBytes { source in
      unsafe output.withUnsafeMutableBytes { target in
        if format.pixelFormat == .y16 {
          unsafe halve16(source, format, target, small)
        } else {
          for (from, to) in zip(format.planes, small.planes) { unsafe halve(source, from, target, to) }
        }
      }
    }
    return (output, small)
  }

  private static func halve(
    _ source: UnsafeRawBufferPointer, _ from: PictureFormat.Plane, _ target: UnsafeMutableRawBufferPointer,
    _ to: PictureFormat.Plane
  ) {
    for row in 0..<to.height {
      var upper = from.offset + 2 * row * from.rowBytes
      var at = to.offset + row * to.rowBytes
      for _ in 0..<to.width {
        let lower = upper + from.rowBytes
        let sum =
          unsafe UInt16(source[upper]) + UInt16(source[upper + from.step]) + UInt16(source[lower])
          + UInt16(source[lower + from.step])
        unsafe target[at] = UInt8(truncatingIfNeeded: (sum + 2) >> 2)
        upper += 2 * from.step
        at += to.step
      }
    }
  }

  /// Low byte first.
  private static func halve16(
    _ source: UnsafeRawBufferPointer, _ from: PictureFormat, _ target: UnsafeMutableRawBufferPointer,
    _ to: PictureFormat
  ) {
    func sample(_ at: Int) -> UInt32 { unsafe UInt32(source[at]) | UInt32(source[at + 1]) << 8 }
    for row in 0..<to.height {
      for column in 0..<to.width {
        let upper = 2 * row * from.rowBytes + column * 4
        let lower = upper + from.rowBytes
        let mean = (sample(upper) + sample(upper + 2) + sample(lower) + sample(lower + 2) + 2) >> 2
        let at = row * to.rowBytes + column * 2
        unsafe target[at] = UInt8(truncatingIfNeeded: mean)
        unsafe target[at + 1] = UInt8(truncatingIfNeeded: mean >> 8)
      }
    }
  }
}
