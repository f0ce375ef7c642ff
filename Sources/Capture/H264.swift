/// H.264 access units in the byte stream format (ITU-T H.264 Annex B), as far as passing them on needs.
public enum H264 {
  /// Begins with a start code.
  static func isAccessUnit(_ bytes: RawSpan) -> Bool {
    guard bytes.byteCount >= 5 else { return false }
    return bytes.withUnsafeBytes { $0[0] == 0 && $0[1] == 0 && ($0[2] == 1 || $0[2] == 0 && $0[3] == 1) }
  }

  /// Has an IDR slice (NAL unit type 5), from which decoding can begin.
  public static func isKeyFrame(_ bytes: RawSpan) -> Bool {
    bytes.withUnsafeBytes { buffer in
      var zeros = 0
      var index = 0
      while index + 1 < buffer.count {
        let byte = buffer[index]
        if byte == 0 {
          zeros += 1
        } else {
          if byte == 1, zeros >= 2 {
            let type = buffer[index + 1] & 0x1F
            if type == 5 { return true }
            // A slice of another picture: what follows is of the same one.
            if type == 1 { return false }
          }
          zeros = 0
        }
        index += 1
      }
      return false
    }
  }
}
