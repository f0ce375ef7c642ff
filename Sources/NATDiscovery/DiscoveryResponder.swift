public import EdgeCore
internal import STUN

/// Where a server for NAT discovery listens: two ports on each of one or two addresses (RFC 5780 §6).
public struct DiscoveryPlaces: Hashable, Sendable {
  /// Two, or none when there is but one (or a wildcard): then questions that need two are refused.
  public var addresses: [IPAddress]
  public var firstPort: UInt16
  public var secondPort: UInt16

  public init(addresses: [IPAddress] = [], firstPort: UInt16, secondPort: UInt16) {
    self.addresses = addresses.count == 2 ? addresses : []
    self.firstPort = firstPort
    self.secondPort = secondPort
  }

  func otherIP(than ip: IPAddress) -> IPAddress? {
    addresses.contains(ip) ? addresses.first { $0 != ip } : nil
  }

  func otherPort(than port: UInt16) -> UInt16 { port == firstPort ? secondPort : firstPort }
}

/// Answers what ``NATDiscovery`` asks (RFC 5780 §6.1). Keeps no state.
///
/// A source address is whatever the sender says, so nothing is answered with more than 1.6 times the bytes: what
/// does not fit is left out, the second address last. Limiting the rate per source is the owner's part.
public enum DiscoveryResponder {
  /// What to send in answer to a datagram that arrived at `local`, one of the places; `nil` is silence.
  public static func answer(
    to datagram: RawSpan, from source: SocketAddress, at local: SocketAddress, places: DiscoveryPlaces
  ) -> Datagram? {
    guard let request = try? ReceivedMessage(parsing: datagram),
      request.message.type == MessageType(.request, .binding)
    else { return nil }
    let message = request.message
    let reply = { (type: MessageClass, attributes: [Attribute], from: SocketAddress) in
      Datagram(
        source: from, destination: source,
        bytes: STUNMessage(type, .binding, transaction: message.transaction, attributes: attributes)
          .serialized(fingerprint: request.hasFingerprint))
    }
    var unknown = message.unknownRequired { $0.isKnownToBinding || $0 == .changeRequest }
    let change = message.uint32(.changeRequest) ?? 0
    let otherIP = places.otherIP(than: local.ip)
    if change & 4 != 0 && otherIP == nil { unknown.append(.changeRequest) }
    guard unknown.isEmpty else {
      let answer = reply(.failure, [.errorCode(.unknownAttribute), .unknownAttributes(unknown)], local)
      return answer.bytes.count <= limit(datagram) ? answer : nil
    }
    let port = change & 2 != 0 ? places.otherPort(than: local.port) : local.port
    let origin = SocketAddress(change & 4 != 0 ? otherIP ?? local.ip : local.ip, port: port)
    let mapped = SocketAddress(source.ip.unmapped, port: source.port)
    let attributes: [Attribute?] = [
      .xorAddress(.xorMappedAddress, mapped, transaction: message.transaction),
      otherIP.map { .address(.otherAddress, SocketAddress($0, port: places.otherPort(than: local.port))) },
      .address(.responseOrigin, origin),
    ]
    var fitting = attributes.compactMap { $0 }
    while true {
      let answer = reply(.success, fitting, origin)
      if answer.bytes.count <= limit(datagram) || fitting.count == 1 { return answer }
      fitting.removeLast()
    }
  }

  private static func limit(_ datagram: RawSpan) -> Int { datagram.byteCount * 8 / 5 }
}
