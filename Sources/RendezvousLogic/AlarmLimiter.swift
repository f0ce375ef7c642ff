import EdgeCore

/// How often a node may write to a serial, or send pictures to an account: ``burst`` times at once, and then once in ``interval``.
///
/// The node has a limit of its own; this one holds where that one is broken.
struct AlarmLimiter {
  static let burst = 20
  static let interval: Duration = .seconds(2)

  /// When the allowance would be whole again: each message moves it by an interval.
  private var restored: [String: Instant] = [:]

  mutating func allows(_ pair: String, at now: Instant) -> Bool {
    // Who may write comes here and nobody else, and only what is not whole is kept.
    if restored.count >= 1000 { restored = restored.filter { $0.value > now } }
    let begin = max(restored[pair] ?? now, now)
    guard begin - now <= Self.interval * (Self.burst - 1) else { return false }
    restored[pair] = begin + Self.interval
    return true
  }
}
