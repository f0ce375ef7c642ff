public import EdgeCore
public import LinuxIO
internal import STUN
internal import SecureStreams
public import SecureTransport
public import TURN

/// A relayed address on a TURN server (RFC 8656), over UDP, TCP or TLS.
///
/// The reactor keeps it alive from ``start()`` until it has ended.
public final class TURNRelay: RelayTransport {
  public enum Security {
    case udp
    case tcp
    /// `serverName` is what the certificate must carry.
    case tls(TLSContext, serverName: String)
  }

  /// The allocation stands; the addresses are known.
  public var onReady: (() -> Void)?
  /// There is none, or none any more. Called once, but not after ``close()``.
  public var onEnded: ((_ why: String) -> Void)?

  public private(set) var relayedAddress = SocketAddress(.anyV4, port: 0)
  public private(set) var mappedAddress: SocketAddress?
  public private(set) var ownAddress: IPAddress?
  public private(set) var lastHeardAt: Instant?
  public let server: SocketAddress
  public var onDatagram: ((_ bytes: RawSpan, _ peer: SocketAddress) -> Void)?
  public var isReady: Bool { client.isAllocated }

  private let reactor: Reactor
  private let security: Security
  private var client: TURNClient<SystemRandom>
  private var socket: UDPSocket?
  private var stream: StreamConnection?
  private var framer = TURNStreamFramer()
  private var frame: [UInt8] = []
  private var timer: (at: Instant, token: Reactor.TimerToken)?
  private var isDone = false

  /// Data is dropped when a stream has this many bytes waiting: it would be too late when it arrives.
  private static let maximumUnsent = 512 << 10
  /// How long the server has to hear of the end.
  private static let closeLimit: Duration = .seconds(2)

  public init(reactor: Reactor, server: SocketAddress, security: Security, credentials: RelayCredentials) {
    self.reactor = reactor
    self.server = server
    self.security = security
    let isStream = if case .udp = security { false } else { true }
    client = TURNClient(
      TURNClient<SystemRandom>.Configuration(server: server, isStream: isStream, credentials: credentials),
      hashes: .openSSL, random: SystemRandom())
  }

  public func start() {
    guard socket == nil, stream == nil, !isDone else { return }
    switch security {
    case .udp: openSocket()
    case .tcp: openStream(.plain)
    case .tls(let context, let serverName): openStream(.tls(context, serverName: serverName))
    }
  }

  public func permit(_ peer: SocketAddress) { perform { $0.permit(peer.ip, at: $1, into: &$2) } }

  public func send(_ bytes: [UInt8], to peer: SocketAddress) {
    guard !isDone else { return }
    var isFramed = false
    perform {
      let span = bytes.span
      isFramed = $0.send(span.bytes, to: peer, at: $1, frame: &frame, into: &$2)
    }
    guard isFramed else { return }
    if let stream {
      if stream.unsentBytes < Self.maximumUnsent { stream.send(frame) }
    } else {
      socket?.send(Datagram(destination: server, bytes: frame))
    }
  }

  /// Gives the address back. Nothing is called any more.
  public func close() {
    guard !isDone else { return }
    onReady = nil
    onEnded = nil
    onDatagram = nil
    guard client.isAllocated else { return finish() }
    perform { $0.close(at: $1, into: &$2) }
    _ = reactor.schedule(after: Self.closeLimit) { [self] in finish() }
  }

  // MARK: The way to the server

  private func openSocket() {
    do throws(SystemError) {
      let socket = try UDPSocket(
        reactor: reactor, bind: SocketAddress(server.ip.isV4 ? .anyV4 : .anyV6, port: 0))
      socket.onDatagram = { [self] bytes, from, local in
        guard from == server else { return }
        ownAddress = local.ip
        receive(bytes)
      }
      self.socket = socket
      perform { $0.start(at: $1, into: &$2) }
    } catch {
      end("no UDP socket could be opened: \(error)")
    }
  }

  private func openStream(_ security: StreamConnection.ClientSecurity) {
    let stream = StreamConnection.connect(reactor: reactor, to: [server], security: security)
    self.stream = stream
    stream.onOpen = { [self] in
      ownAddress = self.stream?.localAddress?.ip
      perform { $0.start(at: $1, into: &$2) }
    }
    stream.onBytes = { [self] bytes in receiveStream(bytes) }
    stream.onClosed = { [self] reason in
      self.stream = nil
      end("\(reason)")
    }
  }

  private func receiveStream(_ bytes: RawSpan) {
    // A copy: handling a frame may end everything.
    var framer = self.framer
    do throws(TURNStreamFramer.Broken) {
      try framer.receive(bytes) { receive($0) }
      self.framer = framer
    } catch {
      end("the relay sent what is no frame")
    }
  }

  private func receive(_ bytes: RawSpan) {
    guard !isDone else { return }
    lastHeardAt = reactor.now
    var out = Outbox<TURNClient<SystemRandom>.Event>()
    let inbound = client.receive(bytes, at: reactor.now, into: &out)
    apply(out)
    if let inbound { onDatagram?(bytes.extracting(inbound.payload), inbound.peer) }
  }

  // MARK: The client

  private func perform(
    _ body: (
      inout TURNClient<SystemRandom>, Instant, inout Outbox<TURNClient<SystemRandom>.Event>
    ) -> Void
  ) {
    guard !isDone else { return }
    var out = Outbox<TURNClient<SystemRandom>.Event>()
    body(&client, reactor.now, &out)
    apply(out)
  }

  private func apply(_ out: Outbox<TURNClient<SystemRandom>.Event>) {
    for datagram in out.datagrams {
      if let stream { stream.send(datagram.bytes) } else { socket?.send(datagram) }
    }
    for event in out.events {
      switch event {
      case .allocated(let relayed, let mapped):
        relayedAddress = relayed
        mappedAddress = mapped
        let handler = onReady
        onReady = nil
        handler?()
      case .ended(let failure): end(failure.description)
      case .permitted, .permissionRefused, .bound, .peerUnreachable: break
      }
    }
    arm()
  }

  private func arm() {
    guard !isDone, let deadline = client.nextDeadline else { return }
    if let timer {
      guard deadline < timer.at else { return }
      reactor.cancel(timer.token)
    }
    let token = reactor.schedule(at: deadline) { [self] in
      timer = nil
      perform { $0.tick(at: $1, into: &$2) }
    }
    timer = (deadline, token)
  }

  private func end(_ why: String) {
    let handler = onEnded
    finish()
    // Later: the owner may be in the middle of a call into this relay.
    if let handler { reactor.enqueue(.signalling) { handler(why) } }
  }

  private func finish() {
    guard !isDone else { return }
    isDone = true
    if let timer { reactor.cancel(timer.token) }
    timer = nil
    socket?.close()
    stream?.closeAfterSending(within: .seconds(1))
    socket = nil
    stream = nil
    onReady = nil
    onEnded = nil
    onDatagram = nil
  }
}
