public import EdgeCore

/// How a NAT treats new peers (RFC 4787 §4.1 and §5), least strict first.
public enum NATBehavior: String, Hashable, Sendable {
  /// There is no NAT, or no filter.
  case none
  case endpointIndependent = "endpoint-independent"
  case addressDependent = "address-dependent"
  case addressAndPortDependent = "address-and-port-dependent"
  case unknown
}

/// What discovery found out. Hints, not promises (RFC 5780 §1): a NAT may treat the next flow in another way.
public struct NATReport: Hashable, Sendable {
  public var mapping = NATBehavior.unknown
  public var filtering = NATBehavior.unknown
  /// `false`: the server has one address, so address-dependent and endpoint-independent cannot be told apart.
  public var isMappingCertain = true
  public var isFilteringCertain = true
  /// `false`: nothing came back over UDP at all.
  public var hasUDP = false
  /// As the server sees this machine.
  public var publicAddress: SocketAddress?
  public var localAddress: SocketAddress?
  public var roundTrip: Duration?

  public init() {}

  /// Whether the router uses the port this machine uses; `nil` when there is no router, or nothing is known.
  public var preservesPort: Bool? {
    guard let publicAddress, let localAddress, mapping != .none else { return nil }
    return publicAddress.port == localAddress.port
  }

  /// Whether two ends behind such NATs can meet without a relay: each must be let in by the other, which one that
  /// filters by port does only when it knows the other's port beforehand. `nil` when it cannot be told.
  public static func canMeet(_ a: NATReport, _ b: NATReport) -> Bool? {
    guard a.hasUDP, b.hasUDP else { return false }
    guard a.mapping != .unknown, b.mapping != .unknown, a.filtering != .unknown, b.filtering != .unknown else {
      return nil
    }
    return admits(a, b) && admits(b, a)
  }

  private static func admits(_ guardian: NATReport, _ guest: NATReport) -> Bool {
    guardian.filtering != .addressAndPortDependent || guest.mapping == .none || guest.mapping == .endpointIndependent
  }
}
