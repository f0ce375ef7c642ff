public import EdgeCore

/// Names one transaction of a ``TransactionLayer``. Never reused.
public struct TransactionHandle: Hashable, Sendable {
  let number: UInt64
}

/// What a transaction layer wants done: complete when the call that filled it returns.
public struct TransactionOutbox<Flow: Hashable & Sendable> {
  public struct Transmission {
    public var flow: Flow
    public var bytes: [UInt8]

    public init(flow: Flow, bytes: [UInt8]) {
      self.flow = flow
      self.bytes = bytes
    }
  }

  public enum Event {
    /// A new request other than ACK. Answer it with ``TransactionLayer/respond(_:_:at:into:)``.
    /// For a CANCEL, `cancels` is the INVITE it means, if that is still unanswered; with `nil` answer 481.
    case request(TransactionHandle, Message, from: Flow, cancels: TransactionHandle?)
    /// The ACK of a 2xx, or one that matches nothing.
    case acknowledgement(Message, from: Flow)
    /// A response to one's own request: provisional ones, the first final one, and of an INVITE every 2xx,
    /// the repeated ones too, since their ACK is the user's (RFC 6026 §7.2).
    case response(TransactionHandle, Message)
    /// A response that matches no transaction: a proxy forwards a 2xx of an INVITE, others drop it.
    case strayResponse(Message, from: Flow)
    /// No final response came in time (RFC 3261 §8.1.3.1: treat it as a 408).
    case timedOut(TransactionHandle)
    /// The ACK for an error response did not come; nothing to do but count.
    case acknowledgementMissing(TransactionHandle)
    /// The transaction is gone and its id means nothing any more.
    case ended(TransactionHandle)
  }

  public var transmissions: [Transmission] = []
  public var events: [Event] = []

  public init() {}

  public mutating func removeAll() {
    transmissions.removeAll(keepingCapacity: true)
    events.removeAll(keepingCapacity: true)
  }
}

/// All transactions of a user agent or a proxy (RFC 3261 §17).
///
///     receive ─┐                        ┌─▶ transmissions
///     tick    ─┼─▶ TransactionLayer ────┤
///     commands ┘                        └─▶ events
///
/// `Flow` is the owner's name for "where from and where to". Table size is bounded: beyond it new
/// requests are answered 503 without a trace, and ``send(_:over:isReliable:at:into:)`` returns `nil`.
/// The owner calls ``tick(at:into:)`` no later than ``nextDeadline``, and never passes an earlier `now` than before.
public struct TransactionLayer<Flow: Hashable & Sendable> {
  public typealias Outbox = TransactionOutbox<Flow>

  private let timing: TransactionTiming
  private let capacity: Int
  private var entries: [UInt64: TransactionEntry<Flow>] = [:]
  private var clients: [TransactionKey: UInt64] = [:]
  private var servers: [TransactionKey: UInt64] = [:]
  private var deadlines = DeadlineQueue()
  private var lastNumber: UInt64 = 0

  public init(timing: TransactionTiming = TransactionTiming(), capacity: Int) {
    self.timing = timing
    self.capacity = capacity
  }

  public var count: Int { entries.count }

  /// When ``tick(at:into:)`` next has work to do, or a little earlier; `nil` means never.
  public var nextDeadline: Instant? { deadlines.first }
}

// MARK: - Client side

extension TransactionLayer {
  /// Sends a request that has its own topmost Via with a unique branch. An ACK of a 2xx is not a
  /// transaction: send its bytes directly.
  public mutating func send(
    _ request: Message, over flow: Flow, isReliable: Bool, at now: Instant, into out: inout Outbox
  ) -> TransactionHandle? {
    guard entries.count < capacity, let key = TransactionKey(client: request), clients[key] == nil else { return nil }
    let entry = TransactionEntry(
      key: key, flow: flow, message: request,
      machine: request.method == .invite
        ? .inviteClient(InviteClientTransaction(timing: timing, isReliable: isReliable, at: now))
        : .client(NonInviteClientTransaction(timing: timing, isReliable: isReliable, at: now)))
    entry.bytes = request.serialized()
    entry.isReliable = isReliable
    let number = insert(entry)
    clients[key] = number
    out.transmissions.append(.init(flow: flow, bytes: entry.bytes))
    schedule(number, entry)
    return TransactionHandle(number: number)
  }

  /// Gives an INVITE up: sends a CANCEL now, or as soon as RFC 3261 §9.1 allows, which is after the
  /// first provisional response. The outcome still comes as a response or timeout of the INVITE.
  public mutating func cancel(_ id: TransactionHandle, at now: Instant, into out: inout Outbox) {
    guard let entry = entries[id.number], !entry.isCancelled, entry.isWaitingInviteClient else { return }
    entry.isCancelled = true
    if entry.canBeCancelled { sendCancel(id.number, entry, at: now, into: &out) }
  }

  private mutating func sendCancel(
    _ number: UInt64, _ entry: TransactionEntry<Flow>, at now: Instant, into out: inout Outbox
  ) {
    // RFC 3261 §9.1: "the UAC canceling the request [...] SHOULD then consider the original transaction
    // cancelled" if no final response comes in 64·T1.
    entry.cancelledUntil = now + timing.lifetime
    schedule(number, entry)
    guard let cancel = Message.cancel(for: entry.message) else { return }
    _ = send(cancel, over: entry.flow, isReliable: entry.isReliable, at: now, into: &out)
  }
}

// MARK: - Server side

extension TransactionLayer {
  /// Answers a request. False when the transaction is gone or already has its final response.
  @discardableResult
  public mutating func respond(
    _ id: TransactionHandle, _ response: Message, at now: Instant, into out: inout Outbox
  ) -> Bool {
    guard let entry = entries[id.number], let status = response.status, entry.respond(status, at: now) else {
      removeIfTerminated(id.number, into: &out)
      return false
    }
    entry.bytes = response.serialized()
    out.transmissions.append(.init(flow: entry.flow, bytes: entry.bytes))
    schedule(id.number, entry)
    removeIfTerminated(id.number, into: &out)
    return true
  }

  /// The request of a server transaction or the request sent in a client one.
  public func message(_ id: TransactionHandle) -> Message? { entries[id.number]?.message }

  public func isPending(_ id: TransactionHandle) -> Bool { entries[id.number]?.isPendingInviteServer ?? false }
}

// MARK: - Input

extension TransactionLayer {
  /// Takes one parsed message. Never throws: what matches nothing is an event or nothing at all.
  public mutating func receive(
    _ message: Message, from flow: Flow, isReliable: Bool, at now: Instant, into out: inout Outbox
  ) {
    if let status = message.status {
      receiveResponse(message, status, from: flow, at: now, into: &out)
    } else if message.method == .ack {
      receiveAcknowledgement(message, from: flow, at: now, into: &out)
    } else {
      receiveRequest(message, from: flow, isReliable: isReliable, at: now, into: &out)
    }
  }

  private mutating func receiveResponse(
    _ message: Message, _ status: StatusCode, from flow: Flow, at now: Instant, into out: inout Outbox
  ) {
    // Only the flow that the request went out on may answer it.
    guard let key = TransactionKey(client: message), let number = clients[key], let entry = entries[number],
      entry.flow == flow
    else {
      out.events.append(.strayResponse(message, from: flow))
      return
    }
    let id = TransactionHandle(number: number)
    switch entry.receiveResponse(status, at: now) {
    case .ignore: break
    case .deliver: out.events.append(.response(id, message))
    case .acknowledge: acknowledge(entry, message, into: &out)
    case .deliverAndAcknowledge:
      acknowledge(entry, message, into: &out)
      out.events.append(.response(id, message))
    }
    if entry.isCancelled, entry.cancelledUntil == nil, entry.canBeCancelled {
      sendCancel(number, entry, at: now, into: &out)
    }
    schedule(number, entry)
    removeIfTerminated(number, into: &out)
  }

  private func acknowledge(_ entry: TransactionEntry<Flow>, _ response: Message, into out: inout Outbox) {
    guard let ack = Message.acknowledgement(of: response, to: entry.message) else { return }
    out.transmissions.append(.init(flow: entry.flow, bytes: ack.serialized()))
  }

  private mutating func receiveAcknowledgement(
    _ message: Message, from flow: Flow, at now: Instant, into out: inout Outbox
  ) {
    guard let key = TransactionKey(server: message, as: .invite), let number = servers[key],
      let entry = entries[number], entry.flow == flow
    else {
      out.events.append(.acknowledgement(message, from: flow))
      return
    }
    if entry.receiveAcknowledgement(at: now) { out.events.append(.acknowledgement(message, from: flow)) }
    schedule(number, entry)
    removeIfTerminated(number, into: &out)
  }

  private mutating func receiveRequest(
    _ message: Message, from flow: Flow, isReliable: Bool, at now: Instant, into out: inout Outbox
  ) {
    guard let method = message.method, let key = TransactionKey(server: message, as: method) else { return }
    if let number = servers[key], let entry = entries[number] {
      guard entry.flow == flow, entry.receiveAgain(), !entry.bytes.isEmpty else { return }
      out.transmissions.append(.init(flow: flow, bytes: entry.bytes))
      return
    }
    guard entries.count < capacity else {
      var overloaded = Message.response(to: message, status: 503)
      overloaded.retryAfter = 5
      out.transmissions.append(.init(flow: flow, bytes: overloaded.serialized()))
      return
    }
    let entry = TransactionEntry(
      key: key, flow: flow, message: message,
      machine: method == .invite
        ? .inviteServer(InviteServerTransaction(timing: timing, isReliable: isReliable, at: now))
        : .server(NonInviteServerTransaction(timing: timing, isReliable: isReliable, at: now)))
    entry.isServer = true
    entry.isReliable = isReliable
    let number = insert(entry)
    servers[key] = number
    schedule(number, entry)
    var cancels: TransactionHandle?
    if method == .cancel, let invite = TransactionKey(server: message, as: .invite), let target = servers[invite],
      let targeted = entries[target], targeted.flow == flow, targeted.isPendingInviteServer
    {
      cancels = TransactionHandle(number: target)
    }
    out.events.append(.request(TransactionHandle(number: number), message, from: flow, cancels: cancels))
  }

  public mutating func tick(at now: Instant, into out: inout Outbox) {
    while let number = deadlines.popDue(at: now) {
      guard let entry = entries[number], let deadline = entry.nextDeadline, deadline <= now else { continue }
      let id = TransactionHandle(number: number)
      switch entry.tick(at: now) {
      case .none, .terminate: break
      case .resend: out.transmissions.append(.init(flow: entry.flow, bytes: entry.bytes))
      case .timeOut: out.events.append(.timedOut(id))
      case .acknowledgementMissing: out.events.append(.acknowledgementMissing(id))
      case .sendTrying:
        entry.bytes = Message.response(to: entry.message, status: 100).serialized()
        out.transmissions.append(.init(flow: entry.flow, bytes: entry.bytes))
      }
      schedule(number, entry)
      removeIfTerminated(number, into: &out)
    }
  }

  /// The flow is gone: its transactions end now, client ones with ``TransactionOutbox/Event/timedOut(_:)``.
  public mutating func drop(_ flow: Flow, into out: inout Outbox) {
    // Sorted, so that hash order does not decide the order of events.
    for number in entries.keys.sorted() {
      guard let entry = entries[number], entry.flow == flow else { continue }
      if entry.isWaitingClient { out.events.append(.timedOut(TransactionHandle(number: number))) }
      remove(number, entry, into: &out)
    }
  }
}

// MARK: - Table

extension TransactionLayer {
  private mutating func insert(_ entry: TransactionEntry<Flow>) -> UInt64 {
    lastNumber += 1
    entries[lastNumber] = entry
    return lastNumber
  }

  private mutating func schedule(_ number: UInt64, _ entry: TransactionEntry<Flow>) {
    guard let deadline = entry.nextDeadline, deadline != entry.scheduled else { return }
    entry.scheduled = deadline
    deadlines.push(deadline, number)
    // Superseded deadlines stay in the queue until they are due; do not let them pile up.
    if deadlines.count > 64 + entries.count * 4 {
      let entries = entries
      deadlines.removeAll(unless: { entries[$0]?.nextDeadline })
    }
  }

  private mutating func removeIfTerminated(_ number: UInt64, into out: inout Outbox) {
    guard let entry = entries[number], entry.isTerminated else { return }
    remove(number, entry, into: &out)
  }

  private mutating func remove(_ number: UInt64, _ entry: TransactionEntry<Flow>, into out: inout Outbox) {
    entries[number] = nil
    if entry.isServer { servers[entry.key] = nil } else { clients[entry.key] = nil }
    out.events.append(.ended(TransactionHandle(number: number)))
  }
}
