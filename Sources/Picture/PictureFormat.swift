/// Size and sample layout of a picture: even sizes from 16x16 to 4096x2304.
///
/// Rows are tight: no padding between them (``PictureFormat/removingPadding(from:bytesPerLine:)``
/// makes them so).
public struct PictureFormat: Hashable, Sendable {
  public let width: Int
  public let height: Int
  public let pixelFormat: PixelFormat

  public static let minimumSide = 16
  public static let maximumWidth = 4096
  public static let maximumHeight = 2304

  /// `nil` for an odd side or one out of range.
  public init?(width: Int, height: Int, pixelFormat: PixelFormat) {
    guard (Self.minimumSide...Self.maximumWidth).contains(width),
      (Self.minimumSide...Self.maximumHeight).contains(height), width % 2 == 0, height % 2 == 0
    else { return nil }
    self.width = width
    self.height = height
    self.pixelFormat = pixelFormat
  }

  /// Bytes of one picture; 0 for a compressed kind, where every picture has its own.
  public var byteCount: Int {
    switch pixelFormat {
    case .yuyv, .uyvy, .y16: width * height * 2
    case .nv12, .yu12, .yv12: width * height / 2 * 3
    case .grey: width * height
    case .rgb24, .bgr24: width * height * 3
    case .mjpeg, .h264: 0
    }
  }

  /// Where the samples of one component lie in the picture. All numbers are in bytes or samples
  /// of one byte: the two bytes of a Y16 sample count as two components.
  public struct Plane: Hashable, Sendable {
    /// Offset of the first sample.
    public let offset: Int
    /// Samples in a row.
    public let width: Int
    /// Rows.
    public let height: Int
    /// Distance from a sample to its right neighbour.
    public let step: Int
    /// Distance from a sample to the one below it.
    public let rowBytes: Int
  }

  /// The component planes in coding order: Y U V, G R B, or low and high byte. Empty for a
  /// compressed kind.
  public var planes: [Plane] {
    let w = width
    let h = height
    let luma = w * h
    let quarter = luma / 4
    func full(_ offset: Int, step: Int) -> Plane {
      Plane(offset: offset, width: w, height: h, step: step, rowBytes: w * step)
    }
    func packedChroma(_ offset: Int) -> Plane {
      Plane(offset: offset, width: w / 2, height: h, step: 4, rowBytes: w * 2)
    }
    func chroma(_ offset: Int, step: Int) -> Plane {
      Plane(offset: offset, width: w / 2, height: h / 2, step: step, rowBytes: w / 2 * step)
    }
    switch pixelFormat {
    case .yuyv: return [full(0, step: 2), packedChroma(1), packedChroma(3)]
    case .uyvy: return [full(1, step: 2), packedChroma(0), packedChroma(2)]
    case .nv12: return [full(0, step: 1), chroma(luma, step: 2), chroma(luma + 1, step: 2)]
    case .yu12: return [full(0, step: 1), chroma(luma, step: 1), chroma(luma + quarter, step: 1)]
    case .yv12: return [full(0, step: 1), chroma(luma + quarter, step: 1), chroma(luma, step: 1)]
    case .grey: return [full(0, step: 1)]
    case .rgb24: return [full(1, step: 3), full(0, step: 3), full(2, step: 3)]
    case .bgr24: return [full(1, step: 3), full(2, step: 3), full(0, step: 3)]
    case .y16: return [full(0, step: 2), full(1, step: 2)]
    case .mjpeg, .h264: return []
    }
  }

  /// Bytes in one row of the first memory plane.
  public var rowBytes: Int {
    switch pixelFormat {
    case .yuyv, .uyvy, .y16: width * 2
    case .nv12, .yu12, .yv12, .grey: width
    case .rgb24, .bgr24: width * 3
    case .mjpeg, .h264: 0
    }
  }

  /// Copies a picture whose rows are `bytesPerLine` apart into a tight one. Chroma planes of the
  /// planar formats have half of it, NV12's the same, as V4L2 defines `bytesperline`.
  ///
  /// `nil` if `bytesPerLine` is less than a row or `padded` does not hold the picture.
  public func removingPadding(from padded: RawSpan, bytesPerLine: Int) -> [UInt8]? {
    guard !pixelFormat.isCompressed, bytesPerLine >= rowBytes, bytesPerLine <= 1 << 20 else { return nil }
    // (rows, bytes of a tight row, bytes from row to row)
    var areas = [(rows: height, row: rowBytes, line: bytesPerLine)]
    switch pixelFormat {
    case .nv12: areas.append((height / 2, width, bytesPerLine))
    case .yu12, .yv12: areas += [(height / 2, width / 2, bytesPerLine / 2), (height / 2, width / 2, bytesPerLine / 2)]
    default: break
    }
    var tight: [UInt8] = []
    tight.reserveCapacity(byteCount)
    var start = 0
    for area in areas {
      for row in 0..<area.rows {
        let from = start + row * area.line
        guard from + area.row <= padded.byteCount else { return nil }
        unsafe padded.extracting(from..<from + area.row).withUnsafeBytes { unsafe tight.append(contentsOf: $0) }
      }
      start += area.rows * area.line
    }
    return tight
  }
}

extension PictureFormat: CustomStringConvertible {
  /// For example `YUYV 640x480`.
  public var description: String { "\(pixelFormat.name) \(width)x\(height)" }
}
