public import EdgeCore

/// To which addresses a relay relays. The one place where that is decided.
///
/// A relay is inside the network it runs in: without rules, whoever has an account reaches what the
/// firewall keeps from them. Every way of writing an IPv4 address inside an IPv6 one is undone first, so
/// that no spelling slips past (the class of CVE-2020-26262 and CVE-2026-27624).
public struct PeerPolicy: Hashable, Sendable {
  /// RFC 1918, RFC 6598 and RFC 4193 peers are relayed to.
  public var allowsPrivate: Bool
  /// 127.0.0.0/8 and ::1 are relayed to: for everything on one machine, never on a real server.
  public var allowsLoopback: Bool
  /// This machine's own addresses. Nothing at them is a peer, except relayed addresses in use.
  public var ownAddresses: [IPAddress]

  public init(allowsPrivate: Bool = false, allowsLoopback: Bool = false, ownAddresses: [IPAddress] = []) {
    self.allowsPrivate = allowsPrivate
    self.allowsLoopback = allowsLoopback
    self.ownAddresses = ownAddresses
  }

  /// Why there is no relaying to a peer.
  public enum Refusal: Hashable, Sendable {
    /// RFC 8656 §21.4 forbids 6to4 and Teredo; v4-mapped and v4-compatible are no address on a wire.
    case embedded
    case unspecified, loopback, linkLocal, multicast, reserved
    /// Private, and not allowed here.
    case privateNetwork
    /// This server itself.
    case own
    /// Not among the addresses signalled in the session.
    case notSignalled
  }

  /// What is wrong with `ip` as a peer, `nil` when nothing is. Says nothing about ``ownAddresses``.
  func refusalOfKind(_ ip: IPAddress) -> Refusal? {
    if case .v6(let high, let low, _) = ip {
      if Self.isEmbedded(high, low) { return .embedded }
      // RFC 8215: a network's own NAT64 prefix leads to whatever that network likes.
      if high >> 16 == 0x0064_FF9B_0001 { return .reserved }
      // RFC 3879: the old site-local addresses.
      if high >> 54 == 0xFEC0 >> 6 { return allowsPrivate ? nil : .privateNetwork }
    }
    // What is left of embedding is NAT64: the address behind it is what counts.
    let address = ip.canonical
    if address.isLoopback { return allowsLoopback ? nil : .loopback }
    if case .v4(let bits) = address {
      if bits >> 24 == 0 { return .unspecified }
      // RFC 6890: 192.0.0.0/24 and 240.0.0.0/4, the broadcast address included.
      if bits >> 8 == 0xC000_00 || bits >> 28 == 0xF { return .reserved }
    }
    if address.isUnspecified { return .unspecified }
    if address.isLinkLocal { return .linkLocal }
    if address.isMulticast { return .multicast }
    if address.isPrivate && !allowsPrivate { return .privateNetwork }
    return nil
  }

  /// ``ownAddresses`` are canonical here: this is asked for every packet.
  func isOwn(_ ip: IPAddress) -> Bool {
    let address = ip.canonical
    for own in ownAddresses where own == address { return true }
    return false
  }

  private static func isEmbedded(_ high: UInt64, _ low: UInt64) -> Bool {
    let isMapped = high == 0 && low >> 32 == 0xFFFF
    let isCompatible = high == 0 && low >> 32 == 0 && low > 1
    let is6to4 = high >> 48 == 0x2002
    let isTeredo = high >> 32 == 0x2001_0000
    return isMapped || isCompatible || is6to4 || isTeredo
  }
}
