import CInit

/// Static IPv4 set-up by the classic interface requests.
enum Network {
  /// `text` is an address and its prefix length, as `10.0.2.15/24`.
  static func setAddress(interface: String, _ text: String) -> Bool {
    let parts = text.utf8.split(separator: UInt8(ascii: "/"))
    guard parts.count == 2, let prefix = UInt32(String(Substring(parts[1]))), prefix <= 32,
      let address = parse(String(Substring(parts[0])))
    else {
      say("\(text): not an address with a prefix length")
      return true
    }
    let mask = prefix == 0 ? 0 : UInt32.max << (32 - prefix)
    return setFlagsUp("lo")
      && request(UInt(SIOCSIFADDR), interface, address)
      && request(UInt(SIOCSIFNETMASK), interface, in_addr(s_addr: mask.bigEndian))
      && setFlagsUp(interface)
  }

  static func setDefaultRoute(_ text: String) -> Bool {
    guard let gateway = parse(text) else {
      say("\(text): not an IPv4 address")
      return true
    }
    var entry = rtentry()
    entry.rt_dst = generic(in_addr(s_addr: 0))
    entry.rt_genmask = generic(in_addr(s_addr: 0))
    entry.rt_gateway = generic(gateway)
    entry.rt_flags = UInt16(RTF_UP) | UInt16(RTF_GATEWAY)
    return withSocket { init_ioctl($0, UInt(SIOCADDRT), &entry) == 0 }
  }

  private static func parse(_ text: String) -> in_addr? {
    var address = in_addr()
    return inet_pton(AF_INET, text, &address) == 1 ? address : nil
  }

  private static func generic(_ address: in_addr) -> sockaddr {
    var specific = sockaddr_in()
    specific.sin_family = sa_family_t(AF_INET)
    specific.sin_addr = address
    return withUnsafeBytes(of: &specific) { $0.load(as: sockaddr.self) }
  }

  private static func withSocket(_ body: (Int32) -> Bool) -> Bool {
    let socket = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
    guard socket >= 0 else { return false }
    defer { close(socket) }
    return body(socket)
  }

  /// `struct ifreq`: the name in the first 16 bytes, what is set behind it.
  private static func named(_ interface: String) -> ifreq {
    var entry = ifreq()
    withUnsafeMutableBytes(of: &entry) { bytes in
      for (offset, byte) in interface.utf8.prefix(Int(IFNAMSIZ) - 1).enumerated() { bytes[offset] = byte }
    }
    return entry
  }

  private static func request(_ code: UInt, _ interface: String, _ address: in_addr) -> Bool {
    var entry = named(interface)
    entry.ifr_ifru.ifru_addr = generic(address)
    return withSocket { init_ioctl($0, code, &entry) == 0 }
  }

  private static func setFlagsUp(_ interface: String) -> Bool {
    var entry = named(interface)
    entry.ifr_ifru.ifru_flags = Int16(IFF_UP | IFF_RUNNING)
    return withSocket { init_ioctl($0, UInt(SIOCSIFFLAGS), &entry) == 0 }
  }
}
