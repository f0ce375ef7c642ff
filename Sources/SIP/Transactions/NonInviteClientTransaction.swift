public import EdgeCore

/// Any request but INVITE and ACK, from the side that sent it (RFC 3261 §17.1.2).
///
///     trying ──1xx──▶ proceeding
///        │ 200-699        │ 200-699
///        ├──▶ completed ◀─┘ ──K──▶ terminated
///        └──F─────────────────────▶
public enum NonInviteClientTransaction: ~Copyable {
  case trying(Waiting)
  case proceeding(Waiting)
  case completed(until: Instant)
  case terminated

  public struct Waiting: Hashable, Sendable {
    var timing: TransactionTiming
    var isReliable: Bool
    /// Timer E; `nil` on reliable transports.
    var resendAt: Instant?
    var interval: Duration
    /// Timer F.
    var giveUpAt: Instant
  }

  /// The owner sends the request once, then makes this.
  public init(timing: TransactionTiming, isReliable: Bool, at now: Instant) {
    self = .trying(
      Waiting(
        timing: timing, isReliable: isReliable, resendAt: isReliable ? nil : now + timing.t1, interval: timing.t1,
        giveUpAt: now + timing.lifetime))
  }

  public enum TickAction: Hashable, Sendable { case none, resend, timeOut, terminate }

  public mutating func tick(at now: Instant) -> TickAction {
    switch consume self {
    case .trying(var waiting):
      guard now < waiting.giveUpAt else {
        self = .terminated
        return .timeOut
      }
      let resends = waiting.resend(at: now, atMost: waiting.timing.t2)
      self = .trying(waiting)
      return resends ? .resend : .none
    case .proceeding(var waiting):
      guard now < waiting.giveUpAt else {
        self = .terminated
        return .timeOut
      }
      // RFC 3261 §17.1.2.2: in Proceeding timer E is T2 at once.
      waiting.interval = waiting.timing.t2
      let resends = waiting.resend(at: now, atMost: waiting.timing.t2)
      self = .proceeding(waiting)
      return resends ? .resend : .none
    case .completed(let until):
      guard now >= until else {
        self = .completed(until: until)
        return .none
      }
      self = .terminated
      return .terminate
    case .terminated:
      self = .terminated
      return .none
    }
  }

  public enum ResponseAction: Hashable, Sendable { case ignore, deliver }

  public mutating func receive(_ status: StatusCode, at now: Instant) -> ResponseAction {
    switch consume self {
    case .trying(let waiting):
      self = Self.next(after: waiting, status, at: now)
      return .deliver
    case .proceeding(let waiting):
      self = Self.next(after: waiting, status, at: now)
      return .deliver
    case .completed(let until):
      self = .completed(until: until)
      return .ignore
    case .terminated:
      self = .terminated
      return .ignore
    }
  }

  private static func next(after waiting: Waiting, _ status: StatusCode, at now: Instant) -> NonInviteClientTransaction
  {
    if status.isProvisional { return .proceeding(waiting) }
    return waiting.isReliable ? .terminated : .completed(until: now + waiting.timing.t4)
  }

  public var nextDeadline: Instant? {
    switch self {
    case .trying(let waiting): Instant.earliest(waiting.resendAt, waiting.giveUpAt)
    case .proceeding(let waiting): Instant.earliest(waiting.resendAt, waiting.giveUpAt)
    case .completed(let until): until
    case .terminated: nil
    }
  }

  public var stage: TransactionStage {
    switch self {
    case .trying: .waiting
    case .proceeding: .waiting
    case .completed: .answered
    case .terminated: .terminated
    }
  }
}

extension NonInviteClientTransaction.Waiting {
  fileprivate mutating func resend(at now: Instant, atMost longest: Duration) -> Bool {
    guard let resendAt, now >= resendAt else { return false }
    interval = min(interval * 2, longest)
    self.resendAt = now + interval
    return true
  }
}
