public import EdgeCore

/// How long to wait before the next attempt to reach the server (the shape of RFC 5626 §4.5).
///
/// The wait doubles from one second. Most outages are a server restart or a modem reconnect and
/// last a few minutes at most, and a camera is wanted back the moment they end; so for the first
/// three minutes the wait stays at two seconds, and only then goes on doubling, to two minutes.
///
/// Worst case after an outage of less than three minutes, with attempts that hang until they time out after
/// ``attemptTimeout``: the kernel sends its SYN 0, 1 and 3 s into an attempt (RFC 6298 §2.1 and §5.5), the attempt ends
/// at 4 s, and the next one begins at most 2 s later. So the longest silence is from 3 s to 6 s: whenever the
/// network or the server comes back, a SYN leaves within 3 s. TCP, TLS and the log-in with a challenge take at most six
/// round trips more, which leaves each of them 330 ms of the five seconds within which the link is to be up again.
/// A UDP flow asks 0, 0.5, 1.5 and 3.5 s into an attempt of the same length: the longest silence is 2.5 s. A
/// server that restarts refuses at once, so only the wait itself, 2 s, counts.
///
/// Each wait is a random 50 to 100 % of its nominal length, so that the nodes of one server
/// do not all come back in the same instant.
public struct ReconnectBackoff: Sendable {
  /// Nominal first wait.
  public static let first = Duration.seconds(1)
  /// Nominal wait during the first ``patience`` of an outage.
  public static let short = Duration.seconds(2)
  public static let patience = Duration.seconds(180)
  /// RFC 5626 §4.5 max-time, cut from 1800 s: a camera is looked for by people.
  public static let longest = Duration.seconds(120)

  /// How long an attempt to open a flow may take.
  public static let attemptTimeout = Duration.seconds(4)

  private var outageBegan: Instant?
  private var nominal: Duration?

  public init() {}

  /// The link is up: the next outage starts from the beginning.
  public mutating func reset() {
    outageBegan = nil
    nominal = nil
  }

  /// An attempt failed, or an established link was lost.
  ///
  /// - Parameter retryAfter: what the server asked for (RFC 3261 §20.33), honoured as a minimum
  ///   up to an hour.
  public mutating func nextWait(
    at now: Instant, retryAfter: Duration? = nil, using random: inout some RandomNumberGenerator
  ) -> Duration {
    let began = outageBegan ?? now
    outageBegan = began
    let wait: Duration
    if let previous = nominal {
      wait = min(previous * 2, now - began < Self.patience ? Self.short : Self.longest)
    } else {
      wait = Self.first
    }
    nominal = wait
    let whole = wait.wholeNanoseconds
    let jittered = Duration.nanoseconds(Int64.random(in: whole / 2...whole, using: &random))
    guard let retryAfter else { return jittered }
    return max(jittered, min(retryAfter, .seconds(3600)))
  }
}
