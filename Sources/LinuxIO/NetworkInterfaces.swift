import CLinux
public import EdgeCore

/// An address of this machine.
public struct InterfaceAddress: Hashable, Sendable {
  /// `eth0`.
  public var interface: String
  /// The kernel's number of the interface; the scope of link-local addresses.
  public var index: UInt32
  /// With its scope when link-local.
  public var address: IPAddress
  /// Bits of the network part.
  public var prefixLength: Int
  public var isLoopback: Bool
  public var isPointToPoint: Bool

  public var isLinkLocal: Bool { address.isLinkLocal }
}

public enum NetworkInterfaces {
  /// The addresses of interfaces that are up and running, in the kernel's order.
  public static func addresses() throws(SystemError) -> [InterfaceAddress] {
    var list: UnsafeMutablePointer<ifaddrs>?
    try systemCall("getifaddrs") { getifaddrs(&list) }
    defer { freeifaddrs(list) }
    var result: [InterfaceAddress] = []
    var next = list
    while let entry = next {
      next = entry.pointee.ifa_next
      let flags = Int(entry.pointee.ifa_flags)
      guard flags & Flag.up != 0, flags & Flag.running != 0, let raw = entry.pointee.ifa_addr,
        let address = SocketAddress(kernelAddress: UnsafeRawPointer(raw))?.ip
      else { continue }
      let mask = entry.pointee.ifa_netmask.flatMap { SocketAddress(kernelAddress: UnsafeRawPointer($0))?.ip }
      result.append(
        InterfaceAddress(
          interface: String(cString: entry.pointee.ifa_name), index: if_nametoindex(entry.pointee.ifa_name),
          address: address, prefixLength: mask?.leadingOnes ?? (address.isV4 ? 32 : 128),
          isLoopback: flags & Flag.loopback != 0, isPointToPoint: flags & Flag.pointToPoint != 0))
    }
    return result
  }

  /// netdevice(7).
  private enum Flag {
    static let up = 0x1
    static let loopback = 0x8
    static let pointToPoint = 0x10
    static let running = 0x40
  }
}

extension IPAddress {
  /// For a netmask: its prefix length.
  fileprivate var leadingOnes: Int {
    switch self {
    case .v4(let bits): (~bits).leadingZeroBitCount
    case .v6(let high, let low, _):
      high == .max ? 64 + (~low).leadingZeroBitCount : (~high).leadingZeroBitCount
    }
  }
}

/// Tells when this machine's interfaces or addresses change, through rtnetlink.
public final class NetworkWatch {
  private let reactor: Reactor
  private var descriptor: FileDescriptor?
  private var token: Reactor.Token?
  private var pending: Reactor.TimerToken?
  private let onChange: () -> Void

  /// Changes come in bursts (link up, then each address): one call for what happens in this time.
  private static let settling = Duration.milliseconds(200)

  public init(reactor: Reactor, onChange: @escaping () -> Void) throws(SystemError) {
    self.reactor = reactor
    self.onChange = onChange
    let raw = try systemCall("socket") {
      let type = SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
      return CLinux.socket(AF_NETLINK, Int32(type), NETLINK_ROUTE)
    }
    let socket = FileDescriptor(owning: raw)
    var address = sockaddr_nl()
    address.nl_family = UInt16(AF_NETLINK)
    address.nl_groups = UInt32(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR)
    try systemCall("bind netlink") { edge_bind(raw, &address, socklen_t(MemoryLayout<sockaddr_nl>.size)) }
    descriptor = consume socket
    token = try reactor.add(raw, interest: .read) { _ in self.receive() }
  }

  public func close() {
    if let token { reactor.remove(token) }
    if let pending { reactor.cancel(pending) }
    token = nil
    pending = nil
    descriptor = nil
  }

  /// What changed does not matter, not even when the kernel had to drop some of it (ENOBUFS): the owner looks anew.
  private func receive() {
    guard let socket = descriptor?.raw else { return }
    let arena = reactor.arena
    for _ in 0..<64 {
      let count = recv(socket, arena.bytes, ReceiveArena.streamBytes, Int32(MSG_DONTWAIT))
      if count < 0 && edge_errno() == EAGAIN { break }
    }
    guard pending == nil else { return }
    pending = reactor.schedule(after: Self.settling) {
      self.pending = nil
      self.onChange()
    }
  }
}
