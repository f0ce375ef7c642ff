public import EdgeCore

/// How a flow carries SIP.
public enum FlowTransport: UInt8, Hashable, Sendable {
  case udp = 0
  case tcp = 1
  case tls = 2

  /// Whether the transport delivers in order or breaks: no retransmission timers run over it.
  public var isReliable: Bool { self != .udp }

  /// The name in a Via header (RFC 3261 §7.1).
  public var viaName: String {
    switch self {
    case .udp: "UDP"
    case .tcp: "TCP"
    case .tls: "TLS"
    }
  }
}

/// A path to one peer (RFC 5626 §2): transport, our address, its address as seen from here.
///
/// For a connection this names the connection while it lasts; for UDP it is all there is.
public struct Flow: Hashable, Sendable {
  public var transport: FlowTransport
  public var local: SocketAddress
  public var remote: SocketAddress

  public init(_ transport: FlowTransport, local: SocketAddress, remote: SocketAddress) {
    self.transport = transport
    self.local = local
    self.remote = remote
  }
}

extension Flow: CustomStringConvertible {
  public var description: String { "\(transport.viaName.lowercased())/\(remote)" }
}

extension Flow: Comparable {
  /// Any total order: what is collected from a table is sorted by it before it reaches the wire.
  public static func < (a: Flow, b: Flow) -> Bool { a.bytes.lexicographicallyPrecedes(b.bytes) }

  /// Transport, local and remote address, unambiguously.
  var bytes: [UInt8] {
    var writer = ByteWriter(reserving: 39)
    writer.write(transport.rawValue)
    for address in [local, remote] {
      switch address.ip {
      case .v4(let value):
        writer.write(UInt8(4))
        writer.write(value)
      case .v6(let high, let low, _):
        writer.write(UInt8(6))
        writer.write(high)
        writer.write(low)
      }
      writer.write(address.port)
    }
    return writer.bytes
  }

  init?(bytes: [UInt8]) {
    var reader = unsafe ByteReader(bytes.span.bytes)
    do throws(ShortRead) {
      guard let transport = FlowTransport(rawValue: try reader.readUInt8()) else { return nil }
      var addresses: [SocketAddress] = []
      for _ in 0..<2 {
        let ip: IPAddress
        switch try reader.readUInt8() {
        case 4: ip = .v4(try reader.readUInt32())
        case 6:
          let high = try reader.readUInt64()
          ip = .v6(high: high, low: try reader.readUInt64(), scope: 0)
        default: return nil
        }
        addresses.append(SocketAddress(ip, port: try reader.readUInt16()))
      }
      guard reader.remaining == 0 else { return nil }
      self.init(transport, local: addresses[0], remote: addresses[1])
    } catch {
      return nil
    }
  }
}

/// Names a flow in a URI so that nobody but this server can make one up (RFC 5626 §5.2).
///
/// `base64(HMAC ‖ transport ‖ local ‖ remote)`: nothing is stored, whatever the number of dialogs.
struct FlowTokens {
  /// Bytes of the HMAC kept. RFC 5626 §5.2's example keeps 10; a guess must succeed on line, so 80 bits do.
  private static let tagLength = 10

  let key: [UInt8]
  let hmac: Hashes.MAC

  func token(for flow: Flow) -> String {
    let body = flow.bytes
    return Base64.encode(Array(hmac(key, body).prefix(Self.tagLength)) + body)
  }

  /// The flow, or `nil` when this server did not make the token.
  func flow(of token: String) -> Flow? {
    guard token.utf8.count <= 80, let bytes = Base64.decode(token), bytes.count > Self.tagLength else { return nil }
    let body = Array(bytes[Self.tagLength...])
    let expected = Array(hmac(key, body).prefix(Self.tagLength))
    guard Hashes.constantTimeEqual(expected, Array(bytes[..<Self.tagLength])) else { return nil }
    return Flow(bytes: body)
  }
}
