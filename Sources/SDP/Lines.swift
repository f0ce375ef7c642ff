internal import EdgeCore

/// One `x=value` line.
struct RawLine {
  var type: UInt8
  var value: ArraySlice<UInt8>
  /// Counted from 1.
  var number: Int

  var text: String { String(decoding: value, as: UTF8.self) }
}

/// Cuts a description into its lines, checking everything that can be wrong with a line as such.
func splitLines(_ span: RawSpan) throws(SDPError) -> [RawLine] {
  guard span.byteCount <= SDPLimits.bytes else { throw .tooLarge(.bytes) }
  let bytes = [UInt8](copying: span)
  var lines: [RawLine] = []
  var start = 0
  while start < bytes.count {
    let number = lines.count + 1
    guard number <= SDPLimits.lines else { throw .tooLarge(.lines) }
    // RFC 8866 §5: "parsers SHOULD be tolerant and also accept records terminated with a single newline character."
    let newline = bytes[start...].firstIndex(of: 0x0A) ?? bytes.count
    var end = newline
    if end > start, bytes[end - 1] == 0x0D { end -= 1 }
    let line = bytes[start..<end]
    start = newline + 1
    guard line.count <= SDPLimits.lineBytes else { throw .tooLarge(.lineBytes) }
    // RFC 8866 §9: byte-string excludes NUL, CR and LF.
    for byte in line where byte == 0 || byte == 0x0D { throw .malformed(.controlCharacter, line: number) }
    guard line.count >= 2, line[line.startIndex + 1] == UInt8(ascii: "="), ASCII.isAlpha(line[line.startIndex]) else {
      throw .malformed(.notTypeEqualsValue, line: number)
    }
    guard UTF8Text.isValid(line) else { throw .malformed(.notUTF8, line: number) }
    lines.append(RawLine(type: line[line.startIndex], value: line.dropFirst(2), number: number))
  }
  return lines
}

/// Words between single or repeated spaces.
func words(_ value: ArraySlice<UInt8>) -> [String] {
  value.split(separator: 0x20).map { String(decoding: $0, as: UTF8.self) }
}

/// Collects `x=value` lines, each ended by CRLF.
struct LineWriter {
  private(set) var text = ""

  /// What would break the line (NUL, CR, LF) is left out: a value can never become a second line.
  mutating func line(_ type: UInt8, _ value: String) {
    var bytes: [UInt8] = [type, UInt8(ascii: "=")]
    for byte in value.utf8 where byte != 0 && byte != 0x0D && byte != 0x0A { bytes.append(byte) }
    bytes += [0x0D, 0x0A]
    text += String(decoding: bytes, as: UTF8.self)
  }
}

enum Grammar {
  /// RFC 8839 §5.1: `ice-char = ALPHA / DIGIT / "+" / "/"`.
  static func isICEText(_ text: String, _ length: ClosedRange<Int>) -> Bool {
    guard length.contains(text.utf8.count) else { return false }
    for byte in text.utf8 {
      guard ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "/") else {
        return false
      }
    }
    return true
  }

  /// VCHAR of RFC 5234, and blanks.
  static func isVisible(_ text: String, _ length: ClosedRange<Int>) -> Bool {
    length.contains(text.utf8.count) && !text.utf8.contains { $0 < 0x20 || $0 > 0x7E }
  }

  /// RFC 8866 §9: `token`.
  static func isToken(_ text: String) -> Bool {
    guard !text.utf8.isEmpty else { return false }
    for byte in text.utf8 {
      switch byte {
      case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x30...0x39, 0x41...0x5A, 0x5E...0x7E: continue
      default: return false
      }
    }
    return true
  }
}
