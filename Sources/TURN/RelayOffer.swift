internal import EdgeCore

/// A relay somebody may use, with the credentials for it, as one line of text:
///
///     <turn:203.0.113.10:3478?transport=udp>;username="1800000600:1f0c";password="kR5..."
///
/// The URI is that of RFC 7065; `turns` is TLS. It is as secret as the password in it.
public struct RelayOffer: Hashable, Sendable {
  public enum Transport: String, Hashable, Sendable { case udp, tcp, tls }

  public var transport: Transport
  /// A name or an address, without brackets.
  public var host: String
  public var port: UInt16
  public var credentials: RelayCredentials

  public init(_ transport: Transport, host: String, port: UInt16, credentials: RelayCredentials) {
    self.transport = transport
    self.host = host
    self.port = port
    self.credentials = credentials
  }

  public var text: String {
    let scheme = transport == .tls ? "turns" : "turn"
    let wire = transport == .udp ? "udp" : "tcp"
    let shown = IPAddress(host)?.isV4 == false ? "[\(host)]" : host
    return "<\(scheme):\(shown):\(port)?transport=\(wire)>"
      + ";username=\"\(credentials.username)\";password=\"\(credentials.password)\""
  }

  /// `nil` when it is anything else. At most 1,024 bytes.
  public init?(_ text: String) {
    let bytes = Array(text.utf8)
    guard bytes.count <= 1024, bytes.first == UInt8(ascii: "<"), let end = bytes.firstIndex(of: UInt8(ascii: ">")),
      let uri = RelayOffer.parseURI(bytes[1..<end])
    else { return nil }
    (transport, host, port) = uri
    var found: (username: String?, password: String?)
    var rest = bytes[(end + 1)...]
    while let parameter = RelayOffer.takeParameter(&rest) {
      if ASCII.equalIgnoringCase(parameter.name, "username") { found.username = found.username ?? parameter.value }
      if ASCII.equalIgnoringCase(parameter.name, "password") { found.password = found.password ?? parameter.value }
    }
    guard rest.isEmpty, let username = found.username, let password = found.password, !username.isEmpty else {
      return nil
    }
    credentials = RelayCredentials(username: username, password: password)
  }

  private static func parseURI(_ bytes: ArraySlice<UInt8>) -> (Transport, String, UInt16)? {
    guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else { return nil }
    let scheme = String(decoding: bytes[..<colon], as: UTF8.self)
    guard scheme == "turn" || scheme == "turns" else { return nil }
    var rest = bytes[(colon + 1)...]
    var wire = scheme == "turns" ? "tcp" : "udp"
    if let query = rest.firstIndex(of: UInt8(ascii: "?")) {
      let text = String(decoding: rest[(query + 1)...], as: UTF8.self)
      guard text == "transport=udp" || text == "transport=tcp" else { return nil }
      wire = text == "transport=udp" ? "udp" : "tcp"
      rest = rest[..<query]
    }
    guard scheme == "turn" || wire == "tcp" else { return nil }
    var port: UInt16 = scheme == "turns" ? 5349 : 3478
    let isBracketed = rest.first == UInt8(ascii: "[")
    if let colon = rest.lastIndex(of: UInt8(ascii: ":")),
      !isBracketed || rest[rest.index(before: colon)] == UInt8(ascii: "]")
    {
      guard let number = ASCII.decimal(rest[(colon + 1)...], max: 65_535), number > 0 else { return nil }
      port = UInt16(number)
      rest = rest[..<colon]
    }
    if isBracketed {
      guard rest.last == UInt8(ascii: "]"), rest.count > 2 else { return nil }
      rest = rest.dropFirst().dropLast()
    }
    guard !rest.isEmpty, rest.count <= 255 else { return nil }
    let transport: Transport = scheme == "turns" ? .tls : wire == "udp" ? .udp : .tcp
    return (transport, String(decoding: rest, as: UTF8.self), port)
  }

  /// `;name="value"`, the quotes being optional.
  private static func takeParameter(_ rest: inout ArraySlice<UInt8>) -> (name: String, value: String)? {
    guard rest.first == UInt8(ascii: ";"), let equals = rest.firstIndex(of: UInt8(ascii: "=")) else { return nil }
    let name = String(decoding: rest[(rest.startIndex + 1)..<equals], as: UTF8.self)
    var value = rest[(equals + 1)...]
    if value.first == UInt8(ascii: "\"") {
      value = value.dropFirst()
      guard let quote = value.firstIndex(of: UInt8(ascii: "\"")) else { return nil }
      rest = value[(quote + 1)...]
      return (name, String(decoding: value[..<quote], as: UTF8.self))
    }
    let end = value.firstIndex(of: UInt8(ascii: ";")) ?? value.endIndex
    rest = value[end...]
    return (name, String(decoding: value[..<end], as: UTF8.self))
  }
}
