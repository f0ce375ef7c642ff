import EdgeCore
import ICE
import STUN
import SecureTransport
import SimNet

/// One agent with its host, its STUN client and everything it reported.
final class Peer {
  typealias Agent = ICEAgent<SeededRandom>

  let index: Int
  let host: SimNet.Host
  let base: SocketAddress
  var agent: Agent
  var out = Outbox<Agent.Event>()
  var gatherer: BindingClient<SeededRandom>?
  var gathered = Outbox<BindingClient<SeededRandom>.Event>()
  /// The relayed address this peer may use, which lives at a public host.
  var relay: (host: SimNet.Host, address: SocketAddress)?
  var offersHostCandidates = true
  var hasSignalledCredentials = false
  /// What comes to other ports of the base is taken, and its address becomes a candidate (``BirthdayPunch``).
  var takesGuesses = false

  var events: [Agent.Event] = []
  var selections: [SelectedPath] = []
  var firstSelection: Instant?
  /// When and how it settled: every `completed` and `failed`.
  var settled: [Agent.Event] = []
  var sentChecks = 0

  init(index: Int, host: SimNet.Host, base: SocketAddress, agent: consuming Agent) {
    self.index = index
    self.host = host
    self.base = base
    self.agent = agent
  }

  var isCompleted: Bool { settled.last == .completed }
  var isFailed: Bool {
    if case .failed = settled.last { return true }
    return false
  }
}

/// Two peers, a STUN server, and signalling that takes its time, on a ``SimNet``.
final class World {
  var net: SimNet
  var now = Instant.zero
  var peers: [Peer] = []
  var signalDelay: Duration = .milliseconds(40)
  var steps = 0
  /// Whether a server-reflexive address is asked for.
  var usesSTUN = true

  private let seed: UInt64
  private let server: SimNet.Host
  private let serverAddress = SocketAddress(.v4(0xCB00_710A), port: 3478)
  private var actions: [(due: Instant, serial: Int, run: () -> Void)] = []
  private var serial = 0

  static let publicIP: [IPAddress] = [.v4(0xCB00_7165), .v4(0xCB00_7166)]  // 203.0.113.101, .102
  static let privateIP: [IPAddress] = [.v4(0xC0A8_0102), .v4(0xC0A8_0202)]  // 192.168.1.2, 192.168.2.2

  init(seed: UInt64, lossPercent: Int = 0, latency: Duration = .milliseconds(20)) {
    self.seed = seed
    net = SimNet(seed: seed, lossPercent: lossPercent, latency: latency)
    server = net.addHost(serverAddress.ip)
    net.incorruptible = [serverAddress.ip]
  }

  /// Two peers, each behind a NAT of its own or in the open. The first is controlling.
  convenience init(
    _ a: NATBehaviour?, _ b: NATBehaviour?, seed: UInt64, lossPercent: Int = 0,
    configuration: ICEConfiguration = .init()
  ) {
    self.init(seed: seed, lossPercent: lossPercent)
    for (index, behaviour) in [a, b].enumerated() {
      let router = behaviour.map { net.addNAT($0, outside: Self.publicIP[index]) }
      addPeer(
        at: router == nil ? Self.publicIP[index] : Self.privateIP[index], behind: router,
        role: index == 0 ? .controlling : .controlled, configuration: configuration)
    }
  }

  @discardableResult
  func addPeer(
    at ip: IPAddress, behind router: SimNet.Router? = nil, role: ICERole,
    configuration: ICEConfiguration = .init()
  ) -> Peer {
    let index = peers.count
    let agent = Peer.Agent(
      role: role, configuration: configuration, hashes: .openSSL,
      random: SeededRandom(seed: seed &* 1000 &+ UInt64(index)), now: now)
    let peer = Peer(
      index: index, host: net.addHost(ip, behind: router), base: SocketAddress(ip, port: UInt16(5000 + index)),
      agent: agent)
    peers.append(peer)
    return peer
  }

  /// A relay in the open whose only client is this peer.
  func addRelay(for peer: Peer) {
    let ip = IPAddress.v4(0xCB00_7150 + UInt32(peer.index))
    peer.relay = (net.addHost(ip), SocketAddress(ip, port: 50000))
  }

  func after(_ delay: Duration, _ run: @escaping () -> Void) {
    serial += 1
    actions.append((now + delay, serial, run))
  }

  // MARK: Signalling

  /// Offer from the first peer, answer from the second, candidates trickled as they are found.
  func connect(skew: Duration = .zero) {
    let (a, b) = (peers[0], peers[1])
    signalCredentials(from: a, to: b) {
      self.after(skew) {
        self.signalCredentials(from: b, to: a) {}
        self.gather(b)
      }
    }
    gather(a)
  }

  func signalCredentials(from: Peer, to: Peer, then: @escaping () -> Void) {
    from.hasSignalledCredentials = true
    let (ufrag, password) = (from.agent.localUfrag, from.agent.localPassword)
    after(signalDelay) {
      to.agent.setRemoteCredentials(ufrag: ufrag, password: password, at: self.now, into: &to.out)
      self.flush(to)
      then()
    }
  }

  func gather(_ peer: Peer) {
    if peer.offersHostCandidates { add(peer, address: peer.base, base: peer.base, .host) }
    if let relay = peer.relay { add(peer, address: relay.address, base: relay.address, .relay) }
    guard usesSTUN else {
      end(peer)
      return
    }
    var gatherer = BindingClient(
      .init(server: serverAddress, source: peer.base), random: SeededRandom(seed: seed &+ UInt64(peer.index)))
    gatherer.start(at: now, into: &peer.gathered)
    peer.gatherer = consume gatherer
    flush(peer)
  }

  func add(_ peer: Peer, address: SocketAddress, base: SocketAddress, _ kind: CandidateKind) {
    let candidate = peer.agent.addLocalCandidate(
      base: base, address: address, kind: kind, server: kind == .host ? nil : serverAddress, at: now,
      into: &peer.out)
    flush(peer)
    guard let candidate else { return }
    signal(candidate, of: peer)
  }

  private func signal(_ candidate: Candidate, of peer: Peer) {
    let other = peers[1 - peer.index]
    after(signalDelay) {
      other.agent.addRemoteCandidate(candidate, at: self.now, into: &other.out)
      self.flush(other)
    }
  }

  /// All of them again, for a restart.
  func signalCandidates(of peer: Peer) {
    for candidate in peer.agent.localCandidates { signal(candidate, of: peer) }
    end(peer)
  }

  private func end(_ peer: Peer) {
    let other = peers[1 - peer.index]
    after(signalDelay + .milliseconds(1)) {
      other.agent.endOfRemoteCandidates(at: self.now, into: &other.out)
      self.flush(other)
    }
  }

  // MARK: Running

  /// Steps until `isDone`, or `limit` of virtual time; a live-lock runs into the cap on steps.
  func run(for limit: Duration = .seconds(200), maxSteps: Int = 40000, until isDone: () -> Bool = { false }) {
    let end = now + limit
    let lastStep = steps + maxSteps
    while !isDone() {
      guard let next = nextTime, next <= end else {
        now = end
        return
      }
      steps += 1
      guard steps < lastStep else { preconditionFailure("no end after \(maxSteps) steps, seed \(seed)") }
      now = max(now, next)
      step()
    }
  }

  func runUntilSettled() { run { peers.allSatisfy { !$0.settled.isEmpty } } }

  private var nextTime: Instant? {
    var next = net.nextArrival
    for action in actions { next = Instant.earliest(next, action.due) }
    for peer in peers {
      next = Instant.earliest(next, peer.agent.nextDeadline)
      if peer.gatherer != nil { next = Instant.earliest(next, peer.gatherer?.nextDeadline) }
    }
    return next
  }

  private func step() {
    while let place = actions.indices.filter({ actions[$0].due <= now }).min(by: {
      actions[$0].serial < actions[$1].serial
    }) {
      actions.remove(at: place).run()
    }
    while let arrival = net.receive(at: now) { deliver(arrival) }
    for peer in peers {
      if let due = peer.agent.nextDeadline, due <= now { peer.agent.tick(at: now, into: &peer.out) }
      if let due = peer.gatherer?.nextDeadline, due <= now { peer.gatherer?.tick(at: now, into: &peer.gathered) }
      flush(peer)
    }
  }

  private func deliver(_ arrival: SimNet.Arrival) {
    let bytes = arrival.bytes
    if arrival.host == server {
      guard let answer = BindingResponder.answer(to: bytes.span.bytes, from: arrival.source) else { return }
      net.send(
        Datagram(source: arrival.destination, destination: arrival.source, bytes: answer), from: server, at: now)
      return
    }
    guard let peer = peers.first(where: { $0.host == arrival.host || $0.relay?.host == arrival.host }) else { return }
    let to = arrival.destination
    if peer.takesGuesses, to.ip == peer.base.ip, to.port != peer.base.port {
      peer.agent.addLocalCandidate(base: to, address: to, kind: .host, localPreference: 1, at: now, into: &peer.out)
    }
    if peer.gatherer?.receive(bytes.span.bytes, from: arrival.source, at: now, into: &peer.gathered) != true {
      peer.agent.receive(
        bytes.span.bytes, from: arrival.source, to: arrival.destination, at: now, into: &peer.out)
    }
    flush(peer)
  }

  func flush(_ peer: Peer) {
    let datagrams = peer.out.datagrams + peer.gathered.datagrams
    for event in peer.out.events { note(event, peer) }
    let mapped = peer.gathered.events
    peer.out.removeAll()
    peer.gathered.removeAll()
    peer.sentChecks += datagrams.count
    for datagram in datagrams {
      let viaRelay = peer.relay.map { $0.address == datagram.source } ?? false
      net.send(datagram, from: viaRelay ? peer.relay?.host ?? peer.host : peer.host, at: now)
    }
    for event in mapped {
      if case .mapped(let address, _) = event { add(peer, address: address, base: peer.base, .serverReflexive) }
      end(peer)
    }
  }

  private func note(_ event: ICEEvent, _ peer: Peer) {
    peer.events.append(event)
    switch event {
    case .selected(let path):
      peer.selections.append(path)
      if peer.firstSelection == nil { peer.firstSelection = now }
    case .completed, .failed: peer.settled.append(event)
    default: break
    }
  }

  /// Whether what each sees of the other is the same pair of addresses.
  var agree: Bool {
    guard let a = peers[0].agent.selectedPath, let b = peers[1].agent.selectedPath else { return false }
    return a.local.address == b.remote.address && a.remote.address == b.local.address
  }

  var description: String {
    peers.map { peer in
      let path = peer.agent.selectedPath.map { "\($0.local.address) -> \($0.remote.address)" } ?? "no path"
      return "peer \(peer.index): \(path), settled \(peer.settled), checks \(peer.sentChecks)"
    }.joined(separator: "; ") + ", seed \(seed), at \(now - .zero)"
  }
}
