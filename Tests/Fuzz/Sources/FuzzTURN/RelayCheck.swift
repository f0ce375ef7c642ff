import EdgeCore
import STUN
import TURN

/// What a stranger, a client with an allocation, its peers and the clock can do to a relay, in any order; the same
/// bytes reach a client as if they came from its server. Nothing may trap, a stranger's datagram is never answered
/// with more than 1.6 times its size, and nothing is relayed to an address nobody may reach.
///
/// Every hash is zeros, so that inputs can carry an integrity that holds: a password is the one thing they guess.
func checkRelay(_ bytes: [UInt8]) {
  var relay = Relay()
  var rest = bytes[...]
  for _ in 0..<64 {
    guard let operation = rest.popFirst(), let count = rest.popFirst() else { return }
    let input = Array(rest.prefix(Int(count)))
    rest = rest.dropFirst(Int(count))
    relay.perform(operation, input)
  }
}

private struct Relay: ~Copyable {
  private var server: TURNServer
  private var client: TURNClient<SeededRandom>
  private var framer = TURNStreamFramer()
  private var now = Instant.zero + .seconds(5000)
  private var header: [UInt8] = []
  private var open: [RelayID] = []

  private static let address = SocketAddress(.v4(0xCB00_710A), port: 3478)
  private static let own = IPAddress.v4(0xCB00_710A)

  init() {
    let policy = PeerPolicy(ownAddresses: [Self.own])
    let configuration = TURNServer.Configuration(
      secrets: [[1]], relayAddresses: [Self.own], ports: 50_000...50_015, policy: policy)
    server = TURNServer(
      configuration, key: Array(repeating: 0, count: 32), hashes: .zeros, unixTime: 1_800_000_000, at: now)
    let credentials = RelayCredentials(username: "1900000000:s", password: "p")
    client = TURNClient(
      TURNClient<SeededRandom>.Configuration(server: Self.address, isStream: false, credentials: credentials),
      hashes: .zeros, random: SeededRandom(seed: 1))
    var out = Outbox<TURNClient<SeededRandom>.Event>()
    client.start(at: now, into: &out)
  }

  mutating func perform(_ operation: UInt8, _ input: [UInt8]) {
    let number = operation >> 4 & 3
    switch operation & 7 {
    case 0, 1, 2: receive(input, on: flow(.udp, number))
    case 3: receiveStream(input, on: flow(.tcp, number))
    case 4: receiveFromServer(input)
    case 5: receiveFromPeer(input, number)
    case 6: advance(.seconds(Int64(input.count) * 10))
    default: close(flow(.tcp, number))
    }
  }

  private func flow(_ transport: ClientFlow.Transport, _ number: UInt8) -> ClientFlow {
    ClientFlow(
      transport, link: transport.isStream ? Int(number) : -1,
      client: SocketAddress(.v4(0xC633_6400 | UInt32(number)), port: 4000), server: Self.address)
  }

  private mutating func receive(_ input: [UInt8], on flow: ClientFlow) {
    let isKnown = server.hasAllocation(flow)
    var out: [TURNServer.Output] = []
    let span = input.span
    let transmission = server.receive(span.bytes, on: flow, at: now, header: &header, into: &out)
    if case .toPeer(_, let peer, let payload) = transmission {
      precondition(isKnown && payload.upperBound <= input.count, "relayed for a stranger, or what was not there")
      precondition(!peer.ip.isLoopback && !peer.ip.isPrivate && peer.ip != Self.own, "relayed to \(peer)")
    }
    for case .send(let answer, _) in out where !isKnown && !flow.transport.isStream && !server.hasAllocation(flow) {
      // Signed answers go to who has a password; a challenge is the largest of the others.
      let isSigned = (try? ReceivedMessage(parsing: answer.span.bytes))?.hasIntegrity ?? true
      precondition(
        isSigned || answer.count * 10 <= input.count * 16 || isStale(answer), "\(answer.count) for \(input.count)")
    }
    carryOut(out)
  }

  /// 438 is for a request whose integrity holds, so it reflects nothing.
  private func isStale(_ answer: [UInt8]) -> Bool {
    (try? ReceivedMessage(parsing: answer.span.bytes))?.message.errorCode == .staleNonce
  }

  private mutating func receiveStream(_ input: [UInt8], on flow: ClientFlow) {
    var frames: [[UInt8]] = []
    let span = input.span
    do throws(TURNStreamFramer.Broken) {
      try framer.receive(span.bytes) { frames.append([UInt8](copying: $0)) }
    } catch {
      framer = TURNStreamFramer()
      return close(flow)
    }
    for frame in frames { receive(frame, on: flow) }
  }

  private mutating func receiveFromServer(_ input: [UInt8]) {
    var out = Outbox<TURNClient<SeededRandom>.Event>()
    let span = input.span
    if let inbound = client.receive(span.bytes, at: now, into: &out) {
      precondition(inbound.payload.upperBound <= input.count, "data from nowhere")
    }
    precondition(out.datagrams.count <= 8, "one datagram made \(out.datagrams.count)")
  }

  private mutating func receiveFromPeer(_ input: [UInt8], _ number: UInt8) {
    guard let id = open.first else { return }
    let peer = SocketAddress(.v4(0xC633_6400 | UInt32(number)), port: 4000)
    let transmission = server.receivePeer(byteCount: input.count, from: peer, on: id, at: now, header: &header)
    if case .toClient(_, let payload, _) = transmission {
      precondition(payload == 0..<input.count && header.count <= 64, "a header of \(header.count)")
    }
  }

  private mutating func advance(_ duration: Duration) {
    now = now + duration
    var out: [TURNServer.Output] = []
    server.tick(at: now, into: &out)
    carryOut(out)
    var events = Outbox<TURNClient<SeededRandom>.Event>()
    client.tick(at: now, into: &events)
  }

  private mutating func close(_ flow: ClientFlow) {
    var out: [TURNServer.Output] = []
    server.flowClosed(flow, into: &out)
    carryOut(out)
  }

  private mutating func carryOut(_ outputs: [TURNServer.Output]) {
    for output in outputs {
      switch output {
      case .connect(let id, _, let peer):
        precondition(!peer.ip.isLoopback && !peer.ip.isPrivate && peer.ip != Self.own, "connected to \(peer)")
        var more: [TURNServer.Output] = []
        if id % 4 == 3 {
          server.connectionEnded(id, into: &more)
        } else {
          server.peerConnected(id, at: now, into: &more)
        }
        carryOut(more)
      case .openRelay(let id, let address), .openTCPRelay(let id, let address):
        var more: [TURNServer.Output] = []
        // One port in four is not to be had.
        if address.port % 4 == 3 {
          server.relayRefused(id, at: now, into: &more)
        } else {
          open.append(id)
          server.relayOpened(id, at: now, into: &more)
        }
        carryOut(more)
      case .closeRelay(let id): open.removeAll { $0 == id }
      case .send, .event, .join, .closeConnection: break
      }
    }
    precondition(open.count <= 16, "more relayed addresses than ports")
  }
}

extension Hashes {
  fileprivate static let zeros = Hashes(
    md5: { _ in Array(repeating: 0, count: 16) }, sha1: { _ in Array(repeating: 0, count: 20) },
    sha256: { _ in Array(repeating: 0, count: 32) }, hmacSHA1: { _, _ in Array(repeating: 0, count: 20) },
    hmacSHA256: { _, _ in Array(repeating: 0, count: 32) })
}
