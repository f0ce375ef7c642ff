import EdgeCore
import ICE
import STUN
import SecureTransport
import SimNet
import Testing

/// Timing of checks, and what still holds when ICE has concluded.
@Suite("ICE: pacing and conclusion")
struct ConclusionTests {
  private let agents = AgentTests()

  @Test func `the first wait for an answer grows with the number of checks under way`() {
    // RFC 8445 §14.3.
    for count in [1, 8, 30] {
      var out = Outbox<ICEEvent>()
      var agent = agents.makeAgent(.controlling, &out)
      for port in 0..<count {
        agent.addRemoteCandidate(
          agents.remote(UInt16(2000 + port), foundation: "f\(port)"), at: .zero, into: &out)
      }
      var sends: [SocketAddress: [Instant]] = [:]
      var now = Instant.zero
      for datagram in out.datagrams { sends[datagram.destination, default: []].append(now) }
      while let next = agent.nextDeadline, next < .zero + .seconds(8) {
        now = max(now, next)
        out.removeAll()
        agent.tick(at: now, into: &out)
        for datagram in out.datagrams { sends[datagram.destination, default: []].append(now) }
      }
      #expect(sends.count == count)
      let last = sends.values.max { $0[0] < $1[0] }
      let wait = last.map { $0[1] - $0[0] } ?? .zero
      #expect(wait >= .milliseconds(500))
      #expect(wait >= min(.seconds(2), .milliseconds(50) * count))
    }
  }

  @Test func `one pair is nominated, and checks on the others are still answered`() throws {
    let world = World(nil, nil, seed: 21)
    for peer in world.peers { world.addRelay(for: peer) }
    world.connect()
    world.runUntilSettled()
    world.run(for: .seconds(1))
    for peer in world.peers {
      #expect(peer.settled == [.completed])
      let nominated = peer.agent.pairs.filter { $0.isNominated }
      #expect(nominated.count == 1 && nominated[0].isSelected)
    }
    // RFC 8445 §8.1.2: a check that comes over the relayed pair now.
    let peer = world.peers[1]
    let other = world.peers[0]
    let request = STUNMessage(
      .request, .binding, transaction: TransactionID(high: 3, low: 4),
      attributes: [
        Attribute(.username, peer.agent.localUfrag + ":" + other.agent.localUfrag), Attribute(.priority, UInt32(1000)),
        Attribute(.iceControlling, UInt64.max),
      ]
    ).serialized(
      integrity: .sha1(key: Array(peer.agent.localPassword.utf8)), fingerprint: true, hashes: .openSSL)
    let relay = try #require(peer.relay?.address)
    let from = try #require(other.relay?.address)
    var out = Outbox<ICEEvent>()
    let now = world.now
    let isTaken = peer.agent.receive(request.span.bytes, from: from, to: relay, at: now, into: &out)
    #expect(isTaken)
    let answer = try #require(out.datagrams.first)
    #expect(answer.destination == from && answer.source == relay)
    #expect(agents.parse(answer)?.type.messageClass == .success)
    // And nothing moves for it.
    world.run(for: .seconds(2))
    #expect(peer.selections.last == peer.agent.selectedPath)
    #expect(world.agree)
  }

  @Test func `a candidate that comes after the conclusion is ignored`() {
    // RFC 8838 §14.
    let world = World(nil, nil, seed: 22)
    world.connect()
    world.runUntilSettled()
    let peer = world.peers[0]
    let before = (peer.agent.pairs.count, peer.sentChecks)
    let now = world.now
    peer.agent.addRemoteCandidate(agents.remote(4000, priority: .max), at: now, into: &peer.out)
    world.flush(peer)
    #expect((peer.agent.pairs.count, peer.sentChecks) == before)
  }

  @Test func `a keepalive is taken and not answered`() {
    // RFC 8445 §11.
    var out = Outbox<ICEEvent>()
    var agent = agents.makeAgent(.controlled, &out)
    out.removeAll()
    let bytes = STUNMessage(.indication, .binding, transaction: TransactionID(high: 1, low: 2))
      .serialized(fingerprint: true)
    let isTaken = agent.receive(bytes.span.bytes, from: AgentTests.peer, to: AgentTests.base, at: .zero, into: &out)
    #expect(isTaken && out.isEmpty)
  }
}
