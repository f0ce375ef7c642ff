public import EdgeCore

/// The router an IPv4 packet for the rest of the world goes to, and this machine's address on the way to it.
public struct DefaultRoute: Hashable, Sendable {
  public var router: IPAddress
  public var ownAddress: IPAddress

  /// As the kernel says now (proc(5), /proc/net/route); `nil` when there is none.
  public static func current() -> DefaultRoute? {
    guard let text = try? File.read("/proc/net/route", maxBytes: 1 << 20), let all = try? NetworkInterfaces.addresses()
    else { return nil }
    guard let (interface, router) = parse(text) else { return nil }
    for each in all where each.interface == interface && each.address.isV4 {
      guard case .v4(let own) = each.address, case .v4(let gateway) = router else { continue }
      if (own ^ gateway).leadingZeroBitCount >= each.prefixLength {
        return DefaultRoute(router: router, ownAddress: each.address)
      }
    }
    return nil
  }

  /// The default route with the least metric. Lines are `Iface Destination Gateway Flags RefCnt Use Metric Mask ...`,
  /// addresses in hexadecimal as this machine's memory holds them.
  static func parse(_ text: [UInt8]) -> (interface: String, router: IPAddress)? {
    var best: (metric: UInt64, interface: String, router: IPAddress)?
    for line in text.split(separator: UInt8(ascii: "\n")).dropFirst() {
      let words = line.split(whereSeparator: { $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: " ") })
      guard words.count >= 8, hexadecimal(words[1]) == 0, hexadecimal(words[7]) == 0,
        let gateway = hexadecimal(words[2]), gateway != 0, let flags = hexadecimal(words[3]), flags & usable == usable,
        let metric = ASCII.decimal(words[6], max: UInt64(UInt32.max))
      else { continue }
      if let best, best.metric <= metric { continue }
      best = (metric, String(decoding: words[0], as: UTF8.self), .v4(UInt32(bigEndian: gateway)))
    }
    return best.map { ($0.interface, $0.router) }
  }

  /// RTF_UP and RTF_GATEWAY (route(8)).
  private static let usable: UInt32 = 0x1 | 0x2

  private static func hexadecimal(_ digits: ArraySlice<UInt8>) -> UInt32? {
    guard !digits.isEmpty, digits.count <= 8 else { return nil }
    var value: UInt32 = 0
    for digit in digits {
      switch digit {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt32(digit & 15)
      case UInt8(ascii: "A")...UInt8(ascii: "F"), UInt8(ascii: "a")...UInt8(ascii: "f"):
        value = value << 4 | UInt32((digit & 15) + 9)
      default: return nil
      }
    }
    return value
  }
}
