import EdgeCore
import SIP
import SecureTransport
import Testing
import UserAgent

/// A user agent on a simulated flow, with a clock that stands still until it is moved, and with
/// the server's side of the flow played by the test.
final class World {
  static let domain = "rv.example.org"
  var agent: UserAgent
  var now = Instant.zero
  var out = UserAgentOutbox()
  var events: [UserAgentEvent] = []
  /// What the agent sent and nobody looked at yet.
  var sent: [Message] = []
  var pings = 0
  var connects = 0
  var closes = 0
  var framer = StreamFramer(side: .server)
  var challenger: DigestServer

  init(
    seed: UInt64 = 1, password: String = "secret", registers: Bool = true, realm: String? = nil, allowsMD5: Bool = false
  ) {
    let configuration = UserAgentConfiguration(
      account: "gate-box", domain: Self.domain, password: password, transport: .tls,
      instance: "urn:uuid:00000000-0000-1000-8000-000a95a0e128", registers: registers, realm: realm,
      allowsMD5: allowsMD5)
    agent = UserAgent(configuration: configuration, hashes: .openSSL, random: SeededRandom(seed: seed))
    challenger = DigestServer(realm: Self.domain, hashes: .openSSL, key: [UInt8](repeating: 7, count: 32))
  }

  func `do`(_ command: (inout UserAgent, Instant, inout UserAgentOutbox) -> Void) {
    command(&agent, now, &out)
    collect()
  }

  private func collect() {
    for action in out.actions {
      switch action {
      case .connect: connects += 1
      case .closeFlow:
        closes += 1
        framer = StreamFramer(side: .server)
      case .send(let bytes): framer.append(bytes)
      }
    }
    events += out.events
    out.removeAll()
    while let item = try? framer.next() {
      switch item {
      case .message(let message): sent.append(message)
      case .ping: pings += 1
      default: Issue.record("the agent sent \(item)")
      }
    }
  }

  func open() { `do` { $0.flowOpened(local: SocketAddress("192.0.2.7:40000")!, at: $1, into: &$2) } }

  func close(_ why: String = "connection reset") { `do` { $0.flowClosed(why, at: $1, into: &$2) } }

  func deliver(_ bytes: [UInt8]) { `do` { $0.receive(bytes.span.bytes, at: $1, into: &$2) } }

  func deliver(_ message: Message) { deliver(message.serialized()) }

  /// Moves the clock, ticking at every deadline on the way.
  func advance(_ duration: Duration) {
    let end = now + duration
    var steps = 0
    while let deadline = agent.nextDeadline, deadline <= end {
      now = max(now, deadline)
      `do` { $0.tick(at: $1, into: &$2) }
      steps += 1
      if steps > 10_000 {
        Issue.record("the agent never rests")
        return
      }
    }
    now = end
  }

  func next(_ method: SIP.Method, _ location: SourceLocation = #_sourceLocation) -> Message? {
    guard let index = sent.firstIndex(where: { $0.isRequest && $0.method == method }) else {
      Issue.record("no \(method) among \(sent.map { "\($0.startLine)" })", sourceLocation: location)
      return nil
    }
    return sent.remove(at: index)
  }

  func answer(
    _ request: Message?, _ status: StatusCode, tag: String = "server", _ edit: (inout Message) -> Void = { _ in }
  ) {
    guard let request else { return }
    var response = Message.response(to: request, status: status, tag: tag)
    edit(&response)
    deliver(response)
  }

  /// Challenges a request, and returns the one that comes back.
  func challenge(
    _ request: Message?, status: StatusCode = 401, realm: String = World.domain, algorithm: DigestAlgorithm = .sha256
  ) -> Message? {
    guard let request else { return nil }
    let nonce = DigestChallenge(realm: realm, nonce: "n\(sent.count)\(now.nanoseconds)", algorithm: algorithm)
    answer(request, status) { $0.append(status == 407 ? .proxyAuthenticate : .wwwAuthenticate, nonce.description) }
    guard let method = request.method, sent.contains(where: { $0.isRequest && $0.method == method }) else { return nil }
    return next(method)
  }

  func isSigned(_ request: Message?, password: String = "secret") -> Bool {
    guard let request, let credentials = request.credentials.first, let method = request.method else { return false }
    let ha1 = DigestAlgorithm.sha256.ha1(
      username: "gate-box", realm: Self.domain, password: password, .openSSL)
    return credentials.isMade(with: ha1, method: method, hashes: .openSSL)
  }

  func grant(_ register: Message?, expires: UInt32 = 600, flowTimer: UInt32 = 25) {
    answer(register, 200) { response in
      guard var contact = register?.contact else { return }
      contact.expires = expires
      response.contact = contact
      response.flowTimer = flowTimer
      response.append(.require, "outbound")
    }
  }

  /// Goes from nothing to logged in.
  func logIn() {
    `do` { $0.start(at: $1, into: &$2) }
    open()
    grant(challenge(next(.register)))
    #expect(agent.isUp)
    #expect(events.last == .linkUp)
    events.removeAll()
  }

  /// An INVITE as the server would route it here.
  func invite(serial: String = "CAM-1", from: String = "ann", branch: String = "z9hG4bKin1") -> Message {
    var request = Message(request: .invite, URI(.sip, user: serial, host: Self.domain))
    request.maxForwards = 69
    request.push(Via(transport: "TLS", host: Self.domain, port: 5061, branch: branch))
    request.append(.recordRoute, "<sip:rv.example.org:5061;transport=tls;lr>")
    var caller = NameAddress(URI(.sip, user: from, host: Self.domain))
    caller.tag = "caller"
    request.from = caller
    request.to = NameAddress(URI(.sip, user: serial, host: Self.domain))
    request.callID = "call-1"
    request.cseq = CSeq(1, .invite)
    request.contact = NameAddress(URI(.sip, user: from, host: "198.51.100.9", port: 5555))
    request.setBody(Array("offer".utf8), type: "application/sdp")
    return request
  }
}
