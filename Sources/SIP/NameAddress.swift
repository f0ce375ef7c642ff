import EdgeCore

/// A URI with an optional display name and header parameters: To, From, Contact, Route, Path
/// (RFC 3261 §20.10).
public struct NameAddress: Hashable, Sendable {
  /// Without quotes and escapes.
  public var displayName: String?
  public var uri: URI
  public var parameters: Parameters

  public init(_ uri: URI, displayName: String? = nil, parameters: Parameters = Parameters()) {
    self.uri = uri
    self.displayName = displayName
    self.parameters = parameters
  }

  /// Parses one value; `nil` if it is malformed or something follows it.
  public init?(_ text: String) { self.init(ascii: Array(text.utf8)[...]) }

  init?(ascii bytes: ArraySlice<UInt8>) {
    var scanner = FieldScanner(bytes)
    scanner.skipSpace()
    var name: String?
    if scanner.peek() == UInt8(ascii: "\"") {
      guard let quoted = scanner.rawQuoted() else { return nil }
      name = Quoted.decode(quoted)
      scanner.skipSpace()
      guard scanner.peek() == UInt8(ascii: "<") else { return nil }
    } else if let tokens = Self.unquotedName(&scanner) {
      name = tokens
    }
    let uri: URI?
    if scanner.skip(UInt8(ascii: "<")) {
      // RFC 3261 §25.1 has no white space inside the angle brackets.
      guard let inside = scanner.untilAngleEnd() else { return nil }
      uri = URI(ascii: inside)
    } else {
      let text = scanner.prefix {
        $0 > 0x20 && $0 != UInt8(ascii: ";") && $0 != UInt8(ascii: "<") && $0 != UInt8(ascii: ">")
      }
      // RFC 3261 §20: "If the URI contains a comma, question mark or semicolon, the URI MUST be
      // enclosed in angle brackets."
      guard !text.contains(UInt8(ascii: ",")), !text.contains(UInt8(ascii: "?")) else { return nil }
      uri = URI(ascii: text)
    }
    guard let uri, let parameters = scanner.parameters(), scanner.isAtEnd else { return nil }
    self.init(uri, displayName: name, parameters: parameters)
  }

  /// `*(token LWS)` in front of an angle bracket; leaves the cursor alone when that is not what stands there.
  private static func unquotedName(_ scanner: inout FieldScanner) -> String? {
    var ahead = scanner
    let text = ahead.prefix { ASCII.isToken($0) || $0 == 0x20 || $0 == 0x09 }
    guard ahead.peek() == UInt8(ascii: "<") else { return nil }
    scanner = ahead
    let name = CommaList.trimmed(text)
    return name.isEmpty ? nil : String(decoding: name, as: UTF8.self)
  }

  public var tag: String? {
    get { parameters["tag"] }
    set { parameters["tag"] = newValue }
  }

  /// Seconds; `nil` when absent or not a number of 32 bits, which RFC 3261 §10.2.1.1 lets one ignore.
  public var expires: UInt32? {
    get { parameters["expires"].flatMap { ASCII.decimal($0, max: UInt64(UInt32.max)) }.map { UInt32($0) } }
    set { parameters["expires"] = newValue.map { String($0) } }
  }

  /// The instance URN without its quotes and angle brackets (RFC 5626 §4.1).
  public var instance: String? {
    get {
      guard let value = parameters["+sip.instance"] else { return nil }
      let bytes = Array(value.utf8)
      guard bytes.count > 2, bytes.first == UInt8(ascii: "<"), bytes.last == UInt8(ascii: ">") else { return nil }
      return String(decoding: bytes[1..<bytes.count - 1], as: UTF8.self)
    }
    set {
      if let newValue {
        parameters.setQuoted("+sip.instance", "<" + newValue + ">")
      } else {
        parameters["+sip.instance"] = nil
      }
    }
  }

  /// RFC 5626 §4.2, 1 to 2^31 - 1.
  public var registrationID: UInt32? {
    get {
      guard let value = parameters["reg-id"].flatMap({ ASCII.decimal($0, max: UInt64(Int32.max)) }), value > 0
      else { return nil }
      return UInt32(value)
    }
    set { parameters["reg-id"] = newValue.map { String($0) } }
  }

  /// Whether the URI asks for outbound treatment (RFC 5626 §4.3, §5.1).
  public var isOutbound: Bool { uri.parameters.contains("ob") }
}

extension NameAddress: CustomStringConvertible {
  public var description: String {
    var text = displayName.map { Quoted.encode($0) + " " } ?? ""
    text += "<"
    text += uri.description
    text += ">"
    parameters.write(into: &text)
    return text
  }
}

/// What a REGISTER's Contact header fields say together (RFC 3261 §10.2).
public enum ContactList: Hashable, Sendable {
  /// `Contact: *`, all bindings; only with `Expires: 0`.
  case all
  case addresses([NameAddress])
}
