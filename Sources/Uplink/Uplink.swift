public import EdgeCore
public import LinuxIO
public import MSRP
public import SIP
import STUN
public import SecureStreams
public import SecureTransport
public import UserAgent

/// Runs one ``UserAgent`` against real sockets and a real clock.
///
/// All the I/O of the link to the server is here, and no decision is: it opens the flow the agent
/// asks for, feeds the agent what arrives, and carries out what the agent puts in the outbox.
public final class Uplink {
  public struct Configuration {
    public var agent: UserAgentConfiguration
    /// Name or address of the server, and its port.
    public var host: String
    public var port: UInt16
    /// Who may vouch for a TLS server.
    public var trust: TLSContext.Trust
    /// An MSRP relay that messages go through (RFC 4976).
    public var relay: MSRPURI?

    public init(agent: UserAgentConfiguration, host: String, port: UInt16, trust: TLSContext.Trust) {
      self.agent = agent
      self.host = host
      self.port = port
      self.trust = trust
    }
  }

  /// What the agent found, in order. Handlers may call back into the link.
  public var onEvent: ((UserAgentEvent) -> Void)?
  /// Called once, when ``stop()`` has taken leave of the server. After that the link does nothing any more.
  public var onStopped: (() -> Void)?
  /// The server's address on the flow in use, or in the last attempt: STUN is asked there too.
  public private(set) var serverAddress: SocketAddress?
  /// Why the last attempt failed below SIP, for the health report; `nil` once a flow is open.
  public private(set) var lastTransportFailure: StreamCloseReason?

  /// The same, when it was the server's certificate or another matter of TLS.
  public var lastTLSFailure: TLSFailure? {
    if case .tls(let failure)? = lastTransportFailure { return failure }
    return nil
  }

  /// This end of the link, while there is one over TCP or TLS.
  public var localAddress: SocketAddress? { stream?.localAddress }

  /// The link is protected, so what belongs to it must be too.
  public var isSecure: Bool { configuration.agent.transport == .tls }

  /// The server's SIP domain.
  public var domain: String { configuration.agent.domain }

  /// The MSRP relay of the configuration.
  public var relay: MSRPURI? { configuration.relay }

  /// What proves the account where the same password is asked for.
  public func digest() -> DigestClient {
    let agent = configuration.agent
    return DigestClient(
      username: agent.account, password: agent.password, realm: agent.realm, allowsMD5: agent.allowsMD5,
      hashes: .openSSL)
  }

  /// How to protect another connection: to the server itself, or to a host of this name; `nil` when nobody is trusted.
  public func security(serverName: String?) -> StreamConnection.ClientSecurity? {
    if trust == nil { trust = try? TLSContext.client(configuration.trust) }
    return trust.map { .tls($0, serverName: serverName ?? configuration.host) }
  }

  /// Until when the server's certificate is good, in Unix seconds; `nil` without TLS, or while there is no flow.
  public var certificateEnds: Int64? { stream?.serverValidity?.notAfter }

  let reactor: Reactor
  private let configuration: Configuration
  private let resolver: NameResolver
  private var agent: UserAgent
  private var outbox = UserAgentOutbox()
  private var isDraining = false
  private var timer: Reactor.TimerToken?
  private var timerDeadline: Instant?
  /// Tells answers to an earlier attempt from those to the present one.
  private var attempt: UInt64 = 0
  private var stream: StreamConnection?
  private var datagrams: DatagramFlow?
  private var trust: TLSContext?
  private var hasReportedStop = false
  private var lookup: NameResolver.Request?
  private var lookupTimer: Reactor.TimerToken?
  /// What the server's name meant when it last meant something.
  public private(set) var knownAddresses: [IPAddress] = []
  /// Attempts over UDP so far: each tries the next address of the name.
  private var datagramAttempts = 0

  /// How long the name servers may take before the addresses known from earlier are tried: a name server that came
  /// back later than the network must not keep the link down.
  private static let lookupPatience = Duration.milliseconds(1500)

  public init(reactor: Reactor, resolver: NameResolver, configuration: Configuration) {
    self.reactor = reactor
    self.resolver = resolver
    self.configuration = configuration
    agent = UserAgent(configuration: configuration.agent, hashes: .openSSL, random: SystemRandom())
  }

  // MARK: What the owner asks

  public func start() {
    guard !hasReportedStop else { return }
    perform { $0.start(at: $1, into: &$2) }
  }

  /// Removes the registration, closes the flow, and then calls ``onStopped``.
  public func stop() { perform { $0.stop(at: $1, into: &$2) } }

  /// Whether the link still works is found out at once: after a change of this machine's network, or when something
  /// else that should work does not.
  public func networkChanged() {
    if let stream, let local = stream.localAddress, !isOurs(local.ip) {
      stream.close()
      flowClosed(attempt, "the address \(local.ip) is not this machine's any more", nil)
    }
    datagrams?.doubt()
    perform { $0.networkChanged(at: $1, into: &$2) }
  }

  private func isOurs(_ address: IPAddress) -> Bool {
    guard let all = try? NetworkInterfaces.addresses() else { return true }
    return all.contains { $0.address.unmapped == address.unmapped }
  }

  /// Gives the agent a command and carries out what follows from it.
  @discardableResult
  public func perform<Result>(
    _ command: (inout UserAgent, Instant, inout UserAgentOutbox) -> Result
  ) -> Result {
    let result = command(&agent, reactor.now, &outbox)
    drain()
    return result
  }

  /// What the agent knows, for the status report.
  public func inspect<Result>(_ look: (UserAgent) -> Result) -> Result { look(agent) }

  // MARK: Carrying out

  /// Handlers of events may cause more actions and events: the outermost call carries out all of them, in order.
  private func drain() {
    guard !isDraining else { return }
    isDraining = true
    while !outbox.actions.isEmpty || !outbox.events.isEmpty {
      let actions = outbox.actions
      let events = outbox.events
      outbox.removeAll()
      for action in actions {
        switch action {
        case .connect: connect()
        case .closeFlow: closeFlow()
        case .send(let bytes): send(bytes)
        }
      }
      for event in events { onEvent?(event) }
    }
    isDraining = false
    datagrams?.interval = agent.heartbeatInterval
    arm()
    if agent.isStopped, !hasReportedStop {
      hasReportedStop = true
      closeFlow()
      if let timer { reactor.cancel(timer) }
      timer = nil
      let stopped = onStopped
      onStopped = nil
      onEvent = nil
      stopped?()
    }
  }

  private func arm() {
    let deadline = agent.nextDeadline
    guard deadline != timerDeadline || timer == nil else { return }
    if let timer { reactor.cancel(timer) }
    timer = nil
    timerDeadline = deadline
    guard let deadline else { return }
    timer = reactor.schedule(at: deadline) { [self] in
      timer = nil
      perform { $0.tick(at: $1, into: &$2) }
    }
  }

  private func send(_ bytes: [UInt8]) {
    if let stream {
      stream.send(bytes)
    } else {
      datagrams?.send(bytes)
    }
  }

  private func closeFlow() {
    attempt += 1
    endLookup()
    stream?.closeAfterSending(within: .seconds(1))
    stream = nil
    datagrams?.close()
    datagrams = nil
  }

  // MARK: Opening a flow

  private func connect() {
    closeFlow()
    let current = attempt
    if let address = NameResolver.numeric(configuration.host) {
      open([SocketAddress(address, port: configuration.port)])
      return
    }
    let useKnown = { [self] in open(knownAddresses.map { SocketAddress($0, port: configuration.port) }) }
    lookup = resolver.resolve(configuration.host) { [self] answer in
      guard current == attempt else { return }
      endLookup()
      switch answer {
      case .success(let found):
        knownAddresses = found
        useKnown()
      case .failure(let error):
        switch error {
        case .noAnswer, .refused, .busy:
          // Nobody said that the name is gone.
          guard knownAddresses.isEmpty else { return useKnown() }
        case .notAName, .notFound, .noAddress: break
        }
        flowClosed(current, error.description, nil)
      }
    }
    let limit = knownAddresses.isEmpty ? ReconnectBackoff.attemptTimeout : Self.lookupPatience
    lookupTimer = reactor.schedule(after: limit) { [self] in
      lookupTimer = nil
      guard current == attempt else { return }
      endLookup()
      guard knownAddresses.isEmpty else { return useKnown() }
      flowClosed(current, "no answer about " + configuration.host + " from the name servers", nil)
    }
  }

  private func endLookup() {
    if let lookup { resolver.cancel(lookup) }
    if let lookupTimer { reactor.cancel(lookupTimer) }
    lookup = nil
    lookupTimer = nil
  }

  private func open(_ addresses: [SocketAddress]) {
    serverAddress = addresses.first
    switch configuration.agent.transport {
    case .udp: openDatagrams(addresses)
    case .tcp: openStream(addresses, .plain)
    case .tls:
      let context: TLSContext
      do throws(SecureTransportError) {
        if let trust { context = trust } else { context = try TLSContext.client(configuration.trust) }
      } catch {
        flowClosed(attempt, error.description, nil)
        return
      }
      trust = context
      openStream(addresses, .tls(context, serverName: configuration.host))
    }
  }

  private func openStream(_ addresses: [SocketAddress], _ security: StreamConnection.ClientSecurity) {
    let current = attempt
    var options = StreamConnection.Options()
    // Short, and tried often (ReconnectBackoff): an attempt begun just before the network came back
    // must not keep the next one waiting.
    options.openTimeout = ReconnectBackoff.attemptTimeout
    options.userTimeout = .seconds(30)
    let connection = StreamConnection.connect(
      reactor: reactor, to: addresses, security: security, options: options)
    stream = connection
    connection.onOpen = { [self] in
      guard current == attempt else { return }
      guard let local = connection.localAddress else {
        connection.close()
        flowClosed(current, "the connection has no address", nil)
        return
      }
      serverAddress = connection.peerAddress
      lastTransportFailure = nil
      perform { $0.flowOpened(local: local, at: $1, into: &$2) }
    }
    connection.onBytes = { [self] bytes in
      guard current == attempt else { return }
      agent.receive(bytes, at: reactor.now, into: &outbox)
      drain()
    }
    connection.onClosed = { [self] reason in flowClosed(current, reason.description, reason) }
  }

  private func flowClosed(_ closed: UInt64, _ why: String, _ reason: StreamCloseReason?) {
    guard closed == attempt else { return }
    attempt += 1
    stream = nil
    lastTransportFailure = reason
    perform { $0.flowClosed(why, at: $1, into: &$2) }
  }

  private func openDatagrams(_ addresses: [SocketAddress]) {
    let current = attempt
    guard !addresses.isEmpty else { return flowClosed(current, "the server's name has no address", nil) }
    // Nothing tells a host without IPv6 from a silent server but trying the next address.
    let server = addresses[datagramAttempts % addresses.count]
    serverAddress = server
    datagramAttempts += 1
    do throws(SystemError) {
      datagrams = try DatagramFlow(reactor: reactor, server: server, interval: agent.heartbeatInterval)
    } catch {
      return flowClosed(current, error.description, nil)
    }
    datagrams?.onDatagram = { [self] bytes in
      guard current == attempt else { return }
      agent.receive(datagram: bytes, at: reactor.now, into: &outbox)
      drain()
    }
    datagrams?.onEvent = { [self] event in
      guard current == attempt else { return }
      receive(event)
    }
    datagrams?.start(within: ReconnectBackoff.attemptTimeout)
  }

  private func receive(_ event: BindingClient<SystemRandom>.Event) {
    switch event {
    case .mapped(let address, let roundTrip):
      lastTransportFailure = nil
      // This address works: the next attempt begins with it.
      datagramAttempts -= 1
      perform { $0.flowOpened(local: address, at: $1, into: &$2) }
      perform { $0.datagramHeartbeat(roundTrip: roundTrip, at: $1, into: &$2) }
    case .alive(let roundTrip): perform { $0.datagramHeartbeat(roundTrip: roundTrip, at: $1, into: &$2) }
    case .changed: perform { $0.datagramFlowFailed(.addressChanged, at: $1, into: &$2) }
    case .failed: perform { $0.datagramFlowFailed(.noHeartbeat, at: $1, into: &$2) }
    }
  }
}
