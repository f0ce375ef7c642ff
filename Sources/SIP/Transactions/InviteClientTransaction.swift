public import EdgeCore

/// An INVITE from the side that sent it (RFC 3261 §17.1.1 with the Accepted state of RFC 6026 §7.2).
///
///     calling ──1xx──▶ proceeding ──2xx──▶ accepted ──M──▶ terminated
///        │ ╲               │                               ▲
///        │  ╲──────────300-699──▶ completed ──D────────────┤
///        └──B──────────────────────────────────────────────┘
public enum InviteClientTransaction: ~Copyable {
  case calling(Calling)
  case proceeding(Settings)
  case completed(until: Instant)
  case accepted(until: Instant)
  case terminated

  public struct Settings: Hashable, Sendable {
    var timing: TransactionTiming
    var isReliable: Bool
  }

  public struct Calling: Hashable, Sendable {
    var settings: Settings
    /// Timer A; `nil` on reliable transports.
    var resendAt: Instant?
    var interval: Duration
    /// Timer B.
    var giveUpAt: Instant
  }

  /// The owner sends the request once, then makes this.
  public init(timing: TransactionTiming, isReliable: Bool, at now: Instant) {
    self = .calling(
      Calling(
        settings: Settings(timing: timing, isReliable: isReliable), resendAt: isReliable ? nil : now + timing.t1,
        interval: timing.t1, giveUpAt: now + timing.lifetime))
  }

  public enum TickAction: Hashable, Sendable { case none, resend, timeOut, terminate }

  public mutating func tick(at now: Instant) -> TickAction {
    switch consume self {
    case .calling(var calling):
      guard now < calling.giveUpAt else {
        self = .terminated
        return .timeOut
      }
      guard let resendAt = calling.resendAt, now >= resendAt else {
        self = .calling(calling)
        return .none
      }
      // Timer A doubles without a cap (RFC 3261 §17.1.1.2).
      calling.interval = calling.interval * 2
      calling.resendAt = now + calling.interval
      self = .calling(calling)
      return .resend
    case .proceeding(let settings):
      self = .proceeding(settings)
      return .none
    case .completed(let until):
      guard now >= until else {
        self = .completed(until: until)
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

  public enum ResponseAction: Hashable, Sendable {
    case ignore
    /// Pass the response up.
    case deliver
    /// Pass the response up and send an ACK in this transaction.
    case deliverAndAcknowledge
    /// The final response again: send the ACK again.
    case acknowledge
  }

  public mutating func receive(_ status: StatusCode, at now: Instant) -> ResponseAction {
    switch consume self {
    case .calling(let calling):
      self = Self.next(after: calling.settings, status, at: now)
      return status.value >= 300 ? .deliverAndAcknowledge : .deliver
    case .proceeding(let settings):
      self = Self.next(after: settings, status, at: now)
      return status.value >= 300 ? .deliverAndAcknowledge : .deliver
    case .completed(let until):
      self = .completed(until: until)
      return status.value >= 300 ? .acknowledge : .ignore
    case .accepted(let until):
      self = .accepted(until: until)
      // RFC 6026 §7.2: in Accepted, 2xx responses go to the TU, which owns their ACK.
      return status.isSuccess ? .deliver : .ignore
    case .terminated:
      self = .terminated
      return .ignore
    }
  }

  private static func next(
    after settings: Settings, _ status: StatusCode, at now: Instant
  ) -> InviteClientTransaction {
    if status.isProvisional { return .proceeding(settings) }
    if status.isSuccess { return .accepted(until: now + settings.timing.lifetime) }
    return settings.isReliable ? .terminated : .completed(until: now + settings.timing.timerD)
  }

  public var nextDeadline: Instant? {
    switch self {
    case .calling(let calling): Instant.earliest(calling.resendAt, calling.giveUpAt)
    case .proceeding: nil
    case .terminated: nil
    case .completed(let until): until
    case .accepted(let until): until
    }
  }

  public var stage: TransactionStage {
    switch self {
    case .calling: .waiting
    case .proceeding: .waiting
    case .completed: .answered
    case .accepted: .answered
    case .terminated: .terminated
    }
  }

  /// RFC 3261 §9.1: a CANCEL is sent only after a provisional response.
  public var canBeCancelled: Bool {
    switch self {
    case .proceeding: true
    case .calling: false
    case .completed: false
    case .accepted: false
    case .terminated: false
    }
  }
}
