/// An IPv4 or IPv6 address, without a port.
public enum IPAddress: Hashable, Sendable {
  /// Host byte order: 192.0.2.1 is 0xC000_0201.
  case v4(UInt32)
  /// Both halves in host byte order. `scope` is the interface index of a link-local address, else 0.
  case v6(high: UInt64, low: UInt64, scope: UInt32)

  public static let anyV4 = IPAddress.v4(0)
  public static let anyV6 = IPAddress.v6(high: 0, low: 0, scope: 0)

  public var isV4: Bool {
    if case .v4 = self { return true }
    return false
  }

  public var isUnspecified: Bool {
    switch self {
    case .v4(let address): address == 0
    case .v6(let high, let low, _): high == 0 && low == 0
    }
  }

  public var isLoopback: Bool {
    switch self {
    case .v4(let address): address >> 24 == 127
    case .v6(let high, let low, _): high == 0 && low == 1
    }
  }

  /// 169.254.0.0/16 (RFC 3927) or fe80::/10 (RFC 4291 §2.5.6).
  public var isLinkLocal: Bool {
    switch self {
    case .v4(let address): address >> 16 == 0xA9FE
    case .v6(let high, _, _): high >> 54 == 0xFE80 >> 6
    }
  }

  /// 224.0.0.0/4 or ff00::/8.
  public var isMulticast: Bool {
    switch self {
    case .v4(let address): address >> 28 == 0xE
    case .v6(let high, _, _): high >> 56 == 0xFF
    }
  }

  /// RFC 1918, RFC 6598 (100.64.0.0/10, carrier-grade NAT) or RFC 4193 (fc00::/7).
  public var isPrivate: Bool {
    switch self {
    case .v4(let address):
      address >> 24 == 10 || address >> 20 == 0xAC1 || address >> 16 == 0xC0A8 || address >> 22 == 0x6440 >> 6
    case .v6(let high, _, _): high >> 57 == 0xFC >> 1
    }
  }

  /// The address with every way of writing an IPv4 address inside an IPv6 one undone:
  /// v4-mapped (::ffff:0:0/96), v4-compatible (::/96), NAT64 (64:ff9b::/96) and 6to4 (2002::/16).
  ///
  /// Access rules are applied to this form, so that no spelling of an address slips past them.
  public var canonical: IPAddress {
    guard case .v6(let high, let low, _) = self else { return self }
    let isMapped = high == 0 && low >> 32 == 0xFFFF
    let isCompatible = high == 0 && low >> 32 == 0 && low > 1
    let isNAT64 = high == 0x0064_FF9B_0000_0000 && low >> 32 == 0
    if isMapped || isCompatible || isNAT64 { return .v4(UInt32(truncatingIfNeeded: low)) }
    if high >> 48 == 0x2002 { return .v4(UInt32(truncatingIfNeeded: high >> 16)) }
    return self
  }

  /// What one customer has to send from: an IPv4 address, or an IPv6 /64 with all its addresses.
  public var site: UInt64 {
    switch unmapped {
    case .v4(let address): UInt64(address)
    // Global unicast is 2000::/3, so no IPv4 address is meant.
    case .v6(let high, _, _): high ^ 1 << 63
    }
  }

  /// The v4-mapped form undone, and nothing else: what a dual-stack socket reports for an IPv4 peer.
  public var unmapped: IPAddress {
    guard case .v6(0, let low, _) = self, low >> 32 == 0xFFFF else { return self }
    return .v4(UInt32(truncatingIfNeeded: low))
  }
}

extension IPAddress: CustomStringConvertible {
  /// Dotted quad, or RFC 5952 text without a zone.
  public var description: String {
    switch self {
    case .v4(let address):
      return "\(address >> 24).\(address >> 16 & 255).\(address >> 8 & 255).\(address & 255)"
    case .v6(let high, let low, _):
      if high == 0 && low >> 32 == 0xFFFF {
        return "::ffff:" + IPAddress.v4(UInt32(truncatingIfNeeded: low)).description
      }
      return Self.describe(high, low)
    }
  }

  private static func describe(_ high: UInt64, _ low: UInt64) -> String {
    var groups: [UInt16] = []
    for shift in [48, 32, 16, 0] as [UInt64] { groups.append(UInt16(truncatingIfNeeded: high >> shift)) }
    for shift in [48, 32, 16, 0] as [UInt64] { groups.append(UInt16(truncatingIfNeeded: low >> shift)) }
    // RFC 5952 §4.2: the longest run of two or more zero groups becomes "::", the first one on a tie.
    var best = (start: 0, count: 1)
    var start = 0
    while start < 8 {
      var end = start
      while end < 8 && groups[end] == 0 { end += 1 }
      if end - start > best.count { best = (start, end - start) }
      start = max(end, start + 1)
    }
    var text = ""
    var index = 0
    while index < 8 {
      if best.count > 1 && index == best.start {
        text += "::"
        index += best.count
        continue
      }
      if index > 0 && !text.hasSuffix(":") { text += ":" }
      text += String(groups[index], radix: 16)
      index += 1
    }
    return text
  }
}

extension IPAddress {
  /// Parses a dotted quad or RFC 4291 text. No name, no zone, no brackets, no leading zeros in a quad.
  public init?(_ text: String) {
    self.init(ascii: Array(text.utf8)[...])
  }

  public init?(ascii bytes: ArraySlice<UInt8>) {
    guard bytes.count <= 45 else { return nil }
    if bytes.contains(UInt8(ascii: ":")) {
      guard let (high, low) = Self.parseV6(bytes) else { return nil }
      self = .v6(high: high, low: low, scope: 0)
    } else {
      guard let address = Self.parseV4(bytes) else { return nil }
      self = .v4(address)
    }
  }

  private static func parseV4(_ bytes: ArraySlice<UInt8>) -> UInt32? {
    var address: UInt32 = 0
    let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    for part in parts {
      guard (1...3).contains(part.count), part.count == 1 || part.first != UInt8(ascii: "0") else { return nil }
      var value: UInt32 = 0
      for byte in part {
        guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
        value = value * 10 + UInt32(byte - UInt8(ascii: "0"))
      }
      guard value <= 255 else { return nil }
      address = address << 8 | value
    }
    return address
  }

  private static func parseV6(_ bytes: ArraySlice<UInt8>) -> (UInt64, UInt64)? {
    var groups: [UInt16] = []
    var gap: Int?
    var rest = bytes
    if rest.starts(with: [UInt8(ascii: ":"), UInt8(ascii: ":")]) {
      gap = 0
      rest = rest.dropFirst(2)
    }
    while !rest.isEmpty {
      guard groups.count < 8 else { return nil }
      let part = rest.prefix { $0 != UInt8(ascii: ":") }
      if part.contains(UInt8(ascii: ".")) {
        guard part.endIndex == rest.endIndex, groups.count <= 6, let quad = parseV4(part) else { return nil }
        groups += [UInt16(quad >> 16), UInt16(quad & 0xFFFF)]
        break
      }
      guard (1...4).contains(part.count) else { return nil }
      var value: UInt16 = 0
      for byte in part {
        guard let digit = Hex.value(of: byte) else { return nil }
        value = value << 4 | UInt16(digit)
      }
      groups.append(value)
      rest = rest.dropFirst(part.count)
      guard !rest.isEmpty else { break }
      rest = rest.dropFirst()
      if rest.first == UInt8(ascii: ":") {
        guard gap == nil else { return nil }
        gap = groups.count
        rest = rest.dropFirst()
      } else if rest.isEmpty {
        return nil
      }
    }
    if let gap {
      guard groups.count < 8 else { return nil }
      groups.insert(contentsOf: Array(repeating: 0, count: 8 - groups.count), at: gap)
    }
    guard groups.count == 8 else { return nil }
    var halves: (UInt64, UInt64) = (0, 0)
    for index in 0..<4 {
      halves.0 = halves.0 << 16 | UInt64(groups[index])
      halves.1 = halves.1 << 16 | UInt64(groups[index + 4])
    }
    return halves
  }
}
