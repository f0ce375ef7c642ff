import EdgeCore

/// Where it is kept who wants whom as a contact, as functions: durable when they return.
public struct ContactBook {
  public enum Verdict: Hashable, Sendable {
    case kept
    /// There is no such account.
    case missing
    case unavailable
  }

  /// `account` wants `other`. What is kept already is kept once.
  public var want: (_ other: String, _ account: String) -> Verdict
  /// Neither wants the other any more.
  public var part: (_ account: String, _ other: String) -> Verdict

  public init(want: @escaping (String, String) -> Verdict, part: @escaping (String, String) -> Verdict) {
    self.want = want
    self.part = part
  }
}

/// How many strangers each account may still ask: finding out who exists must take long, and nobody is to be pestered.
struct ContactRequests {
  /// As many at once as somebody with a new account has friends; then one a minute.
  static let burst = 20
  static let refill: Duration = .seconds(60)

  /// When the account will have its whole share again.
  private var full: [String: Instant] = [:]

  /// Takes one request of the account's share; `nil`, or after how long there will be one again.
  mutating func take(_ account: String, at now: Instant) -> Duration? {
    let due = max(full[account] ?? now, now) + Self.refill
    let excess = (due - now) - Self.refill * Self.burst
    guard excess <= .zero else { return excess }
    full[account] = due
    return nil
  }

  mutating func forget(at now: Instant) { full = full.filter { $0.value > now } }
}
