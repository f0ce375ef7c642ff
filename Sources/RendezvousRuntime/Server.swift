public import Config
import EdgeCore
public import LinuxIO
import PIDF
public import RendezvousLogic
import SIP
import SecureStreams
import SecureTransport
public import StatusModel
import Storage
import XMLDocument

/// The process around the core: sockets, clock, database, certificate, signals. Decides nothing.
///
///     listeners ─▶ StreamConnection / UDPSocket ─▶ Rendezvous ─▶ the same, back
///     AccountStore ─▶ Directory ──────────────────────▲
public final class Server {
  let configuration: RendezvousConfiguration
  let reactor: Reactor
  let log: Log
  let store: AccountStore
  let rendezvous: Rendezvous
  let startedAt: Instant
  let startedUnix: Int64

  var context: TLSContext?
  var tcpListeners: [TCPListener] = []
  var udpSockets: [UDPSocket] = []
  var stunSockets: [UDPSocket] = []
  private(set) var relay: RelayServer?
  var discovery: DiscoveryServer?
  var offline: OfflineRuntime?
  private var connections: [Flow: StreamConnection] = [:]
  /// Accepted, and not yet handed to the core because TLS is still being agreed.
  private var handshakes: [IPAddress: Int] = [:]
  private var control: ControlServer?
  private var timer: (at: Instant, token: Reactor.TimerToken)?
  private var storeFailure: String?

  /// Where it listens, with the ports the kernel chose.
  public internal(set) var listeners: [RendezvousStatus.Listener] = []

  /// Opens everything; throws with a text for the operator when anything is missing.
  public init(
    _ configuration: RendezvousConfiguration, reactor: Reactor, log: Log,
    limits: (inout RendezvousLogic.Configuration) -> Void = { _ in }
  ) throws(StartError) {
    self.configuration = configuration
    self.reactor = reactor
    self.log = log
    startedAt = reactor.now
    startedUnix = reactor.wallClockSeconds
    let store = try AccountStore.open(configuration.database)
    try Realm.settle(store, domain: configuration.domain)
    self.store = store
    var core = RendezvousLogic.Configuration(domain: configuration.domain)
    core.flowTimer = UInt32(clamping: configuration.flowTimer.components.seconds)
    limits(&core)
    var random = SystemRandom()
    let flowKey: [UInt8]
    let relays = RelayOffers()
    do throws(StorageError) {
      flowKey = try store.flowKey(&random)
      var environment = Environment(
        hashes: .openSSL, flowKey: flowKey,
        claim: { serial, account in Self.claim(serial, account, store, log) },
        parsePresence: { try? Presence(parsing: $0) }, mailbox: .keeping(in: MessageStore(sharing: store), log: log))
      environment.contacts = .keeping(in: store, log: log)
      environment.relays = { relays.offers(for: $0) }
      environment.signalled = { relays.onSignalled?($0, $1) }
      environment.hasOfflineService = OfflineRuntime.isWanted(configuration)
      rendezvous = Rendezvous(
        configuration: core, directory: try store.directory(), environment: environment, random: random)
    } catch {
      throw StartError("\(error)")
    }
    let listen = configuration.listen
    if !listen.sips.isEmpty || !listen.stunTLS.isEmpty || !listen.msrps.isEmpty {
      context = try ServerCertificate.context(configuration, log: log)
    }
    if let relay = configuration.relay {
      let secret = try Self.relaySecret(relay, flowKey: flowKey)
      if !relay.servers.isEmpty {
        try relays.set(servers: relay.servers, secret: secret)
      } else if !listen.stun.isEmpty || !listen.stunTLS.isEmpty {
        let server: RelayServer
        do throws(SystemError) {
          server = try RelayServer(
            relay, listening: listen.stun + listen.stunTLS, secret: secret, reactor: reactor, log: log)
        } catch {
          throw StartError("cannot start the relay: \(error)")
        }
        self.relay = server
        relays.onSignalled = { [unowned server] session, addresses in server.addPeers(addresses, session: session) }
        relays.set(addresses: server.addresses, listen: listen, secret: secret)
      }
    }
    do throws(StartError) {
      try openControl()
      try openListeners()
      try openRelayTLS()
      try openDiscovery()
      try startRelay()
      try openOffline()
    } catch {
      close()
      throw error
    }
    watchStore()
  }

  /// The one of the file, or one that outlives a restart and nobody else has.
  private static func relaySecret(
    _ relay: RendezvousConfiguration.Relay, flowKey: [UInt8]
  ) throws(StartError) -> [UInt8] {
    guard let file = relay.secretFile else { return Hashes.openSSL.hmacSHA256(flowKey, Array("relay".utf8)) }
    var bytes: [UInt8]
    do throws(FileError) {
      bytes = try File.read(file, maxBytes: 4096)
    } catch {
      throw StartError("cannot read the relay's secret: \(error)")
    }
    while let last = bytes.last, last <= UInt8(ascii: " ") { bytes.removeLast() }
    guard bytes.count >= 16 else { throw StartError("the relay's secret in \(file) has fewer than 16 characters") }
    return bytes
  }

  private static func claim(
    _ serial: String, _ account: String, _ store: AccountStore, _ log: Log
  ) -> Environment.Claim {
    do throws(StorageError) {
      switch try store.claim(serial, for: account, now: MonotonicClock.wallClockSeconds) {
      case .owned: return .owned
      case .refused, .nameTaken: return .refused
      case .missing: return .unavailable
      }
    } catch {
      log.error("database", ("error", "\(error)"))
      return .unavailable
    }
  }

  // MARK: Life

  /// Stops listening, ends every connection in order, and removes the control socket.
  public func close() {
    for listener in tcpListeners { listener.close() }
    for socket in udpSockets + stunSockets { socket.close() }
    discovery?.close()
    offline?.close()
    for connection in connections.values { connection.closeAfterSending(within: .seconds(1)) }
    connections = [:]
    relay?.close()
    if let timer { reactor.cancel(timer.token) }
    timer = nil
    control?.close()
    control = nil
  }

  /// Takes up changed certificate files and a changed database.
  public func reload() {
    if let context {
      do throws(StartError) {
        try ServerCertificate.reload(context, configuration)
        log.notice("certificate-reloaded", ("certificate", configuration.tls.certificate))
      } catch {
        log.error("certificate-not-reloaded", ("error", "\(error)"))
      }
    }
    reloadDirectory()
  }

  // MARK: Connections

  /// `isShared`: what speaks TURN first is the relay's.
  func accept(_ connection: TCPConnection, _ transport: FlowTransport, isShared: Bool) {
    guard let local = connection.localAddress else { return connection.close() }
    let flow = Flow(transport, local: local, remote: connection.peerAddress)
    let source = flow.remote.ip.unmapped
    // Half-open TLS is bounded by itself; what is open, the core bounds.
    guard handshakes[source, default: 0] < Self.maximumHandshakes else { return connection.close() }
    let security: StreamConnection.ServerSecurity
    switch transport {
    case .tls:
      guard let context else { return connection.close() }
      security = .tls(context)
    case .tcp, .udp: security = .plain
    }
    handshakes[source, default: 0] += 1
    let stream = StreamConnection.accept(connection, reactor: reactor, security: security)
    stream.maxUnsentBytes = Self.maximumUnsent
    var isOpen = false
    var isDecided = !isShared
    // Weak: a connection that is still being agreed outlives a server that was closed.
    stream.onOpen = { [weak self, unowned stream] in
      guard let self else { return stream.close() }
      isOpen = true
      handshakeDone(source)
      connections[flow] = stream
      carryOut(rendezvous.flowOpened(flow, at: reactor.now))
    }
    stream.onBytes = { [weak self, unowned stream] bytes in
      guard let self else { return }
      if !isDecided {
        isDecided = true
        if let relay, RelayServer.isTURN(bytes), connections.removeValue(forKey: flow) != nil {
          carryOut(rendezvous.flowClosed(flow, at: reactor.now))
          return relay.adopt(stream, local: local, remote: flow.remote, bytes)
        }
      }
      carryOut(rendezvous.receive([UInt8](copying: bytes), on: flow, at: reactor.now))
    }
    stream.onClosed = { [weak self] reason in
      guard let self else { return }
      guard isOpen else {
        handshakeDone(source)
        log.debug("handshake-failed", [("remote", "\(flow.remote)"), ("reason", "\(reason)")])
        return
      }
      guard connections.removeValue(forKey: flow) != nil else { return }
      carryOut(rendezvous.flowClosed(flow, at: reactor.now))
    }
  }

  private func handshakeDone(_ source: IPAddress) {
    let left = handshakes[source, default: 1] - 1
    handshakes[source] = left > 0 ? left : nil
  }

  private static let maximumHandshakes = 128
  /// A peer that does not read what it is sent, so much of it, is gone.
  private static let maximumUnsent = 512 << 10

  // MARK: Carrying out

  func carryOut(_ outputs: [Output]) {
    for output in outputs {
      switch output {
      case .send(let bytes, let flow): send(bytes, flow)
      case .close(let flow): connections.removeValue(forKey: flow)?.closeAfterSending(within: .seconds(2))
      case .log(let entry):
        let level: Log.Level = entry.level == .debug ? .debug : entry.level == .info ? .info : .warning
        log.log(level, entry.event, entry.fields.map { ($0.name, $0.value) })
      }
    }
    wake()
  }

  private func send(_ bytes: [UInt8], _ flow: Flow) {
    if flow == Rendezvous.serviceFlow {
      offline?.receive(bytes)
      return
    }
    guard flow.transport == .udp else {
      connections[flow]?.send(bytes)
      return
    }
    let socket = udpSockets.first {
      $0.localAddress.port == flow.local.port && $0.localAddress.ip.isV4 == flow.local.ip.isV4
        && ($0.localAddress.ip.isUnspecified || $0.localAddress.ip == flow.local.ip)
    }
    socket?.send(Datagram(source: flow.local, destination: flow.remote, bytes: bytes))
  }

  /// Arranges for the core's next deadline.
  private func wake() {
    guard let deadline = rendezvous.nextDeadline else { return }
    if let timer {
      guard deadline < timer.at else { return }
      reactor.cancel(timer.token)
    }
    let token = reactor.schedule(at: deadline) { [unowned self] in
      timer = nil
      carryOut(rendezvous.tick(at: reactor.now))
    }
    timer = (deadline, token)
  }

  // MARK: The database

  /// How soon a change made by another process is noticed when nobody tells of it.
  private static let storeInterval: Duration = .seconds(1)

  private func watchStore() {
    _ = reactor.schedule(after: Self.storeInterval) { [weak self] in
      guard let self, control != nil else { return }
      do throws(StorageError) {
        if try store.changedElsewhere() { reloadDirectory() }
        storeFailure = nil
      } catch {
        storeFailed(error)
      }
      watchStore()
    }
  }

  func reloadDirectory() {
    do throws(StorageError) {
      carryOut(rendezvous.directoryChanged(to: try store.directory(), at: reactor.now))
    } catch {
      storeFailed(error)
    }
  }

  private func storeFailed(_ error: StorageError) {
    storeFailure = "\(error)"
    log.error("database", ("error", "\(error)"))
  }

  // MARK: Control

  private func openControl() throws(StartError) {
    let path = configuration.controlSocket
    do {
      if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
        try File.makeDirectories(String(path[..<slash]))
      }
      control = try ControlServer(reactor: reactor, path: path) { [unowned self] in answer($0) }
    } catch let error as UnixListener.Failure {
      if case .inUse = error {
        throw StartError(
          "a server runs here already (it answers on \(path)): stop it first, or choose another control-socket")
      }
      throw StartError("cannot open the control socket: \(error)")
    } catch {
      throw StartError("cannot open the control socket: \(error)")
    }
  }

  private func answer(_ request: ControlRequest) -> Reply {
    switch request {
    case .status(let json): return status(json: json)
    case .store(let request):
      let reply = request.run(on: store, now: reactor.wallClockSeconds)
      if request.isChange { reloadDirectory() }
      return reply
    }
  }

  private func status(json: Bool) -> Reply {
    var accounts = 0
    if let count = try? store.accounts().count { accounts = count }
    let report = StatusReport(
      snapshot: rendezvous.snapshot(at: reactor.now), domain: configuration.domain, listeners: listeners,
      accounts: accounts, uptime: reactor.now - startedAt, now: reactor.wallClockSeconds, storeFailure: storeFailure,
      relay: relay?.statistics)
    return Reply(code: report.status.exitCode, text: json ? report.json : report.text)
  }
}
