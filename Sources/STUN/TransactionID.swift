/// The 96 bits that tie a response to its request (RFC 8489 §5).
public struct TransactionID: Hashable, Sendable {
  public let high: UInt32
  public let low: UInt64

  public init(high: UInt32, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// RFC 8489 §5: "uniformly and randomly chosen", from a cryptographic source in the daemon.
  public init(using random: inout some RandomNumberGenerator) {
    high = UInt32(truncatingIfNeeded: random.next())
    low = random.next()
  }
}
