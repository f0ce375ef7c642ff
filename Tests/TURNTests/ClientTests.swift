import EdgeCore
import STUN
import SecureTransport
import SimNet
import TURN
import Testing

@Suite("Relay client and server")
struct ClientTests {
  static let data: [UInt8] = [0x80, 1, 2, 3, 4]

  @Test func `an allocation takes two round trips and data one more`() {
    let world = RelayWorld(seed: 1)
    let client = world.addClient(1)
    let peer = world.addPeer("192.0.2.9:7")
    let start = world.now
    world.run(for: .seconds(1)) { client.relayed != nil }
    // 20 ms one way and up to 2 ms of jitter.
    #expect(world.now - start <= .milliseconds(88))
    #expect(client.turn.mappedAddress?.ip == IPAddress("198.51.100.1"))
    // The permission is asked for and the first data follows at once: it arrives behind it.
    world.permit(peer, client)
    world.net.jitter = .zero
    world.run(for: .milliseconds(5))
    world.send(Self.data, to: peer, client)
    world.run(for: .milliseconds(200))
    #expect(client.received.map(\.bytes) == [Self.data])
    #expect(client.received.first?.peer == peer)
    #expect(client.events.contains(.permitted(peer.ip)))
  }

  @Test(arguments: UInt64(0)..<60)
  func `whatever is lost, an allocation comes about, carries data and is given back`(seed: UInt64) {
    let world = RelayWorld(seed: seed, lossPercent: seed < 20 ? 0 : seed < 40 ? 10 : 30)
    let client = world.addClient(seed)
    let peer = world.addPeer("192.0.2.9:7")
    world.permit(peer, client)
    world.run(for: .seconds(60)) { client.events.contains(.permitted(peer.ip)) }
    #expect(client.events.contains(.permitted(peer.ip)), "seed \(seed)")
    for _ in 0..<60 {
      world.send(Self.data, to: peer, client)
      world.run(for: .milliseconds(500))
    }
    // Four ways, each with the loss.
    #expect(client.received.count > (seed < 20 ? 55 : seed < 40 ? 25 : 4), "seed \(seed)")
    #expect(client.events.contains(.bound(peer)), "seed \(seed)")
    #expect(world.channelFrames > 20, "seed \(seed)")
    world.net.lossPercent = 0
    world.close(client)
    world.run(for: .seconds(60)) { client.ended != nil }
    #expect(client.ended == .closed)
    #expect(world.statistics.allocations == 0)
  }

  /// Nonces run out every 100 s, so every kind of request meets a 438 in mid-session.
  @Test func `for six hours allocation, permissions and channel are kept with few packets`() {
    let world = RelayWorld(seed: 3, lossPercent: 5) { $0.nonceLifetime = .seconds(100) }
    let client = world.addClient(1)
    let peer = world.addPeer("192.0.2.9:7")
    let quiet = world.addPeer("192.0.2.10:7")
    world.permit(peer, client)
    world.permit(quiet, client)
    world.run(for: .seconds(5))
    for _ in 0..<5 { world.send(Self.data, to: peer, client) }
    world.run(for: .seconds(5))
    world.requests = []
    for _ in 0..<(6 * 60) {
      world.run(for: .seconds(60))
      world.send(Self.data, to: peer, client)
    }
    #expect(client.ended == nil)
    #expect(client.relayed != nil && world.statistics.allocations == 1)
    #expect(world.statistics.permissions == 2 && world.statistics.channels == 1)
    let methods = Set(world.requests.map(\.type.method))
    #expect(methods == [.refresh, .createPermission, .channelBind])
    // Three things to keep, each at most every 240 s and asked twice because of the nonce, and 5 % lost.
    #expect(world.requests.count < 6 * 3600 / 240 * 3 * 2 * 3 / 2)
    world.net.lossPercent = 0
    world.run(for: .seconds(1))
    client.received = []
    world.send(Self.data, to: peer, client)
    world.send(Self.data, to: quiet, client)
    world.run(for: .seconds(1))
    #expect(client.received.count == 2)
  }

  @Test func `a channel nobody uses is let go, and another takes its place later`() {
    let world = RelayWorld(seed: 4)
    let client = world.addClient(1)
    let peer = world.addPeer("192.0.2.9:7")
    world.permit(peer, client)
    world.run(for: .seconds(1))
    for _ in 0..<3 { world.send(Self.data, to: peer, client) }
    world.run(for: .seconds(1))
    #expect(client.events.contains(.bound(peer)))
    world.run(for: .seconds(1000))
    client.received = []
    let frames = world.channelFrames
    for _ in 0..<5 { world.send(Self.data, to: peer, client) }
    world.run(for: .seconds(1))
    // RFC 8656 §12: not bound to another number for five minutes; data goes on without.
    #expect(client.received.count == 5)
    #expect(world.channelFrames == frames)
    world.run(for: .seconds(300))
    for _ in 0..<8 {
      world.send(Self.data, to: peer, client)
      world.run(for: .seconds(1))
    }
    #expect(world.channelFrames > frames)
    #expect(client.received.count == 13)
  }

  @Test func `STUN alone binds no channel`() {
    let world = RelayWorld(seed: 5)
    let client = world.addClient(1)
    let peer = world.addPeer("192.0.2.9:7")
    world.permit(peer, client)
    world.run(for: .seconds(1))
    let check = STUNMessage(.request, .binding, transaction: TransactionID(high: 1, low: 1)).serialized()
    for _ in 0..<20 { world.send(check, to: peer, client) }
    world.run(for: .seconds(1))
    #expect(client.received.count == 20)
    #expect(!client.events.contains(.bound(peer)))
  }

  @Test func `two clients behind symmetric NATs reach each other over one relay`() throws {
    let world = RelayWorld(seed: 6)
    let left = world.addClient(1)
    let right = world.addClient(2)
    world.run(for: .seconds(1))
    let (a, b) = (try #require(left.relayed), try #require(right.relayed))
    world.permit(b, left)
    world.permit(a, right)
    world.run(for: .seconds(1))
    for _ in 0..<10 {
      world.send(Self.data, to: b, left)
      world.send(Self.data, to: a, right)
      world.run(for: .milliseconds(100))
    }
    #expect(left.received.count == 10 && right.received.count == 10)
    #expect(right.received.allSatisfy { $0.peer == a } && left.received.allSatisfy { $0.peer == b })
    #expect(left.events.contains(.bound(b)) && world.channelFrames > 10)
  }

  /// The class of the relay that closed when one peer could not be reached.
  @Test func `an unreachable peer does no harm to the others`() {
    let world = RelayWorld(seed: 7)
    let client = world.addClient(1)
    let good = world.addPeer("192.0.2.9:7")
    let nowhere = SocketAddress("192.0.2.77:1")!
    world.permit(good, client)
    world.permit(nowhere, client)
    world.run(for: .seconds(1))
    for _ in 0..<20 {
      world.send(Self.data, to: nowhere, client)
      world.send(Self.data, to: good, client)
    }
    world.run(for: .seconds(1))
    #expect(client.received.count == 20 && client.ended == nil)
  }

  @Test func `a refused peer is told and others go on`() {
    let world = RelayWorld(seed: 8)
    let client = world.addClient(1)
    let good = world.addPeer("192.0.2.9:7")
    world.permit(SocketAddress("192.168.7.7:1")!, client)
    world.permit(good, client)
    world.run(for: .seconds(1))
    #expect(client.events.contains(.permissionRefused(IPAddress("192.168.7.7")!, .forbidden)))
    #expect(client.events.contains(.permitted(good.ip)) && client.ended == nil)
    // It is not asked for again.
    world.requests = []
    world.run(for: .seconds(200))
    #expect(world.requests.isEmpty)
  }

  // MARK: Failures

  @Test func `wrong credentials are tried once and reported`() {
    let world = RelayWorld(seed: 9)
    let client = world.addClient(1, credentials: RelayCredentials(username: "1900000000:x", password: "wrong"))
    world.run(for: .seconds(60))
    #expect(client.ended == .refused(.unauthenticated))
    #expect(world.requests.count == 2)
    #expect(client.ended?.description == "the relay does not accept the credentials")
  }

  @Test func `a dead server is noticed after 39.5 seconds`() {
    let world = RelayWorld(seed: 10)
    world.isServerDead = true
    let start = world.now
    let client = world.addClient(1)
    world.run(for: .seconds(60)) { client.ended != nil }
    #expect(client.ended == .silent)
    #expect(world.now - start == .milliseconds(39_500))
  }

  @Test func `a server that forgot everything is noticed at the next refresh`() {
    let world = RelayWorld(seed: 11)
    let client = world.addClient(1)
    world.run(for: .seconds(1))
    world.restartServer()
    world.run(for: .seconds(600)) { client.ended != nil }
    #expect(client.ended == .forgotten)
  }

  @Test func `an allocation no refresh is answered for runs out`() {
    let world = RelayWorld(seed: 12)
    let client = world.addClient(1)
    world.run(for: .seconds(1))
    world.isServerDead = true
    let start = world.now
    world.run(for: .seconds(700)) { client.ended != nil }
    #expect(client.ended == .expired)
    #expect(world.now - start <= .seconds(600))
  }

  @Test func `an unsigned answer is none`() {
    let world = RelayWorld(seed: 13)
    // The edit takes the integrity away.
    world.edit = { _ in true }
    let client = world.addClient(1)
    world.run(for: .seconds(60)) { client.ended != nil }
    #expect(client.relayed == nil && client.ended == .silent)
  }

  @Test func `an unsigned redirection leads nowhere`() {
    let world = RelayWorld(seed: 14)
    world.edit = { message in
      guard message.type.messageClass == .success else { return true }
      message = STUNMessage(
        .failure, .allocate, transaction: message.transaction,
        attributes: [.errorCode(.tryAlternate), .address(.alternateServer, SocketAddress("192.0.2.66:3478")!)])
      return true
    }
    let client = world.addClient(1)
    world.run(for: .seconds(60)) { client.ended != nil }
    #expect(client.ended == .silent)
  }

  @Test func `a server that always finds the nonce stale is given up`() {
    let world = RelayWorld(seed: 15) { $0.nonceLifetime = .zero }
    let client = world.addClient(1)
    world.run(for: .seconds(60))
    #expect(client.ended == .refused(.staleNonce))
    #expect(world.requests.count == 4)
  }

  @Test func `data without a permission of ours is not passed on`() {
    let world = RelayWorld(seed: 16)
    let client = world.addClient(1)
    world.run(for: .seconds(1))
    let peer = SocketAddress("192.0.2.9:7")!
    let id = TransactionID(high: 1, low: 9)
    let indication = STUNMessage(
      .indication, .data, transaction: id,
      attributes: [.xorAddress(.xorPeerAddress, peer, transaction: id), Attribute(.data, Self.data)]
    ).serialized()
    var out = Outbox<TURNClient<SeededRandom>.Event>()
    #expect(client.turn.receive(indication.span.bytes, at: world.now, into: &out) == nil)
    world.permit(peer, client)
    #expect(client.turn.receive(indication.span.bytes, at: world.now, into: &out)?.peer == peer)
  }

  @Test func `what is damaged on the way does no harm`() {
    for seed in UInt64(100)..<130 {
      let world = RelayWorld(seed: seed)
      world.net.corruptionPercent = 40
      let client = world.addClient(seed)
      let peer = world.addPeer("192.0.2.9:7")
      world.permit(peer, client)
      world.run(for: .seconds(30)) { client.events.contains(.permitted(peer.ip)) }
      for _ in 0..<20 {
        world.send(Self.data, to: peer, client)
        world.run(for: .milliseconds(50))
      }
      #expect(client.relayed == nil || client.relayed?.ip == RelayDesk.address.ip, "seed \(seed)")
      #expect(world.statistics.allocations <= 1, "seed \(seed)")
    }
  }
}
