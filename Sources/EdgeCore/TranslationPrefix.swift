/// Where a network that has IPv6 only keeps the IPv4 Internet: the first 96 bits of the addresses its router translates
/// (NAT64, RFC 6146; RFC 6052 §2.2).
public struct TranslationPrefix: Hashable, Sendable {
  private let high: UInt64
  /// The upper half of the lower 64 bits.
  private let middle: UInt64

  /// Learned from a machine whose IPv4 address is known and that was reached at `reached`; `nil` where the one is not
  /// inside the other. RFC 7050 learns it the same way from a name whose addresses are known.
  public init?(reached: IPAddress, named: IPAddress) {
    guard case .v6(let high, let low, 0) = reached, case .v4(let address) = named else { return nil }
    // Below that are the v4-mapped and v4-compatible addresses, which never leave a machine.
    guard high != 0, UInt32(truncatingIfNeeded: low) == address else { return nil }
    self.high = high
    middle = low >> 32
  }

  /// The address an IPv4 one is reached at; an IPv6 one as it is.
  public func translated(_ address: IPAddress) -> IPAddress {
    guard case .v4(let value) = address else { return address }
    return .v6(high: high, low: middle << 32 | UInt64(value), scope: 0)
  }
}
