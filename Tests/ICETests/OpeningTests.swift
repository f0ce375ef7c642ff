import EdgeCore
import ICE
import SecureTransport
import Testing

/// Checks that open our NAT and die before they reach the peer's.
@Suite("ICE opening checks")
struct OpeningTests {
  static let base = SocketAddress(.v4(0xC0A8_0102), port: 1000)
  static let peer = SocketAddress(.v4(0xC633_6402), port: 2000)

  func makeAgent(_ role: ICERole, _ out: inout Outbox<ICEEvent>, remote kind: CandidateKind = .serverReflexive)
    -> ICEAgent<SeededRandom>
  {
    var configuration = ICEConfiguration()
    configuration.openingHops = 5
    var agent = ICEAgent(
      role: role, configuration: configuration, hashes: .openSSL, random: SeededRandom(seed: 1), now: .zero)
    agent.addLocalCandidate(base: Self.base, address: Self.base, kind: .host, at: .zero, into: &out)
    agent.setRemoteCredentials(ufrag: "peer", password: "0123456789abcdefghijkl", at: .zero, into: &out)
    agent.addRemoteCandidate(
      Candidate(kind: kind, address: Self.peer, priority: 1000, foundation: "f"), at: .zero, into: &out)
    return agent
  }

  @Test func `the answerer's checks go a few hops until signalling says that the peer begins, and then all the way`() {
    var out = Outbox<ICEEvent>()
    var agent = makeAgent(.controlled, &out)
    #expect(out.datagrams.map(\.timeToLive) == [5])
    out.removeAll()
    agent.tick(at: .zero + .milliseconds(600), into: &out)
    #expect(out.datagrams.map(\.timeToLive) == [5])
    out.removeAll()
    agent.peerBegins(at: .zero + .milliseconds(700), into: &out)
    #expect(out.datagrams.map(\.timeToLive) == [nil])
    out.removeAll()
    agent.peerBegins(at: .zero + .milliseconds(701), into: &out)
    #expect(out.datagrams.isEmpty)
  }

  @Test func `without a word from signalling they go all the way after two seconds`() {
    var out = Outbox<ICEEvent>()
    var agent = makeAgent(.controlled, &out)
    while let deadline = agent.nextDeadline, deadline < .zero + .seconds(8) { agent.tick(at: deadline, into: &out) }
    #expect(out.datagrams.map(\.timeToLive) == [5, 5, 5, nil, nil])
  }

  @Test func `the offerer, whose peer has begun already, never holds back`() {
    var out = Outbox<ICEEvent>()
    _ = makeAgent(.controlling, &out)
    #expect(out.datagrams.map(\.timeToLive) == [nil])
  }

  @Test func `addresses on no NAT are checked all the way at once`() {
    var out = Outbox<ICEEvent>()
    _ = makeAgent(.controlled, &out, remote: .host)
    #expect(out.datagrams.map(\.timeToLive) == [nil])
  }
}
