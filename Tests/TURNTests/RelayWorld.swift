import EdgeCore
import STUN
import SecureTransport
import SimNet
import TURN

/// A relay server, clients behind NATs and peers that echo, on a virtual wire.
final class RelayWorld {
  final class Client {
    var turn: TURNClient<SeededRandom>
    let host: SimNet.Host
    let address: SocketAddress
    var events: [TURNClient<SeededRandom>.Event] = []
    var received: [(bytes: [UInt8], peer: SocketAddress)] = []
    var frame: [UInt8] = []

    init(_ turn: consuming TURNClient<SeededRandom>, _ host: SimNet.Host, _ address: SocketAddress) {
      self.turn = turn
      self.host = host
      self.address = address
    }

    var relayed: SocketAddress? { turn.relayedAddress }
    var ended: TURNFailure? {
      for case .ended(let failure) in events { return failure }
      return nil
    }
  }

  var net: SimNet
  var now = Instant.zero + .seconds(100)
  var clients: [Client] = []
  /// What the server's listener took, for counting.
  var requests: [STUNMessage] = []
  var channelFrames = 0
  /// Changes an answer on its way to the client.
  var edit: ((inout STUNMessage) -> Bool)?
  var isServerDead = false
  private var server: TURNServer
  private let serverHost: SimNet.Host
  private var relays: [UInt16: RelayID] = [:]
  private var relayPorts: [RelayID: SocketAddress] = [:]
  private var peers: [SimNet.Host: SocketAddress] = [:]
  private var header: [UInt8] = []
  private var configuration: TURNServer.Configuration

  init(seed: UInt64, lossPercent: Int = 0, _ change: (inout TURNServer.Configuration) -> Void = { _ in }) {
    net = SimNet(seed: seed, lossPercent: lossPercent)
    serverHost = net.addHost(RelayDesk.address.ip)
    configuration = TURNServer.Configuration(
      secrets: [RelayDesk.secret], relayAddresses: [RelayDesk.address.ip], ports: 50_000...50_999,
      policy: PeerPolicy(ownAddresses: [RelayDesk.address.ip]))
    change(&configuration)
    server = TURNServer(
      configuration, key: Array(repeating: 1, count: 32), hashes: .openSSL, unixTime: RelayDesk.unixTime, at: now)
  }

  var statistics: TURNServer.Statistics { server.statistics }

  func addClient(
    _ number: UInt64, credentials: RelayCredentials? = nil, lifetime: Duration? = nil
  ) -> Client {
    let nat = net.addNAT(.symmetric, outside: .v4(0xC633_6400 + UInt32(number)))
    let ip = IPAddress.v4(0xC0A8_0002)
    let configuration = TURNClient<SeededRandom>.Configuration(
      server: RelayDesk.address,
      credentials: credentials
        ?? .issue(session: "s\(number)", expiry: RelayDesk.unixTime + 600, secret: RelayDesk.secret, hashes: .openSSL),
      lifetime: lifetime)
    let client = Client(
      TURNClient(configuration, hashes: .openSSL, random: SeededRandom(seed: number)),
      net.addHost(ip, behind: nat), SocketAddress(ip, port: 4000))
    clients.append(client)
    perform(client) { $0.start(at: now, into: &$1) }
    return client
  }

  /// A public host that sends back what it gets.
  func addPeer(_ text: String) -> SocketAddress {
    let address = SocketAddress(text)!
    peers[net.addHost(address.ip)] = address
    return address
  }

  func permit(_ peer: SocketAddress, _ client: Client) {
    perform(client) { $0.permit(peer.ip, at: now, into: &$1) }
  }

  func send(_ bytes: [UInt8], to peer: SocketAddress, _ client: Client) {
    var frame: [UInt8] = []
    var isSent = false
    perform(client) { isSent = $0.send(bytes.span.bytes, to: peer, at: now, frame: &frame, into: &$1) }
    guard isSent else { return }
    net.send(Datagram(source: client.address, destination: RelayDesk.address, bytes: frame), from: client.host, at: now)
  }

  func close(_ client: Client) { perform(client) { $0.close(at: now, into: &$1) } }

  /// The server is started anew and remembers nothing.
  func restartServer() {
    server = TURNServer(
      configuration, key: Array(repeating: 2, count: 32), hashes: .openSSL, unixTime: RelayDesk.unixTime, at: now)
    relays = [:]
    relayPorts = [:]
  }

  private func perform(
    _ client: Client,
    _ body: (inout TURNClient<SeededRandom>, inout Outbox<TURNClient<SeededRandom>.Event>) -> Void
  ) {
    var out = Outbox<TURNClient<SeededRandom>.Event>()
    body(&client.turn, &out)
    apply(out, client)
  }

  private func apply(_ out: Outbox<TURNClient<SeededRandom>.Event>, _ client: Client) {
    client.events += out.events
    for datagram in out.datagrams {
      net.send(
        Datagram(source: client.address, destination: datagram.destination, bytes: datagram.bytes), from: client.host,
        at: now)
    }
  }

  // MARK: Running

  func run(for duration: Duration) { run(for: duration, until: { false }) }

  func run(for duration: Duration, until isDone: () -> Bool) {
    let end = now + duration
    var steps = 0
    while !isDone() {
      var next = Instant.earliest(net.nextArrival, server.nextDeadline)
      for client in clients { next = Instant.earliest(next, client.turn.nextDeadline) }
      guard let next, next <= end else { break }
      steps += 1
      precondition(steps < 2_000_000, "the simulation does not come to rest")
      now = max(now, next)
      while let arrival = net.receive(at: now) { deliver(arrival) }
      var out: [TURNServer.Output] = []
      server.tick(at: now, into: &out)
      carryOut(out)
      for client in clients { perform(client) { $0.tick(at: now, into: &$1) } }
    }
    if !isDone() { now = end }
  }

  private func deliver(_ arrival: SimNet.Arrival) {
    if arrival.host == serverHost {
      if !isServerDead { deliverToServer(arrival) }
    } else if let peer = peers[arrival.host] {
      net.send(Datagram(source: peer, destination: arrival.source, bytes: arrival.bytes), from: arrival.host, at: now)
    } else if let client = clients.first(where: { $0.host == arrival.host }) {
      perform(client) { turn, out in
        if let inbound = turn.receive(arrival.bytes.span.bytes, at: now, into: &out) {
          client.received.append((Array(arrival.bytes[inbound.payload]), inbound.peer))
        }
      }
    }
  }

  private func deliverToServer(_ arrival: SimNet.Arrival) {
    let bytes = arrival.bytes
    if arrival.destination.port == RelayDesk.address.port {
      if let message = parse(bytes)?.message, message.type.messageClass == .request { requests.append(message) }
      if MuxedProtocol(of: bytes.span.bytes) == .turnChannel { channelFrames += 1 }
      let flow = ClientFlow(.udp, link: 0, client: arrival.source, server: RelayDesk.address)
      var out: [TURNServer.Output] = []
      transmit(server.receive(bytes.span.bytes, on: flow, at: now, header: &header, into: &out), bytes)
      carryOut(out)
    } else if let relay = relays[arrival.destination.port] {
      transmit(
        server.receivePeer(byteCount: bytes.count, from: arrival.source, on: relay, at: now, header: &header), bytes)
    }
  }

  private func transmit(_ transmission: TURNServer.Transmission, _ bytes: [UInt8]) {
    switch transmission {
    case .none, .toLoop: break
    case .toPeer(let relay, let peer, let payload):
      net.send(
        Datagram(source: relayPorts[relay]!, destination: peer, bytes: Array(bytes[payload])), from: serverHost, at: now
      )
    case .toClient(let flow, let payload, let padding):
      toClient(header + bytes[payload] + Array(repeating: 0, count: padding), flow)
    }
  }

  private func toClient(_ bytes: [UInt8], _ flow: ClientFlow) {
    net.send(Datagram(source: RelayDesk.address, destination: flow.client, bytes: bytes), from: serverHost, at: now)
  }

  private func carryOut(_ outputs: [TURNServer.Output]) {
    for output in outputs {
      switch output {
      case .send(var bytes, let flow):
        if let edit, var message = parse(bytes)?.message {
          guard edit(&message) else { continue }
          bytes = message.serialized()
        }
        toClient(bytes, flow)
      case .openRelay(let id, let address):
        relays[address.port] = id
        relayPorts[id] = address
        var more: [TURNServer.Output] = []
        server.relayOpened(id, at: now, into: &more)
        carryOut(more)
      case .closeRelay(let id):
        if let address = relayPorts.removeValue(forKey: id) { relays[address.port] = nil }
      case .event, .openTCPRelay, .connect, .join, .closeConnection: break
      }
    }
  }
}
