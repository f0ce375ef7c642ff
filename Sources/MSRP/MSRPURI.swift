import EdgeCore

/// Where a session or a relay is reached: `msrps://host:2855/session;tcp` (RFC 4975 §6, §9).
///
/// Two are equal when RFC 4975 §6.1 says so; ``text`` is what is put on the wire.
public struct MSRPURI: Sendable {
  /// As it was written.
  public let text: String
  /// `msrps`: the connection must be protected.
  public let isSecure: Bool
  /// A name in lower case, or an IP address in its canonical form without brackets.
  public let host: String
  /// `nil` only in the URI of a relay that is still to be looked up (RFC 4976 §5.1).
  public let port: UInt16?
  /// Names the session at this host; `nil` for a relay as such.
  public let sessionID: String?
  /// In lower case: `tcp`, or `dc` for a data channel (RFC 8873 §4.4).
  public let transport: String

  /// `sessionID` is of `unreserved`, `+`, `=` and `/` characters.
  public init(isSecure: Bool, host: String, port: UInt16, sessionID: String, transport: String = "tcp") {
    let address = IPAddress(host)
    let written = address.map { $0.isV4 ? "\($0)" : "[\($0)]" } ?? host
    self.isSecure = isSecure
    self.host = address.map { "\($0.canonical)" } ?? ASCII.lowercased(host)
    self.port = port
    self.sessionID = sessionID
    self.transport = transport
    text = (isSecure ? "msrps://" : "msrp://") + "\(written):\(port)/\(sessionID);\(transport)"
  }

  /// `nil` for what is no MSRP URI, or one longer than ``MSRPLimits/uriBytes``.
  public init?(_ text: String) {
    self.init(ascii: Array(text.utf8)[...])
  }

  init?(ascii bytes: ArraySlice<UInt8>) {
    guard bytes.count <= MSRPLimits.uriBytes, bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
    guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else { return nil }
    switch ASCII.lowercased(String(decoding: bytes[..<colon], as: UTF8.self)) {
    case "msrp": isSecure = false
    case "msrps": isSecure = true
    default: return nil
    }
    var rest = bytes[(colon + 1)...]
    guard rest.starts(with: "//".utf8) else { return nil }
    rest = rest.dropFirst(2)
    let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: ";") } ?? rest.endIndex
    guard let (host, port) = Self.hostAndPort(rest[..<end]) else { return nil }
    self.host = host
    self.port = port
    rest = rest[end...]
    if rest.first == UInt8(ascii: "/") {
      let semicolon = rest.firstIndex(of: UInt8(ascii: ";")) ?? rest.endIndex
      let session = rest[(rest.startIndex + 1)..<semicolon]
      guard session.allSatisfy(Self.isSessionCharacter) else { return nil }
      sessionID = session.isEmpty ? nil : String(decoding: session, as: UTF8.self)
      rest = rest[semicolon...]
    } else {
      sessionID = nil
    }
    // RFC 4975 §9: the transport is mandatory and comes first; parameters nobody defined are ignored.
    guard rest.first == UInt8(ascii: ";") else { return nil }
    let transport = rest.dropFirst().prefix { $0 != UInt8(ascii: ";") }
    guard !transport.isEmpty, transport.allSatisfy({ ASCII.isAlpha($0) || ASCII.isDigit($0) }) else { return nil }
    self.transport = ASCII.lowercased(String(decoding: transport, as: UTF8.self))
    text = String(decoding: bytes, as: UTF8.self)
  }

  /// RFC 3986 §3.2: `[userinfo@]host[:port]`.
  private static func hostAndPort(_ authority: ArraySlice<UInt8>) -> (String, UInt16?)? {
    var authority = authority
    if let at = authority.lastIndex(of: UInt8(ascii: "@")) { authority = authority[(at + 1)...] }
    var host = authority
    var port: UInt16?
    // The last colon: RFC 8873 §4.8 itself writes IPv6 addresses without brackets.
    if let colon = authority.lastIndex(of: UInt8(ascii: ":")), authority.last != UInt8(ascii: "]") {
      guard let number = ASCII.decimal(authority[(colon + 1)...], max: 65_535), number > 0 else { return nil }
      port = UInt16(number)
      host = authority[..<colon]
    }
    if host.first == UInt8(ascii: "["), host.last == UInt8(ascii: "]") { host = host.dropFirst().dropLast() }
    guard !host.isEmpty else { return nil }
    if let address = IPAddress(ascii: host) { return ("\(address.canonical)", port) }
    guard let decoded = unescaped(host) else { return nil }
    return (ASCII.lowercased(decoded), port)
  }

  /// RFC 4975 §6.1 rule 2: "percent-encoding normalization applies".
  private static func unescaped(_ bytes: ArraySlice<UInt8>) -> String? {
    guard let out = Percent.decode(bytes) else { return nil }
    return out.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) ? String(decoding: out, as: UTF8.self) : nil
  }

  private static func isSessionCharacter(_ byte: UInt8) -> Bool {
    if ASCII.isAlpha(byte) || ASCII.isDigit(byte) { return true }
    switch byte {
    case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "+"),
      UInt8(ascii: "="), UInt8(ascii: "/"):
      return true
    default: return false
    }
  }

  /// A path: one or more URIs between single spaces.
  public static func path(_ value: String) -> [MSRPURI]? { path(ascii: Array(value.utf8)[...]) }

  static func path(ascii value: ArraySlice<UInt8>) -> [MSRPURI]? {
    var path: [MSRPURI] = []
    for word in value.split(separator: 0x20) {
      guard path.count < MSRPLimits.path, let uri = MSRPURI(ascii: word) else { return nil }
      path.append(uri)
    }
    return path.isEmpty ? nil : path
  }
}

extension MSRPURI: Hashable {
  /// RFC 4975 §6.1: the text and the user do not matter.
  public static func == (a: Self, b: Self) -> Bool {
    a.isSecure == b.isSecure && a.host == b.host && a.port == b.port && a.sessionID == b.sessionID
      && a.transport == b.transport
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(host)
    hasher.combine(port)
    hasher.combine(sessionID)
  }
}

extension MSRPURI: CustomStringConvertible {
  public var description: String { text }
}

extension [MSRPURI] {
  /// As it stands in `To-Path`, `From-Path`, `Use-Path` and `a=path`.
  public var pathText: String {
    var text = ""
    for uri in self { text += (text.utf8.isEmpty ? "" : " ") + uri.text }
    return text
  }
}
