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

  private var context: TLSContext?
  private var tcpListeners: [TCPListener] = []
  private var udpSockets: [UDPSocket] = []
  private var stunSockets: [UDPSocket] = []
  private(set) var relay: RelayServer?
  private var discovery: DiscoveryServer?
  private var offline: OfflineRuntime?
  private var connections: [Flow: StreamConnection] = [:]
  /// Accepted, and not yet handed to the core because TLS is still being agreed.
  private var handshakes: [IPAddress: Int] = [:]
  private var control: ControlServer?
  private var timer: (at: Instant, token: Reactor.TimerToken)?
  private var storeFailure: String?

  /// Where it listens, with the ports the kernel chose.
  public private(set) var listeners: [RendezvousStatus.Listener] = []

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

  // MARK: Listening

  private func openListeners() throws(StartError) {
    for address in configuration.listen.sips {
      try listen("sips", .tls, address, isShared: configuration.listen.stunTLS.contains(address))
    }
    for address in configuration.listen.sipTCP { try listen("sip-tcp", .tcp, address) }
    for address in configuration.listen.sipUDP {
      let socket = try udpSocket("sip-udp", address)
      udpSockets.append(socket)
      socket.onDatagram = { [unowned self] bytes, from, to in
        carryOut(rendezvous.receive([UInt8](copying: bytes), on: Flow(.udp, local: to, remote: from), at: reactor.now))
      }
    }
    for address in configuration.listen.stun {
      if let relay {
        try serve(address, relay)
        relay.serve(try tcpListener("stun", address), context: nil)
        continue
      }
      let socket = try udpSocket("stun", address)
      stunSockets.append(socket)
      socket.onDatagram = { [unowned self, unowned socket] bytes, from, to in
        guard let answer = rendezvous.answerBinding([UInt8](copying: bytes), from: from, at: reactor.now) else {
          return
        }
        socket.send(Datagram(source: to, destination: from, bytes: answer))
      }
    }
  }

  private func serve(_ address: SocketAddress, _ relay: RelayServer) throws(StartError) {
    do throws(SystemError) {
      listeners.append(.init(name: "stun", address: "udp \(try relay.serve(address))"))
    } catch {
      throw Self.cannotListen("stun", "UDP", address, error)
    }
  }

  private func startRelay() throws(StartError) {
    do throws(SystemError) { try relay?.start() } catch { throw StartError("cannot start the relay: \(error)") }
  }

  private func openRelayTLS() throws(StartError) {
    guard let relay, let context else { return }
    for address in configuration.listen.stunTLS where !configuration.listen.sips.contains(address) {
      relay.serve(try tcpListener("stun-tls", address), context: context)
    }
  }

  private func tcpListener(_ name: String, _ address: SocketAddress) throws(StartError) -> TCPListener {
    do throws(SystemError) {
      let listener = try TCPListener(reactor: reactor, bind: address)
      listeners.append(.init(name: name, address: "tcp \(listener.localAddress)"))
      return listener
    } catch {
      throw Self.cannotListen(name, "TCP", address, error)
    }
  }

  private func openDiscovery() throws(StartError) {
    let addresses = configuration.listen.natDiscovery
    guard !addresses.isEmpty else { return }
    let server = DiscoveryServer(addresses, reactor: reactor, rendezvous: rendezvous)
    discovery = server
    for address in addresses {
      for port in [address.port, DiscoveryServer.secondPort(of: address)] {
        server.add(try udpSocket("nat-discovery", SocketAddress(address.ip, port: port)))
      }
    }
  }

  /// Large messages for those who are not there.
  private func openOffline() throws(StartError) {
    guard OfflineRuntime.isWanted(configuration) else { return }
    let runtime = try OfflineRuntime(configuration, store: store, reactor: reactor, log: log, context: context)
    offline = runtime
    runtime.onMessage = { [weak self] message in
      guard let self else { return }
      carryOut(rendezvous.receive(message.serialized(), on: Rendezvous.serviceFlow, at: reactor.now))
    }
    for (name, address) in runtime.listeners { listeners.append(.init(name: name, address: "tcp \(address)")) }
    runtime.start()
  }

  private func udpSocket(_ name: String, _ address: SocketAddress) throws(StartError) -> UDPSocket {
    do throws(SystemError) {
      let options = UDPSocket.Options(receiveBufferBytes: 4 << 20, sendBufferBytes: 4 << 20)
      let socket = try UDPSocket(reactor: reactor, bind: address, options: options)
      listeners.append(.init(name: name, address: "udp \(socket.localAddress)"))
      return socket
    } catch {
      throw Self.cannotListen(name, "UDP", address, error)
    }
  }

  private func listen(
    _ name: String, _ transport: FlowTransport, _ address: SocketAddress, isShared: Bool = false
  ) throws(StartError) {
    let listener = try tcpListener(name, address)
    listener.onAccept = { [unowned self] in accept($0, transport, isShared: isShared) }
    tcpListeners.append(listener)
  }

  static func cannotListen(
    _ name: String, _ transport: String, _ address: SocketAddress, _ error: SystemError
  ) -> StartError {
    let what = "cannot listen on \(transport) \(address) (\(name))"
    // errno(3): EACCES 13, EADDRINUSE 98, EADDRNOTAVAIL 99.
    switch error.errno {
    case 98: return StartError("\(what): another program uses it; stop that, or choose another port under 'listen'")
    case 99: return StartError("\(what): this machine has no such address; correct it under 'listen'")
    case 13: return StartError("\(what): ports below 1024 need root or CAP_NET_BIND_SERVICE")
    default: return StartError("\(what): \(error)")
    }
  }

  /// `isShared`: what speaks TURN first is the relay's.
  private func accept(_ connection: TCPConnection, _ transport: FlowTransport, isShared: Bool) {
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
