internal import EdgeCore
internal import STUN

/// A Binding request in flight for one pair.
struct Check {
  let id: TransactionID
  let pair: Int
  let bytes: [UInt8]
  let role: ICERole
  let tiebreaker: UInt64
  let nominates: Bool
  /// The PRIORITY it carries: what a peer-reflexive candidate learned by it gets.
  let priority: UInt32
  let timing: ClientTransaction.Timing
  let firstSent: Instant
  var sends = 1
  /// No copy went all the way yet.
  var hasOnlyOpened = false
  var deadline: Instant
  /// RFC 8445 §7.3.1.4: no longer repeated, silence is no failure, but an answer still counts.
  var isCancelled = false

  var roundTripIsKnown: Bool { sends == 1 }

  mutating func cancel() {
    guard !isCancelled else { return }
    isCancelled = true
    deadline = deadline + timing.wait(afterSend: timing.maxSends)
  }
}

/// Spreads checks over time (RFC 8445 §14.2): on average one per Ta, but the first few at once.
///
/// A connection with a handful of pairs is then decided in one round trip, while a long list still
/// costs the network no more than Ta allows.
struct Pacer {
  let interval: Duration
  let burst: Int
  /// When the bucket is full again.
  private var full = Instant.zero

  init(interval: Duration, burst: Int) {
    self.interval = interval
    self.burst = burst
  }

  /// When the next check may go out; in the past when it may go out now.
  var nextSlot: Instant { full - interval * max(burst - 1, 0) }

  mutating func take(at now: Instant) { full = max(full, now) + interval }
}
