public import EdgeCore
public import LinuxIO
public import SecureTransport

/// A byte stream over TCP, with TLS or without, opened here or accepted.
///
/// Set the handlers right after making it: none is called before the next step of the reactor. The reactor keeps
/// an open connection alive. ``onClosed`` is called once, when the connection ends for any reason but ``close()`` and
/// ``closeAfterSending(within:)``, which are silent; after any of them no handler is called and all are let go.
public final class StreamConnection {
  /// How a client protects its connection.
  public enum ClientSecurity {
    case plain
    /// `serverName`: the host name or IP address from the configuration, which the certificate must carry.
    case tls(TLSContext, serverName: String)
  }

  public enum ServerSecurity {
    case plain
    case tls(TLSContext)
  }

  public struct Options: Hashable, Sendable {
    /// How long TCP and TLS together may take to come up.
    public var openTimeout: Duration = .seconds(10)
    /// When to try the next address although the last one has not failed yet (RFC 8305 §5).
    public var attemptDelay: Duration = .milliseconds(250)
    /// As in `TCPConnection.Options`.
    public var userTimeout: Duration?
    /// The time certificates are judged by, in seconds since 1970; `nil` is the machine's clock.
    public var wallClockSeconds: Int64?

    public init() {}
  }

  enum State { case opening, open, closed }

  /// The connection stands, and with TLS a client has checked the server.
  public var onOpen: (() -> Void)?
  /// Decrypted bytes, borrowed for the call.
  public var onBytes: ((_ bytes: RawSpan) -> Void)?
  /// Everything sent has been taken by the kernel, after it had not been.
  public var onDrained: (() -> Void)?
  public var onClosed: ((_ reason: StreamCloseReason) -> Void)?

  /// Passing this many unsent bytes ends the connection as ``CloseReason/tooSlow``.
  public var maxUnsentBytes = 8 << 20 {
    didSet { tcp?.maxUnsentBytes = maxUnsentBytes }
  }

  let reactor: Reactor
  var state = State.opening
  var tcp: TCPConnection?
  private var tls: TLSSession?
  private var deadline: Reactor.TimerToken?
  /// Sent before TCP stood.
  private var early: [UInt8] = []
  private var isReading = true

  // The client's half (StreamConnection+Connect.swift).
  var security = ClientSecurity.plain
  var options = Options()
  var untried: [SocketAddress] = []
  var attempts: [TCPConnection] = []
  var nextAttempt: Reactor.TimerToken?
  var firstFailure: CloseReason?

  init(reactor: Reactor) { self.reactor = reactor }

  /// Takes over a connection from a `TCPListener`.
  public static func accept(
    _ connection: TCPConnection, reactor: Reactor, security: ServerSecurity, openTimeout: Duration = .seconds(10)
  ) -> StreamConnection {
    let stream = StreamConnection(reactor: reactor)
    stream.adopt(connection)
    switch security {
    case .plain: reactor.enqueue(.signalling) { stream.becomeOpen() }
    case .tls(let context):
      stream.setDeadline(openTimeout)
      do throws(SecureTransportError) {
        stream.tls = try TLSSession(server: context)
      } catch {
        stream.endLater(.setup(error))
      }
    }
    return stream
  }

  public var isOpen: Bool { state == .open }

  public var isSecure: Bool { tls != nil }

  /// The address in use; `nil` while none of a client's attempts has been answered.
  public var peerAddress: SocketAddress? { tcp?.peerAddress }

  public var localAddress: SocketAddress? { tcp?.localAddress }

  /// How long the server's certificate is good, once a client is open with TLS.
  public var serverValidity: Validity? { tls?.serverValidity }

  /// Bytes the kernel has not taken yet.
  public var unsentBytes: Int { (tcp?.unsentBytes ?? 0) + early.count }

  /// Sends in order. Before the connection is open up to 64 KiB are kept; ignored after it has ended.
  public func send(_ bytes: [UInt8]) {
    guard state != .closed, !bytes.isEmpty else { return }
    guard state == .open, let tcp else {
      if early.count + bytes.count <= 65_536 { early += bytes } else { endLater(.transport(.tooSlow)) }
      return
    }
    guard let tls else {
      tcp.send(bytes)
      return
    }
    var out = TLSSession.Output()
    tls.send(bytes, into: &out)
    apply(out)
  }

  /// Stops or resumes reading; the kernel then makes the peer wait.
  public func setReading(_ isOn: Bool) {
    isReading = isOn
    tcp?.setReading(isOn)
  }

  /// Ends the connection at once; what is unsent is dropped.
  public func close() {
    _ = release()
    tcp?.close()
    tcp = nil
  }

  /// Ends the connection in order: sends what is left, says goodbye, waits for the peer no longer than `limit`.
  public func closeAfterSending(within limit: Duration = .seconds(5)) {
    guard state != .closed else { return }
    if let tls {
      var out = TLSSession.Output()
      tls.close(into: &out)
      tcp?.send(out.ciphertext)
    }
    _ = release()
    tcp?.closeAfterSending(within: limit)
    tcp = nil
  }

  // MARK: Inside

  func setDeadline(_ limit: Duration) {
    deadline = reactor.schedule(after: limit) { [self] in
      deadline = nil
      end(tcp == nil ? .transport(firstFailure ?? .timedOut) : .handshakeTimedOut)
    }
  }

  /// Makes `connection` the one in use.
  func adopt(_ connection: TCPConnection) {
    tcp = connection
    connection.maxUnsentBytes = maxUnsentBytes
    connection.setReading(isReading)
    connection.onConnected = nil
    connection.onBytes = { [self] bytes in receive(bytes) }
    connection.onDrained = { [self] in if state == .open { onDrained?() } }
    connection.onClosed = { [self] reason in end(.transport(reason)) }
  }

  /// TCP of a client stands.
  func startClient() {
    switch security {
    case .plain: becomeOpen()
    case .tls(let context, let serverName):
      do throws(SecureTransportError) {
        let session = try TLSSession(
          client: context, serverName: serverName, wallClock: options.wallClockSeconds ?? reactor.wallClockSeconds)
        tls = session
        var out = TLSSession.Output()
        session.start(into: &out)
        apply(out)
      } catch {
        end(.setup(error))
      }
    }
  }

  private func becomeOpen() {
    guard state == .opening else { return }
    state = .open
    if let deadline { reactor.cancel(deadline) }
    deadline = nil
    onOpen?()
    guard !early.isEmpty, state == .open else { return }
    let waiting = early
    early = []
    send(waiting)
  }

  private func receive(_ bytes: RawSpan) {
    guard let tls else {
      // The peer of an accepted plain connection may be faster than the task that opens it.
      becomeOpen()
      if state == .open { onBytes?(bytes) }
      return
    }
    var out = TLSSession.Output()
    tls.receive([UInt8](copying: bytes), into: &out)
    apply(out)
  }

  private func apply(_ out: TLSSession.Output) {
    if !out.ciphertext.isEmpty { tcp?.send(out.ciphertext) }
    for event in out.events {
      // A handler of an earlier event may have closed the connection.
      guard state != .closed else { return }
      switch event {
      case .established: becomeOpen()
      case .received(let plaintext):
        let span = plaintext.span
        onBytes?(span.bytes)
      case .closedByPeer: endInOrder(.closedByPeer)
      case .failed(let failure): endInOrder(.tls(failure))
      }
    }
  }

  func endLater(_ reason: StreamCloseReason) {
    reactor.enqueue(.signalling) { [self] in end(reason) }
  }

  /// Ends now for the owner, while the last bytes (an alert, a goodbye) still leave.
  private func endInOrder(_ reason: StreamCloseReason) {
    let handler = release()
    tcp?.closeAfterSending(within: .seconds(2))
    tcp = nil
    handler?(reason)
  }

  func end(_ reason: StreamCloseReason) {
    let handler = release()
    tcp?.close()
    tcp = nil
    handler?(reason)
  }

  /// Lets everything but `tcp` go; returns the handler to tell, the first time.
  private func release() -> ((StreamCloseReason) -> Void)? {
    guard state != .closed else { return nil }
    state = .closed
    if let deadline { reactor.cancel(deadline) }
    deadline = nil
    stopAttempts()
    tls = nil
    early = []
    // What the stream still reports concerns nobody any more.
    tcp?.onBytes = nil
    tcp?.onDrained = nil
    tcp?.onClosed = nil
    let handler = onClosed
    onOpen = nil
    onBytes = nil
    onDrained = nil
    onClosed = nil
    return handler
  }
}
