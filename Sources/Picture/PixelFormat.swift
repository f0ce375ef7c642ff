/// How the samples of a picture lie in memory, or how a compressed picture is coded.
///
/// Names are V4L2's. Raw values go over the wire (docs/frame-format.md): never renumber them.
public enum PixelFormat: UInt8, CaseIterable, Sendable {
  /// 4:2:2 packed, Y0 U Y1 V.
  case yuyv = 1
  /// 4:2:2 packed, U Y0 V Y1.
  case uyvy = 2
  /// 4:2:0, a Y plane, then one plane of U V pairs.
  case nv12 = 3
  /// 4:2:0 planar, Y, U, V (I420).
  case yu12 = 4
  /// 4:2:0 planar, Y, V, U.
  case yv12 = 5
  /// 8-bit luminance.
  case grey = 6
  /// R G B, 8 bits each.
  case rgb24 = 7
  /// B G R, 8 bits each.
  case bgr24 = 8
  /// 16-bit luminance, low byte first.
  case y16 = 9
  /// One JPEG per picture, as the camera made it.
  case mjpeg = 64
  /// H.264 access units, as the camera made them.
  case h264 = 65

  /// Compressed by the camera: the number of bytes differs from picture to picture.
  public var isCompressed: Bool { rawValue >= 64 }

  /// The name used in configuration, status and published resources.
  public var name: String {
    switch self {
    case .yuyv: "YUYV"
    case .uyvy: "UYVY"
    case .nv12: "NV12"
    case .yu12: "YU12"
    case .yv12: "YV12"
    case .grey: "GREY"
    case .rgb24: "RGB24"
    case .bgr24: "BGR24"
    case .y16: "Y16"
    case .mjpeg: "MJPEG"
    case .h264: "H264"
    }
  }

  /// Parses ``name``; letter case does not matter.
  public init?(name: String) {
    let wanted = Array(name.utf8).map { $0 &- 0x61 < 26 ? $0 - 32 : $0 }
    for format in Self.allCases where Array(format.name.utf8) == wanted {
      self = format
      return
    }
    return nil
  }
}
