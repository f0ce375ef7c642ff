public import EdgeCore

/// A SIP or SIPS URI taken apart, or any other URI kept as text (RFC 3261 §19.1, RFC 3986).
///
/// Equality (`==`) is of the spelling. ``isEquivalent(to:)`` compares as RFC 3261 §19.1.4 says.
public struct URI: Hashable, Sendable {
  public enum Scheme: Hashable, Sendable {
    case sip
    case sips
    /// Lower case, without the colon.
    case other(String)
  }

  public var scheme: Scheme
  /// With its escapes, as on the wire.
  public var user: String?
  /// With its escapes. Discouraged by RFC 3261 §19.1.1, never made here.
  public var password: String?
  /// A host name, an IPv4 address, or an IPv6 address in brackets. Empty for other schemes.
  public var host: String
  public var port: UInt16?
  public var parameters: Parameters
  /// What follows the question mark, with its escapes.
  public var headers: String?
  /// Everything after the scheme's colon, for other schemes only.
  public var opaque: String

  public init(_ scheme: Scheme = .sip, user: String? = nil, host: String, port: UInt16? = nil) {
    self.scheme = scheme
    self.user = user
    self.host = host
    self.port = port
    parameters = Parameters()
    opaque = ""
  }

  /// A URI of another scheme.
  init(scheme: String, opaque: String) {
    self.init(.other(scheme), host: "")
    self.opaque = opaque
  }

  /// Stands where a request line had no usable URI; only ever seen in a ``Refusal``.
  static var unusable: URI { URI(scheme: "invalid", opaque: "") }

  /// `nil` for what is not a URI, or longer than ``Limits/uriBytes``.
  public init?(_ text: String) { self.init(ascii: Array(text.utf8)[...]) }

  public var isSIP: Bool { scheme == .sip || scheme == .sips }

  /// The user part with its escapes undone, or `nil` if that is not UTF-8.
  public var decodedUser: String? { user.flatMap { Escape.decode($0) } }

  /// The host as an address, if it is one. A SIP URI never names a zone.
  public var address: IPAddress? {
    host.utf8.first == UInt8(ascii: "[")
      ? IPAddress(ascii: Array(host.utf8)[...].dropFirst().dropLast()) : IPAddress(host)
  }

  /// The form a registrar indexes by (RFC 3261 §10.3 step 5): no parameters, escapes undone, host in
  /// lower case. `nil` for a URI that is not SIP or whose user is not UTF-8 once decoded.
  public var addressOfRecord: String? {
    guard isSIP else { return nil }
    guard let user else { return "sip:" + ASCII.lowercased(host) }
    guard let decoded = Escape.decode(user) else { return nil }
    return "sip:" + decoded + "@" + ASCII.lowercased(host)
  }
}

extension URI {
  init?(ascii bytes: ArraySlice<UInt8>) {
    guard bytes.count <= Limits.uriBytes, let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else { return nil }
    let name = bytes[..<colon]
    let isScheme = name.allSatisfy {
      ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "-")
        || $0 == UInt8(ascii: ".")
    }
    guard let first = name.first, ASCII.isAlpha(first), isScheme else { return nil }
    let rest = bytes[(colon + 1)...]
    let scheme = ASCII.lowercased(String(decoding: name, as: UTF8.self))
    guard scheme == "sip" || scheme == "sips" else {
      // RFC 3986 §2: printable ASCII without space, quote, angle bracket.
      let isOpaque = rest.allSatisfy {
        $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "<") && $0 != UInt8(ascii: ">") && $0 != UInt8(ascii: "\"")
      }
      guard !rest.isEmpty, isOpaque else { return nil }
      self.init(scheme: scheme, opaque: String(decoding: rest, as: UTF8.self))
      return
    }
    self.init(scheme == "sip" ? .sip : .sips, host: "")
    guard parseSIP(rest) else { return nil }
  }

  /// `[ userinfo "@" ] hostport uri-parameters [ headers ]`
  private mutating func parseSIP(_ bytes: ArraySlice<UInt8>) -> Bool {
    var rest = bytes
    // "@" stands for itself nowhere but behind the user part, which may hold ";", "?" and "/".
    if let at = rest.firstIndex(of: UInt8(ascii: "@")) {
      guard parseUserInfo(rest[..<at]) else { return false }
      rest = rest[(at + 1)...]
    }
    if let mark = rest.firstIndex(of: UInt8(ascii: "?")) {
      let text = rest[(mark + 1)...]
      guard Escape.isWellFormed(text, also: "[]/?:+$&=") else { return false }
      headers = String(decoding: text, as: UTF8.self)
      rest = rest[..<mark]
    }
    let parts = rest.split(
      separator: UInt8(ascii: ";"), maxSplits: Limits.parameters + 1, omittingEmptySubsequences: false)
    guard parts.count <= Limits.parameters + 1, let hostPort = HostPort(parts[0]) else { return false }
    host = hostPort.host
    port = hostPort.port
    for part in parts.dropFirst() {
      let sides = part.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      guard !sides[0].isEmpty, sides.allSatisfy({ Escape.isWellFormed($0, also: "[]/:&+$") }) else { return false }
      guard sides.count == 1 || !sides[1].isEmpty else { return false }
      parameters.items.append(
        Parameter(
          String(decoding: sides[0], as: UTF8.self),
          sides.count == 1 ? nil : String(decoding: sides[1], as: UTF8.self)))
    }
    return true
  }

  private mutating func parseUserInfo(_ bytes: ArraySlice<UInt8>) -> Bool {
    let sides = bytes.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
    guard !sides[0].isEmpty, Escape.isWellFormed(sides[0], also: "&=+$,;?/") else { return false }
    user = String(decoding: sides[0], as: UTF8.self)
    guard sides.count == 2 else { return true }
    guard Escape.isWellFormed(sides[1], also: "&=+$,") else { return false }
    password = String(decoding: sides[1], as: UTF8.self)
    return true
  }
}

extension URI: CustomStringConvertible {
  public var description: String {
    var text: String
    switch scheme {
    case .sip: text = "sip:"
    case .sips: text = "sips:"
    case .other(let name): return name + ":" + opaque
    }
    if let user {
      text += user
      if let password {
        text += ":"
        text += password
      }
      text += "@"
    }
    text += host
    if let port {
      text += ":"
      text += String(port)
    }
    parameters.write(into: &text)
    if let headers {
      text += "?"
      text += headers
    }
    return text
  }
}

/// `host [ ":" port ]` (RFC 3261 §25.1), as in URIs and in the sent-by of a Via.
struct HostPort {
  var host: String
  var port: UInt16?

  init?(_ bytes: ArraySlice<UInt8>) {
    var host = bytes
    var port: ArraySlice<UInt8>?
    if bytes.first == UInt8(ascii: "[") {
      guard let end = bytes.firstIndex(of: UInt8(ascii: "]")),
        IPAddress(ascii: bytes[(bytes.startIndex + 1)..<end])?.isV4 == false
      else { return nil }
      host = bytes[...end]
      let rest = bytes[(end + 1)...]
      if !rest.isEmpty {
        guard rest.first == UInt8(ascii: ":") else { return nil }
        port = rest.dropFirst()
      }
    } else {
      if let colon = bytes.firstIndex(of: UInt8(ascii: ":")) {
        host = bytes[..<colon]
        port = bytes[(colon + 1)...]
      }
      // Underscores are not in the grammar but are in real host names.
      let isName = host.allSatisfy {
        ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".")
          || $0 == UInt8(ascii: "_")
      }
      guard !host.isEmpty, host.count <= 255, isName else { return nil }
    }
    if let port {
      guard let number = ASCII.decimal(port, max: 65535) else { return nil }
      self.port = UInt16(number)
    }
    self.host = String(decoding: host, as: UTF8.self)
  }
}

/// Percent escapes (RFC 3261 §19.1.2), undone once and never twice.
enum Escape {
  static func isWellFormed(_ bytes: ArraySlice<UInt8>, also extra: String) -> Bool {
    var index = bytes.startIndex
    while index < bytes.endIndex {
      let byte = bytes[index]
      if byte == UInt8(ascii: "%") {
        guard index + 2 < bytes.endIndex, Hex.value(of: bytes[index + 1]) != nil, Hex.value(of: bytes[index + 2]) != nil
        else { return false }
        index += 3
        continue
      }
      guard ASCII.isUnreserved(byte) || extra.utf8.contains(byte) else { return false }
      index += 1
    }
    return true
  }

  static func decodedBytes(_ text: String) -> [UInt8] {
    let bytes = Array(text.utf8)
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count)
    var index = 0
    while index < bytes.count {
      if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count, let high = Hex.value(of: bytes[index + 1]),
        let low = Hex.value(of: bytes[index + 2])
      {
        out.append(high << 4 | low)
        index += 3
      } else {
        out.append(bytes[index])
        index += 1
      }
    }
    return out
  }

  static func decode(_ text: String) -> String? { String(validating: decodedBytes(text), as: UTF8.self) }
}
