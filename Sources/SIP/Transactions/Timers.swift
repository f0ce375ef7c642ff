/// The constants of RFC 3261 Table 4 from which all transaction timers follow.
public struct TransactionTiming: Hashable, Sendable {
  /// Round-trip estimate.
  public var t1: Duration = .milliseconds(500)
  /// Longest retransmission interval of non-INVITE requests and INVITE responses.
  public var t2: Duration = .seconds(4)
  /// How long a message may stay in the network.
  public var t4: Duration = .seconds(5)

  public init() {}

  /// 64·T1: timers B, F, H, J, L and M.
  public var lifetime: Duration { t1 * 64 }

  /// Timer D: "at least 32 seconds for unreliable transports" (RFC 3261 §17.1.1.2).
  public var timerD: Duration { max(.seconds(32), lifetime) }
}
