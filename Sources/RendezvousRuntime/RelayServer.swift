import Config
import EdgeCore
import LinuxIO
import STUN
import SecureStreams
import SecureTransport
import StatusModel
import TURN

/// The sockets of the relay: listeners, clients' streams and relayed addresses. Decides nothing.
///
///     client ─▶ UDPSocket / StreamConnection ─▶ TURNServer ─▶ relayed UDPSocket ─▶ peer
///     client ◀─ the same                     ◀─ TURNServer ◀─ relayed UDPSocket ◀─ peer
final class RelayServer {
  private let reactor: Reactor
  private let log: Log
  private var server: TURNServer
  private let network: RelayNetwork
  private let takesOldChannels: Bool
  private var listeners: [UDPSocket] = []
  private var tcpListeners: [TCPListener] = []
  private var streams: [Int: RelayStream] = [:]
  private var streamsBySource: [IPAddress: Int] = [:]
  private var lastLink = 0
  /// By ``RelayID/index``.
  private var relays: [(id: RelayID, socket: UDPSocket)?] = []
  private var timer: (at: Instant, token: Reactor.TimerToken)?
  private var clock: Reactor.TimerToken?
  private var isClosed = false
  // Buffers of every packet: what comes in is done with before the next one is.
  private var header: [UInt8] = []
  private var frame: [UInt8] = []
  private var outputs: [TURNServer.Output] = []

  /// Opened streams of one source, and of all.
  private static let maximumStreamsOfSource = 256
  private static let maximumStreams = 20_000
  /// A stream without an allocation for so long is of no use to anybody.
  private static let idleLimit: Duration = .seconds(30)
  /// Data to a client that does not read is dropped beyond this, as a full queue of a router does it.
  private static let maximumUnsent = 256 << 10

  init(
    _ configuration: RendezvousConfiguration.Relay, listening: [SocketAddress], secret: [UInt8], reactor: Reactor,
    log: Log
  ) {
    self.reactor = reactor
    self.log = log
    network = RelayNetwork(configuration, listening: listening)
    let policy = PeerPolicy(
      allowsPrivate: configuration.allowsPrivatePeers, ownAddresses: network.ownAddresses)
    takesOldChannels = configuration.allowsOldChannels
    var core = TURNServer.Configuration(
      secrets: [secret], relayAddresses: network.relayAddresses, ports: configuration.ports, policy: policy)
    core.takesOldChannels = takesOldChannels
    core.onlySignalledPeers = !configuration.allowsUnsignalledPeers
    var random = SystemRandom()
    server = TURNServer(
      core, key: random.bytes(32), hashes: .openSSL, unixTime: reactor.wallClockSeconds, at: reactor.now)
    watchClock()
  }

  var statistics: TURNServer.Statistics { server.statistics }
  var addresses: [IPAddress] { network.relayAddresses }

  /// The ends of a session named these addresses of theirs.
  func addPeers(_ addresses: [IPAddress], session: String) {
    guard !isClosed else { return }
    server.addSignalledPeers(addresses, session: session, at: reactor.now)
    wake()
  }

  func close() {
    isClosed = true
    for socket in listeners { socket.close() }
    for listener in tcpListeners { listener.close() }
    for stream in streams.values { stream.connection.close() }
    for relay in relays { relay?.socket.close() }
    streams = [:]
    relays = []
    if let timer { reactor.cancel(timer.token) }
    if let clock { reactor.cancel(clock) }
  }

  private func watchClock() {
    clock = reactor.schedule(after: .seconds(30)) { [unowned self] in
      server.setUnixTime(reactor.wallClockSeconds, at: reactor.now)
      watchClock()
    }
  }

  // MARK: Listening

  /// Serves a UDP socket the owner has bound.
  func serve(_ socket: UDPSocket) {
    let link = -1 - listeners.count
    listeners.append(socket)
    socket.onDatagram = { [unowned self] bytes, from, to in
      receive(bytes, on: ClientFlow(.udp, link: link, client: from, server: to))
    }
  }

  /// Serves a TCP port; `context` makes it TLS.
  func serve(_ listener: TCPListener, context: TLSContext?) {
    tcpListeners.append(listener)
    listener.onAccept = { [unowned self] in accept($0, context) }
  }

  private func accept(_ connection: TCPConnection, _ context: TLSContext?) {
    guard let local = connection.localAddress, hasRoom(for: connection.peerAddress.ip) else {
      return connection.close()
    }
    let security: StreamConnection.ServerSecurity = if let context { .tls(context) } else { .plain }
    let remote = connection.peerAddress
    _ = add(
      StreamConnection.accept(connection, reactor: reactor, security: security), context == nil ? .tcp : .tls,
      local: local, remote: remote)
  }

  /// RFC 7983 §7: how a client of the relay begins, and no text does.
  static func isTURN(_ bytes: RawSpan) -> Bool { MuxedProtocol(of: bytes) == .stun }

  /// Takes over a connection that was shared until its first bytes came.
  func adopt(_ connection: StreamConnection, local: SocketAddress, remote: SocketAddress, _ bytes: RawSpan) {
    guard !isClosed, hasRoom(for: remote.ip) else { return connection.close() }
    let stream = add(connection, .tls, local: local, remote: remote)
    receive(bytes, of: stream)
  }

  private func hasRoom(for source: IPAddress) -> Bool {
    streams.count < Self.maximumStreams
      && streamsBySource[source.unmapped, default: 0] < Self.maximumStreamsOfSource
  }

  private func add(
    _ connection: StreamConnection, _ transport: ClientFlow.Transport, local: SocketAddress, remote: SocketAddress
  ) -> RelayStream {
    lastLink += 1
    let link = lastLink
    let flow = ClientFlow(transport, link: link, client: remote, server: local)
    let stream = RelayStream(connection, flow, TURNStreamFramer(takesOldChannels: takesOldChannels))
    streams[link] = stream
    streamsBySource[remote.ip.unmapped, default: 0] += 1
    connection.maxUnsentBytes = Self.maximumUnsent + 128 << 10
    connection.onOpen = nil
    connection.onBytes = { [unowned self, unowned stream] bytes in receive(bytes, of: stream) }
    connection.onClosed = { [unowned self] _ in forget(link) }
    watchIdle(link)
    return stream
  }

  private func receive(_ bytes: RawSpan, of stream: RelayStream) {
    // The frames are cut by a copy of the framer, since handling one may end the stream.
    var framer = stream.framer
    do throws(TURNStreamFramer.Broken) {
      try framer.receive(bytes) { frame in
        if !stream.isEnded { receive(frame, on: stream.flow) }
      }
      stream.framer = framer
    } catch {
      end(stream.flow.link)
    }
  }

  private func watchIdle(_ link: Int) {
    _ = reactor.schedule(after: Self.idleLimit) { [weak self] in
      guard let self, !isClosed, let stream = streams[link] else { return }
      if server.hasAllocation(stream.flow) { watchIdle(link) } else { end(link) }
    }
  }

  private func end(_ link: Int) {
    guard let stream = streams[link] else { return }
    stream.isEnded = true
    stream.connection.closeAfterSending(within: .seconds(1))
    forget(link)
  }

  /// The stream is gone, and its allocation with it.
  private func forget(_ link: Int) {
    guard let stream = streams.removeValue(forKey: link) else { return }
    stream.isEnded = true
    let source = stream.flow.client.ip.unmapped
    let left = streamsBySource[source, default: 1] - 1
    streamsBySource[source] = left > 0 ? left : nil
    server.flowClosed(stream.flow, into: &outputs)
    carryOut()
  }

  // MARK: Packets

  private func receive(_ bytes: RawSpan, on flow: ClientFlow) {
    let transmission = server.receive(bytes, on: flow, at: reactor.now, header: &header, into: &outputs)
    transmit(transmission, bytes)
    if !outputs.isEmpty { carryOut() }
  }

  private func transmit(_ transmission: TURNServer.Transmission, _ bytes: RawSpan) {
    switch transmission {
    case .none: break
    case .toPeer(let id, let peer, let payload):
      guard id.index < relays.count, let relay = relays[id.index], relay.id == id else { return }
      // Whatever keeps it from leaving is loss, and harms no other peer.
      relay.socket.send(bytes.extracting(payload), to: peer)
    case .toClient(let flow, let payload, let padding):
      frame.removeAll(keepingCapacity: true)
      frame.append(contentsOf: header)
      bytes.extracting(payload).withUnsafeBytes { frame.append(contentsOf: $0) }
      for _ in 0..<padding { frame.append(0) }
      deliver(flow)
    }
  }

  /// Sends `frame` to a client; a stream that is full loses it.
  private func deliver(_ flow: ClientFlow) {
    guard flow.transport.isStream else {
      let whole = frame
      let span = whole.span
      listeners[-1 - flow.link].send(span.bytes, to: flow.client, from: flow.server.ip)
      return
    }
    guard let stream = streams[flow.link], stream.connection.unsentBytes < Self.maximumUnsent else { return }
    stream.connection.send(frame)
  }

  private func receivePeer(_ bytes: RawSpan, from peer: SocketAddress, on id: RelayID) {
    let transmission = server.receivePeer(
      byteCount: bytes.byteCount, from: peer, on: id, at: reactor.now, header: &header)
    transmit(transmission, bytes)
  }

  // MARK: Carrying out

  private func carryOut() {
    while !outputs.isEmpty {
      let batch = outputs
      outputs.removeAll(keepingCapacity: true)
      for output in batch { carryOut(output) }
    }
    wake()
  }

  private func carryOut(_ output: TURNServer.Output) {
    switch output {
    case .send(let bytes, let flow):
      if flow.transport.isStream {
        streams[flow.link]?.connection.send(bytes)
      } else {
        let span = bytes.span
        listeners[-1 - flow.link].send(span.bytes, to: flow.client, from: flow.server.ip)
      }
    case .openRelay(let id, let address): open(id, address)
    case .closeRelay(let id):
      guard id.index < relays.count, let relay = relays[id.index], relay.id == id else { return }
      relay.socket.close()
      relays[id.index] = nil
    case .event(let event): report(event)
    }
  }

  private func open(_ id: RelayID, _ address: SocketAddress) {
    let bind = SocketAddress(network.bindAddress(for: address.ip), port: address.port)
    do throws(SystemError) {
      let socket = try UDPSocket(reactor: reactor, bind: bind)
      socket.onDatagram = { [unowned self] bytes, from, _ in receivePeer(bytes, from: from, on: id) }
      while relays.count <= id.index { relays.append(nil) }
      relays[id.index] = (id, socket)
      server.relayOpened(id, at: reactor.now, into: &outputs)
    } catch {
      log.debug("relay-port", [("address", "\(bind)"), ("error", "\(error)")])
      server.relayRefused(id, at: reactor.now, into: &outputs)
    }
  }

  private func report(_ event: TURNServer.Event) {
    switch event {
    case .allocated(let session, let flow, let relayed):
      log.log(.info, "relay-allocated", [("session", session), ("client", "\(flow)"), ("relayed", "\(relayed)")])
    case .ended(let session, let flow, let end, let traffic):
      log.log(
        .info, "relay-ended",
        [
          ("session", session), ("client", "\(flow)"), ("because", "\(end)"),
          ("to_peers_bytes", "\(traffic.toPeersBytes)"), ("to_client_bytes", "\(traffic.toClientsBytes)"),
        ])
    case .refusedPeer(let session, let peer, let refusal):
      log.log(.warning, "relay-refused-peer", [("session", session), ("peer", "\(peer)"), ("because", "\(refusal)")])
    }
  }

  private func wake() {
    guard !isClosed, let deadline = server.nextDeadline else { return }
    if let timer {
      guard deadline < timer.at else { return }
      reactor.cancel(timer.token)
    }
    let token = reactor.schedule(at: deadline) { [unowned self] in
      timer = nil
      server.tick(at: reactor.now, into: &outputs)
      carryOut()
    }
    timer = (deadline, token)
  }
}

/// A client's stream.
final class RelayStream {
  let connection: StreamConnection
  let flow: ClientFlow
  var framer: TURNStreamFramer
  var isEnded = false

  init(_ connection: StreamConnection, _ flow: ClientFlow, _ framer: TURNStreamFramer) {
    self.framer = framer
    self.connection = connection
    self.flow = flow
  }
}

/// The addresses a relay has: what peers are told, what sockets are bound to, and what is the machine's own.
struct RelayNetwork {
  let relayAddresses: [IPAddress]
  let ownAddresses: [IPAddress]
  private let interfaces: [IPAddress]

  init(_ configuration: RendezvousConfiguration.Relay, listening: [SocketAddress]) {
    let found = ((try? NetworkInterfaces.addresses()) ?? []).filter { !$0.address.isLinkLocal }
    interfaces = found.map { $0.address }
    var relays: [IPAddress] = []
    for isV4 in [true, false] {
      let listens = listening.filter { $0.ip.isV4 == isV4 }.map { $0.ip }
      if let external = configuration.externalAddress, external.isV4 == isV4 {
        relays.append(external)
      } else if configuration.externalAddress == nil, !listens.isEmpty {
        let candidates = found.filter { $0.address.isV4 == isV4 }.map { $0.address }
        // A listener on one address says which; else the most public one there is.
        let bound = listens.contains { $0.isUnspecified } ? nil : listens.first
        let best =
          bound ?? candidates.first { !$0.isPrivate && !$0.isLoopback } ?? candidates.first { !$0.isLoopback }
          ?? candidates.first
        if let best { relays.append(best) }
      }
    }
    relayAddresses = relays
    ownAddresses = interfaces + relays.filter { !found.map { $0.address }.contains($0) }
  }

  /// An address of the machine is bound as it is; one a router in front of it has, is not here to be bound.
  func bindAddress(for address: IPAddress) -> IPAddress {
    if interfaces.contains(address) || address.isLoopback { return address }
    return address.isV4 ? .anyV4 : .anyV6
  }
}

/// What the two ends of a session are told of the relay.
final class RelayOffers {
  /// Each way to it, the credentials left open.
  private var ways: [RelayOffer] = []
  private var secret: [UInt8] = []
  /// Where the addresses of a session's ends are made use of.
  var onSignalled: ((_ session: String, _ addresses: [IPAddress]) -> Void)?

  /// Long enough to begin with: an allocation outlives its credentials.
  private static let lifetime: Int64 = 600

  /// Our own relay: a listener on one address may be behind the router that has the other.
  func set(addresses: [IPAddress], listen: RendezvousConfiguration.Listen, secret: [UInt8]) {
    self.secret = secret
    let nobody = RelayCredentials(username: "", password: "")
    for address in addresses {
      let host = "\(address)"
      for listener in listen.stun where listener.ip.isV4 == address.isV4 {
        for transport in [RelayOffer.Transport.udp, .tcp] {
          ways.append(RelayOffer(transport, host: host, port: listener.port, credentials: nobody))
        }
      }
      for listener in listen.stunTLS where listener.ip.isV4 == address.isV4 {
        ways.append(RelayOffer(.tls, host: host, port: listener.port, credentials: nobody))
      }
    }
  }

  /// Somebody else's, that has the same secret.
  func set(servers: [String], secret: [UInt8]) throws(StartError) {
    self.secret = secret
    for server in servers {
      guard let way = RelayOffer("<\(server)>;username=x;password=x"), IPAddress(way.host) != nil else {
        throw StartError(
          "'\(server)' under relay.servers is no TURN URI with an address, such as turn:203.0.113.9:3478?transport=udp")
      }
      ways.append(way)
    }
  }

  func offers(for session: String) -> [String] {
    guard !ways.isEmpty else { return [] }
    let credentials = RelayCredentials.issue(
      session: session, expiry: MonotonicClock.wallClockSeconds + Self.lifetime, secret: secret, hashes: .openSSL)
    return ways.map { RelayOffer($0.transport, host: $0.host, port: $0.port, credentials: credentials).text }
  }
}
