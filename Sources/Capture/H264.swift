/// H.264 access units in the byte stream format (ITU-T H.264 Annex B), as far as passing them on needs.
public enum H264 {
  /// Begins with a start code.
  static func isAccessUnit(_ bytes: RawSpan) -> Bool {
    guard bytes.byteCount >= 5 else { return false }
    return bytes.withUnsafeBytes { $0[0] == 0 && $0[1] == 0 && ($0[2] == 1 || $0[2] == 0 && $0[3] == 1) }
  }

  /// A NAL unit: its type, where what follows its first byte begins, and where it ends.
  struct Unit: Hashable {
    var type: UInt8
    var payload: Int
    var end: Int
  }

  /// What comes before the first slice, and whether that is one of an IDR picture.
  static func unitsBeforeSlice(_ bytes: RawSpan) -> (units: [Unit], isKey: Bool) {
    bytes.withUnsafeBytes { buffer in
      var units: [Unit] = []
      var zeros = 0
      var index = 0
      while index + 1 < buffer.count {
        let byte = buffer[index]
        if byte == 1, zeros >= 2 {
          // A zero before the start code is part of it.
          if !units.isEmpty, units[units.count - 1].end == buffer.count { units[units.count - 1].end = index - zeros }
          let type = buffer[index + 1] & 0x1F
          if type == 5 || type == 1 { return (units, type == 5) }
          units.append(Unit(type: type, payload: index + 2, end: buffer.count))
        }
        zeros = byte == 0 ? zeros + 1 : 0
        index += 1
      }
      return (units, false)
    }
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
