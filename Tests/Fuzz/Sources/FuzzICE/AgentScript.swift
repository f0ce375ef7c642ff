import EdgeCore
import ICE
import STUN

/// The input is a list of operations on one agent: what a peer that knows the passwords, an attacker who
/// does not, the owner and the clock can do to it, in any order. It must not trap, and must not send
/// without bound.
func runAgentScript(_ bytes: [UInt8]) {
  var script = Script(bytes)
  var session = Session(script.byte() & 1 == 0 ? .controlling : .controlled)
  for _ in 0..<200 {
    guard script.hasMore else { break }
    session.perform(&script)
  }
}

struct Script {
  private var bytes: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

  var hasMore: Bool { !bytes.isEmpty }

  mutating func byte() -> UInt8 { bytes.popFirst() ?? 0 }

  mutating func take(_ count: Int) -> [UInt8] {
    let taken = Array(bytes.prefix(count))
    bytes = bytes.dropFirst(count)
    return taken
  }

  /// One of few addresses, so that operations meet.
  mutating func address() -> SocketAddress {
    let byte = byte()
    let ip: IPAddress =
      byte & 0x80 == 0
      ? .v4(0xC000_0200 | UInt32(byte & 7))
      : .v6(high: 0xFE80 << 48, low: UInt64(byte & 7), scope: UInt32(byte >> 3 & 1))
    return SocketAddress(ip, port: UInt16(1 + (byte >> 4 & 7)))
  }
}

struct Session: ~Copyable {
  private static let password = "0123456789abcdefghijkl"
  private var agent: ICEAgent<SeededRandom>
  private var out = Outbox<ICEEvent>()
  private var now = Instant.zero
  private var lastSent: [Datagram] = []

  init(_ role: ICERole) {
    var configuration = ICEConfiguration()
    configuration.idleAfter = .seconds(15)
    agent = ICEAgent(role: role, configuration: configuration, hashes: .toy, random: SeededRandom(seed: 1), now: .zero)
  }

  mutating func perform(_ script: inout Script) {
    switch script.byte() % 10 {
    case 0:
      let bytes = script.take(Int(script.byte()))
      agent.receive(bytes.span.bytes, from: script.address(), to: script.address(), at: now, into: &out)
    case 1:
      let address = script.address()
      agent.addLocalCandidate(
        base: address, address: script.byte() & 1 == 0 ? address : script.address(),
        kind: CandidateKind(rawValue: script.byte() & 3) ?? .host, at: now, into: &out)
    case 2:
      let candidate = Candidate(
        kind: CandidateKind(rawValue: script.byte() & 3) ?? .host, address: script.address(),
        priority: UInt32(script.byte()) << 24, foundation: String(script.byte()))
      agent.addRemoteCandidate(candidate, at: now, into: &out)
    case 3:
      agent.setRemoteCredentials(
        ufrag: script.byte() & 1 == 0 ? "peer" : "other", password: Self.password, at: now, into: &out)
    case 4: receiveRequest(&script)
    case 5: receiveResponse(&script)
    case 6:
      now = now + .milliseconds(Int64(script.byte()) * 64)
      agent.tick(at: now, into: &out)
    case 7:
      if let deadline = agent.nextDeadline {
        now = max(now, deadline)
        agent.tick(at: now, into: &out)
      }
    case 8:
      agent.restart(at: now)
    default:
      let byte = script.byte()
      if byte & 0x80 != 0 {
        _ = agent.maySend(at: now, into: &out)
      } else if byte & 1 == 0 {
        agent.endOfRemoteCandidates(at: now, into: &out)
      } else {
        agent.removeLocalCandidates(base: script.address())
      }
    }
    // A burst, a retransmission of every check, consent and answers: an operation has an end.
    precondition(out.datagrams.count <= 400, "one operation sent \(out.datagrams.count) datagrams")
    precondition(agent.pairs.count <= agent.configuration.maxPairs)
    if !out.datagrams.isEmpty { lastSent = out.datagrams }
    out.removeAll()
  }

  /// A check signed as the peer signs.
  private mutating func receiveRequest(_ script: inout Script) {
    let flags = script.byte()
    var attributes = [
      Attribute(.username, agent.localUfrag + ":" + (flags & 1 == 0 ? "peer" : "other")),
      Attribute(flags & 2 == 0 ? .iceControlled : .iceControlling, UInt64(script.byte()) << 56),
    ]
    if flags & 4 == 0 { attributes.append(Attribute(.priority, UInt32(script.byte()) << 24 | 1)) }
    if flags & 8 != 0 { attributes.append(Attribute(.useCandidate, [])) }
    let message = STUNMessage(
      .request, .binding, transaction: TransactionID(high: 9, low: UInt64(script.byte())), attributes: attributes)
    let bytes = message.serialized(
      integrity: .sha1(key: Array(agent.localPassword.utf8)), fingerprint: true, hashes: .toy)
    agent.receive(bytes.span.bytes, from: script.address(), to: script.address(), at: now, into: &out)
  }

  /// An answer to something the agent has just sent, good or bad.
  private mutating func receiveResponse(_ script: inout Script) {
    guard !lastSent.isEmpty else { return }
    let sent = lastSent[Int(script.byte()) % lastSent.count]
    guard let header = try? STUNHeader(parsing: sent.bytes.span.bytes), let source = sent.source else { return }
    let flags = script.byte()
    let mapped = flags & 1 == 0 ? source : script.address()
    let attribute: Attribute =
      flags & 2 == 0
      ? .xorAddress(.xorMappedAddress, mapped, transaction: header.transaction)
      : .errorCode(flags & 4 == 0 ? .roleConflict : .badRequest)
    let message = STUNMessage(
      flags & 2 == 0 ? .success : .failure, .binding, transaction: header.transaction, attributes: [attribute])
    let bytes = message.serialized(
      integrity: .sha1(key: Array(Self.password.utf8)), fingerprint: true, hashes: .toy)
    let from = flags & 8 == 0 ? sent.destination : script.address()
    let to = flags & 16 == 0 ? source : script.address()
    agent.receive(bytes.span.bytes, from: from, to: to, at: now, into: &out)
  }
}

extension Hashes {
  /// Not a hash: enough to tell a right key from a wrong one, and fast.
  static let toy = Hashes(
    md5: { toy([], $0, 16) }, sha1: { toy([], $0, 20) }, sha256: { toy([], $0, 32) },
    hmacSHA1: { toy($0, $1, 20) }, hmacSHA256: { toy($0, $1, 32) })

  private static func toy(_ key: [UInt8], _ message: [UInt8], _ count: Int) -> [UInt8] {
    var state: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in key + message { state = (state ^ UInt64(byte)) &* 0x100_0000_01B3 }
    var random = SeededRandom(seed: state)
    return random.bytes(count)
  }
}
