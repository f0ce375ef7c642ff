public import EdgeCore

/// One STUN request over UDP, from first send to answer or silence (RFC 8489 §6.2.1).
///
///     unsent ──tick──▶ waiting ──answer──▶ finished
///                      │     ▲
///                 tick └─────┘ resend, wait doubles
///                      │
///                 tick └──Rc sends, then Rm·RTO──▶ finished
///
/// Knows nothing about bytes or sockets: the owner sends when told to.
public enum ClientTransaction: ~Copyable {
  case unsent(Timing)
  case waiting(Waiting)
  case finished

  /// Retransmission constants. Defaults are the ones RFC 8489 §6.2.1 recommends.
  public struct Timing: Hashable, Sendable {
    /// First wait before a resend. RFC 8489 §6.2.1 RECOMMENDS 500 ms on fixed lines.
    public var initialRTO: Duration
    /// `Rc`: total requests sent, counting the first.
    public var maxSends: Int
    /// `Rm`: how many `initialRTO`s to wait after the last send.
    public var finalWaitFactor: Int

    public init(initialRTO: Duration = .milliseconds(500), maxSends: Int = 7, finalWaitFactor: Int = 16) {
      precondition(maxSends >= 1 && finalWaitFactor >= 1, "a transaction sends at least once and waits after it")
      self.initialRTO = initialRTO
      self.maxSends = maxSends
      self.finalWaitFactor = finalWaitFactor
    }

    /// The wait that begins with send number `send`, counted from 1.
    public func wait(afterSend send: Int) -> Duration {
      send >= maxSends ? initialRTO * finalWaitFactor : initialRTO * (1 << min(send - 1, 16))
    }
  }

  public struct Waiting: ~Copyable {
    var timing: Timing
    /// Copies of the request put on the wire so far, 1...`timing.maxSends`.
    var sends: Int
    let firstSent: Instant
    var deadline: Instant
  }

  /// What the owner must do now.
  public enum Action: Hashable, Sendable {
    case send
    case fail
    case none
  }

  /// What an answer means.
  public enum Answer: Hashable, Sendable {
    /// The first answer. The round trip is known only if the request went out once (Karn).
    case accept(roundTrip: Duration?)
    /// A second answer, or one to a request never sent: drop it.
    case ignore
  }

  /// Called at ``nextDeadline``, or any time later.
  public mutating func tick(at now: Instant) -> Action {
    switch consume self {
    case .unsent(let timing):
      self = .waiting(
        Waiting(timing: timing, sends: 1, firstSent: now, deadline: now + timing.wait(afterSend: 1)))
      return .send
    case .waiting(var waiting):
      guard now >= waiting.deadline else {
        self = .waiting(waiting)
        return .none
      }
      guard waiting.sends < waiting.timing.maxSends else {
        self = .finished
        return .fail
      }
      waiting.sends += 1
      waiting.deadline = now + waiting.timing.wait(afterSend: waiting.sends)
      self = .waiting(waiting)
      return .send
    case .finished:
      self = .finished
      return .none
    }
  }

  /// A response with this request's transaction ID came.
  public mutating func receiveAnswer(at now: Instant) -> Answer {
    switch consume self {
    case .unsent(let timing):
      self = .unsent(timing)
      return .ignore
    case .waiting(let waiting):
      let roundTrip = waiting.sends == 1 ? now - waiting.firstSent : nil
      self = .finished
      return .accept(roundTrip: roundTrip)
    case .finished:
      self = .finished
      return .ignore
    }
  }

  /// When ``tick(at:)`` next has work to do: `.zero` (at once) before the first send, `nil` when finished.
  public var nextDeadline: Instant? {
    switch self {
    case .unsent: .zero
    case .waiting(let waiting): waiting.deadline
    case .finished: nil
    }
  }
}
