public import EdgeCore

/// Where a candidate's address comes from (RFC 8445 §4).
public enum CandidateKind: UInt8, Hashable, Sendable {
  case host, serverReflexive, peerReflexive, relay

  /// RFC 8445 §5.1.2.2, the recommended values.
  public var typePreference: UInt32 {
    switch self {
    case .host: 126
    case .peerReflexive: 110
    case .serverReflexive: 100
    case .relay: 0
    }
  }
}

/// One transport address at which an agent may be reached, for UDP and component 1.
public struct Candidate: Hashable, Sendable {
  public var kind: CandidateKind
  /// What the other side sends to.
  public var address: SocketAddress
  /// What this side sends from: the candidate's own address for host and relayed ones. Of a remote
  /// candidate nobody here knows the base, and it is the address.
  public var base: SocketAddress
  /// 1...2^31-1, unique among an agent's candidates (RFC 8445 §5.1.2).
  public var priority: UInt32
  /// Equal for candidates likely to share their fate (RFC 8445 §5.1.1.3). 1 to 32 characters.
  public var foundation: String
  /// For the reader of the SDP only (RFC 8839 §5.1).
  public var relatedAddress: SocketAddress?

  public init(
    kind: CandidateKind, address: SocketAddress, base: SocketAddress? = nil, priority: UInt32, foundation: String,
    relatedAddress: SocketAddress? = nil
  ) {
    self.kind = kind
    self.address = address
    self.base = base ?? address
    // Larger ones would make pair priorities overflow; no honest peer sends them.
    self.priority = min(max(priority, 1), UInt32(Int32.max))
    self.foundation = foundation
    self.relatedAddress = relatedAddress
  }

  /// RFC 8445 §5.1.2.1, for component 1.
  public static func priority(kind: CandidateKind, localPreference: UInt16) -> UInt32 {
    kind.typePreference << 24 | UInt32(localPreference) << 8 | 255
  }

  /// RFC 8445 §7.1.1: what a check carries, the priority this candidate had if it were peer-reflexive.
  var peerReflexivePriority: UInt32 {
    CandidateKind.peerReflexive.typePreference << 24 | priority & 0x00FF_FFFF
  }
}

extension SocketAddress {
  /// The address as both ends of a link write it: an interface index means nothing to a peer.
  var unscoped: SocketAddress {
    guard case .v6(let high, let low, let scope) = ip, scope != 0 else { return self }
    return SocketAddress(.v6(high: high, low: low, scope: 0), port: port)
  }

  /// This address as reached through the interface that `base` is on.
  func scoped(like base: SocketAddress) -> SocketAddress {
    guard ip.isLinkLocal, case .v6(let high, let low, _) = ip, case .v6(_, _, let scope) = base.ip else { return self }
    return SocketAddress(.v6(high: high, low: low, scope: scope), port: port)
  }

  /// Whether a datagram from one to the other makes sense at all (RFC 8445 §6.1.2.2).
  func canPair(with remote: SocketAddress) -> Bool {
    guard ip.isV4 == remote.ip.isV4, ip.isLoopback == remote.ip.isLoopback else { return false }
    // RFC 8445 §6.1.2.2: "IPv6 link-local addresses MUST NOT be paired with other than link-local".
    return ip.isV4 || ip.isLinkLocal == remote.ip.isLinkLocal
  }

  /// Whether this may be a candidate (RFC 8445 §5.1.1.1: no loopback, no IPv4 inside IPv6, no site-local).
  func isUsable(allowsLoopback: Bool) -> Bool {
    guard port != 0, !ip.isUnspecified, !ip.isMulticast, allowsLoopback || !ip.isLoopback else { return false }
    switch ip {
    case .v4(let address): return address != UInt32.max
    case .v6(let high, let low, _):
      let isV4Inside = high == 0 && (low >> 32 == 0xFFFF || (low >> 32 == 0 && low > 1))
      return !isV4Inside && high >> 54 != 0xFEC0 >> 6
    }
  }
}
