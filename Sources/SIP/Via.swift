import EdgeCore

/// One hop a request took (RFC 3261 §20.42, RFC 3581).
public struct Via: Hashable, Sendable {
  /// Upper case: `UDP`, `TCP`, `TLS`, `WS`, ...
  public var transport: String
  public var host: String
  public var port: UInt16?
  public var parameters: Parameters

  public init(transport: String, host: String, port: UInt16?, branch: String) {
    self.transport = transport
    self.host = host
    self.port = port
    parameters = Parameters([Parameter("branch", branch)])
  }

  /// Parses one value. The protocol must be SIP/2.0.
  public init?(_ text: String) {
    var scanner = FieldScanner(text)
    scanner.skipSpace()
    guard let name = scanner.token(), ASCII.equalIgnoringCase(name, "SIP"), scanner.skipSpaced(UInt8(ascii: "/")),
      scanner.token() == "2.0", scanner.skipSpaced(UInt8(ascii: "/")), let transport = scanner.token(),
      scanner.skipSpace(), let hostPort = Self.sentBy(&scanner), let parameters = scanner.parameters(),
      scanner.isAtEnd
    else { return nil }
    self.transport = ASCII.uppercased(transport)
    host = hostPort.host
    port = hostPort.port
    self.parameters = parameters
  }

  /// `host [ COLON port ]`, where COLON may have white space around it.
  private static func sentBy(_ scanner: inout FieldScanner) -> HostPort? {
    let host = scanner.prefix { $0 > 0x20 && $0 != UInt8(ascii: ";") && $0 != UInt8(ascii: ",") }
    let ahead = scanner
    guard scanner.skipSpaced(UInt8(ascii: ":")) else {
      scanner = ahead
      return HostPort(host)
    }
    let port = scanner.prefix(while: ASCII.isDigit)
    return HostPort((Array(host) + [UInt8(ascii: ":")] + Array(port))[...])
  }

  /// RFC 3261 §8.1.1.7.
  public static let magicCookie = "z9hG4bK"

  public var branch: String? {
    get { parameters["branch"] }
    set { parameters["branch"] = newValue }
  }

  /// The source address the next hop saw (RFC 3261 §18.2.1).
  public var received: String? {
    get { parameters["received"] }
    set { parameters["received"] = newValue }
  }

  /// Whether the client asked for symmetric response routing (RFC 3581 §3).
  public var wantsRport: Bool { parameters.contains("rport") }

  /// The source port the next hop saw (RFC 3581 §4).
  public var rport: UInt16? {
    get { parameters["rport"].flatMap { ASCII.decimal($0, max: 65535) }.map { UInt16($0) } }
    set { parameters["rport"] = newValue.map { String($0) } }
  }

  /// Asks the next hop to answer to where the request came from (RFC 3581 §3).
  public mutating func requestRport() { parameters["rport"] = "" }

  public var sentBy: String { port.map { host + ":" + String($0) } ?? host }

  /// RFC 3261 §17.2.3: the branch was made by the rules of RFC 3261 and is unique.
  public var hasUniqueBranch: Bool {
    guard let branch else { return false }
    return branch.utf8.count > Self.magicCookie.utf8.count && branch.utf8.starts(with: Self.magicCookie.utf8)
  }
}

extension Via: CustomStringConvertible {
  public var description: String {
    var text = "SIP/2.0/" + transport + " " + sentBy
    parameters.write(into: &text)
    return text
  }
}

extension ASCII {
  static func uppercased(_ text: String) -> String {
    String(decoding: text.utf8.map { $0 &- 0x61 < 26 ? $0 & 0xDF : $0 }, as: UTF8.self)
  }
}
