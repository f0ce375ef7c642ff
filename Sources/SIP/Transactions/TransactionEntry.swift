import EdgeCore

/// What a message must agree on with a transaction to belong to it (RFC 3261 §17.1.3, §17.2.3).
struct TransactionKey: Hashable {
  private var branch: String
  private var sentBy: String
  private var method: Method

  /// For one's own request, and for responses to it: the topmost Via's branch and the CSeq method.
  init?(client message: Message) {
    guard let via = message.topVia, let branch = via.branch, via.hasUniqueBranch, let cseq = message.cseq else {
      return nil
    }
    self.branch = branch
    sentBy = ""
    method = cseq.method
  }

  /// For a request that came in, as if it had `method`: an ACK is looked up as its INVITE.
  init?(server request: Message, as method: Method) {
    guard let via = request.topVia else { return nil }
    sentBy = ASCII.lowercased(via.sentBy)
    self.method = method
    if via.hasUniqueBranch, let branch = via.branch {
      self.branch = branch
      return
    }
    // RFC 3261 §17.2.3, for RFC 2543 peers: Request-URI, From tag, Call-ID, CSeq number and topmost Via.
    guard let uri = request.requestURI, let callID = request.callID, let cseq = request.cseq,
      let topmost = request[.via]
    else { return nil }
    // No separator is part of any of these but the last, so two different sets never read the same.
    branch =
      "\(cseq.number)\r" + uri.description + "\r" + (request.from?.tag ?? "") + "\r" + callID + "\r" + topmost
  }
}

/// One transaction: its machine, and what the machine's instructions need.
final class TransactionEntry<Flow: Hashable & Sendable> {
  enum Machine: ~Copyable {
    case inviteClient(InviteClientTransaction)
    case client(NonInviteClientTransaction)
    case inviteServer(InviteServerTransaction)
    case server(NonInviteServerTransaction)
  }

  enum TickAction { case none, resend, timeOut, sendTrying, acknowledgementMissing, terminate }

  let key: TransactionKey
  let flow: Flow
  /// The request.
  let message: Message
  /// What is sent again: the request of a client, the last response of a server.
  var bytes: [UInt8] = []
  var isServer = false
  var isReliable = false
  var isCancelled = false
  /// When an INVITE whose CANCEL was sent is given up.
  var cancelledUntil: Instant?
  var scheduled: Instant?
  private var machine: Machine

  init(key: TransactionKey, flow: Flow, message: Message, machine: consuming Machine) {
    self.key = key
    self.flow = flow
    self.message = message
    self.machine = machine
  }

  var nextDeadline: Instant? { Instant.earliest(machine.nextDeadline, machine.isWaitingInvite ? cancelledUntil : nil) }
  var isTerminated: Bool { machine.stage == .terminated }
  var isWaitingInviteClient: Bool { machine.isWaitingInvite }
  var isWaitingClient: Bool { machine.stage == .waiting && (machine.kind == .inviteClient || machine.kind == .client) }
  var canBeCancelled: Bool { machine.canBeCancelled }
  var isPendingInviteServer: Bool { machine.stage == .waiting && machine.kind == .inviteServer }

  func tick(at now: Instant) -> TickAction {
    if let cancelledUntil, now >= cancelledUntil, machine.isWaitingInvite {
      machine = .inviteClient(.terminated)
      return .timeOut
    }
    return machine.tick(at: now)
  }

  func receiveResponse(_ status: StatusCode, at now: Instant) -> InviteClientTransaction.ResponseAction {
    machine.receiveResponse(status, at: now)
  }

  func receiveAcknowledgement(at now: Instant) -> Bool { machine.receiveAcknowledgement(at: now) }

  /// The request came again; says whether to repeat the last response.
  func receiveAgain() -> Bool { machine.receiveAgain() }

  /// Says whether the response may be sent.
  func respond(_ status: StatusCode, at now: Instant) -> Bool { machine.respond(status, at: now) }
}

extension TransactionEntry.Machine {
  var nextDeadline: Instant? {
    switch self {
    case .inviteClient(let machine): machine.nextDeadline
    case .client(let machine): machine.nextDeadline
    case .inviteServer(let machine): machine.nextDeadline
    case .server(let machine): machine.nextDeadline
    }
  }

  var stage: TransactionStage {
    switch self {
    case .inviteClient(let machine): machine.stage
    case .client(let machine): machine.stage
    case .inviteServer(let machine): machine.stage
    case .server(let machine): machine.stage
    }
  }

  enum Kind { case inviteClient, client, inviteServer, server }

  var kind: Kind {
    switch self {
    case .inviteClient: .inviteClient
    case .client: .client
    case .inviteServer: .inviteServer
    case .server: .server
    }
  }

  var isWaitingInvite: Bool { stage == .waiting && kind == .inviteClient }

  var canBeCancelled: Bool {
    switch self {
    case .inviteClient(let machine): machine.canBeCancelled
    case .client: false
    case .inviteServer: false
    case .server: false
    }
  }

  mutating func tick(at now: Instant) -> TransactionEntry.TickAction {
    let action: TransactionEntry.TickAction
    switch consume self {
    case .inviteClient(var machine):
      switch machine.tick(at: now) {
      case .none: action = .none
      case .resend: action = .resend
      case .timeOut: action = .timeOut
      case .terminate: action = .terminate
      }
      self = .inviteClient(machine)
    case .client(var machine):
      switch machine.tick(at: now) {
      case .none: action = .none
      case .resend: action = .resend
      case .timeOut: action = .timeOut
      case .terminate: action = .terminate
      }
      self = .client(machine)
    case .inviteServer(var machine):
      switch machine.tick(at: now) {
      case .none: action = .none
      case .sendTrying: action = .sendTrying
      case .resend: action = .resend
      case .acknowledgementMissing: action = .acknowledgementMissing
      case .terminate: action = .terminate
      }
      self = .inviteServer(machine)
    case .server(var machine):
      action = machine.tick(at: now) == .terminate ? .terminate : .none
      self = .server(machine)
    }
    return action
  }

  mutating func receiveResponse(_ status: StatusCode, at now: Instant) -> InviteClientTransaction.ResponseAction {
    switch consume self {
    case .inviteClient(var machine):
      let action = machine.receive(status, at: now)
      self = .inviteClient(machine)
      return action
    case .client(var machine):
      let action = machine.receive(status, at: now)
      self = .client(machine)
      return action == .deliver ? .deliver : .ignore
    case .inviteServer(let machine):
      self = .inviteServer(machine)
      return .ignore
    case .server(let machine):
      self = .server(machine)
      return .ignore
    }
  }

  mutating func receiveAcknowledgement(at now: Instant) -> Bool {
    switch consume self {
    case .inviteServer(var machine):
      let action = machine.receiveAcknowledgement(at: now)
      self = .inviteServer(machine)
      return action == .deliver
    case .inviteClient(let machine):
      self = .inviteClient(machine)
      return false
    case .client(let machine):
      self = .client(machine)
      return false
    case .server(let machine):
      self = .server(machine)
      return false
    }
  }

  mutating func receiveAgain() -> Bool {
    switch consume self {
    case .inviteServer(var machine):
      let action = machine.receiveInvite()
      self = .inviteServer(machine)
      return action == .resendLastResponse
    case .server(var machine):
      let action = machine.receiveRequest()
      self = .server(machine)
      return action == .resendLastResponse
    case .inviteClient(let machine):
      self = .inviteClient(machine)
      return false
    case .client(let machine):
      self = .client(machine)
      return false
    }
  }

  mutating func respond(_ status: StatusCode, at now: Instant) -> Bool {
    switch consume self {
    case .inviteServer(var machine):
      let action = machine.respond(status, at: now)
      self = .inviteServer(machine)
      return action == .send
    case .server(var machine):
      let action = machine.respond(status, at: now)
      self = .server(machine)
      return action == .send
    case .inviteClient(let machine):
      self = .inviteClient(machine)
      return false
    case .client(let machine):
      self = .client(machine)
      return false
    }
  }
}
