internal import Config
internal import Doctor
internal import EdgeCore
internal import LinuxIO
internal import NATDiscovery
internal import STUN
internal import SecureStreams
internal import SecureTransport
internal import Uplink

/// Tries to reach a server in every way a node or viewer uses, all at once, and notes what came of each.
final class DoctorProbes {
  private let reactor: Reactor
  private let account: AccountConfiguration
  private let trust: TLSContext.Trust
  private(set) var facts: Facts
  private var open = 0
  private var streams: [StreamConnection] = []
  private var sockets: [UDPSocket] = []
  private var nat: NATProbe?

  /// For each of them.
  private static let patience = Duration.seconds(4)
  private static let stunPort: UInt16 = 3478
  private static let tlsPorts: [UInt16] = [443, 5349]

  init(reactor: Reactor, account: AccountConfiguration, trust: TLSContext.Trust, facts: Facts) {
    self.reactor = reactor
    self.account = account
    self.trust = trust
    self.facts = facts
  }

  /// Returns when every attempt has ended.
  func run() throws(SystemError) -> Facts {
    let host = account.uri.server.host
    let resolver = NameResolver(reactor: reactor)
    begin()
    if let address = NameResolver.numeric(host) {
      facts.addresses = [address]
      reactor.enqueue(.signalling) { [self] in reach() }
    } else {
      resolver.resolve(host) { [self] answer in
        switch answer {
        case .success(let found):
          facts.addresses = found
          reach()
        case .failure(let failure):
          facts.lookupFailure = failure.description
          end()
        }
      }
    }
    try reactor.run()
    for stream in streams { stream.close() }
    for socket in sockets { socket.close() }
    return facts
  }

  // MARK: Counting

  private func begin() { open += 1 }

  private func end() {
    open -= 1
    if open == 0 { reactor.stop() }
  }

  /// Calls `timeout` after ``patience``, unless what it returns was called before: once is enough for either.
  private func attempt(_ timeout: @escaping () -> Void) -> () -> Bool {
    begin()
    var isOver = false
    let finish = { [self] in
      guard !isOver else { return false }
      isOver = true
      // Later: whoever is being called may be a connection about to be closed.
      reactor.enqueue(.bulk) { [self] in end() }
      return true
    }
    _ = reactor.schedule(after: Self.patience) { if finish() { timeout() } }
    return finish
  }

  // MARK: Attempts

  private func reach() {
    guard let first = facts.addresses.first else { return end() }
    let port = account.uri.server.port
    switch account.uri.transport {
    case .tls: reachStream(port, isTLS: true, question: nil) { [self] in facts.link = $0 }
    case .tcp: reachStream(port, isTLS: false, question: nil) { [self] in facts.link = $0 }
    case .udp: ask(SocketAddress(first, port: port), .binding) { [self] in facts.link = $0 }
    }
    let stun = SocketAddress(first, port: account.stun?.port ?? Self.stunPort)
    ask(stun, .binding) { [self] in facts.stunUDP = $0 }
    ask(stun, Self.allocate) { [self] in facts.relayUDP = $0 }
    reachStream(stun.port, isTLS: false, question: .binding) { [self] in facts.stunTCP = $0 }
    reachStream(stun.port, isTLS: false, question: Self.allocate) { [self] in facts.relayTCP = $0 }
    for port in Self.tlsPorts {
      reachStream(port, isTLS: true, question: Self.allocate) { [self] outcome in
        if case .worked = facts.relayTLS { return }
        facts.relayTLS = outcome
      }
    }
    begin()
    nat = NATProbe.start(
      reactor: reactor, server: SocketAddress(first, port: NATProbe.standardPort), plainServer: stun
    ) { [self] report in
      facts.nat = report
      nat = nil
      end()
    }
    end()
  }

  /// RFC 8656 §7.1; a relay refuses it with 401 when it comes without a password.
  private static let allocate = Method(rawValue: 3)

  private static func question(_ method: Method) -> STUNMessage {
    var random = SystemRandom()
    var message = STUNMessage(.request, method, transaction: TransactionID(using: &random))
    // REQUESTED-TRANSPORT: UDP.
    if method == allocate { message.attributes.append(Attribute(AttributeType(rawValue: 0x19), UInt32(17) << 24)) }
    return message
  }

  /// Whether these bytes are what a server says to `question`.
  private static func answers(_ bytes: RawSpan, _ question: STUNMessage) -> Bool {
    guard let message = (try? ReceivedMessage(parsing: bytes))?.message,
      message.transaction == question.transaction
    else { return false }
    return message.type.messageClass == .success || message.errorCode == .unauthenticated
  }

  private func ask(_ server: SocketAddress, _ method: Method, _ note: @escaping (Facts.Outcome) -> Void) {
    let question = Self.question(method)
    let bytes = question.serialized(fingerprint: true)
    let finish = attempt { note(.failed("no answer from UDP \(server)")) }
    guard
      let socket = try? UDPSocket(
        reactor: reactor, bind: SocketAddress(server.ip.isV4 ? .anyV4 : .anyV6, port: 0))
    else {
      if finish() { note(.failed("no UDP socket could be opened")) }
      return
    }
    sockets.append(socket)
    let begun = reactor.now
    socket.onDatagram = { [self] answer, _, _ in
      guard Self.answers(answer, question), finish() else { return }
      note(.worked(roundTrip: reactor.now - begun))
    }
    for wait in [0, 500, 1500] {
      _ = reactor.schedule(after: .milliseconds(Int64(wait))) { [unowned(unsafe) socket] in
        if socket.isOpen { socket.send(Datagram(destination: server, bytes: bytes)) }
      }
    }
  }

  /// Opens a connection and, with a question, waits for its answer.
  private func reachStream(
    _ port: UInt16, isTLS: Bool, question method: Method?, _ note: @escaping (Facts.Outcome) -> Void
  ) {
    let finish = attempt { note(.failed("no answer in \(Self.patience.components.seconds) s")) }
    var security = StreamConnection.ClientSecurity.plain
    if isTLS {
      do throws(SecureTransportError) {
        security = .tls(try TLSContext.client(trust), serverName: account.uri.server.host)
      } catch {
        if finish() { note(.failed(error.description)) }
        return
      }
    }
    let begun = reactor.now
    let stream = StreamConnection.connect(
      reactor: reactor, to: facts.addresses.map { SocketAddress($0, port: port) }, security: security)
    streams.append(stream)
    let question = method.map { Self.question($0) }
    stream.onOpen = { [self, unowned(unsafe) stream] in
      if let question {
        stream.send(question.serialized(fingerprint: true))
      } else if finish() {
        facts.certificateEnds = stream.serverValidity?.notAfter
        note(.worked(roundTrip: reactor.now - begun))
      }
    }
    stream.onBytes = { [self] bytes in
      guard let question, Self.answers(bytes, question), finish() else { return }
      note(.worked(roundTrip: reactor.now - begun))
    }
    stream.onClosed = { [self] reason in
      guard finish() else { return }
      if method == nil, case .tls(let failure) = reason { facts.isClockToBlame = failure.isClockWrong }
      note(.failed(reason.description))
    }
  }
}
