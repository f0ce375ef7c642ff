import CLinux
import EdgeCore

/// Protocol levels of socket options; the C names are enumerations in one header and macros in another.
enum SocketLevel {
  static let ip: Int32 = 0
  static let tcp: Int32 = 6
  static let udp: Int32 = 17
  static let ipv6: Int32 = 41
}

/// Reads the ancillary data of a received datagram.
enum ControlReader {
  static func localAddress(_ message: UnsafeMutablePointer<msghdr>) -> IPAddress? {
    var header = edge_cmsg_first(message)
    while let current = header {
      let data = UnsafeRawPointer(edge_cmsg_data(current)!)
      if current.pointee.cmsg_level == SocketLevel.ip, current.pointee.cmsg_type == IP_PKTINFO {
        // struct in_pktinfo: interface index, local address, destination in the header.
        return IPAddress(kernelV4: data + 4)
      }
      if current.pointee.cmsg_level == SocketLevel.ipv6, current.pointee.cmsg_type == IPV6_PKTINFO {
        // struct in6_pktinfo: destination address, interface index.
        return IPAddress(kernelV6: data, scope: data.loadUnaligned(fromByteOffset: 16, as: UInt32.self))
      }
      header = edge_cmsg_next(message, current)
    }
    return nil
  }

  /// How long each of the merged datagrams is (UDP_GRO); 0 when it is one.
  static func segmentBytes(_ message: UnsafeMutablePointer<msghdr>) -> Int {
    var header = edge_cmsg_first(message)
    while let current = header {
      if current.pointee.cmsg_level == SocketLevel.udp, current.pointee.cmsg_type == UDPOption.receiveOffload {
        return Int(UnsafeRawPointer(edge_cmsg_data(current)!).loadUnaligned(as: Int32.self))
      }
      header = edge_cmsg_next(message, current)
    }
    return 0
  }

  /// Takes the next ICMP error off the queue of a socket; `nil` when there is none.
  static func nextError(_ socket: Int32) -> DatagramPump.Unreachable? {
    withUnsafeTemporaryAllocation(byteCount: 640, alignment: 16) { scratch in
      let start = scratch.baseAddress!
      var vector = iovec(iov_base: start, iov_len: 64)
      return withUnsafeMutablePointer(to: &vector) { vectors in
        var message = msghdr()
        message.msg_iov = vectors
        message.msg_iovlen = 1
        while true {
          message.msg_name = start + 64
          message.msg_namelen = 32
          message.msg_control = start + 96
          message.msg_controllen = 512
          guard recvmsg(socket, &message, Int32(MSG_ERRQUEUE | MSG_DONTWAIT)) >= 0 else { return nil }
          if let found = unreachable(&message) { return found }
        }
      }
    }
  }

  /// struct sock_extended_err: errno, origin, type, code, padding, information.
  private static func unreachable(_ message: UnsafeMutablePointer<msghdr>) -> DatagramPump.Unreachable? {
    guard let destination = SocketAddress(kernelAddress: message.pointee.msg_name) else { return nil }
    var header = edge_cmsg_first(message)
    while let current = header {
      let isError =
        current.pointee.cmsg_level == SocketLevel.ip && current.pointee.cmsg_type == IP_RECVERR
        || current.pointee.cmsg_level == SocketLevel.ipv6 && current.pointee.cmsg_type == IPV6_RECVERR
      if isError {
        let data = UnsafeRawPointer(edge_cmsg_data(current)!)
        // SO_EE_ORIGIN_ICMP and SO_EE_ORIGIN_ICMP6; what the kernel found out by itself is not from the network.
        guard [2, 3].contains(data.load(fromByteOffset: 4, as: UInt8.self)) else { return nil }
        return DatagramPump.Unreachable(
          type: data.load(fromByteOffset: 5, as: UInt8.self), code: data.load(fromByteOffset: 6, as: UInt8.self),
          mtu: data.loadUnaligned(fromByteOffset: 8, as: UInt32.self), destination: destination)
      }
      header = edge_cmsg_next(message, current)
    }
    return nil
  }
}

/// Writes the ancillary data of a datagram to send.
enum ControlWriter {
  static func fill(
    _ message: inout msghdr, at start: UnsafeMutableRawPointer, capacity: Int, source: IPAddress?, timeToLive: Int?,
    segmentBytes: UInt16 = 0
  ) {
    start.initializeMemory(as: UInt8.self, repeating: 0, count: capacity)
    var used = 0
    if let source, !source.isUnspecified {
      switch source {
      case .v4:
        let data = append(start, &used, level: SocketLevel.ip, type: IP_PKTINFO, count: 12)
        source.storeBytes(at: data + 4)
      case .v6(_, _, let scope):
        let data = append(start, &used, level: SocketLevel.ipv6, type: IPV6_PKTINFO, count: 20)
        source.storeBytes(at: data)
        data.storeBytes(of: scope, toByteOffset: 16, as: UInt32.self)
      }
    }
    if let timeToLive {
      let isV4 = Int32(message.msg_name.loadUnaligned(as: UInt16.self)) == AF_INET
      let data = append(
        start, &used, level: isV4 ? SocketLevel.ip : SocketLevel.ipv6, type: isV4 ? IP_TTL : IPV6_HOPLIMIT, count: 4)
      data.storeBytes(of: Int32(clamping: timeToLive), as: Int32.self)
    }
    if segmentBytes > 0 {
      let data = append(start, &used, level: SocketLevel.udp, type: UDPOption.segment, count: 2)
      data.storeBytes(of: segmentBytes, as: UInt16.self)
    }
    guard used > 0 else { return }
    message.msg_control = start
    message.msg_controllen = used
  }

  /// Starts one control message after the `used` bytes; returns where its data goes.
  private static func append(
    _ start: UnsafeMutableRawPointer, _ used: inout Int, level: Int32, type: Int32, count: Int
  ) -> UnsafeMutableRawPointer {
    let header = (start + used).assumingMemoryBound(to: cmsghdr.self)
    header.pointee.cmsg_level = level
    header.pointee.cmsg_type = type
    header.pointee.cmsg_len = edge_cmsg_length(count)
    used += edge_cmsg_space(count)
    return edge_cmsg_data(header)!
  }
}
