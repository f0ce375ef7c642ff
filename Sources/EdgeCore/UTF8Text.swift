/// Checks of UTF-8 text that came from outside.
public enum UTF8Text {
  /// RFC 3629 §4: no overlong form, no surrogate, nothing above U+10FFFF.
  public static func isValid(_ bytes: ArraySlice<UInt8>) -> Bool {
    var index = bytes.startIndex
    while index < bytes.endIndex {
      let lead = bytes[index]
      index += 1
      guard lead >= 0x80 else { continue }
      let continuation: Int
      var lowest: UInt8 = 0x80
      var highest: UInt8 = 0xBF
      switch lead {
      case 0xC2...0xDF: continuation = 1
      case 0xE0: (continuation, lowest) = (2, 0xA0)
      case 0xED: (continuation, highest) = (2, 0x9F)
      case 0xE1...0xEF: continuation = 2
      case 0xF0: (continuation, lowest) = (3, 0x90)
      case 0xF4: (continuation, highest) = (3, 0x8F)
      case 0xF1...0xF3: continuation = 3
      default: return false
      }
      for _ in 0..<continuation {
        guard index < bytes.endIndex, bytes[index] >= lowest, bytes[index] <= highest else { return false }
        (lowest, highest) = (0x80, 0xBF)
        index += 1
      }
    }
    return true
  }
}
