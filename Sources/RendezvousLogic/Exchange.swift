import EdgeCore
import SIP

/// RFC 3261 table 4.
enum Timers {
  static let t1: Duration = .milliseconds(500)
  static let t2: Duration = .seconds(4)
  static let t4: Duration = .seconds(5)
  /// B, F, H, J, and L and M of RFC 6026: 64·T1.
  static let long: Duration = .seconds(32)
  /// C (§16.6 step 11): "MUST be larger than 3 minutes".
  static let c: Duration = .seconds(190)
}

/// A request this server sent: forwarded, or a NOTIFY or CANCEL of its own (RFC 3261 §17.1).
///
///     calling ──1xx──▶ proceeding ──final──▶ done ──timer D, K or M──▶ gone
///        └───────────────final──────────────▲
struct ClientExchange {
  enum State: Hashable {
    case calling
    case proceeding
    /// A final answer came. What comes again is absorbed, except that every 2xx to an INVITE goes on.
    case done
  }

  enum Purpose: Hashable {
    case notification(Subscriptions.ID)
    /// Forwarded for the exchange with this key.
    case forwarded(AnswerKey)
    case cancel
    /// A BYE of this server's own.
    case goodbye
    /// Of the message broker.
    case message(MessageTraffic.Terminal)
    /// The offline service is told of registrations.
    case registrations
  }

  /// What goes on the wire; kept whole for the ACK and CANCEL that are made from it.
  let request: Message
  let bytes: [UInt8]
  let method: SIP.Method
  let flow: Flow
  let purpose: Purpose
  var state = State.calling
  /// `nil` over a reliable transport, and once an answer has come.
  var resendAt: Instant?
  var interval = Timers.t1
  /// When silence ends it.
  var deadline: Instant
  /// A CANCEL waits for the first provisional answer (RFC 3261 §9.1).
  var wantsCancel = false
  var isCancelled = false
  /// The answer was a 2xx, so that further ones are forwarded (RFC 6026 §7.2).
  var wasAccepted = false

  init(_ request: Message, on flow: Flow, for purpose: Purpose, at now: Instant) {
    self.request = request
    bytes = request.serialized()
    method = request.method ?? .options
    self.flow = flow
    self.purpose = purpose
    resendAt = flow.transport.isReliable ? nil : now + Timers.t1
    deadline = now + Timers.long
  }

  var nextDeadline: Instant { min(resendAt ?? deadline, deadline) }

  /// Timers A and E: the interval doubles, and for anything but INVITE no further than T2.
  mutating func resent(at now: Instant) {
    interval = method == .invite ? interval * 2 : min(interval * 2, Timers.t2)
    resendAt = now + interval
  }

  mutating func gotProvisional(at now: Instant) {
    state = .proceeding
    if method == .invite {
      resendAt = nil
      if !isCancelled { deadline = now + Timers.c }
    } else if resendAt != nil {
      interval = Timers.t2
      resendAt = now + Timers.t2
    }
  }

  /// - Returns: whether anything is left to wait for.
  mutating func gotFinal(_ status: StatusCode, at now: Instant) -> Bool {
    state = .done
    resendAt = nil
    wasAccepted = status.isSuccess && method == .invite
    if wasAccepted {
      deadline = now + Timers.long
      return true
    }
    guard !flow.transport.isReliable else { return false }
    deadline = now + (method == .invite ? Timers.long : Timers.t4)
    return true
  }
}

/// A request that is being forwarded, seen from who sent it (RFC 3261 §17.2 and §16.7).
struct ServerExchange {
  enum State: Hashable {
    case proceeding
    /// A 2xx went back (RFC 6026 §7.1): retransmissions of the INVITE are absorbed.
    case accepted
    /// Another final answer went back.
    case completed
    /// And its ACK came.
    case confirmed
  }

  let request: Message
  let method: SIP.Method
  let flow: Flow
  let replyFlow: Flow
  /// Who sent it; `nil` inside a dialog.
  let account: String?
  /// What tells a merged request (RFC 3261 §8.2.2.2); `nil` inside a dialog.
  let mergeKey: String?
  /// What a lost flow means to the sender: 480 when looking for a device, 430 inside a dialog.
  let failure: StatusCode
  /// When no terminal takes it, the offline service does.
  var canStore = false
  var state = State.proceeding
  /// Keys of the client exchanges that have no final answer yet.
  var open: [ClientKey] = []
  /// The best final answer so far, as it will go back.
  var best: Message?
  var lastAnswer: [UInt8]?
  var resendAt: Instant?
  var interval = Timers.t1
  var deadline: Instant?

  var nextDeadline: Instant? { Instant.earliest(resendAt, deadline) }

  /// - Returns: whether anything is left to wait for.
  mutating func answered(_ status: StatusCode, at now: Instant) -> Bool {
    let isReliable = flow.transport.isReliable
    guard method == .invite else {
      state = .completed
      deadline = now + Timers.long
      return !isReliable
    }
    deadline = now + Timers.long
    if status.isSuccess {
      state = .accepted
    } else {
      state = .completed
      if !isReliable { resendAt = now + interval }
    }
    return true
  }

  /// Timer G.
  mutating func resent(at now: Instant) {
    interval = min(interval * 2, Timers.t2)
    resendAt = now + interval
  }

  /// - Returns: whether anything is left to wait for (timer I).
  mutating func acknowledged(at now: Instant) -> Bool {
    state = .confirmed
    resendAt = nil
    deadline = now + Timers.t4
    return !flow.transport.isReliable
  }
}

/// Names a client exchange: a CANCEL has the branch of its INVITE.
struct ClientKey: Hashable, Comparable {
  var branch: String
  var method: SIP.Method

  static func < (a: ClientKey, b: ClientKey) -> Bool { (a.branch, a.method.name) < (b.branch, b.method.name) }
}
