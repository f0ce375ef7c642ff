public import EdgeCore

/// The 5-tuple between a client and the server (RFC 8656 §2): what names an allocation.
public struct ClientFlow: Hashable, Sendable {
  public enum Transport: UInt8, Hashable, Sendable {
    case udp, tcp, tls

    public var isStream: Bool { self != .udp }
  }

  public let transport: Transport
  /// The owner's number for the socket or the connection, unique among those of the process.
  public let link: Int
  public let client: SocketAddress
  public let server: SocketAddress

  public init(_ transport: Transport, link: Int, client: SocketAddress, server: SocketAddress) {
    self.transport = transport
    self.link = link
    self.client = SocketAddress(client.ip.unmapped, port: client.port)
    self.server = SocketAddress(server.ip.unmapped, port: server.port)
  }

  /// Of every relayed packet: what differs between flows is enough.
  public func hash(into hasher: inout Hasher) {
    switch client.ip {
    case .v4(let ip): hasher.combine(UInt64(ip) << 16 | UInt64(client.port))
    case .v6(let high, let low, _):
      hasher.combine(high)
      hasher.combine(low &+ UInt64(client.port) << 48)
    }
    hasher.combine(link)
  }
}

extension ClientFlow: CustomStringConvertible {
  public var description: String {
    switch transport {
    case .udp: "udp \(client)"
    case .tcp: "tcp \(client)"
    case .tls: "tls \(client)"
    }
  }
}
