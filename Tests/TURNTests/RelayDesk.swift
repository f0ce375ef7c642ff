import EdgeCore
import STUN
import SecureTransport
import TURN

/// One relay server without a network: requests go in by hand, sockets are opened as told.
final class RelayDesk {
  static let address = SocketAddress("203.0.113.10:3478")!
  static let secret = Array("a secret of the server".utf8)
  static let unixTime: Int64 = 1_800_000_000

  let ledger: RelayLedger
  private var server: TURNServer
  var now = Instant.zero + .seconds(5000)
  var header: [UInt8] = []
  var openRelays: [RelayID: SocketAddress] = [:]
  var events: [TURNServer.Event] = []
  /// What clients were sent since it was last emptied.
  var sent: [(bytes: [UInt8], flow: ClientFlow)] = []
  /// What TCP allocations asked for: connections to make, joined and closed.
  var connects: [(id: UInt32, relay: RelayID, peer: SocketAddress)] = []
  var joined: [UInt32: ClientFlow] = [:]
  var closed: [UInt32] = []
  /// Ports the kernel would not give.
  var isRefused: (SocketAddress) -> Bool = { _ in false }
  private var random = SeededRandom(seed: 7)

  /// `sharing`: another loop of the same relay.
  init(sharing ledger: RelayLedger? = nil, loop: Int = 0, _ change: (inout TURNServer.Configuration) -> Void = { _ in })
  {
    var configuration = TURNServer.Configuration(
      secrets: [Self.secret], relayAddresses: [IPAddress("203.0.113.10")!], ports: 50_000...50_999,
      policy: PeerPolicy(ownAddresses: [IPAddress("203.0.113.10")!, IPAddress("10.1.2.3")!]))
    change(&configuration)
    let key = [UInt8](repeating: 9, count: 32)
    self.ledger = ledger ?? RelayLedger(configuration, key: key, hashes: .openSSL)
    server = TURNServer(
      configuration, key: key, hashes: .openSSL, unixTime: Self.unixTime, at: now, ledger: self.ledger, loop: loop)
  }

  func siblingSends(_ count: Int, from sender: SocketAddress, to relayed: SocketAddress) -> TURNServer.Transmission {
    server.receiveSibling(byteCount: count, from: sender, to: relayed, at: now, header: &header)
  }

  var statistics: TURNServer.Statistics { server.statistics }
  var sizes: [Int] {
    let sizes = server.tableSizes
    return [sizes.allocations, sizes.slots, sizes.deadlines, sizes.reservations, sizes.sessions, sizes.signalled]
  }
  var nextDeadline: Instant? { server.nextDeadline }

  func flow(_ number: Int = 1, _ transport: ClientFlow.Transport = .udp) -> ClientFlow {
    ClientFlow(
      transport, link: transport.isStream ? number : 0,
      client: SocketAddress(.v4(0xC633_6400 + UInt32(number)), port: 40_000), server: Self.address)
  }

  func credentials(_ session: String = "s1", valid: Int64 = 600) -> RelayCredentials {
    .issue(session: session, expiry: Self.unixTime + valid, secret: Self.secret, hashes: .openSSL)
  }

  // MARK: In

  @discardableResult
  func receive(_ bytes: [UInt8], _ flow: ClientFlow, skipping skipped: Int = 0) -> TURNServer.Transmission {
    var out: [TURNServer.Output] = []
    let whole = bytes.span
    let transmission = server.receive(
      whole.bytes.extracting(skipped..<bytes.count), on: flow, at: now, header: &header, into: &out)
    carryOut(out)
    return transmission
  }

  func peerSends(_ count: Int, from peer: String, on relay: RelayID) -> TURNServer.Transmission {
    server.receivePeer(byteCount: count, from: SocketAddress(peer)!, on: relay, at: now, header: &header)
  }

  func icmp(_ type: UInt8, _ code: UInt8, _ data: UInt32, about peer: String, on relay: RelayID) {
    var out: [TURNServer.Output] = []
    server.receiveICMP(type: type, code: code, data: data, about: SocketAddress(peer)!, on: relay, at: now, into: &out)
    carryOut(out)
  }

  func advance(_ duration: Duration) {
    let end = now + duration
    while let deadline = server.nextDeadline, deadline <= end {
      now = max(now, deadline)
      tick()
    }
    now = end
    tick()
  }

  private func tick() {
    var out: [TURNServer.Output] = []
    server.tick(at: now, into: &out)
    carryOut(out)
  }

  func peerConnected(_ id: UInt32) {
    var out: [TURNServer.Output] = []
    server.peerConnected(id, at: now, into: &out)
    carryOut(out)
  }

  func peerAccepted(_ peer: String, on relay: RelayID) -> UInt32? {
    var out: [TURNServer.Output] = []
    defer { carryOut(out) }
    return server.peerAccepted(from: SocketAddress(peer)!, on: relay, at: now, into: &out)
  }

  func connectionEnded(_ id: UInt32) {
    var out: [TURNServer.Output] = []
    server.connectionEnded(id, into: &out)
    carryOut(out)
  }

  func carried(_ id: UInt32, toPeer: Int, toClient: Int) -> Bool {
    server.carried(id, toPeer: toPeer, toClient: toClient)
  }

  func close(_ flow: ClientFlow) {
    var out: [TURNServer.Output] = []
    server.flowClosed(flow, into: &out)
    carryOut(out)
  }

  func revoke(_ session: String) {
    var out: [TURNServer.Output] = []
    server.revoke(session: session, into: &out)
    carryOut(out)
  }

  func signal(_ addresses: [String], session: String = "s1") {
    server.addSignalledPeers(addresses.map { IPAddress($0)! }, session: session, at: now)
  }

  private func carryOut(_ outputs: [TURNServer.Output]) {
    for output in outputs {
      switch output {
      case .send(let bytes, let flow): sent.append((bytes, flow))
      case .connect(let id, let relay, let peer): connects.append((id, relay, peer))
      case .join(let id, let flow): joined[id] = flow
      case .closeConnection(let id): closed.append(id)
      case .openRelay(let id, let address), .openTCPRelay(let id, let address):
        var more: [TURNServer.Output] = []
        if isRefused(address) {
          server.relayRefused(id, at: now, into: &more)
        } else {
          openRelays[id] = address
          server.relayOpened(id, at: now, into: &more)
        }
        carryOut(more)
      case .closeRelay(let id): openRelays[id] = nil
      case .event(let event): events.append(event)
      }
    }
  }

  // MARK: Requests

  /// Sends a request and returns what comes back, if one thing does.
  func ask(
    _ method: Method, _ attributes: [Attribute] = [], on flow: ClientFlow, as user: RelayCredentials?,
    nonce: [UInt8]? = nil, id: TransactionID? = nil
  ) -> STUNMessage? {
    receive(request(method, attributes, on: flow, as: user, nonce: nonce, id: id), flow)
    defer { sent = [] }
    guard sent.count == 1 else { return nil }
    return parse(sent[0].bytes)?.message
  }

  func request(
    _ method: Method, _ attributes: [Attribute], on flow: ClientFlow, as user: RelayCredentials?,
    nonce: [UInt8]? = nil, id: TransactionID? = nil
  ) -> [UInt8] {
    var message = STUNMessage(
      .request, method, transaction: id ?? TransactionID(using: &random), attributes: attributes)
    guard let user else { return message.serialized() }
    message.attributes += [
      Attribute(.username, user.username), Attribute(.realm, "edge"),
      Attribute(.nonce, nonce ?? self.nonce(flow)),
    ]
    return message.serialized(integrity: .sha1(key: key(user)), hashes: .openSSL)
  }

  func key(_ user: RelayCredentials) -> [UInt8] {
    Hashes.openSSL.md5(Array("\(user.username):edge:\(user.password)".utf8))
  }

  /// A fresh one, from the server.
  func nonce(_ flow: ClientFlow) -> [UInt8] {
    let kept = sent
    now = now + .milliseconds(200)
    defer { sent = kept }
    sent = []
    let bare = STUNMessage(
      .request, .allocate, transaction: TransactionID(using: &random), attributes: [.requestedTransport(17)])
    receive(bare.serialized(), flow)
    guard let answer = sent.first, let parsed = parse(answer.bytes) else {
      return Array("none".utf8)
    }
    return parsed.message[.nonce]?.value ?? []
  }

  func allocate(
    _ attributes: [Attribute] = [], on flow: ClientFlow, as user: RelayCredentials? = nil, id: TransactionID? = nil
  ) -> STUNMessage? {
    ask(.allocate, [.requestedTransport(17)] + attributes, on: flow, as: user ?? credentials(), id: id)
  }

  /// Allocates and returns the relay.
  func relay(on flow: ClientFlow, as user: RelayCredentials? = nil) -> RelayID? {
    let before = Set(openRelays.keys)
    guard allocate(on: flow, as: user)?.type.messageClass == .success else { return nil }
    return openRelays.keys.first { !before.contains($0) }
  }

  func permit(_ peers: [String], on flow: ClientFlow, as user: RelayCredentials? = nil) -> STUNMessage? {
    let id = TransactionID(using: &random)
    return ask(
      .createPermission, peers.map { .xorAddress(.xorPeerAddress, Self.peer($0), transaction: id) }, on: flow,
      as: user ?? credentials(), id: id)
  }

  func bind(_ number: UInt16, to peer: String, on flow: ClientFlow) -> STUNMessage? {
    let id = TransactionID(using: &random)
    return ask(
      .channelBind,
      [.channelNumber(number), .xorAddress(.xorPeerAddress, Self.peer(peer), transaction: id)], on: flow,
      as: credentials(), id: id)
  }

  /// The code a request with this nonce is answered with; one that changes nothing.
  func probe(_ nonce: [UInt8], on flow: ClientFlow) -> Int? {
    ask(.refresh, [], on: flow, as: credentials("probe", valid: 90_000), nonce: nonce)?.code
  }

  func sendChannelData(_ number: UInt16, _ payload: [UInt8], on flow: ClientFlow) -> TURNServer.Transmission {
    var frame: [UInt8] = []
    ChannelData.writeHeader(number, count: payload.count, to: &frame)
    return receive(frame + payload, flow)
  }

  @discardableResult
  func sendIndication(
    _ payload: [UInt8]?, to peers: [String], on flow: ClientFlow, extra: [Attribute] = []
  ) -> TURNServer.Transmission {
    let id = TransactionID(using: &random)
    var attributes: [Attribute] = peers.map { .xorAddress(.xorPeerAddress, Self.peer($0), transaction: id) }
    attributes += extra
    if let payload { attributes.append(Attribute(.data, payload)) }
    return receive(STUNMessage(.indication, .send, transaction: id, attributes: attributes).serialized(), flow)
  }

  static func peer(_ text: String) -> SocketAddress {
    SocketAddress(text) ?? SocketAddress(IPAddress(text)!, port: 0)
  }
}

extension STUNMessage {
  var code: Int? { errorCode?.rawValue }
  var isSuccess: Bool { type.messageClass == .success }
}

func parse(_ bytes: [UInt8]) -> ReceivedMessage? { try? ReceivedMessage(parsing: bytes.span.bytes) }
