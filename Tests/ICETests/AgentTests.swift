import EdgeCore
import ICE
import STUN
import SecureTransport
import Testing

/// One agent, and a peer made of hand-written messages.
@Suite("ICE agent")
struct AgentTests {
  typealias Agent = ICEAgent<SeededRandom>
  static let base = SocketAddress(.v4(0xC633_6401), port: 1000)
  static let peer = SocketAddress(.v4(0xC633_6402), port: 2000)
  static let password = "0123456789abcdefghijkl"
  let key = Array(password.utf8)

  func makeAgent(
    _ role: ICERole, _ out: inout Outbox<ICEEvent>, isAnswered: Bool = true, configuration: ICEConfiguration = .init()
  ) -> Agent {
    var agent = Agent(
      role: role, configuration: configuration, hashes: .openSSL, random: SeededRandom(seed: 1), now: .zero)
    agent.addLocalCandidate(base: Self.base, address: Self.base, kind: .host, at: .zero, into: &out)
    if isAnswered { agent.setRemoteCredentials(ufrag: "peer", password: Self.password, at: .zero, into: &out) }
    return agent
  }

  func remote(_ port: UInt16, priority: UInt32 = 1000, foundation: String = "f") -> Candidate {
    Candidate(kind: .host, address: SocketAddress(Self.peer.ip, port: port), priority: priority, foundation: foundation)
  }

  func parse(_ datagram: Datagram) -> STUNMessage? {
    (try? ReceivedMessage(parsing: datagram.bytes.span.bytes))?.message
  }

  /// A check as the peer sends it.
  func check(
    _ username: String, password: String, serial: UInt64 = 1, role: AttributeType = .iceControlled,
    tiebreaker: UInt64 = 0, nominates: Bool = false, extra: [Attribute] = []
  ) -> [UInt8] {
    var attributes = [
      Attribute(.username, username), Attribute(.priority, UInt32(110 << 24 | 255)), Attribute(role, tiebreaker),
    ]
    if nominates { attributes.append(Attribute(.useCandidate, [])) }
    return STUNMessage(
      .request, .binding, transaction: TransactionID(high: 7, low: serial), attributes: attributes + extra
    ).serialized(integrity: .sha1(key: Array(password.utf8)), fingerprint: true, hashes: .openSSL)
  }

  func answer(_ request: Datagram, mapped: SocketAddress = base, error: ErrorCode? = nil, key: [UInt8]? = nil)
    -> [UInt8]
  {
    guard let id = parse(request)?.transaction else { return [] }
    let attribute =
      error.map { Attribute.errorCode($0) } ?? .xorAddress(.xorMappedAddress, mapped, transaction: id)
    return STUNMessage(error == nil ? .success : .failure, .binding, transaction: id, attributes: [attribute])
      .serialized(integrity: .sha1(key: key ?? self.key), fingerprint: true, hashes: .openSSL)
  }

  @Test func `a check carries what RFC 8445 asks for`() throws {
    for role in [ICERole.controlling, .controlled] {
      var out = Outbox<ICEEvent>()
      var agent = makeAgent(role, &out)
      agent.addRemoteCandidate(remote(2000), at: .zero, into: &out)
      let datagram = try #require(out.datagrams.first)
      let message = try #require(parse(datagram))
      #expect(message.text(.username) == "peer:" + agent.localUfrag)
      #expect(message.uint32(.priority) == 1_862_270_975)
      #expect((message[.iceControlling] != nil) == (role == .controlling))
      #expect((message[.iceControlled] != nil) == (role == .controlled))
      #expect(message[.useCandidate] == nil)
      let received = try ReceivedMessage(parsing: datagram.bytes.span.bytes)
      #expect(received.hasFingerprint && received.verify(key: key, hashes: .openSSL))
      #expect(agent.localUfrag.utf8.count >= 4 && agent.localPassword.utf8.count >= 22)
    }
  }

  @Test func `requests that are not right get the right refusal and change nothing`() throws {
    var out = Outbox<ICEEvent>()
    var agent = makeAgent(.controlling, &out)
    let (ufrag, password) = (agent.localUfrag, agent.localPassword)
    let anonymous = STUNMessage(.request, .binding, transaction: TransactionID(high: 1, low: 1))
      .serialized(fingerprint: true)
    let cases: [([UInt8], ErrorCode?)] = [
      (anonymous, .badRequest),
      (check("wrong:peer", password: password), .unauthenticated),
      (check(ufrag + ":peer", password: "wrong"), .unauthenticated),
      (
        check(ufrag + ":peer", password: password, extra: [.init(AttributeType(rawValue: 0x7123), "")]),
        .unknownAttribute
      ),
      (check(ufrag + ":stranger", password: password), nil),
    ]
    for (bytes, code) in cases {
      out.removeAll()
      agent.receive(bytes.span.bytes, from: Self.peer, to: Self.base, at: .zero, into: &out)
      #expect(out.datagrams.count == 1)
      #expect(try parse(#require(out.datagrams.first))?.errorCode == code)
      #expect(agent.pairs.isEmpty && agent.remoteCandidates.isEmpty)
    }
    // Not this agent's: no fingerprint, another address of ours, not Binding, not STUN.
    out.removeAll()
    let plain = STUNMessage(.request, .binding, transaction: TransactionID(high: 1, low: 1)).serialized()
    let good = check(ufrag + ":peer", password: password)
    let dtls: [UInt8] = [22, 254, 253, 0]
    let taken = [
      agent.receive(plain.span.bytes, from: Self.peer, to: Self.base, at: .zero, into: &out),
      agent.receive(good.span.bytes, from: Self.peer, to: Self.peer, at: .zero, into: &out),
      agent.receive(dtls.span.bytes, from: Self.peer, to: Self.base, at: .zero, into: &out),
    ]
    #expect(taken == [false, false, false])
    #expect(out.isEmpty)
  }

  @Test func `only an answer with the right checksum, from and to the right place, makes a pair valid`() throws {
    let stranger = SocketAddress(Self.peer.ip, port: 9)
    var out = Outbox<ICEEvent>()
    var agent = makeAgent(.controlling, &out)
    agent.addRemoteCandidate(remote(2000), at: .zero, into: &out)
    let request = try #require(out.datagrams.first)
    out.removeAll()
    let forged = answer(request, key: [1])
    agent.receive(forged.span.bytes, from: Self.peer, to: Self.base, at: .zero, into: &out)
    #expect(agent.pairs.first?.state == .inProgress && out.isEmpty)

    let good = answer(request)
    agent.receive(good.span.bytes, from: stranger, to: Self.base, at: .zero, into: &out)
    #expect(agent.pairs.first?.reason == .nonSymmetric)
    #expect(agent.pairs.first?.state == .failed && out.events.isEmpty)
    let isValidated = agent.isValidated(local: Self.base, remote: Self.peer)
    #expect(!isValidated)
  }

  @Test func `a role conflict is lost or won by the tiebreaker, and a stale 487 changes nothing`() throws {
    var out = Outbox<ICEEvent>()
    var agent = makeAgent(.controlling, &out)
    agent.addRemoteCandidate(remote(2000), at: .zero, into: &out)
    let first = try #require(out.datagrams.first)
    let before = try #require(parse(first)?.uint64(.iceControlling))
    let credentials = (agent.localUfrag + ":peer", agent.localPassword)

    // Won: the peer's number is smaller.
    out.removeAll()
    let weak = check(credentials.0, password: credentials.1, role: .iceControlling, tiebreaker: 0)
    agent.receive(weak.span.bytes, from: Self.peer, to: Self.base, at: .zero, into: &out)
    #expect(try parse(#require(out.datagrams.first))?.errorCode == .roleConflict)
    #expect(agent.role == .controlling)

    // Lost by the answer: role and tiebreaker change, the check is repeated.
    out.removeAll()
    let conflict = answer(first, error: .roleConflict)
    agent.receive(conflict.span.bytes, from: Self.peer, to: Self.base, at: .zero, into: &out)
    #expect(agent.role == .controlled)
    let second = try #require(out.datagrams.first)
    let after = try #require(parse(second)?.uint64(.iceControlled))
    #expect(after != before)

    // Lost again through a request; the 487 to the second check is now stale.
    let other = check(credentials.0, password: credentials.1, serial: 2, role: .iceControlled, tiebreaker: 0)
    agent.receive(other.span.bytes, from: Self.peer, to: Self.base, at: .zero, into: &out)
    #expect(agent.role == .controlling)
    let stale = answer(second, error: .roleConflict)
    agent.receive(stale.span.bytes, from: Self.peer, to: Self.base, at: .zero, into: &out)
    #expect(agent.role == .controlling)
  }

  @Test func `an aggressive peer ends on the pair of highest priority`() throws {
    var out = Outbox<ICEEvent>()
    var agent = makeAgent(.controlled, &out)
    agent.addRemoteCandidate(remote(2000, priority: 1000, foundation: "a"), at: .zero, into: &out)
    agent.addRemoteCandidate(remote(2001, priority: 2000, foundation: "b"), at: .zero, into: &out)
    let requests = out.datagrams
    #expect(requests.count == 2)
    let username = agent.localUfrag + ":peer"
    let password = agent.localPassword
    for (serial, request) in requests.enumerated() {
      let nomination = check(
        username, password: password, serial: UInt64(serial), role: .iceControlling, nominates: true)
      agent.receive(nomination.span.bytes, from: request.destination, to: Self.base, at: .zero, into: &out)
      let triggered = try #require(out.datagrams.last { $0.destination == request.destination })
      let bytes = answer(parse(triggered)?.type.messageClass == .request ? triggered : request)
      agent.receive(bytes.span.bytes, from: request.destination, to: Self.base, at: .zero, into: &out)
    }
    #expect(agent.selectedPath?.remote.address.port == 2001)
    #expect(out.events.filter { $0 == .completed }.count == 1)
  }

  @Test func `a path through our relay is a relayed one, wherever the peer sees it come from`() throws {
    let relayed = SocketAddress(.v4(0xC633_6403), port: 3000)
    var out = Outbox<ICEEvent>()
    var agent = Agent(
      role: .controlled, configuration: .init(), hashes: .openSSL, random: SeededRandom(seed: 1), now: .zero)
    agent.addLocalCandidate(base: relayed, address: relayed, kind: .relay, at: .zero, into: &out)
    agent.setRemoteCredentials(ufrag: "peer", password: Self.password, at: .zero, into: &out)
    agent.addRemoteCandidate(remote(2000), at: .zero, into: &out)
    let request = try #require(out.datagrams.first)
    let nomination = check(
      agent.localUfrag + ":peer", password: agent.localPassword, role: .iceControlling, nominates: true)
    agent.receive(nomination.span.bytes, from: Self.peer, to: relayed, at: .zero, into: &out)
    // NAT64 at the peer's: the address is there, in other words.
    let translated = SocketAddress(.v6(high: 0x0064_FF9B_0000_0000, low: 0xC633_6403, scope: 0), port: 3000)
    let bytes = answer(request, mapped: translated)
    agent.receive(bytes.span.bytes, from: Self.peer, to: relayed, at: .zero, into: &out)
    #expect(agent.selectedPath?.local.kind == .relay)
    #expect(agent.selectedPath?.local.address == relayed)
  }

  @Test func `ten checks go at once and the rest one every fifty milliseconds`() {
    var out = Outbox<ICEEvent>()
    var agent = makeAgent(.controlling, &out)
    for index in 0..<14 {
      agent.addRemoteCandidate(remote(2000 + UInt16(index), foundation: "\(index)"), at: .zero, into: &out)
    }
    #expect(out.datagrams.count == 10)
    for step in 1...4 {
      out.removeAll()
      let deadline = agent.nextDeadline
      #expect(deadline == .zero + .milliseconds(50 * Int64(step)))
      agent.tick(at: .zero + .milliseconds(50 * Int64(step)), into: &out)
      #expect(out.datagrams.count == 1)
    }
  }

  @Test func `of one foundation one pair is checked, the others when it has succeeded`() throws {
    var out = Outbox<ICEEvent>()
    var agent = makeAgent(.controlling, &out)
    for port in 2000..<2003 {
      agent.addRemoteCandidate(remote(UInt16(port), priority: UInt32(port)), at: .zero, into: &out)
    }
    #expect(out.datagrams.count == 1)
    #expect(agent.pairs.map(\.state) == [.frozen, .frozen, .inProgress])
    let bytes = answer(try #require(out.datagrams.first))
    agent.receive(bytes.span.bytes, from: Self.peer, to: Self.base, at: .zero, into: &out)
    #expect(agent.pairs.map(\.state) == [.inProgress, .inProgress, .succeeded])
  }

  @Test func `pairs, remote candidates, early checks and learned addresses are bounded`() {
    var configuration = ICEConfiguration()
    configuration.maxPairs = 20
    var out = Outbox<ICEEvent>()
    var agent = makeAgent(.controlling, &out, isAnswered: false, configuration: configuration)
    let (username, password) = (agent.localUfrag + ":peer", agent.localPassword)
    for port in UInt16(3000)..<3100 {
      let bytes = check(username, password: password, serial: UInt64(port))
      agent.receive(
        bytes.span.bytes, from: SocketAddress(Self.peer.ip, port: port), to: Self.base, at: .zero, into: &out)
    }
    #expect(out.datagrams.count == 100)  // every early check is answered
    out.removeAll()
    agent.setRemoteCredentials(ufrag: "peer", password: Self.password, at: .zero, into: &out)
    #expect(agent.remoteCandidates.count == 16)
    for port in UInt16(4000)..<4200 { agent.addRemoteCandidate(remote(port), at: .zero, into: &out) }
    #expect(agent.remoteCandidates.count == 64)
    #expect(agent.pairs.count == 20)
  }

  @Test(arguments: [
    (CandidateKind.host, UInt32(2_130_706_431)), (.peerReflexive, 1_862_270_975), (.serverReflexive, 1_694_498_815),
    (.relay, 16_777_215),
  ])
  func `priorities are those of RFC 8445`(kind: CandidateKind, expected: UInt32) {
    #expect(Candidate.priority(kind: kind, localPreference: 65535) == expected)
  }

  @Test func `addresses that are no candidates are refused`() {
    var out = Outbox<ICEEvent>()
    var agent = makeAgent(.controlling, &out)
    let bad = [
      "127.0.0.1:1", "0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "192.0.2.1:0", "[::1]:1", "[::]:1",
      "[::192.0.2.1]:1", "[fec0::1]:1", "[ff02::1]:1",
    ]
    for text in bad {
      guard let address = SocketAddress(text) else {
        Issue.record("not an address: \(text)")
        continue
      }
      let added = agent.addLocalCandidate(base: address, address: address, kind: .host, at: .zero, into: &out)
      #expect(added == nil, "\(text)")
      agent.addRemoteCandidate(
        Candidate(kind: .host, address: address, priority: 1, foundation: "1"), at: .zero, into: &out)
    }
    #expect(agent.remoteCandidates.isEmpty)
    #expect(agent.localCandidates.count == 1)
  }
}
