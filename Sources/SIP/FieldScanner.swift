import EdgeCore

/// A forward-only cursor over one header field value.
///
/// Works on bytes and never on `Character`s, so its cost is linear in the length of the value.
/// A method that finds something else than it is named after returns `nil` (or `false`); the value
/// is then malformed, and nobody carries on scanning it.
struct FieldScanner {
  private let bytes: ArraySlice<UInt8>
  private(set) var index: Int

  init(_ text: String) { self.init(Array(text.utf8)[...]) }

  init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    index = bytes.startIndex
  }

  var isAtEnd: Bool { index == bytes.endIndex }

  var rest: ArraySlice<UInt8> { bytes[index...] }

  func peek() -> UInt8? { index < bytes.endIndex ? bytes[index] : nil }

  mutating func advance() { index += 1 }

  /// Skips white space, and says whether there was any.
  @discardableResult
  mutating func skipSpace() -> Bool {
    let start = index
    while index < bytes.endIndex, bytes[index] == 0x20 || bytes[index] == 0x09 { index += 1 }
    return index > start
  }

  mutating func skip(_ byte: UInt8) -> Bool {
    guard peek() == byte else { return false }
    index += 1
    return true
  }

  /// Skips `byte` with optional white space on both sides.
  mutating func skipSpaced(_ byte: UInt8) -> Bool {
    skipSpace()
    guard skip(byte) else { return false }
    skipSpace()
    return true
  }

  mutating func prefix(while belongs: (UInt8) -> Bool) -> ArraySlice<UInt8> {
    let start = index
    while index < bytes.endIndex, belongs(bytes[index]) { index += 1 }
    return bytes[start..<index]
  }

  /// At least one token character (RFC 3261 §25.1).
  mutating func token() -> String? {
    let found = prefix(while: ASCII.isToken)
    return found.isEmpty ? nil : String(decoding: found, as: UTF8.self)
  }

  /// A quoted string with its quotes and escapes, as it stands on the wire.
  mutating func rawQuoted() -> String? {
    let start = index
    guard skip(UInt8(ascii: "\"")) else { return nil }
    while let byte = peek() {
      index += 1
      if byte == UInt8(ascii: "\"") { return String(decoding: bytes[start..<index], as: UTF8.self) }
      if byte == UInt8(ascii: "\\") {
        guard peek() != nil else { return nil }
        index += 1
      }
    }
    return nil
  }

  /// Everything up to the closing angle bracket, which is consumed; the cursor is just after the opening one.
  mutating func untilAngleEnd() -> ArraySlice<UInt8>? {
    let found = prefix { $0 != UInt8(ascii: ">") }
    return skip(UInt8(ascii: ">")) ? found : nil
  }

  /// `*( SEMI generic-param )`: stops, successfully, at the first thing that is not a semicolon.
  mutating func parameters() -> Parameters? {
    var parameters = Parameters()
    while true {
      skipSpace()
      guard skip(UInt8(ascii: ";")) else { return parameters }
      skipSpace()
      guard parameters.items.count < Limits.parameters, let name = token() else { return nil }
      let afterName = self
      guard skipSpaced(UInt8(ascii: "=")) else {
        self = afterName
        parameters.items.append(Parameter(name, nil))
        continue
      }
      guard let value = parameterValue() else { return nil }
      parameters.items.append(Parameter(name, value))
    }
  }

  private mutating func parameterValue() -> String? {
    if peek() == UInt8(ascii: "\"") { return rawQuoted() }
    let found = prefix { byte in
      // Wider than `gen-value`: hosts, IPv6 references and what real peers leave unquoted.
      byte > 0x20 && byte != 0x7F && byte != UInt8(ascii: ";") && byte != UInt8(ascii: ",")
        && byte != UInt8(ascii: "\"")
        && byte != UInt8(ascii: "<") && byte != UInt8(ascii: ">")
    }
    return found.isEmpty ? nil : String(decoding: found, as: UTF8.self)
  }
}

/// Quoted strings (RFC 3261 §25.1).
enum Quoted {
  /// The content of a quoted string; text that is not quoted comes back as it is.
  static func decode(_ text: String) -> String {
    let bytes = Array(text.utf8)
    guard bytes.count >= 2, bytes.first == UInt8(ascii: "\""), bytes.last == UInt8(ascii: "\"") else { return text }
    var content: [UInt8] = []
    content.reserveCapacity(bytes.count)
    var index = 1
    while index < bytes.count - 1 {
      if bytes[index] == UInt8(ascii: "\\"), index + 1 < bytes.count - 1 { index += 1 }
      content.append(bytes[index])
      index += 1
    }
    return String(decoding: content, as: UTF8.self)
  }

  /// Quotes `text`. A carriage return or line feed cannot be said in SIP and becomes a space.
  static func encode(_ text: String) -> String {
    var out: [UInt8] = [UInt8(ascii: "\"")]
    for byte in text.utf8 {
      switch byte {
      case 0x0D, 0x0A: out.append(0x20)
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), 0..<0x20, 0x7F: out += [UInt8(ascii: "\\"), byte]
      default: out.append(byte)
      }
    }
    out.append(UInt8(ascii: "\""))
    return String(decoding: out, as: UTF8.self)
  }
}

/// Comma lists.
enum CommaList {
  /// Takes a list apart at the commas outside quotes and angle brackets; empty values are kept, so
  /// that who parses them can refuse them. `nil` when a quote or bracket stays open, or for too many values.
  static func split(_ bytes: ArraySlice<UInt8>) -> [ArraySlice<UInt8>]? {
    var values: [ArraySlice<UInt8>] = []
    var start = bytes.startIndex
    var index = start
    var quoted = false
    var bracketed = false
    while index < bytes.endIndex {
      let byte = bytes[index]
      if quoted {
        if byte == UInt8(ascii: "\\") {
          index += 1
        } else if byte == UInt8(ascii: "\"") {
          quoted = false
        }
      } else if bracketed {
        bracketed = byte != UInt8(ascii: ">")
      } else if byte == UInt8(ascii: "\"") {
        quoted = true
      } else if byte == UInt8(ascii: "<") {
        bracketed = true
      } else if byte == UInt8(ascii: ",") {
        guard values.count < Limits.listValues else { return nil }
        values.append(trimmed(bytes[start..<index]))
        start = index + 1
      }
      index += 1
    }
    guard !quoted, !bracketed else { return nil }
    values.append(trimmed(bytes[start...]))
    return values
  }

  static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    var bytes = bytes
    while let first = bytes.first, first == 0x20 || first == 0x09 { bytes.removeFirst() }
    while let last = bytes.last, last == 0x20 || last == 0x09 { bytes.removeLast() }
    return bytes
  }
}

extension ASCII {
  /// `token` characters of RFC 3261 §25.1.
  static func isToken(_ byte: UInt8) -> Bool {
    if isAlpha(byte) || isDigit(byte) { return true }
    switch byte {
    case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "!"), UInt8(ascii: "%"), UInt8(ascii: "*"),
      UInt8(ascii: "_"), UInt8(ascii: "+"), UInt8(ascii: "`"), UInt8(ascii: "'"), UInt8(ascii: "~"):
      return true
    default: return false
    }
  }

  /// `unreserved` characters of RFC 3261 §25.1.
  static func isUnreserved(_ byte: UInt8) -> Bool {
    if isAlpha(byte) || isDigit(byte) { return true }
    switch byte {
    case UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "!"), UInt8(ascii: "~"),
      UInt8(ascii: "*"), UInt8(ascii: "'"), UInt8(ascii: "("), UInt8(ascii: ")"):
      return true
    default: return false
    }
  }
}
