import CLinux
public import EdgeCore

/// One UDP socket of a ``DatagramPump``. The reactor keeps it alive until ``close()``.
public final class DatagramPort {
  public struct Options: Hashable, Sendable {
    /// Kernel buffers in bytes; `nil` is the system's default.
    public var receiveBufferBytes: Int?
    public var sendBufferBytes: Int?
    /// Other sockets are bound to the same address, each with its share of the senders (SO_REUSEPORT).
    public var sharesAddress = false
    /// Datagrams to many destinations leave over it, so that they are sent together.
    public var hasManyPeers = false
    /// ICMP errors are wanted.
    public var reportsErrors = false

    public init() {}
  }

  /// The bound address, with the port the kernel chose when 0 was asked for.
  public let localAddress: SocketAddress
  /// The owner's number for it.
  public let tag: Int
  let isShared: Bool
  /// Bound to no address of its own: each datagram says to which it came.
  let isWildcard: Bool
  private(set) var raw: Int32
  private let pump: DatagramPump
  private var descriptor: FileDescriptor?
  private var token: Reactor.Token?

  public init(
    _ pump: DatagramPump, bind address: SocketAddress, tag: Int, options: Options = Options()
  ) throws(SystemError) {
    let socket = try SocketCall.open(family: address.ip.kernelFamily, type: SOCK_DGRAM.rawValue)
    isWildcard = address.ip.isUnspecified
    if !address.ip.isV4 { try SocketCall.setOption(socket.raw, SocketLevel.ipv6, IPV6_V6ONLY, 1) }
    if isWildcard {
      let (level, name) = address.ip.isV4 ? (SocketLevel.ip, IP_PKTINFO) : (SocketLevel.ipv6, IPV6_RECVPKTINFO)
      try SocketCall.setOption(socket.raw, level, name, 1)
    }
    if options.sharesAddress { try SocketCall.setOption(socket.raw, SOL_SOCKET, SO_REUSEPORT, 1) }
    if options.reportsErrors {
      let (level, name) = address.ip.isV4 ? (SocketLevel.ip, IP_RECVERR) : (SocketLevel.ipv6, IPV6_RECVERR)
      try SocketCall.setOption(socket.raw, level, name, 1)
    }
    if let bytes = options.receiveBufferBytes {
      // Beyond the system's limit where this process may.
      if (try? SocketCall.setOption(socket.raw, SOL_SOCKET, SO_RCVBUFFORCE, Int32(clamping: bytes))) == nil {
        try SocketCall.setOption(socket.raw, SOL_SOCKET, SO_RCVBUF, Int32(clamping: bytes))
      }
    }
    if let bytes = options.sendBufferBytes {
      if (try? SocketCall.setOption(socket.raw, SOL_SOCKET, SO_SNDBUFFORCE, Int32(clamping: bytes))) == nil {
        try SocketCall.setOption(socket.raw, SOL_SOCKET, SO_SNDBUF, Int32(clamping: bytes))
      }
    }
    // Linux 5.0 and later; without it datagrams come one by one.
    try? SocketCall.setOption(socket.raw, SocketLevel.udp, UDPOption.receiveOffload, 1)
    try SocketCall.bind(socket.raw, address)
    localAddress = SocketCall.localAddress(socket.raw) ?? address
    self.tag = tag
    self.pump = pump
    isShared = options.hasManyPeers
    raw = socket.raw
    let raw = socket.raw
    descriptor = consume socket
    token = try pump.reactor.add(raw, interest: .read) { ready in
      if ready.contains(.error) { self.pump.receiveErrors(self) }
      if ready.contains(.read) { self.pump.receive(self) }
    }
  }

  public var isOpen: Bool { raw >= 0 }

  /// What was to be sent over it is sent first.
  public func close() {
    guard isOpen else { return }
    pump.flush()
    if let token { pump.reactor.remove(token) }
    token = nil
    raw = -1
    descriptor = nil
  }
}
