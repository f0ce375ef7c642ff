internal import EdgeCore

/// One line typed into a chat: a text, or a command that begins with a slash.
public enum ChatLine: Hashable, Sendable {
  case text(String)
  /// Offer a file.
  case file(path: String)
  /// Take an offered file; `nil`: the only one there is.
  case accept(Int?)
  case refuse(Int?)
  case help
  case quit
  case nothing
  /// No command: says why.
  case wrong(String)

  /// A text that begins with a slash is written with two.
  public init(_ line: String) {
    var bytes = Array(line.utf8)[...]
    while let last = bytes.last, last == 0x0D || last == 0x0A { bytes = bytes.dropLast() }
    guard bytes.contains(where: { $0 != 0x20 && $0 != 0x09 }) else {
      self = .nothing
      return
    }
    guard bytes.first == UInt8(ascii: "/") else {
      self = .text(String(decoding: bytes, as: UTF8.self))
      return
    }
    if bytes.starts(with: "//".utf8) {
      self = .text(String(decoding: bytes.dropFirst(), as: UTF8.self))
      return
    }
    let end = bytes.firstIndex(of: 0x20) ?? bytes.endIndex
    var rest = bytes[end...]
    while rest.first == 0x20 { rest = rest.dropFirst() }
    while rest.last == 0x20 { rest = rest.dropLast() }
    let command = String(decoding: bytes[..<end], as: UTF8.self)
    switch command {
    case "/file":
      self =
        rest.isEmpty ? .wrong("/file needs the name of a file") : .file(path: String(decoding: rest, as: UTF8.self))
    case "/accept", "/refuse":
      let number = ASCII.decimal(rest, max: 1_000_000).map { Int($0) }
      if !rest.isEmpty, number == nil {
        self = .wrong("\(command) takes the number of an offer")
      } else {
        self = command == "/accept" ? .accept(number) : .refuse(number)
      }
    case "/help": self = .help
    case "/quit", "/exit": self = .quit
    default: self = .wrong("unknown command \(command); /help lists them, // begins a text with a slash")
    }
  }

  public static let helpText = """
    /file PATH     offer a file
    /accept [N]    take the file that was offered
    /refuse [N]    refuse it
    /quit          leave (Ctrl-D too)
    """
}

/// Text of a peer for a terminal: whatever would move the cursor, colour or turn the line becomes `?`.
public enum ShownText {
  public static func line(_ text: String) -> String {
    var shown = ""
    for scalar in text.unicodeScalars {
      if scalar.value == 0x09 || scalar.value == 0x0A || scalar.value == 0x0D {
        shown.unicodeScalars.append(" ")
      } else {
        shown.unicodeScalars.append(SafeName.isControl(scalar.value) ? "?" : scalar)
      }
    }
    return shown
  }
}
