internal import EdgeCore

/// A host name or address, and a port.
public struct HostPort: Hashable, Sendable, CustomStringConvertible {
  /// A DNS name, or an address without brackets.
  public var host: String
  public var port: UInt16

  public init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// `name`, `name:port`, `192.0.2.1:port`, `[2001:db8::1]:port`.
  public init?(_ text: String, defaultPort: UInt16) {
    let bytes = Array(text.utf8)
    var host = bytes[...]
    var port: ArraySlice<UInt8>?
    if bytes.first == UInt8(ascii: "[") {
      guard let end = bytes.firstIndex(of: UInt8(ascii: "]")) else { return nil }
      host = bytes[1..<end]
      guard host.contains(UInt8(ascii: ":")) else { return nil }
      let rest = bytes[(end + 1)...]
      if let first = rest.first {
        guard first == UInt8(ascii: ":") else { return nil }
        port = rest.dropFirst()
      }
    } else if let colon = bytes.firstIndex(of: UInt8(ascii: ":")) {
      host = bytes[..<colon]
      port = bytes[(colon + 1)...]
    }
    let isAddress = IPAddress(ascii: host) != nil
    guard isAddress || Self.isName(host) else { return nil }
    self.host = String(decoding: host, as: UTF8.self)
    self.port = defaultPort
    if let port {
      guard let number = ASCII.decimal(port, max: 65_535), number > 0 else { return nil }
      self.port = UInt16(number)
    }
  }

  /// RFC 1123 §2.1: labels of letters, digits and hyphens; not all digits and dots, which would be a
  /// mistyped address.
  static func isName(_ bytes: ArraySlice<UInt8>) -> Bool {
    guard (1...253).contains(bytes.count) else { return false }
    var hasLetter = false
    for label in bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
      guard (1...63).contains(label.count), label.first != UInt8(ascii: "-"), label.last != UInt8(ascii: "-") else {
        return false
      }
      for byte in label {
        guard ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == UInt8(ascii: "-") else { return false }
        if ASCII.isAlpha(byte) { hasLetter = true }
      }
    }
    return hasLetter
  }

  public var description: String {
    host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
  }
}

/// Where and how a rendezvous server is reached: `sips:host[:port]` (TLS, port 5061) or
/// `sip:host[:port][;transport=tcp|udp]` (port 5060, UDP unless it says TCP, RFC 3263 §4.1).
public struct ServerURI: Hashable, Sendable, CustomStringConvertible {
  public enum Transport: Hashable, Sendable { case tls, tcp, udp }

  public var transport: Transport
  public var server: HostPort

  public init(transport: Transport, server: HostPort) {
    self.transport = transport
    self.server = server
  }

  public init?(_ text: String) {
    let bytes = Array(text.utf8)
    guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else { return nil }
    let scheme = String(decoding: bytes[..<colon], as: UTF8.self)
    var rest = bytes[(colon + 1)...]
    var parameter: String?
    if let semicolon = rest.firstIndex(of: UInt8(ascii: ";")) {
      parameter = String(decoding: rest[(semicolon + 1)...], as: UTF8.self)
      rest = rest[..<semicolon]
    }
    if ASCII.equalIgnoringCase(scheme, "sips") {
      transport = .tls
      if let parameter, !ASCII.equalIgnoringCase(parameter, "transport=tcp"),
        !ASCII.equalIgnoringCase(parameter, "transport=tls")
      {
        return nil
      }
    } else if ASCII.equalIgnoringCase(scheme, "sip") {
      switch parameter.map({ ASCII.lowercased($0) }) {
      case nil, "transport=udp": transport = .udp
      case "transport=tcp": transport = .tcp
      case "transport=tls": transport = .tls
      default: return nil
      }
    } else {
      return nil
    }
    guard
      let server = HostPort(
        String(decoding: rest, as: UTF8.self), defaultPort: transport == .tls ? 5061 : 5060)
    else { return nil }
    self.server = server
  }

  public var description: String {
    switch transport {
    case .tls: "sips:\(server)"
    case .tcp: "sip:\(server);transport=tcp"
    case .udp: "sip:\(server);transport=udp"
    }
  }
}

/// The least severe message that is logged.
public enum LogLevel: Hashable, Sendable {
  case debug, info, warning, error

  static let words = ["debug", "info", "warning", "error"]

  init?(word: String) {
    switch word {
    case "debug": self = .debug
    case "info": self = .info
    case "warning": self = .warning
    case "error": self = .error
    default: return nil
    }
  }
}
