/// The content of a `password-file`: the password, and at most a line end after it.
public enum PasswordFile {
  /// A file larger than this is no password file.
  public static let maximumBytes = 1024

  /// The password, spaces and all; throws if there is none, more than one line, or something that is no text.
  ///
  /// Whoever makes an account and whoever logs in with it read the file with this, so that both see the same password.
  public static func password(in bytes: [UInt8], file: String) throws(ConfigError) -> String {
    var content = bytes[...]
    if content.last == 0x0A { content = content.dropLast() }
    if content.last == 0x0D { content = content.dropLast() }
    guard !content.isEmpty else { throw ConfigError(file: file, line: 1, "is empty: it must hold the password") }
    guard content.count <= maximumBytes else { throw ConfigError(file: file, line: 1, "is too long for a password") }
    for byte in content {
      if byte == 0x0A { throw ConfigError(file: file, line: 2, "must hold the password and nothing else") }
      if byte < 0x20 || byte == 0x7F { throw ConfigError(file: file, line: 1, "holds a control character") }
    }
    guard let text = String(validating: content, as: UTF8.self) else {
      throw ConfigError(file: file, line: 1, "holds no text in UTF-8: it must hold the password")
    }
    return text
  }
}
