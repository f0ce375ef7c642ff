import CLinux
public import EdgeCore

/// A UDP socket of one family, usually bound to the wildcard address.
///
/// It tells for every datagram at which local address it arrived, and sends from the
/// local address asked for. Whatever keeps a datagram from leaving is loss: counted, not reported.
/// The reactor keeps an open socket alive; ``close()`` lets it go.
public final class UDPSocket {
  /// What the kernel is asked for; it may grant less.
  public struct Options: Hashable, Sendable {
    /// Kernel receive buffer in bytes; `nil` is the system's default.
    public var receiveBufferBytes: Int?
    /// Kernel send buffer in bytes; `nil` is the system's default.
    public var sendBufferBytes: Int?

    public init(receiveBufferBytes: Int? = nil, sendBufferBytes: Int? = nil) {
      self.receiveBufferBytes = receiveBufferBytes
      self.sendBufferBytes = sendBufferBytes
    }
  }

  /// The bound address, with the port the kernel chose when 0 was asked for.
  public let localAddress: SocketAddress
  /// `bytes` is borrowed for the call. `to` is the local address the datagram was sent to, with this socket's port.
  public var onDatagram: ((_ bytes: RawSpan, _ from: SocketAddress, _ to: SocketAddress) -> Void)?
  /// Datagrams the kernel did not take: buffers full, no route, too big, forbidden by a filter.
  public private(set) var unsentDatagrams: UInt64 = 0

  private let reactor: Reactor
  private var descriptor: FileDescriptor?
  private var token: Reactor.Token?

  /// Fetching this many batches before others get their turn.
  private static let batchesPerEvent = 4

  public init(reactor: Reactor, bind address: SocketAddress, options: Options = Options()) throws(SystemError) {
    let socket = try SocketCall.open(family: address.ip.kernelFamily, type: SOCK_DGRAM.rawValue)
    if address.ip.isV4 {
      try SocketCall.setOption(socket.raw, SocketLevel.ip, IP_PKTINFO, 1)
    } else {
      try SocketCall.setOption(socket.raw, SocketLevel.ipv6, IPV6_V6ONLY, 1)
      try SocketCall.setOption(socket.raw, SocketLevel.ipv6, IPV6_RECVPKTINFO, 1)
    }
    if let bytes = options.receiveBufferBytes {
      try SocketCall.setOption(socket.raw, SOL_SOCKET, SO_RCVBUF, Int32(clamping: bytes))
    }
    if let bytes = options.sendBufferBytes {
      try SocketCall.setOption(socket.raw, SOL_SOCKET, SO_SNDBUF, Int32(clamping: bytes))
    }
    try SocketCall.bind(socket.raw, address)
    localAddress = SocketCall.localAddress(socket.raw) ?? address
    self.reactor = reactor
    let raw = socket.raw
    descriptor = consume socket
    token = try reactor.add(raw, interest: .read) { _ in self.receive() }
  }

  public var isOpen: Bool { descriptor != nil }

  /// Sends at once or never. `timeToLive` is for probes that must die on the way, 1...255.
  public func send(_ datagram: Datagram, timeToLive: Int? = nil) {
    let span = datagram.bytes.span
    send(span.bytes, to: datagram.destination, from: datagram.source?.ip, timeToLive: timeToLive)
  }

  /// The same without a copy. `source` picks the local address; `nil` leaves it to the routing table.
  public func send(
    _ bytes: RawSpan, to destination: SocketAddress, from source: IPAddress? = nil, timeToLive: Int? = nil
  ) {
    guard let socket = descriptor?.raw, destination.ip.isV4 == localAddress.ip.isV4 else {
      unsentDatagrams += 1
      return
    }
    let sent = bytes.withUnsafeBytes { payload in
      withUnsafeTemporaryAllocation(byteCount: 160, alignment: 16) { scratch in
        let start = scratch.baseAddress!
        var vector = iovec(iov_base: UnsafeMutableRawPointer(mutating: payload.baseAddress), iov_len: payload.count)
        return withUnsafeMutablePointer(to: &vector) { vectors in
          var message = msghdr()
          message.msg_name = start
          message.msg_namelen = destination.store(at: start)
          message.msg_iov = vectors
          message.msg_iovlen = 1
          ControlWriter.fill(&message, at: start + 32, capacity: 128, source: source, timeToLive: timeToLive)
          return Self.sendMessage(socket, &message)
        }
      }
    }
    if !sent { unsentDatagrams += 1 }
  }

  public func close() {
    if let token { reactor.remove(token) }
    token = nil
    descriptor = nil
    onDatagram = nil
  }

  private static func sendMessage(_ socket: Int32, _ message: inout msghdr) -> Bool {
    // An ICMP error an earlier datagram provoked is reported by the next call: that one was not
    // sent for no fault of its own, so it gets a second chance.
    for _ in 0..<2 {
      do throws(SystemError) {
        try systemCall("sendmsg") { sendmsg(socket, &message, Int32(MSG_NOSIGNAL | MSG_DONTWAIT)) }
        return true
      } catch {
        guard error.errno == ECONNREFUSED || error.errno == EHOSTUNREACH || error.errno == EPROTO else { return false }
      }
    }
    return false
  }

  private func receive() {
    let arena = reactor.arena
    for _ in 0..<Self.batchesPerEvent {
      guard let socket = descriptor?.raw else { return }
      arena.prepare()
      let count: Int
      do throws(SystemError) {
        count = Int(
          try systemCall("recvmmsg") {
            edge_recvmmsg(socket, arena.messages, UInt32(ReceiveArena.batch), Int32(MSG_DONTWAIT))
          })
      } catch {
        // Nothing left, or an ICMP error, which is loss to whoever awaits an answer.
        return
      }
      for index in 0..<count {
        // Closed by the handler of an earlier one: the rest of the batch is nobody's.
        guard descriptor != nil else { return }
        deliver(arena, index)
      }
      if count < ReceiveArena.batch { return }
    }
  }

  private func deliver(_ arena: ReceiveArena, _ index: Int) {
    guard let source = SocketAddress(kernelAddress: UnsafeRawPointer(arena.addresses + index)) else { return }
    let header = UnsafeMutableRawPointer(arena.messages + index).assumingMemoryBound(to: msghdr.self)
    let local = ControlReader.localAddress(header) ?? localAddress.ip
    let start = UnsafeRawPointer(arena.bytes + index * ReceiveArena.datagramBytes)
    let payload = UnsafeRawBufferPointer(start: start, count: Int(arena.messages[index].length))
    onDatagram?(payload.bytes, source, SocketAddress(local, port: localAddress.port))
  }
}
