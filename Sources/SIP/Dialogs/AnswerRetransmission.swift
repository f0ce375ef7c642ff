public import EdgeCore

/// The 2xx that answered an INVITE, until its ACK comes (RFC 3261 §13.3.1.4). It is repeated on every
/// transport, because the ACK is end to end and the hop that loses either may not be ours.
///
///     waiting ──ACK──▶ finished
///        └──64·T1────▶ finished
public enum AnswerRetransmission: ~Copyable {
  case waiting(Waiting)
  case finished

  public struct Waiting: Hashable, Sendable {
    var timing: TransactionTiming
    var resendAt: Instant
    var interval: Duration
    var giveUpAt: Instant
  }

  /// The owner sends the 2xx once, then makes this.
  public init(timing: TransactionTiming, at now: Instant) {
    self = .waiting(
      Waiting(
        timing: timing, resendAt: now + timing.t1, interval: timing.t1, giveUpAt: now + timing.lifetime))
  }

  /// `giveUp`: "the dialog is confirmed, but the session SHOULD be terminated", with a BYE.
  public enum Action: Hashable, Sendable { case none, resend, giveUp }

  public mutating func tick(at now: Instant) -> Action {
    switch consume self {
    case .waiting(var waiting):
      guard now < waiting.giveUpAt else {
        self = .finished
        return .giveUp
      }
      guard now >= waiting.resendAt else {
        self = .waiting(waiting)
        return .none
      }
      waiting.interval = min(waiting.interval * 2, waiting.timing.t2)
      waiting.resendAt = now + waiting.interval
      self = .waiting(waiting)
      return .resend
    case .finished:
      self = .finished
      return .none
    }
  }

  /// True for the first ACK.
  public mutating func receiveAcknowledgement() -> Bool {
    switch consume self {
    case .waiting:
      self = .finished
      return true
    case .finished:
      self = .finished
      return false
    }
  }

  public var nextDeadline: Instant? {
    switch self {
    case .waiting(let waiting): min(waiting.resendAt, waiting.giveUpAt)
    case .finished: nil
    }
  }
}
