internal import EdgeCore

/// Text for a terminal or a log: plain ASCII, whatever a peer put into it.
public enum Plain {
  /// Control characters and everything beyond ASCII become `?`.
  public static func text(_ text: String) -> String {
    var bytes: [UInt8] = []
    for scalar in text.unicodeScalars {
      bytes.append((0x20..<0x7F).contains(scalar.value) ? UInt8(scalar.value) : UInt8(ascii: "?"))
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// `812 bytes`, `12.3 kB`, `4.0 MB`: powers of 1000, one decimal, rounded down.
  public static func byteCount(_ bytes: Int64) -> String {
    guard bytes >= 1000 else { return "\(max(0, bytes)) bytes" }
    var tenths = bytes / 100
    var unit = 0
    while tenths >= 10_000, unit < 3 {
      tenths /= 1000
      unit += 1
    }
    return "\(tenths / 10).\(tenths % 10) \(["kB", "MB", "GB", "TB"][unit])"
  }

  /// `0.4 ms`, `24 ms`.
  public static func milliseconds(_ duration: Duration) -> String {
    let tenths = max(0, duration.wholeNanoseconds / 100_000)
    return tenths < 100 ? "\(tenths / 10).\(tenths % 10) ms" : "\(tenths / 10) ms"
  }

  /// `850 ms`, `12 s`, `3 min 5 s`, `2 h 10 min`, `5 d 3 h`.
  public static func interval(_ duration: Duration) -> String {
    let milliseconds = max(0, duration.wholeMilliseconds)
    let seconds = milliseconds / 1000
    switch seconds {
    case 0: return "\(milliseconds) ms"
    case ..<60: return "\(seconds) s"
    case ..<3600: return "\(seconds / 60) min \(seconds % 60) s"
    case ..<86_400: return "\(seconds / 3600) h \(seconds / 60 % 60) min"
    default: return "\(seconds / 86_400) d \(seconds / 3600 % 24) h"
    }
  }

  /// `2026-11-21 06:21:15 UTC`.
  public static func time(_ unixSeconds: Int64) -> String {
    let text = Array(Timestamp.text(unixSeconds).utf8)
    return String(decoding: text[..<10] + [0x20] + text[11..<19], as: UTF8.self) + " UTC"
  }

  /// Columns padded to their widest cell, two spaces apart and two in front; nothing after the last.
  static func table(_ rows: [[String]]) -> String {
    var widths: [Int] = []
    for row in rows {
      for (index, cell) in row.enumerated() {
        if index == widths.count { widths.append(0) }
        widths[index] = max(widths[index], cell.utf8.count)
      }
    }
    var text = ""
    for row in rows {
      var line = "  "
      for (index, cell) in row.enumerated() {
        line += cell
        if index + 1 < row.count { line += String(repeating: " ", count: widths[index] - cell.utf8.count + 2) }
      }
      while line.utf8.last == 0x20 { line.removeLast() }
      text += line + "\n"
    }
    return text
  }
}
