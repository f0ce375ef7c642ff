internal import EdgeCore
internal import ICE
internal import LinuxIO
internal import SDP
internal import STUN
internal import SecureTransport

/// One question to one STUN server (RFC 8445 §5.1.1.2).
final class Gatherer {
  var client: BindingClient<SystemRandom>
  let socket: UDPSocket
  let server: SocketAddress
  var isDone = false

  init(server: SocketAddress, socket: UDPSocket) {
    self.server = server
    self.socket = socket
    client = BindingClient(BindingClient.Configuration(server: server), random: SystemRandom())
  }

  var nextDeadline: Instant? { isDone ? nil : client.nextDeadline }
}

/// Learning our own addresses (RFC 8445 §5.1.1).
extension PeerSession {
  /// At most this many interface addresses: more only make checks slower.
  private static let maximumHosts = 8

  /// Calls `completion` once: when all servers have answered, or when the time for it is over.
  func gather(_ completion: @escaping () -> Void) {
    handOut = completion
    openSockets()
    guard !sockets.isEmpty || !relays.isEmpty else {
      reactor.enqueue(.signalling) { [self] in end(.setup("no UDP socket could be opened")) }
      return
    }
    gatherCandidates()
  }

  /// What this machine and the servers it may ask know of its addresses now.
  func gatherCandidates() {
    if configuration.policy != .relayOnly, configuration.includesHostCandidates { addHosts() }
    for relay in relays {
      add(
        base: relay.relayedAddress, address: relay.relayedAddress, kind: .relay, server: relay.server,
        related: relay.mappedAddress)
    }
    if configuration.policy != .relayOnly {
      askServers()
      expectMapping()
    }
    askRouter()
    if gatherers.isEmpty {
      // Later, as when there are servers: the owner has not yet kept what it was given.
      reactor.enqueue(.signalling) { [self] in gatherersChanged() }
    } else {
      gatherTimer = reactor.schedule(after: configuration.gatherLimit) { [self] in
        gatherTimer = nil
        handDescriptionOut()
      }
    }
  }

  /// The router does with this port most likely what it did with the last one, which saves the answer a round trip.
  private func expectMapping() {
    guard let expected = configuration.expectedMapping,
      let port = sockets.first(where: { $0.localAddress.ip.isV4 })?.localAddress.port,
      let base = agent?.localCandidates.first(where: { $0.kind == .host && $0.base.ip == expected.own })?.base
    else { return }
    add(
      base: base, address: SocketAddress(expected.outside, port: port), kind: .serverReflexive,
      server: gatherers.first?.server)
    reactor.enqueue(.signalling) { [self] in handDescriptionOut() }
  }

  private func openSockets() {
    for ip in [IPAddress.anyV6, .anyV4] {
      // A machine may lack either family.
      guard let socket = try? UDPSocket(reactor: reactor, bind: SocketAddress(ip, port: configuration.port)) else {
        continue
      }
      socket.onDatagram = { [self] bytes, source, local in receive(bytes, from: source, to: local) }
      sockets.append(socket)
    }
  }

  /// RFC 8445 §5.1.1.1, ordered as RFC 8421 §4 wants: address families take turns.
  private func addHosts() {
    let all = (try? NetworkInterfaces.addresses()) ?? []
    var families: [[SocketAddress]] = []
    for socket in sockets {
      let own = all.filter {
        $0.address.isV4 == socket.localAddress.ip.isV4 && (configuration.includesLoopback || !$0.isLoopback)
      }
      // Link-local addresses only serve where there is nothing else, on a bare cable.
      let routable = own.filter { !$0.isLinkLocal }
      families.append(
        (routable.isEmpty ? own : routable).map { SocketAddress($0.address, port: socket.localAddress.port) })
    }
    var index = 0
    var count = 0
    while families.contains(where: { index < $0.count }), count < Self.maximumHosts {
      for family in families where index < family.count && count < Self.maximumHosts {
        add(base: family[index], address: family[index], kind: .host)
        count += 1
      }
      index += 1
    }
  }

  private func askServers() {
    for server in configuration.stunServers.prefix(4) {
      for socket in sockets where socket.localAddress.ip.isV4 == server.ip.isV4 {
        let gatherer = Gatherer(server: server, socket: socket)
        gatherers.append(gatherer)
        var out = Outbox<BindingClient<SystemRandom>.Event>()
        gatherer.client.start(at: reactor.now, into: &out)
        apply(out, of: gatherer, local: nil)
      }
    }
  }

  func tickGatherers(at now: Instant) {
    for gatherer in gatherers where !gatherer.isDone {
      guard let deadline = gatherer.nextDeadline, now >= deadline else { continue }
      var out = Outbox<BindingClient<SystemRandom>.Event>()
      gatherer.client.tick(at: now, into: &out)
      apply(out, of: gatherer, local: nil)
    }
  }

  /// Whether the datagram answered one of our questions.
  func receiveForGatherers(_ bytes: RawSpan, from source: SocketAddress, to local: SocketAddress) -> Bool {
    for gatherer in gatherers where !gatherer.isDone && gatherer.server == source {
      var out = Outbox<BindingClient<SystemRandom>.Event>()
      if gatherer.client.receive(bytes, from: source, at: reactor.now, into: &out) {
        apply(out, of: gatherer, local: local)
        return true
      }
    }
    return false
  }

  private func apply(
    _ out: Outbox<BindingClient<SystemRandom>.Event>, of gatherer: Gatherer, local: SocketAddress?
  ) {
    for datagram in out.datagrams { transmit(datagram) }
    for event in out.events {
      switch event {
      case .mapped(let address, _):
        gatherer.isDone = true
        // The address of ours the answer came to is the base: the routing table chose it.
        if let local { add(base: local, address: address, kind: .serverReflexive, server: gatherer.server) }
      case .failed: gatherer.isDone = true
      case .alive, .changed: break
      }
    }
    if !out.events.isEmpty { gatherersChanged() }
  }

  func gatherersChanged() {
    guard phase == .gathering || phase == .described, !gatherers.contains(where: { !$0.isDone }) else { return }
    gatherers = []
    guard !isGathered else { return }
    // A relay may still come: the description goes out without it and leaves the end open.
    guard expectedRelays == 0, !isAskingRouter else { return handDescriptionOut() }
    isGathered = true
    if let gatherTimer { reactor.cancel(gatherTimer) }
    gatherTimer = nil
    if handOut != nil { handDescriptionOut() } else { onLocalCandidatesEnded?() }
  }

  private func handDescriptionOut() {
    guard phase == .gathering, let completion = handOut else { return }
    phase = .described
    handOut = nil
    trace.gathered = reactor.now - startedAt
    completion()
  }

  /// Adds a candidate, and trickles it when the description is already out.
  func add(
    base: SocketAddress, address: SocketAddress, kind: CandidateKind, server: SocketAddress? = nil,
    related: SocketAddress? = nil
  ) {
    var out = Outbox<ICEEvent>()
    let candidate = agent?.addLocalCandidate(
      base: base, address: address, kind: kind, server: server, relatedAddress: related, at: reactor.now, into: &out)
    apply(out)
    if let candidate, phase == .described, isSignalled(kind) { onLocalCandidate?(SDPCandidate(candidate)) }
  }
}
