import EdgeCore

/// How much the path takes, seen from what was acknowledged and when; and how much should be under way on it.
///
/// A window that grows until something is lost fills whatever queue the narrowest router has, and what is lost then
/// costs a pause; and when the path shrinks, all that is under way is in the way. A quarter more than the path takes in
/// its shortest round trip is enough to find out that it takes more, and keeps the queue short (the idea of BBR,
/// draft-ietf-ccwg-bbr §4.6). In the beginning it is twice as much, until that brings no more.
struct DeliveryRate {
  private struct Sample {
    var at: Instant
    var delivered: Int64
    /// More was waiting to be sent: the path, not the sender, set the pace.
    var isLimited: Bool
  }

  private var samples: [Sample] = []
  private var started: Instant?
  private var isStarting = true
  /// Bytes a second at the last clear growth, and rounds without one since.
  private var grown: Int64 = 0
  private var stagnantRounds = 0
  private var roundBegan = Instant.zero
  /// Bytes a second, of this second and the one before, as far as the path set the pace.
  private var current: Int64 = 0
  private var previous: Int64 = 0
  private var began = Instant.zero
  /// Milliseconds, of these seconds and those before.
  private var shortest: Int64?
  private var shortestBefore: Int64?
  private var shortestBegan = Instant.zero

  private static let spacing = Duration.milliseconds(10)
  private static let memory = Duration.seconds(1)
  private static let longestStart = Duration.seconds(2)
  private static let roundTripMemory = Duration.seconds(10)
  /// Milliseconds a peer and the timers on both sides may add.
  private static let slack: Int64 = 10
  /// Bytes that are never too many: RFC 6928's ten packets and some.
  static let least = 16 << 10

  /// Bytes a second; 0 before anything was acknowledged.
  var best: Int64 { max(current, previous) }

  /// Milliseconds; `nil` before the first.
  var roundTrip: Int64? {
    guard let shortest else { return shortestBefore }
    return min(shortest, shortestBefore ?? shortest)
  }

  /// - Parameters:
  ///   - delivered: bytes acknowledged since the beginning.
  ///   - isLimited: more waits to be sent.
  ///   - smoothed: milliseconds of SCTP's own measuring; 0 before the first.
  mutating func note(delivered: Int64, isLimited: Bool, smoothed: Int64, at now: Instant) {
    if smoothed > 0 { noteRoundTrip(smoothed, now) }
    if let last = samples.last, now - last.at < Self.spacing { return }
    if started == nil { started = now }
    samples.append(Sample(at: now, delivered: delivered, isLimited: isLimited))
    let span = Duration.milliseconds(max(roundTrip ?? 0, 20))
    guard let base = samples.lastIndex(where: { now - $0.at >= span }) else { return }
    let from = samples[base]
    let rate = (delivered - from.delivered) * 1000 / max(1, (now - from.at).wholeMilliseconds)
    samples.removeFirst(base)
    if isLimited, now - roundBegan >= span {
      roundBegan = now
      if rate > grown + grown / 4 {
        grown = rate
        stagnantRounds = 0
      } else {
        stagnantRounds += 1
      }
    }
    if stagnantRounds >= 3 || now - (started ?? now) >= Self.longestStart { isStarting = false }
    if rate > best {
      current = rate
      began = now
    } else if isLimited, from.isLimited {
      if now - began >= Self.memory {
        previous = current
        current = rate
        began = now
      } else {
        current = max(current, rate)
      }
    }
  }

  private mutating func noteRoundTrip(_ milliseconds: Int64, _ now: Instant) {
    if now - shortestBegan >= Self.roundTripMemory || shortest == nil {
      shortestBefore = shortest
      shortest = milliseconds
      shortestBegan = now
    } else if let known = shortest, milliseconds < known {
      shortest = milliseconds
    }
  }

  /// The path is another: what was learnt of the one before says nothing.
  mutating func restart() { self = Self() }

  /// Bytes that may be under way; `nil` before anything is known.
  var window: Int? {
    guard best > 0, let roundTrip else { return nil }
    return max(Self.least, Int(clamping: best * (roundTrip + Self.slack) * (isStarting ? 8 : 5) / 4000))
  }
}
