import EdgeCore
import ICE
import LinuxIO
import PeerSession
import SCTPTransport
import SDP
import STUN
import SecureTransport
import Testing

@Suite("Peer session")
struct PeerSessionTests {
  @Test func `messages of every size cross both ways on one channel`() throws {
    let pair = try PeerPair()
    let channel = try pair.open()
    let back = try #require(pair.answererChannels.first)
    #expect(back.label == "video" && back.id == channel.id)
    let sizes = [1, 2, 1200, 16_384, 65_536, 262_144]
    for (salt, size) in sizes.enumerated() {
      #expect(channel.send(PeerPair.pattern(size, salt)))
      #expect(back.send(PeerPair.pattern(size, salt + 100)))
    }
    #expect(channel.send(PeerPair.pattern(262_145)) == false)
    try pair.run("crossing") { pair.received.values.allSatisfy { $0.count == sizes.count } }
    #expect(pair.received["answerer"] == sizes.enumerated().map { PeerPair.pattern($1, $0) })
    #expect(pair.received["offerer"] == sizes.enumerated().map { PeerPair.pattern($1, $0 + 100) })
    try pair.finish()
  }

  @Test func `two megabytes arrive, and the owner sees what waits and when it is gone`() throws {
    let pair = try PeerPair()
    let channel = try pair.open()
    var low = 0
    channel.lowThreshold = 100_000
    channel.onBufferedAmountLow = { low += 1 }
    for salt in 0..<32 { #expect(channel.send(PeerPair.pattern(65_536, salt))) }
    #expect(channel.bufferedAmount > 1_000_000)
    try pair.run("two megabytes") { pair.received["answerer"]?.count == 32 }
    #expect(pair.received["answerer"] == (0..<32).map { PeerPair.pattern(65_536, $0) })
    #expect(low == 1)
    #expect(channel.bufferedAmount == 0)
    #expect(pair.offerer.sentBytes > 2_000_000 && pair.answerer.receivedBytes > 2_000_000)
    // Overhead of SCTP, DTLS and UDP payload headers: under 8 %.
    #expect(pair.offerer.sentBytes < 2_270_000)
    try pair.finish()
  }

  @Test func `the path and the steps to it are told`() throws {
    let pair = try PeerPair()
    let channel = try pair.open()
    channel.send([1])
    try pair.run { pair.received["answerer"]?.count == 1 }
    let path = try #require(pair.offerer.path)
    #expect(path.kind == .host && path.localKind == .host && path.remoteKind == .host)
    #expect(path.kind.text == "host")
    #expect(pair.answerer.path?.local == path.remote)
    let trace = pair.answerer.trace
    let steps = [trace.described, trace.path, trace.dtls, trace.sctp, trace.firstMessage].compactMap { $0 }
    #expect(steps.count == 5)
    #expect(steps == steps.sorted())
    try pair.finish()
  }

  @Test func `what is written before anything stands arrives first`() throws {
    let pair = try PeerPair()
    pair.offerer.openChannel(.init(label: "control", priority: .signalling)) { channel in
      #expect(channel.send(text: "hello"))
    }
    pair.signal()
    try pair.run { pair.received["answerer"]?.count == 1 }
    #expect(pair.received["answerer"] == [Array("hello".utf8)])
    try pair.finish()
  }

  @Test func `a channel agreed on in the descriptions carries messages from the first on, without an opening message`()
    throws
  {
    let pair = try PeerPair()
    let channel = NegotiatedChannel(
      streamID: 1, label: "msrp", protocolName: "msrp", attributes: [.init("path", "msrps://a.invalid:9/x;dc")])
    var offered: [NegotiatedChannel] = []
    pair.editOffer = { offered = $0.channels }
    for (name, session) in [("offerer", pair.offerer), ("answerer", pair.answerer)] {
      session.negotiate(channel, priority: .bulk) { made in
        pair.take(made, by: name)
        #expect(made.send(Array(name.utf8)))
      }
    }
    pair.signal()
    try pair.run { pair.received["answerer"]?.count == 1 && pair.received["offerer"]?.count == 1 }
    #expect(offered == [channel])
    #expect(pair.received == ["answerer": [Array("offerer".utf8)], "offerer": [Array("answerer".utf8)]])
    #expect(pair.offererChannels.map(\.id) == [1])
    #expect(pair.offererChannels[0].options.protocolName == "msrp")
    // Others are opened beside it as ever, and never on its stream.
    for _ in 0..<3 {
      let other = try #require(pair.offerer.openChannel(.init(label: "video")))
      #expect(other.id != 1)
    }
    try pair.finish()
  }

  @Test func `a peer with another certificate than signalled is refused, on either side`() throws {
    let mallory = try Identity()
    let stranger = try #require(Fingerprint(bytes: mallory.fingerprint.bytes))
    for isOffer in [true, false] {
      let pair = try PeerPair()
      if isOffer {
        pair.editOffer = { $0.fingerprints = [stranger] }
      } else {
        pair.editAnswer = { $0.fingerprints = [stranger] }
      }
      pair.signal()
      let victim = isOffer ? "answerer" : "offerer"
      try pair.run { pair.closed[victim] != nil }
      let presented = isOffer ? pair.offererIdentity.fingerprint : pair.answererIdentity.fingerprint
      #expect(pair.closed[victim] == .fingerprintMismatch(presented: presented))
      #expect(pair.opened.isEmpty)
      try pair.finish()
    }
  }

  @Test func `one of several signalled fingerprints is enough`() throws {
    let pair = try PeerPair()
    let other = try #require(Fingerprint(bytes: try Identity().fingerprint.bytes))
    pair.editOffer = { $0.fingerprints.insert(other, at: 0) }
    _ = try pair.open()
    try pair.finish()
  }

  @Test func `whoever leaves is local and the other is told`() throws {
    for name in ["offerer", "answerer"] {
      let pair = try PeerPair()
      _ = try pair.open()
      (name == "offerer" ? pair.offerer : pair.answerer).close()
      try pair.run { pair.closed.count == 2 }
      #expect(pair.closed[name] == .local)
      #expect(pair.closed[name == "offerer" ? "answerer" : "offerer"] == .closedByPeer)
      #expect(pair.offerer.isClosed && pair.answerer.isClosed)
      #expect(pair.offererChannels[0].send([1]) == false)
    }
  }

  @Test func `leaving after sending loses nothing`() throws {
    let pair = try PeerPair()
    let channel = try pair.open()
    for salt in 0..<8 { channel.send(PeerPair.pattern(65_536, salt)) }
    pair.offerer.closeAfterSending(within: .seconds(10))
    try pair.run { pair.closed.count == 2 }
    #expect(pair.received["answerer"]?.count == 8)
    #expect(pair.closed == ["offerer": .local, "answerer": .closedByPeer])
  }

  @Test func `a channel is closed alone and the session goes on`() throws {
    let pair = try PeerPair()
    let channel = try pair.open()
    var closed = 0
    channel.onClosed = { closed += 1 }
    pair.answererChannels[0].onClosed = { closed += 1 }
    channel.send([7])
    channel.close()
    try pair.run { closed == 2 }
    #expect(pair.received["answerer"] == [[7]])
    #expect(!channel.isOpen && channel.send([1]) == false)
    let next = try #require(pair.answerer.openChannel(.init(label: "second")))
    pair.take(next, by: "answerer")
    try pair.run { pair.offererChannels.count == 2 }
    #expect(pair.offererChannels[1].label == "second")
    try pair.finish()
  }

  @Test func `an answer that never comes ends the session in time`() throws {
    var configuration = PeerPair.loopback
    configuration.openLimit = .milliseconds(200)
    let pair = try PeerPair(offerer: configuration)
    pair.offerer.offer { _ in }
    try pair.run { pair.closed["offerer"] != nil }
    #expect(pair.closed["offerer"] == .timedOut)
  }

  @Test func `addresses nobody can reach end in no path`() throws {
    var configuration = PeerPair.loopback
    configuration.ice.patience = .milliseconds(300)
    configuration.ice.deadline = .milliseconds(500)
    let pair = try PeerPair(offerer: configuration, answerer: configuration)
    pair.editOffer = { $0.candidates = [] }
    pair.editAnswer = { $0.candidates = [] }
    // No candidates, and checks that arrive all the same must not count: the other side is asked on its own.
    pair.offerer.offer { [pair] _ in
      var stranger = DataChannelDescription(
        sessionID: "1", iceUfrag: "abcd", icePassword: "0123456789012345678901",
        fingerprint: Fingerprint(bytes: pair.answererIdentity.fingerprint.bytes)!, setup: .active)
      stranger.endOfCandidates = true
      pair.offerer.accept(stranger)
    }
    try pair.run { pair.closed["offerer"] != nil }
    #expect(pair.closed["offerer"] == .noPath(.noPairs))
    pair.answerer.close()
    try pair.run { pair.closed.count == 2 }
  }

  @Test func `a peer that falls silent is missed when consent runs out`() throws {
    var configuration = PeerPair.loopback
    configuration.ice.consentExpiry = .milliseconds(1500)
    configuration.ice.consentInterval = .seconds(5)
    let pair = try PeerPair(offerer: configuration)
    _ = try pair.open()
    // Not one consent check fits into the expiry, which is what silence looks like.
    try pair.run { pair.closed["offerer"] != nil }
    #expect(pair.closed["offerer"] == .consentLost)
    try pair.run { pair.closed.count == 2 || pair.answerer.isClosed == false }
    pair.answerer.close()
    try pair.run { pair.closed.count == 2 }
  }

  @Test func `a STUN server's answer becomes a candidate, and a silent one only costs the limit`() throws {
    let pair = try PeerPair()
    let server = try UDPSocket(reactor: pair.reactor, bind: SocketAddress("127.0.0.1:0")!)
    let silent = try UDPSocket(reactor: pair.reactor, bind: SocketAddress("127.0.0.1:0")!)
    let seen = SocketAddress("198.51.100.7:40000")!
    server.onDatagram = { bytes, source, _ in
      guard let request = try? ReceivedMessage(parsing: bytes) else { return }
      var answer = STUNMessage(.success, .binding, transaction: request.message.transaction)
      answer.attributes.append(.xorAddress(.xorMappedAddress, seen, transaction: request.message.transaction))
      server.send(Datagram(destination: source, bytes: answer.serialized(fingerprint: true)))
    }
    var configuration = PeerPair.loopback
    configuration.stunServers = [server.localAddress]
    var asked = PeerSession(reactor: pair.reactor, identity: pair.offererIdentity, configuration: configuration)
    var description: DataChannelDescription?
    asked.offer { description = $0 }
    try pair.run { description != nil }
    #expect(description?.candidates.contains { $0.kind == .serverReflexive && $0.address == seen } == true)
    #expect(description?.endOfCandidates == true)
    asked.close()
    configuration.stunServers = [silent.localAddress]
    configuration.gatherLimit = .milliseconds(120)
    asked = PeerSession(reactor: pair.reactor, identity: pair.offererIdentity, configuration: configuration)
    description = nil
    asked.offer { description = $0 }
    try pair.run { description != nil }
    #expect(description?.endOfCandidates == false)
    #expect(description?.candidates.isEmpty == false)
    #expect((.milliseconds(115)...(.milliseconds(400))).contains(asked.trace.gathered ?? .zero))
    asked.close()
    server.close()
    silent.close()
    try pair.finish()
  }

  @Test func `datagrams from strangers change nothing`() throws {
    let pair = try PeerPair()
    let channel = try pair.open()
    let target = try #require(pair.offerer.path).remote
    let stranger = try UDPSocket(
      reactor: pair.reactor, bind: SocketAddress(target.ip.isV4 ? "127.0.0.1:0" : "[::1]:0")!)
    var random = SeededRandom(seed: 3)
    // Alerts, ClientHellos, STUN and noise.
    let heads: [[UInt8]] = [
      [21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40], [22, 254, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 30, 1],
      [0, 1, 0, 0, 33, 18, 164, 66], [128, 5], [64, 0], [],
    ]
    for round in 0..<200 {
      let bytes = heads[round % heads.count] + random.bytes(round % 60)
      stranger.send(Datagram(destination: target, bytes: bytes))
    }
    channel.send([1, 2, 3])
    try pair.run { pair.received["answerer"]?.count == 1 }
    #expect(pair.closed.isEmpty)
    stranger.close()
    try pair.finish()
  }

  @Test func `candidates trickled after descriptions without any are enough`() throws {
    let pair = try PeerPair()
    var candidates: [SDPCandidate] = []
    pair.editAnswer = {
      candidates = $0.candidates
      $0.candidates = []
      $0.endOfCandidates = false
    }
    pair.editOffer = {
      $0.candidates = []
      $0.endOfCandidates = false
    }
    pair.signal()
    try pair.run { !candidates.isEmpty }
    #expect(pair.opened.isEmpty)
    for candidate in candidates { pair.offerer.addRemoteCandidate(candidate) }
    pair.offerer.endOfRemoteCandidates()
    try pair.run { pair.opened.count == 2 }
    // The answerer only ever saw checks: its path to the offerer was learned from them.
    #expect(pair.answerer.path?.remoteKind == .peerReflexive)
    try pair.finish()
  }

  @Test func `sessions are let go when they are closed`() throws {
    weak var first: PeerSession?
    weak var second: PeerSession?
    do {
      let pair = try PeerPair()
      _ = try pair.open()
      first = pair.offerer
      second = pair.answerer
      try pair.finish()
      pair.offererChannels = []
      pair.answererChannels = []
    }
    #expect(first == nil && second == nil)
  }
}

/// Passes datagrams between two relayed addresses that exist only here.
final class MemoryRelay: RelayTransport {
  let relayedAddress: SocketAddress
  let server = SocketAddress("192.0.2.1:3478")!
  let mappedAddress: SocketAddress? = nil
  let ownAddress: IPAddress? = nil
  var lastHeardAt: Instant?
  var onEnded: ((_ why: String) -> Void)?
  var onDatagram: ((_ bytes: RawSpan, _ peer: SocketAddress) -> Void)?
  var other: MemoryRelay?
  var permitted: [SocketAddress] = []
  var carried = 0
  private let reactor: Reactor

  init(_ address: String, _ reactor: Reactor) {
    relayedAddress = SocketAddress(address)!
    self.reactor = reactor
  }

  func permit(_ peer: SocketAddress) { permitted.append(peer) }

  func send(_ bytes: [UInt8], to peer: SocketAddress) {
    guard let other, peer == other.relayedAddress else { return }
    carried += 1
    reactor.enqueue(.media) { [self] in
      let span = bytes.span
      other.onDatagram?(span.bytes, relayedAddress)
    }
  }

  func close() { other = nil }
}

@Suite("Peer session through relays")
struct RelayedPeerSessionTests {
  @Test func `with relay-only nothing of this machine is offered and data flows through the relay`() throws {
    var configuration = PeerConfiguration()
    configuration.policy = .relayOnly
    configuration.ice.relayNominationDelay = .zero
    let pair = try PeerPair(offerer: configuration, answerer: configuration)
    let left = MemoryRelay("198.51.100.1:50001", pair.reactor)
    let right = MemoryRelay("198.51.100.2:50002", pair.reactor)
    left.other = right
    right.other = left
    pair.offerer.addRelay(left)
    pair.answerer.addRelay(right)
    pair.editOffer = { offer in
      let kinds = offer.candidates.map(\.kind)
      #expect(kinds == [.relayed])
    }
    let channel = try pair.open()
    channel.send(PeerPair.pattern(100_000))
    try pair.run { pair.received["answerer"]?.count == 1 }
    #expect(pair.offerer.path?.kind == .relay)
    #expect(left.carried > 80)
    #expect(left.permitted.contains(right.relayedAddress))
    try pair.finish()
    #expect(left.other == nil)
  }
}
