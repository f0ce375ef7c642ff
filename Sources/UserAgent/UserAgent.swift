public import EdgeCore
import SIP

/// One account's link to its rendezvous server: log-in, heartbeat, reconnect, publication,
/// calls and subscriptions over one flow (RFC 3261, 5626, 3903, 6665).
///
///     idle ──start──▶ connecting ──flowOpened──▶ loggingIn ──200──▶ ready
///                         ▲                          │                │
///                         └──tick── waiting ◀────────┴──── failure ───┘
///
/// The agent has no socket, clock or random source of its own. The owner carries out the
/// actions in the outbox, reports what became of them, and calls ``tick(at:into:)`` no later
/// than ``nextDeadline``. Calls outlive the flow they were set up on: their media goes straight
/// from peer to peer, and their dialogs continue on the next flow.
public struct UserAgent {
  enum State: Hashable {
    case idle
    case connecting
    case loggingIn(deadline: Instant)
    case ready
    case waiting(until: Instant)
    /// Taking leave: the registration is being removed.
    case leaving(deadline: Instant)
    case stopped
  }

  /// A request under way.
  struct Pending {
    var purpose: Purpose
    var request: Message
    /// Challenges answered so far.
    var answered = 0
  }

  enum Purpose: Hashable {
    case register
    case unregister
    case publish
    case invite(CallHandle)
    case reinvite(CallHandle)
    case bye
    case info(CallHandle)
    case subscribe(SubscriptionHandle)
    case unsubscribe
    case message(MessageHandle)
  }

  /// Once connected, the server has this long to finish the log-in.
  static var loginTimeout: Duration { .seconds(10) }
  /// Calls and subscriptions held at once; more are refused.
  static var capacity: Int { 256 }
  /// A link that did not last this long was none: the waits before the next attempts go on growing.
  static var stability: Duration { .seconds(10) }

  public let configuration: UserAgentConfiguration
  var random: AnyRandom
  let hashes: Hashes
  var digest: DigestClient
  var framer = StreamFramer(side: .client)
  /// The flow's number is its name: what comes back on a later flow answers nothing of an earlier one.
  var flow: UInt32 = 0
  var transactions = TransactionLayer<UInt32>(capacity: 1024)
  var pending: [TransactionHandle: Pending] = [:]
  var wire = TransactionOutbox<UInt32>()

  var state = State.idle
  var backoff = ReconnectBackoff()
  /// When ``networkChanged(at:into:)`` was last called.
  private var doubtedAt: Instant?
  var heartbeat = KeepAlive.idle
  /// What the server asked for with `Flow-Timer`, or else the configuration's.
  public internal(set) var heartbeatInterval: Duration
  var localAddress = SocketAddress(.anyV4, port: 0)

  var registration = Registration()
  var publication: Publication?
  var calls: [CallHandle: Call] = [:]
  var recentInvites = RecentInvites()
  var subscriptions: [SubscriptionHandle: Subscription] = [:]
  var unanswered: [MessageHandle: UnansweredMessage] = [:]
  var lastNumber: UInt64 = 0

  /// Everything held for calls, subscriptions and requests under way, counted. Bounded whatever the server does.
  public var load: Int {
    pending.count + transactions.count + calls.count + subscriptions.count + recentInvites.count
      + unanswered.count
  }

  /// For the status report.
  public private(set) var isUp = false
  public private(set) var lastFailure: LinkFailure?
  /// When the link last came up or went down.
  public private(set) var since: Instant?
  public internal(set) var lastHeartbeat: Instant?
  public internal(set) var roundTrip: Duration?
  /// How often the link was up before.
  public private(set) var reconnects: UInt64 = 0
  private var wasEverUp = false

  public init(configuration: UserAgentConfiguration, hashes: Hashes, random: some RandomNumberGenerator) {
    self.configuration = configuration
    self.hashes = hashes
    self.random = AnyRandom(random)
    heartbeatInterval = configuration.heartbeat
    digest = DigestClient(
      username: configuration.account, password: configuration.password, realm: configuration.realm,
      allowsMD5: configuration.allowsMD5, hashes: hashes)
    registration.callID = self.random.token(24)
    registration.fromTag = self.random.token(12)
    registration.expires = configuration.registrationExpires
  }

  public var isConnecting: Bool {
    switch state {
    case .connecting, .loggingIn: true
    case .idle, .ready, .waiting, .leaving, .stopped: false
    }
  }

  // MARK: Commands

  public mutating func start(at now: Instant, into out: inout UserAgentOutbox) {
    guard state == .idle || state == .stopped else { return }
    since = now
    connect(into: &out)
  }

  /// Takes leave of the server (RFC 3261 §10.2.2) and closes the flow; at once when it is not up, or when asked a
  /// second time. Calls that are still up are forgotten without a word: hang them up before.
  public mutating func stop(at now: Instant, into out: inout UserAgentOutbox) {
    guard state == .ready else {
      finishLeaving(flowIsOpen: hasFlow || state == .connecting, at: now, into: &out)
      return
    }
    // What was hung up and still waits for its ACK gets its BYE now or never.
    for handle in sortedCalls where calls[handle]?.isGivenUp == true { sayGoodbye(handle, at: now, into: &out) }
    guard configuration.registers else {
      finishLeaving(flowIsOpen: true, at: now, into: &out)
      return
    }
    state = .leaving(deadline: now + .seconds(2))
    // RFC 3261 §10.2: not while a registration is unanswered; its answer lets this one go.
    if !registration.isSending { sendRegister(expires: 0, purpose: .unregister, at: now, into: &out) }
  }

  mutating func finishLeaving(flowIsOpen: Bool, at now: Instant, into out: inout UserAgentOutbox) {
    guard state != .stopped else { return }
    if flowIsOpen { out.actions.append(.closeFlow) }
    state = .stopped
    leaveFlow(into: &out)
    calls.removeAll()
    if isUp { since = now }
    isUp = false
  }

  public var isStopped: Bool { state == .stopped }

  /// The machine's addresses or routes changed, or a path that shares the network with the link gives no answers: what was
  /// waited for may work now, and what seemed to work may not.
  public mutating func networkChanged(at now: Instant, into out: inout UserAgentOutbox) {
    doubtedAt = now
    switch state {
    case .waiting:
      backoff.reset()
      connect(into: &out)
    case .ready:
      if heartbeat.doubt(at: now) == .ping { out.actions.append(.send([0x0D, 0x0A, 0x0D, 0x0A])) }
    case .idle, .connecting, .loggingIn, .leaving, .stopped: break
    }
  }

  // MARK: The flow

  /// A flow is open, and the agent reads and writes on it.
  var hasFlow: Bool {
    switch state {
    case .loggingIn, .ready, .leaving: true
    case .idle, .connecting, .waiting, .stopped: false
    }
  }

  /// The flow is open; `local` is its own address, which goes into Via and Contact.
  public mutating func flowOpened(local: SocketAddress, at now: Instant, into out: inout UserAgentOutbox) {
    guard state == .connecting else { return }
    localAddress = local
    flow &+= 1
    framer = StreamFramer(side: .client)
    // The server of this flow says anew how often it wants to hear of us.
    heartbeatInterval = configuration.heartbeat
    guard configuration.registers else {
      becomeReady(at: now, into: &out)
      return
    }
    state = .loggingIn(deadline: now + Self.loginTimeout)
    sendRegister(expires: registration.expires, purpose: .register, at: now, into: &out)
  }

  /// The flow could not be opened, or ended.
  public mutating func flowClosed(_ why: String, at now: Instant, into out: inout UserAgentOutbox) {
    switch state {
    case .connecting: fail(.unreachable(why), flowIsOpen: false, at: now, into: &out)
    case .loggingIn, .ready: fail(.lost(why), flowIsOpen: false, at: now, into: &out)
    case .leaving: finishLeaving(flowIsOpen: false, at: now, into: &out)
    case .idle, .waiting, .stopped: break
    }
  }

  /// Stream bytes from the server, split anyhow.
  public mutating func receive(_ bytes: RawSpan, at now: Instant, into out: inout UserAgentOutbox) {
    guard hasFlow else { return }
    framer.append(bytes)
    // What follows the message that ended the flow is not looked at: the framer is empty then.
    while hasFlow {
      do throws(StreamFramer.FramingError) {
        guard let item = try framer.next() else { return }
        receive(item, at: now, into: &out)
      } catch {
        fail(.notSIP, flowIsOpen: true, at: now, into: &out)
        return
      }
    }
  }

  /// One datagram from the server that is no STUN.
  public mutating func receive(datagram: RawSpan, at now: Instant, into out: inout UserAgentOutbox) {
    guard hasFlow else { return }
    do throws(MessageError) {
      receive(.message(try Message(parsing: datagram)), at: now, into: &out)
    } catch {
      if case .refused(let refusal) = error { receive(.refused(refusal), at: now, into: &out) }
    }
  }

  /// The heartbeat of a UDP flow is STUN, and the owner's: this is what it found (RFC 5626 §4.4.2).
  public mutating func datagramHeartbeat(roundTrip: Duration?, at now: Instant, into out: inout UserAgentOutbox) {
    guard hasFlow else { return }
    lastHeartbeat = now
    if let roundTrip {
      self.roundTrip = roundTrip
      out.events.append(.heartbeat(roundTrip: roundTrip))
    }
  }

  /// The STUN heartbeat went unanswered, or told another public address.
  public mutating func datagramFlowFailed(
    _ failure: LinkFailure, at now: Instant, into out: inout UserAgentOutbox
  ) {
    fail(failure, flowIsOpen: true, at: now, into: &out)
  }

  private mutating func receive(_ item: StreamFramer.Item, at now: Instant, into out: inout UserAgentOutbox) {
    switch item {
    case .message(let message):
      // RFC 3261 §8.1.3.3: an answer with more Vias than ours was meant for somebody else.
      guard message.isRequest || message.viaCount == 1 else { return }
      transactions.receive(
        message, from: flow, isReliable: configuration.transport.isReliable, at: now, into: &wire)
      drainTransactions(at: now, into: &out)
    case .refused(let refusal): refuse(refusal, into: &out)
    case .malformed: break
    case .ping: out.actions.append(.send([0x0D, 0x0A]))
    case .pong:
      guard let time = heartbeat.receivePong(at: now, using: &random) else { return }
      lastHeartbeat = now
      roundTrip = time
      out.events.append(.heartbeat(roundTrip: time))
    }
  }

  // MARK: Time

  public mutating func tick(at now: Instant, into out: inout UserAgentOutbox) {
    switch state {
    case .waiting(let until) where now >= until: connect(into: &out)
    case .loggingIn(let deadline) where now >= deadline: fail(.silent, flowIsOpen: true, at: now, into: &out)
    case .leaving(let deadline) where now >= deadline: finishLeaving(flowIsOpen: true, at: now, into: &out)
    default: break
    }
    switch heartbeat.tick(at: now) {
    case .none: break
    case .ping: out.actions.append(.send([0x0D, 0x0A, 0x0D, 0x0A]))
    case .declareDead: fail(.noHeartbeat, flowIsOpen: true, at: now, into: &out)
    }
    transactions.tick(at: now, into: &wire)
    drainTransactions(at: now, into: &out)
    guard state == .ready else { return }
    if let due = registration.refreshAt, now >= due {
      registration.refreshAt = nil
      sendRegister(expires: registration.expires, purpose: .register, at: now, into: &out)
    }
    tickPublication(at: now, into: &out)
    tickCalls(at: now, into: &out)
    tickSubscriptions(at: now, into: &out)
  }

  /// When ``tick(at:into:)`` next has work to do; `nil` means never.
  public var nextDeadline: Instant? {
    var earliest: Instant?
    switch state {
    case .waiting(let until): earliest = until
    case .loggingIn(let deadline), .leaving(let deadline): earliest = deadline
    case .ready:
      earliest = Instant.earliest(registration.refreshAt, publication?.refreshAt)
      for call in calls.values { earliest = Instant.earliest(earliest, call.nextDeadline) }
      for subscription in subscriptions.values { earliest = Instant.earliest(earliest, subscription.refreshAt) }
    case .idle, .connecting, .stopped: break
    }
    // Without a flow there is no transaction: what is left in their queue is nobody's deadline.
    guard hasFlow else { return earliest }
    return Instant.earliest(Instant.earliest(earliest, heartbeat.nextDeadline), transactions.nextDeadline)
  }

  // MARK: Coming up and going down

  private mutating func connect(into out: inout UserAgentOutbox) {
    state = .connecting
    out.actions.append(.connect)
  }

  mutating func becomeReady(at now: Instant, into out: inout UserAgentOutbox) {
    state = .ready
    lastFailure = nil
    if wasEverUp { reconnects += 1 }
    wasEverUp = true
    isUp = true
    since = now
    if configuration.transport.isReliable {
      heartbeat.start(interval: heartbeatInterval, at: now, using: &random)
    }
    out.events.append(.linkUp)
    publishAfresh(at: now, into: &out)
    resumeCalls(at: now, into: &out)
    resumeSubscriptions(at: now, into: &out)
  }

  mutating func fail(
    _ failure: LinkFailure, retryAfter: Duration? = nil, flowIsOpen: Bool, at now: Instant,
    into out: inout UserAgentOutbox
  ) {
    let wasReady = state == .ready
    switch state {
    case .idle, .waiting, .stopped: return
    case .leaving:
      finishLeaving(flowIsOpen: flowIsOpen, at: now, into: &out)
      return
    case .ready:
      if let since, now - since >= Self.stability { backoff.reset() }
    case .connecting, .loggingIn: break
    }
    if flowIsOpen { out.actions.append(.closeFlow) }
    if isUp || since == nil { since = now }
    isUp = false
    lastFailure = failure
    leaveFlow(into: &out)
    var wait = backoff.nextWait(at: now, retryAfter: retryAfter, using: &random)
    // Expected, and caused by this machine's own network: no others come back at the same time.
    if wasReady, let doubtedAt, now - doubtedAt < .seconds(5) {
      wait = .milliseconds(Int64.random(in: 0...100, using: &random))
    }
    // What only a person can mend is not asked for every second.
    if failure.isPermanent { wait = max(wait, .seconds(30)) }
    state = .waiting(until: now + wait)
    out.events.append(.linkDown(failure, retryIn: wait))
  }

  private mutating func leaveFlow(into out: inout UserAgentOutbox) {
    heartbeat.stop()
    framer = StreamFramer(side: .client)
    abandonTransactions(into: &out)
  }

  mutating func nextNumber() -> UInt64 {
    lastNumber += 1
    return lastNumber
  }
}
