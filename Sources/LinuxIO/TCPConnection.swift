import CLinux
public import EdgeCore

/// A TCP connection, opened here or accepted by a ``TCPListener``. Small writes leave at once (TCP_NODELAY).
public final class TCPConnection: StreamSocket {
  public struct Options: Hashable, Sendable {
    /// How long the connection may take to come up.
    public var connectTimeout: Duration = .seconds(10)
    /// How long sent data may stay unacknowledged before the kernel gives the connection up
    /// (TCP_USER_TIMEOUT); `nil` is the system's default of many minutes.
    public var userTimeout: Duration?
    /// The local address to connect from; port 0 lets the kernel choose.
    public var source: SocketAddress?
    /// A ``TCPListener`` that shares its address is bound to the same.
    public var sharesSource = false

    public init(connectTimeout: Duration = .seconds(10), userTimeout: Duration? = nil, source: SocketAddress? = nil) {
      self.connectTimeout = connectTimeout
      self.userTimeout = userTimeout
      self.source = source
    }
  }

  public let peerAddress: SocketAddress
  /// `nil` until connected.
  public private(set) var localAddress: SocketAddress?

  /// Never fails at once: whatever goes wrong arrives through ``StreamSocket/onClosed``.
  public static func connect(
    reactor: Reactor, to peer: SocketAddress, options: Options = Options()
  ) -> TCPConnection {
    do throws(SystemError) {
      let socket = try SocketCall.open(family: peer.ip.kernelFamily, type: SOCK_STREAM.rawValue)
      try prepare(socket.raw, userTimeout: options.userTimeout)
      if options.sharesSource { try SocketCall.setOption(socket.raw, SOL_SOCKET, SO_REUSEPORT, 1) }
      if let source = options.source { try SocketCall.bind(socket.raw, source) }
      do throws(SystemError) {
        try systemCall("connect") { peer.withKernelAddress { edge_connect(socket.raw, $0, $1) } }
      } catch {
        guard error.errno == EINPROGRESS else { throw error }
      }
      let connection = try TCPConnection(
        reactor: reactor, descriptor: socket, state: .connecting, peer: peer, local: nil)
      connection.setDeadline(options.connectTimeout, reason: .timedOut)
      return connection
    } catch {
      return TCPConnection(reactor: reactor, failure: CloseReason(error), peer: peer)
    }
  }

  /// Ends the connection at once so that the peer sees it cut, not ended in order. No handler is called any more.
  public func abort() {
    if let socket = descriptor?.raw {
      // SO_LINGER with no time to linger: close(2) sends a reset.
      var now = linger(l_onoff: 1, l_linger: 0)
      setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
    }
    close()
  }

  /// Caps what the kernel receives before it is read, in bytes; else it grows with the speed of the path. A failure
  /// leaves the system's own limit.
  public func limitReceiveBuffer(_ bytes: Int) {
    guard let socket = descriptor?.raw else { return }
    try? SocketCall.setOption(socket, SOL_SOCKET, SO_RCVBUF, Int32(clamping: bytes))
  }

  init(
    reactor: Reactor, descriptor: consuming FileDescriptor, state: State, peer: SocketAddress, local: SocketAddress?
  ) throws(SystemError) {
    peerAddress = peer
    localAddress = local
    try super.init(reactor: reactor, descriptor: descriptor, state: state)
  }

  private init(reactor: Reactor, failure: CloseReason, peer: SocketAddress) {
    peerAddress = peer
    super.init(reactor: reactor, failure: failure)
  }

  /// Asks a silent peer after `idle`, and gives it up when it does not answer for a minute (SO_KEEPALIVE).
  public func keepAlive(after idle: Duration) {
    guard let socket = descriptor?.raw else { return }
    try? SocketCall.setOption(socket, SOL_SOCKET, SO_KEEPALIVE, 1)
    try? SocketCall.setOption(socket, SocketLevel.tcp, TCP_KEEPIDLE, Int32(clamping: idle.components.seconds))
    try? SocketCall.setOption(socket, SocketLevel.tcp, TCP_KEEPINTVL, 15)
    try? SocketCall.setOption(socket, SocketLevel.tcp, TCP_KEEPCNT, 4)
  }

  static func prepare(_ socket: Int32, userTimeout: Duration?) throws(SystemError) {
    try SocketCall.setOption(socket, SocketLevel.tcp, TCP_NODELAY, 1)
    if let userTimeout {
      try SocketCall.setOption(
        socket, SocketLevel.tcp, TCP_USER_TIMEOUT, Int32(clamping: userTimeout.wholeMilliseconds))
    }
  }

  override func connected() -> CloseReason? {
    if let socket = descriptor?.raw { localAddress = SocketCall.localAddress(socket) }
    // A connection to a free local port in the ephemeral range can meet itself (simultaneous open).
    return localAddress == peerAddress ? .refused : nil
  }
}

/// Accepts TCP connections. An IPv6 listener takes IPv6 only. The reactor keeps it alive until ``close()``.
public final class TCPListener {
  /// The bound address, with the port the kernel chose when 0 was asked for.
  public let localAddress: SocketAddress
  /// Set its handlers at once; drop it with ``StreamSocket/close()``.
  public var onAccept: ((TCPConnection) -> Void)?
  /// Connections lost because the process or the system was out of descriptors or memory.
  public private(set) var acceptFailures: UInt64 = 0

  private let reactor: Reactor
  private let userTimeout: Duration?
  private var acceptor: Acceptor?

  /// `userTimeout` as in ``TCPConnection/Options``, for the connections accepted. `sharesAddress` lets connections
  /// be made from the same address.
  public init(
    reactor: Reactor, bind address: SocketAddress, userTimeout: Duration? = nil, sharesAddress: Bool = false
  ) throws(SystemError) {
    let socket = try SocketCall.open(family: address.ip.kernelFamily, type: SOCK_STREAM.rawValue)
    try SocketCall.setOption(socket.raw, SOL_SOCKET, sharesAddress ? SO_REUSEPORT : SO_REUSEADDR, 1)
    if !address.ip.isV4 { try SocketCall.setOption(socket.raw, SocketLevel.ipv6, IPV6_V6ONLY, 1) }
    try SocketCall.bind(socket.raw, address)
    try systemCall("listen \(address)") { listen(socket.raw, SOMAXCONN) }
    localAddress = SocketCall.localAddress(socket.raw) ?? address
    self.reactor = reactor
    self.userTimeout = userTimeout
    acceptor = try Acceptor(
      reactor: reactor, descriptor: socket, onFailure: { self.acceptFailures += 1 }, onAccept: { self.accept($0) })
  }

  public func close() {
    acceptor?.close()
    acceptor = nil
    onAccept = nil
  }

  private func accept(_ socket: consuming FileDescriptor) {
    // Gone again before it was looked at.
    guard let onAccept, let peer = SocketCall.peerAddress(socket.raw) else { return }
    let local = SocketCall.localAddress(socket.raw)
    do throws(SystemError) {
      try TCPConnection.prepare(socket.raw, userTimeout: userTimeout)
      onAccept(
        try TCPConnection(reactor: reactor, descriptor: socket, state: .open, peer: peer, local: local))
    } catch {
      acceptFailures += 1
    }
  }
}
