public import EdgeCore

/// The double-CRLF heartbeat of a stream flow (RFC 5626 §3.5.1 and §4.4.1).
///
///     idle ──start──▶ resting ──80–100 % of the interval──▶ awaiting pong
///                        ▲                                       │   │
///                        └──────────── CRLF ─────────────────────┘   └──10 s──▶ flow is dead
public enum KeepAlive: Hashable, Sendable {
  case idle
  case resting(interval: Duration, until: Instant)
  case awaitingPong(interval: Duration, sentAt: Instant, until: Instant)

  /// RFC 5626 §4.4.1: "If no CRLF is received within 10 seconds ... MUST treat the flow as failed."
  public static let pongTimeout = Duration.seconds(10)
  /// As long when there is reason to believe that the flow is dead, and something waits for the next one.
  public static let doubtfulPongTimeout = Duration.seconds(2)

  public enum Action: Hashable, Sendable {
    case none
    /// Send a double CRLF.
    case ping
    /// Nothing came back: close the flow and make a new one.
    case declareDead
  }

  /// Begins, or takes on a new interval from `Flow-Timer`.
  public mutating func start(
    interval: Duration, at now: Instant, using random: inout some RandomNumberGenerator
  ) {
    // An interval of nothing would send as fast as the answers come.
    let interval = max(interval, .seconds(1))
    let whole = interval.wholeNanoseconds
    // RFC 5626 §4.4: spread between 80 % and 100 % of the interval.
    let wait = Duration.nanoseconds(Int64.random(in: whole / 5 * 4...whole, using: &random))
    self = .resting(interval: interval, until: now + wait)
  }

  public mutating func stop() { self = .idle }

  /// Finds out now, not at the next heartbeat, whether the flow lives.
  public mutating func doubt(at now: Instant) -> Action {
    switch self {
    case .idle: return .none
    case .resting(let interval, _):
      self = .awaitingPong(interval: interval, sentAt: now, until: now + Self.doubtfulPongTimeout)
      return .ping
    case .awaitingPong(let interval, let sentAt, let until):
      self = .awaitingPong(
        interval: interval, sentAt: sentAt, until: min(until, now + Self.doubtfulPongTimeout))
      return .none
    }
  }

  /// - Returns: the round trip, when a pong was awaited; `nil` for a CRLF out of the blue.
  public mutating func receivePong(at now: Instant, using random: inout some RandomNumberGenerator) -> Duration? {
    guard case .awaitingPong(let interval, let sentAt, _) = self else { return nil }
    start(interval: interval, at: now, using: &random)
    return now - sentAt
  }

  public mutating func tick(at now: Instant) -> Action {
    switch self {
    case .idle: return .none
    case .resting(let interval, let until):
      guard now >= until else { return .none }
      self = .awaitingPong(interval: interval, sentAt: now, until: now + Self.pongTimeout)
      return .ping
    case .awaitingPong(_, _, let until):
      guard now >= until else { return .none }
      self = .idle
      return .declareDead
    }
  }

  public var nextDeadline: Instant? {
    switch self {
    case .idle: nil
    case .resting(_, let until): until
    case .awaitingPong(_, _, let until): until
    }
  }
}
