public import EdgeCore
import SIP

/// The server: registrar, location and presence service, and the proxy that joins viewers to nodes.
///
/// It has no socket, clock or random source of its own, so a run is a function of its inputs:
///
///     flowOpened, flowClosed ─┐                 ┌─▶ send(bytes, flow)
///     receive(bytes, flow)   ─┼─▶ Rendezvous ───┼─▶ close(flow)
///     tick, directoryChanged ─┘                 └─▶ log
///
/// Every call returns all it led to. The owner calls ``tick(at:)`` no later than ``nextDeadline``,
/// and never passes a `now` earlier than one it has passed before.
///
/// One domain, no upstream proxy: a request goes to this server itself or, over a flow that a
/// device opened, to that device. Nothing is ever sent to an address that did not send first.
///
/// The procedures are apart, by RFC: `+Receive`, `+Requests`, `+Authentication`, `+Register`,
/// `+Publish`, `+Subscribe`, `+Messages`, `+Contacts`, `+Proxy`, `+Forwarding`, `+Flows`,
/// `+Offline`.
public final class Rendezvous {
  let configuration: Configuration
  let environment: Environment
  let flowTokens: FlowTokens
  /// Keys the tags and branches this server makes from what it received.
  let tagKey: [UInt8]
  var random: AnyRandom
  var digest: DigestServer

  public internal(set) var directory: Directory

  var flows: [Flow: FlowState] = [:]
  var connectionsByAddress: [IPAddress: Int] = [:]
  var locations = Locations()
  var publications = Publications()
  var subscriptions = Subscriptions()
  var proxy = ProxyTable()
  var sessions = Sessions()
  var answered = AnswerCache()
  var messages = MessageTraffic()
  var alarms = AlarmLimiter()
  var registrationWatch: RegistrationWatch?
  /// Accounts that watchers were told are there.
  var online: Set<String> = []
  var contactRequests = ContactRequests()

  var strangers: RateLimiter
  var failures: RateLimiter
  var counters = Counters()

  var outputs: [Output] = []
  var now = Instant.zero
  var nextSweep: Instant?

  public init<Random: RandomNumberGenerator>(
    configuration: Configuration, directory: Directory, environment: Environment, random: Random
  ) {
    var random = random
    self.configuration = configuration
    self.directory = directory
    self.environment = environment
    flowTokens = FlowTokens(key: environment.flowKey, hmac: environment.hashes.hmacSHA256)
    digest = DigestServer(
      realm: configuration.domain, hashes: environment.hashes, key: random.bytes(32), capacity: 20_000)
    tagKey = random.bytes(32)
    strangers = RateLimiter(
      perSecond: configuration.strangerRepliesPerSecond, burst: configuration.strangerReplyBurst, key: random.next())
    failures = RateLimiter(
      perSecond: configuration.failuresPerSecond, burst: configuration.failureBurst, key: random.next())
    self.random = AnyRandom(random)
    if environment.hasOfflineService {
      locations.tracksChanges = true
      flows[Self.serviceFlow] = FlowState(opened: now, lastHeard: now, framer: StreamFramer(side: .server))
    }
  }

  // MARK: Inputs

  /// A connection was accepted; for TLS, its handshake is done.
  public func flowOpened(_ flow: Flow, at now: Instant) -> [Output] {
    step(at: now) { openConnection(flow) }
  }

  /// A connection is gone, whoever closed it.
  public func flowClosed(_ flow: Flow, at now: Instant) -> [Output] {
    step(at: now) { loseFlow(flow, because: "closed", close: false) }
  }

  /// Bytes of a connection in any split, or one datagram of the SIP port.
  public func receive(_ bytes: [UInt8], on flow: Flow, at now: Instant) -> [Output] {
    step(at: now) {
      if flow.transport.isReliable { receiveStream(bytes, on: flow) } else { receiveDatagram(bytes, on: flow) }
    }
  }

  /// A datagram of the STUN port, which serves anybody at a bounded rate.
  /// - Returns: what to send back.
  public func answerBinding(_ bytes: [UInt8], from source: SocketAddress, at now: Instant) -> [UInt8]? {
    self.now = max(self.now, now)
    return bindingAnswer(bytes, source: source, isKnown: false)
  }

  /// Takes one answer from the share of an address that has not shown who it is.
  public func allowsStranger(_ source: IPAddress, at now: Instant) -> Bool {
    self.now = max(self.now, now)
    if strangers.allows(source, at: self.now) { return true }
    counters.limited &+= 1
    return false
  }

  public func tick(at now: Instant) -> [Output] {
    step(at: now) {
      if let due = messages.commitDue, due <= now { commitMessages() }
      if let due = nextSweep, due <= now { sweep() }
      tickProxy()
    }
  }

  /// The database has changed: what is no longer allowed ends now.
  public func directoryChanged(to directory: Directory, at now: Instant) -> [Output] {
    step(at: now) { replaceDirectory(by: directory) }
  }

  /// When ``tick(at:)`` next has work to do; `nil` means never.
  public var nextDeadline: Instant? {
    Instant.earliest(messages.commitDue, Instant.earliest(nextSweep, proxy.nextDeadline))
  }

  public func snapshot(at now: Instant) -> Snapshot { makeSnapshot(at: max(now, self.now)) }

  private func step(at now: Instant, _ body: () -> Void) -> [Output] {
    self.now = max(self.now, now)
    body()
    if hasService { flushRegistrations() }
    tellPresence()
    if nextSweep == nil, hasTimedState { nextSweep = self.now + Self.sweepInterval }
    defer { outputs = [] }
    return outputs
  }

  // MARK: What the procedures share

  /// Flows, contacts, publications and subscriptions are looked over this often: their times are
  /// in tens of seconds, and one pass costs less than a timer for each.
  static let sweepInterval: Duration = .seconds(1)

  func log(_ level: LogEntry.Level, _ event: String, _ fields: (String, String)...) {
    outputs.append(
      .log(LogEntry(level: level, event: event, fields: fields.map { LogEntry.Field(name: $0.0, value: $0.1) })))
  }

  func send(_ bytes: [UInt8], on flow: Flow) { outputs.append(.send(bytes, flow)) }

  /// Text that only this server can make from `parts`, the same each time: tags and loop marks.
  func mark(_ parts: [String]) -> String {
    var input: [UInt8] = []
    for part in parts {
      input += part.utf8
      input.append(0)
    }
    return Hex.encode(Array(environment.hashes.hmacSHA256(tagKey, input).prefix(8)))
  }

  /// Whether a host in a URI means this server.
  func isHere(_ uri: URI, on flow: Flow) -> Bool {
    if ASCII.equalIgnoringCase(uri.host, configuration.domain) { return true }
    if configuration.aliases.contains(where: { ASCII.equalIgnoringCase(uri.host, $0) }) { return true }
    return uri.address.map { $0.unmapped == flow.local.ip.unmapped } ?? false
  }

  /// This server as the peer of `flow` reaches it.
  func ownURI(on flow: Flow, user: String? = nil) -> URI {
    var uri = URI(.sip, user: user, host: configuration.domain, port: flow.local.port)
    uri.parameters["transport"] = flow.transport.viaName.lowercased()
    return uri
  }
}

/// The random source that was handed in, whatever its type.
struct AnyRandom: RandomNumberGenerator {
  private var source: any RandomNumberGenerator

  init(_ source: any RandomNumberGenerator) { self.source = source }

  mutating func next() -> UInt64 { source.next() }
}
