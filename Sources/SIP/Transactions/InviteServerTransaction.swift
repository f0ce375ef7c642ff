public import EdgeCore

/// An INVITE from the side that got it (RFC 3261 §17.2.1 with the Accepted state of RFC 6026 §7.1).
///
///     proceeding ──2xx──▶ accepted ──L──────────────▶ terminated
///          │                                           ▲   ▲
///          └─300-699─▶ completed ──ACK──▶ confirmed ─I─┘   │
///                          └──H────────────────────────────┘
public enum InviteServerTransaction: ~Copyable {
  case proceeding(Proceeding)
  case completed(Completed)
  case confirmed(until: Instant)
  case accepted(until: Instant)
  case terminated

  public struct Proceeding: Hashable, Sendable {
    var timing: TransactionTiming
    var isReliable: Bool
    /// RFC 3261 §17.2.1: a 100 goes out "unless it knows that the TU will generate a provisional or
    /// final response within 200 ms"; `nil` once something was sent.
    var tryingAt: Instant?
  }

  public struct Completed: Hashable, Sendable {
    var timing: TransactionTiming
    var isReliable: Bool
    /// Timer G; `nil` on reliable transports.
    var resendAt: Instant?
    var interval: Duration
    /// Timer H.
    var giveUpAt: Instant
  }

  public init(timing: TransactionTiming, isReliable: Bool, at now: Instant) {
    self = .proceeding(
      Proceeding(timing: timing, isReliable: isReliable, tryingAt: now + .milliseconds(200)))
  }

  public enum TickAction: Hashable, Sendable { case none, sendTrying, resend, acknowledgementMissing, terminate }

  public mutating func tick(at now: Instant) -> TickAction {
    switch consume self {
    case .proceeding(var proceeding):
      guard let tryingAt = proceeding.tryingAt, now >= tryingAt else {
        self = .proceeding(proceeding)
        return .none
      }
      proceeding.tryingAt = nil
      self = .proceeding(proceeding)
      return .sendTrying
    case .completed(var completed):
      guard now < completed.giveUpAt else {
        self = .terminated
        return .acknowledgementMissing
      }
      guard let resendAt = completed.resendAt, now >= resendAt else {
        self = .completed(completed)
        return .none
      }
      completed.interval = min(completed.interval * 2, completed.timing.t2)
      completed.resendAt = now + completed.interval
      self = .completed(completed)
      return .resend
    case .confirmed(let until):
      guard now >= until else {
        self = .confirmed(until: until)
        return .none
      }
      self = .terminated
      return .terminate
    case .accepted(let until):
      guard now >= until else {
        self = .accepted(until: until)
        return .none
      }
      self = .terminated
      return .terminate
    case .terminated:
      self = .terminated
      return .none
    }
  }

  public enum RequestAction: Hashable, Sendable { case ignore, resendLastResponse }

  /// The INVITE came again.
  public mutating func receiveInvite() -> RequestAction {
    switch self {
    case .proceeding: .resendLastResponse
    case .completed: .resendLastResponse
    // RFC 6026 §7.1: in Accepted a retransmitted INVITE is absorbed; the TU repeats the 2xx.
    case .accepted: .ignore
    case .confirmed: .ignore
    case .terminated: .ignore
    }
  }

  public enum AcknowledgementAction: Hashable, Sendable { case ignore, deliver }

  public mutating func receiveAcknowledgement(at now: Instant) -> AcknowledgementAction {
    switch consume self {
    case .proceeding(let proceeding):
      self = .proceeding(proceeding)
      return .ignore
    case .completed(let completed):
      self = completed.isReliable ? .terminated : .confirmed(until: now + completed.timing.t4)
      return .ignore
    case .confirmed(let until):
      self = .confirmed(until: until)
      return .ignore
    case .accepted(let until):
      self = .accepted(until: until)
      // RFC 6026 §7.1: an ACK in Accepted "MUST be passed up to the TU".
      return .deliver
    case .terminated:
      self = .terminated
      return .ignore
    }
  }

  public enum RespondAction: Hashable, Sendable { case send, refuse }

  /// The user wants a response sent. Refused is one after a final response, other than a 2xx after a 2xx.
  public mutating func respond(_ status: StatusCode, at now: Instant) -> RespondAction {
    switch consume self {
    case .proceeding(var proceeding):
      if status.isProvisional {
        proceeding.tryingAt = nil
        self = .proceeding(proceeding)
      } else if status.isSuccess {
        self = .accepted(until: now + proceeding.timing.lifetime)
      } else {
        let timing = proceeding.timing
        self = .completed(
          Completed(
            timing: timing, isReliable: proceeding.isReliable,
            resendAt: proceeding.isReliable ? nil : now + timing.t1, interval: timing.t1,
            giveUpAt: now + timing.lifetime))
      }
      return .send
    case .completed(let completed):
      self = .completed(completed)
      return .refuse
    case .confirmed(let until):
      self = .confirmed(until: until)
      return .refuse
    case .accepted(let until):
      self = .accepted(until: until)
      return status.isSuccess ? .send : .refuse
    case .terminated:
      self = .terminated
      return .refuse
    }
  }

  public var nextDeadline: Instant? {
    switch self {
    case .proceeding(let proceeding): proceeding.tryingAt
    case .completed(let completed): Instant.earliest(completed.resendAt, completed.giveUpAt)
    case .confirmed(let until): until
    case .accepted(let until): until
    case .terminated: nil
    }
  }

  public var stage: TransactionStage {
    switch self {
    case .proceeding: .waiting
    case .completed: .answered
    case .confirmed: .answered
    case .accepted: .answered
    case .terminated: .terminated
    }
  }
}
