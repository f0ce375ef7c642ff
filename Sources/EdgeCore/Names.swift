/// The form of serial numbers and account names.
///
/// 1 to 64 characters: letters, digits, `-`, `_` and `.`, the first one a letter or digit. They stand
/// unescaped in a SIP URI, a file name, a log line and a shell command. Case matters to the server,
/// so two that differ only in case are never both published by one node.
public enum Names {
  public static let maximumLength = 64

  public static func isValidSerial(_ text: String) -> Bool { isValid(text) }

  public static func isValidAccount(_ text: String) -> Bool { isValid(text) }

  private static func isValid(_ text: String) -> Bool {
    guard (1...maximumLength).contains(text.utf8.count) else { return false }
    var isFirst = true
    for byte in text.utf8 {
      let isAlphanumeric = ASCII.isAlpha(byte) || ASCII.isDigit(byte)
      let isMark = byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".")
      guard isAlphanumeric || (isMark && !isFirst) else { return false }
      isFirst = false
    }
    return true
  }
}
