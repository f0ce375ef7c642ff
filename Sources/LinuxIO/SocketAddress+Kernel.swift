import CLinux
public import EdgeCore

// The kernel's struct sockaddr_in and sockaddr_in6, written by offset: their layout is the
// Linux ABI, and their unions do not import into Swift.
extension SocketAddress {
  /// Calls `body` with the address in the kernel's form and its length in bytes.
  func withKernelAddress<Result>(_ body: (UnsafeRawPointer, socklen_t) -> Result) -> Result {
    withUnsafeTemporaryAllocation(byteCount: 28, alignment: 8) { buffer in
      let start = buffer.baseAddress!
      return body(start, store(at: start))
    }
  }

  /// Writes up to 28 bytes at `start`; returns how many.
  func store(at start: UnsafeMutableRawPointer) -> socklen_t {
    start.initializeMemory(as: UInt8.self, repeating: 0, count: 28)
    start.storeBytes(of: port.bigEndian, toByteOffset: 2, as: UInt16.self)
    start.storeBytes(of: UInt16(ip.kernelFamily), as: UInt16.self)
    switch ip {
    case .v4(let address):
      start.storeBytes(of: address.bigEndian, toByteOffset: 4, as: UInt32.self)
      return 16
    case .v6(_, _, let scope):
      ip.storeBytes(at: start + 8)
      start.storeBytes(of: scope, toByteOffset: 24, as: UInt32.self)
      return 28
    }
  }

  /// `nil` when it is of another family than IPv4 and IPv6.
  init?(kernelAddress start: UnsafeRawPointer) {
    let port = UInt16(bigEndian: start.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
    switch Int32(start.loadUnaligned(as: UInt16.self)) {
    case AF_INET: self.init(IPAddress(kernelV4: start + 4), port: port)
    case AF_INET6:
      self.init(
        IPAddress(kernelV6: start + 8, scope: start.loadUnaligned(fromByteOffset: 24, as: UInt32.self)), port: port)
    default: return nil
    }
  }
}

extension IPAddress {
  var kernelFamily: Int32 { isV4 ? AF_INET : AF_INET6 }

  /// 4 bytes in network order.
  init(kernelV4 start: UnsafeRawPointer) { self = .v4(UInt32(bigEndian: start.loadUnaligned(as: UInt32.self))) }

  /// 16 bytes in network order. The scope is kept for link-local addresses only.
  init(kernelV6 start: UnsafeRawPointer, scope: UInt32) {
    let high = UInt64(bigEndian: start.loadUnaligned(as: UInt64.self))
    let low = UInt64(bigEndian: start.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    let address = IPAddress.v6(high: high, low: low, scope: 0)
    self = address.isLinkLocal ? .v6(high: high, low: low, scope: scope) : address
  }

  /// Writes 4 or 16 bytes in network order.
  func storeBytes(at start: UnsafeMutableRawPointer) {
    switch self {
    case .v4(let address): start.storeBytes(of: address.bigEndian, as: UInt32.self)
    case .v6(let high, let low, _):
      start.storeBytes(of: high.bigEndian, as: UInt64.self)
      start.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
    }
  }
}

extension SocketAddress {
  /// Finds out whether a socket that shares its address with none can be bound here; returns the address, with a port
  /// instead of 0. Those that share one would share it with other programs of the same user, too.
  @discardableResult
  public func bindable(isTCP: Bool) throws(SystemError) -> SocketAddress {
    let type = isTCP ? SOCK_STREAM : SOCK_DGRAM
    let socket = try SocketCall.open(family: ip.kernelFamily, type: type.rawValue)
    if !ip.isV4 { try SocketCall.setOption(socket.raw, SocketLevel.ipv6, IPV6_V6ONLY, 1) }
    if isTCP { try SocketCall.setOption(socket.raw, SOL_SOCKET, SO_REUSEADDR, 1) }
    try SocketCall.bind(socket.raw, self)
    return SocketCall.localAddress(socket.raw) ?? self
  }
}

/// Calls on sockets shared by all kinds of them.
enum SocketCall {
  /// A new non-blocking socket. `type` is `SOCK_STREAM` or `SOCK_DGRAM`.
  static func open(family: Int32, type: UInt32) throws(SystemError) -> FileDescriptor {
    FileDescriptor(
      owning: try systemCall("socket") {
        socket(family, Int32(type | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
      })
  }

  static func setOption(_ socket: Int32, _ level: Int32, _ name: Int32, _ value: Int32) throws(SystemError) {
    var value = value
    try systemCall("setsockopt") { setsockopt(socket, level, name, &value, socklen_t(MemoryLayout<Int32>.size)) }
  }

  static func bind(_ socket: Int32, _ address: SocketAddress) throws(SystemError) {
    try systemCall("bind \(address)") { address.withKernelAddress { edge_bind(socket, $0, $1) } }
  }

  /// `nil` for a socket without an IP address.
  static func localAddress(_ socket: Int32) -> SocketAddress? { address { edge_getsockname(socket, $0, $1) } }

  static func peerAddress(_ socket: Int32) -> SocketAddress? { address { edge_getpeername(socket, $0, $1) } }

  /// The error waiting in the socket, which this clears; 0 for none.
  static func pendingError(_ socket: Int32) -> Int32 {
    var code: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    guard getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &length) == 0 else { return edge_errno() }
    return code
  }

  private static func address(
    _ call: (UnsafeMutableRawPointer, UnsafeMutablePointer<socklen_t>) -> Int32
  ) -> SocketAddress? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutableBytes(of: &storage) { bytes in
      guard call(bytes.baseAddress!, &length) == 0 else { return nil }
      return SocketAddress(kernelAddress: UnsafeRawPointer(bytes.baseAddress!))
    }
  }
}
