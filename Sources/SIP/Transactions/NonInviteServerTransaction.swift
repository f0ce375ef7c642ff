public import EdgeCore

/// Any request but INVITE and ACK, from the side that got it (RFC 3261 §17.2.2, RFC 4320).
///
///     trying ──100──▶ proceeding
///        │ 200-699        │ 200-699
///        └──▶ completed ◀─┘ ──J──▶ terminated
public enum NonInviteServerTransaction: ~Copyable {
  case trying(Settings)
  case proceeding(Settings)
  case completed(until: Instant)
  case terminated

  public struct Settings: Hashable, Sendable {
    var timing: TransactionTiming
    var isReliable: Bool
    /// A user that never answers must not keep the transaction for ever: by then the client's timer F has fired.
    var forgetAt: Instant
  }

  public init(timing: TransactionTiming, isReliable: Bool, at now: Instant) {
    self = .trying(Settings(timing: timing, isReliable: isReliable, forgetAt: now + timing.lifetime * 2))
  }

  public enum TickAction: Hashable, Sendable { case none, terminate }

  public mutating func tick(at now: Instant) -> TickAction {
    guard let deadline = nextDeadline, now >= deadline else { return .none }
    self = .terminated
    return .terminate
  }

  public enum RequestAction: Hashable, Sendable { case ignore, resendLastResponse }

  /// The request came again.
  public mutating func receiveRequest() -> RequestAction {
    switch self {
    case .trying: .ignore
    case .terminated: .ignore
    case .proceeding: .resendLastResponse
    case .completed: .resendLastResponse
    }
  }

  public enum RespondAction: Hashable, Sendable { case send, refuse }

  public mutating func respond(_ status: StatusCode, at now: Instant) -> RespondAction {
    switch consume self {
    case .trying(let settings):
      self = Self.next(after: settings, status, at: now)
      return Self.maySend(status) ? .send : .refuse
    case .proceeding(let settings):
      self = Self.next(after: settings, status, at: now)
      return Self.maySend(status) ? .send : .refuse
    case .completed(let until):
      self = .completed(until: until)
      return .refuse
    case .terminated:
      self = .terminated
      return .refuse
    }
  }

  private static func next(after settings: Settings, _ status: StatusCode, at now: Instant)
    -> NonInviteServerTransaction
  {
    if status.isProvisional { return .proceeding(settings) }
    return settings.isReliable ? .terminated : .completed(until: now + settings.timing.lifetime)
  }

  private static func maySend(_ status: StatusCode) -> Bool {
    // RFC 4320 §4.1: "An SIP element MUST NOT send any provisional response with a Status-Code other
    // than 100 to a non-INVITE request." §4.2: nor "a response with Status-Code of 408".
    status.isProvisional ? status.value == 100 : status.value != 408
  }

  public var nextDeadline: Instant? {
    switch self {
    case .trying(let settings): settings.forgetAt
    case .proceeding(let settings): settings.forgetAt
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
