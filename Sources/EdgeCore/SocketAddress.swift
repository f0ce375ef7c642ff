/// A transport address: IP address and port.
public struct SocketAddress: Hashable, Sendable {
  public var ip: IPAddress
  public var port: UInt16

  public init(_ ip: IPAddress, port: UInt16) {
    self.ip = ip
    self.port = port
  }

  /// Parses `192.0.2.1:5060` or `[2001:db8::1]:5060`. Names are not resolved.
  public init?(_ text: String) {
    let bytes = Array(text.utf8)
    guard let colon = bytes.lastIndex(of: UInt8(ascii: ":")) else { return nil }
    var host = bytes[..<colon]
    if host.first == UInt8(ascii: "[") {
      guard host.last == UInt8(ascii: "]") else { return nil }
      host = host.dropFirst().dropLast()
    } else if host.contains(UInt8(ascii: ":")) {
      return nil
    }
    guard let ip = IPAddress(ascii: host), let port = ASCII.decimal(bytes[(colon + 1)...], max: 65535) else {
      return nil
    }
    self.init(ip, port: UInt16(port))
  }
}

extension SocketAddress: CustomStringConvertible {
  public var description: String { ip.isV4 ? "\(ip):\(port)" : "[\(ip)]:\(port)" }
}
