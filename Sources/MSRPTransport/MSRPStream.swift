public import EdgeCore
public import LinuxIO
public import MSRP
public import SecureStreams

/// One MSRP session over one TCP or TLS connection that this end opens (RFC 4975 §5.4, RFC 6135).
///
/// Set the handlers right after making it: all are let go when it ends, in ``onClosed`` or by the owner's ``close()``.
/// The connection keeps it alive until then.
public final class MSRPStream {
  public var onEvent: ((MSRPSession.Event) -> Void)?
  /// The connection is gone, whatever the session still had to do has failed.
  public var onClosed: ((_ why: String) -> Void)?
  /// Supplies the bytes of messages that are not in memory.
  public var supply: ((_ messageID: String, _ offset: UInt64, _ count: Int) -> [UInt8]?)?

  private let reactor: Reactor
  private let stream: StreamConnection
  private var link: MSRPLink
  private var timer: Reactor.TimerToken?
  private var isOpen: Bool
  private var isPumping = false
  private var isClosed = false

  /// Unsent bytes beyond which nothing more is taken from the session.
  private static let highWater = 256 << 10

  public convenience init(
    reactor: Reactor, to addresses: [SocketAddress], security: StreamConnection.ClientSecurity, session: MSRPSession
  ) {
    self.init(
      reactor: reactor, over: .connect(reactor: reactor, to: addresses, security: security), session: session)
  }

  /// Over a connection that is opening or, as that to a relay, open.
  public init(reactor: Reactor, over stream: StreamConnection, session: MSRPSession) {
    self.reactor = reactor
    self.stream = stream
    link = MSRPLink(session)
    isOpen = stream.isOpen
    stream.onOpen = { [self] in opened() }
    stream.onDrained = { [self] in pump() }
    stream.onBytes = { [self] bytes in
      var out = MSRPSession.Output()
      let isGood = link.receive(bytes, at: self.reactor.now, into: &out)
      carryOut(out)
      if !isGood { end("the other end speaks no MSRP") }
      pump()
    }
    stream.onClosed = { [self] reason in end(reason.description) }
  }

  public var isSending: Bool { link.session.isSending }

  @discardableResult
  public func send(_ message: MSRPSession.Outgoing) -> String {
    let id = change { $0.send(message, into: &$1) }
    pump()
    return id
  }

  /// Confirms a received message: it is stored.
  public func accept(_ messageID: String) { change { $0.accept(messageID, into: &$1) } }

  public func reject(_ messageID: String, _ status: Int) { change { $0.reject(messageID, status, into: &$1) } }

  /// Ends the connection when what was said so far has been sent. No handler is called any more.
  public func close() {
    guard !isClosed else { return }
    isClosed = true
    if let timer { reactor.cancel(timer) }
    timer = nil
    onEvent = nil
    onClosed = nil
    supply = nil
    stream.closeAfterSending(within: .seconds(2))
  }

  // MARK: Inside

  private func opened() {
    isOpen = true
    // RFC 4975 §7.1: who opened the connection speaks first, so that the other end knows whose it is.
    if !link.session.isSending { change { $0.sendEmpty(at: self.reactor.now, into: &$1) } }
    pump()
  }

  @discardableResult
  private func change<Result>(_ body: (inout MSRPSession, inout MSRPSession.Output) -> Result) -> Result {
    var out = MSRPSession.Output()
    let result = body(&link.session, &out)
    carryOut(out)
    return result
  }

  private func carryOut(_ out: MSRPSession.Output) {
    for message in out.messages { stream.send(message) }
    for event in out.events { onEvent?(event) }
    arm()
  }

  private func pump() {
    guard isOpen, !isClosed, !isPumping else { return }
    isPumping = true
    defer { isPumping = false }
    while !isClosed, stream.unsentBytes < Self.highWater {
      switch change({ $0.pull(at: self.reactor.now, into: &$1) }) {
      case .sent: continue
      case .wants(let id, let offset, let count):
        guard let bytes = supply?(id, offset, count) else {
          change { $0.abort(id, at: self.reactor.now, into: &$1) }
          continue
        }
        change { $0.supply(id, bytes, at: self.reactor.now, into: &$1) }
      case .idle: return
      }
    }
  }

  private func arm() {
    if let timer { reactor.cancel(timer) }
    timer = nil
    guard !isClosed, let deadline = link.session.nextDeadline else { return }
    timer = reactor.schedule(at: deadline) { [self] in
      timer = nil
      change { $0.tick(at: self.reactor.now, into: &$1) }
      pump()
    }
  }

  private func end(_ why: String) {
    guard !isClosed else { return }
    change { $0.connectionLost(into: &$1) }
    let closed = onClosed
    close()
    closed?(why)
  }
}
