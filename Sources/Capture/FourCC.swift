import Picture

/// V4L2's four-letter codes of sample layouts.
struct FourCC: Hashable, CustomStringConvertible {
  let value: UInt32

  init(_ value: UInt32) { self.value = value }

  init(_ text: StaticString) {
    precondition(text.utf8CodeUnitCount == 4)
    var value: UInt32 = 0
    for index in 0..<4 { value |= UInt32(text.utf8Start[index]) << UInt32(8 * index) }
    self.value = value
  }

  /// Letters as they are, anything else as a question mark: it may come from a broken driver.
  var description: String {
    var text: [UInt8] = []
    for shift in [0, 8, 16, 24] as [UInt32] {
      let byte = UInt8(truncatingIfNeeded: value >> shift)
      text.append(byte >= 0x20 && byte < 0x7F ? byte : UInt8(ascii: "?"))
    }
    while text.last == UInt8(ascii: " ") { text.removeLast() }
    return String(decoding: text, as: UTF8.self)
  }
}

extension PixelFormat {
  /// The driver codes that mean this layout, the usual one first; empty when it is not captured.
  var fourCCs: [FourCC] {
    switch self {
    case .yuyv: [FourCC("YUYV")]
    case .uyvy: [FourCC("UYVY")]
    case .nv12: [FourCC("NV12")]
    case .yu12: [FourCC("YU12")]
    case .yv12: [FourCC("YV12")]
    case .grey: [FourCC("GREY")]
    case .rgb24: [FourCC("RGB3")]
    case .bgr24: [FourCC("BGR3")]
    // Depth cameras call the same layout Z16.
    case .y16: [FourCC("Y16 "), FourCC("Z16 ")]
    case .mjpeg: [FourCC("MJPG"), FourCC("JPEG")]
    case .h264: [FourCC("H264")]
    }
  }

  init?(_ code: FourCC) {
    for format in Self.allCases where format.fourCCs.contains(code) {
      self = format
      return
    }
    return nil
  }
}
