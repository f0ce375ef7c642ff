import EdgeCore
import LinuxIO
import MSRP
import SIP
import SecureStreams
import SecureTransport

/// Logs in at an MSRP relay (RFC 4976 §5.1): `AUTH`, its challenge, and the path to use.
///
/// The connection then belongs to one session: the relay reaches this end over it and over no other.
final class RelayLogin {
  /// What a relay gave: `Use-Path`, and the connection it is good for.
  struct Pass {
    var usePath: [MSRPURI]
    var stream: StreamConnection
  }

  private let stream: StreamConnection
  private let relay: MSRPURI
  private let local: MSRPURI
  private var digest: DigestClient
  private var framer = MSRPFramer()
  private var challenges = 0
  private var random = SystemRandom()
  private var done: ((Pass?, MSRPObstacle?) -> Void)?
  private var deadline: Reactor.TimerToken?
  private let reactor: Reactor
  private var reply: MSRPHead?

  private static let patience = Duration.seconds(10)

  init(
    reactor: Reactor, to addresses: [SocketAddress], security: StreamConnection.ClientSecurity, relay: MSRPURI,
    local: MSRPURI, digest: DigestClient, done: @escaping (Pass?, MSRPObstacle?) -> Void
  ) {
    self.reactor = reactor
    self.relay = relay
    self.local = local
    self.digest = digest
    self.done = done
    stream = StreamConnection.connect(reactor: reactor, to: addresses, security: security)
    stream.onOpen = { [self] in ask() }
    stream.onBytes = { [self] bytes in receive(bytes) }
    stream.onClosed = { [self] reason in finish(nil, .init("the relay: " + reason.description)) }
    deadline = reactor.schedule(after: Self.patience) { [self] in finish(nil, .init("the relay does not answer")) }
  }

  private func ask() {
    var head = MSRPHead(
      transactionID: random.token(12), kind: .request("AUTH"), toPath: [relay], fromPath: [local])
    // The digest of RFC 4976 §9.1 is that of SIP, over the method and the relay's URI.
    if let uri = URI(relay.text) {
      var request = Message(request: Method("AUTH"), uri)
      digest.authorize(&request, using: &random)
      if let credentials = request[.authorization] { head.fields.append(.init("Authorization", credentials)) }
    }
    stream.send(head.serialized())
  }

  private func receive(_ bytes: RawSpan) {
    framer.append(bytes)
    do throws(MSRPFramer.FramingError) {
      while done != nil, let item = try framer.next() {
        if case .head(let head, _) = item { reply = head }
        if case .end = item, let reply { answered(reply) }
      }
    } catch {
      finish(nil, .init("the relay speaks no MSRP", isLasting: true))
    }
  }

  private func answered(_ head: MSRPHead) {
    switch head.responseCode {
    case 200:
      guard let path = head.field("Use-Path").flatMap({ MSRPURI.path($0) }) else {
        return finish(nil, .init("the relay gives no path", isLasting: true))
      }
      finish(Pass(usePath: path, stream: stream), nil)
    case 401:
      var response = Message(.response(401, reason: ""))
      for field in head.fields where ASCII.equalIgnoringCase(field.name, "WWW-Authenticate") {
        response.append(.wwwAuthenticate, field.value)
      }
      switch digest.receive(response, answered: challenges) {
      case .retry:
        challenges += 1
        ask()
      case .giveUp(.badPassword):
        finish(nil, .init("the relay refuses the account or its password", isLasting: true))
      case .giveUp(.foreignRealm):
        finish(nil, .init("the relay asks for a password of another realm than \(digest.realm)", isLasting: true))
      case .giveUp: finish(nil, .init("the relay asks for a password in no way this end may answer", isLasting: true))
      }
    case let code:
      // What a server says of itself passes (RFC 4975 §10.5, RFC 4976 §5.1.1).
      finish(nil, .init("the relay refuses (\(code ?? 0))", isLasting: code == 403 || code == 501))
    }
  }

  private func finish(_ pass: Pass?, _ obstacle: MSRPObstacle?) {
    guard let done else { return }
    self.done = nil
    if let deadline { reactor.cancel(deadline) }
    deadline = nil
    if pass == nil { stream.close() }
    done(pass, obstacle)
  }
}
