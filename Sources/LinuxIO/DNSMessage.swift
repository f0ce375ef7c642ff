import EdgeCore

/// Queries to a recursive name server and its answers (RFC 1035), as far as addresses need them.
enum DNSMessage {
  enum RecordType: UInt16, Hashable, Sendable {
    case a = 1
    case cname = 5
    case aaaa = 28
  }

  /// What a server said to one question.
  enum Answer: Hashable {
    /// May be empty: the name exists and has no address of the kind.
    case addresses([IPAddress])
    /// RCODE 3.
    case noSuchName
    /// Did not fit a datagram: ask again over TCP.
    case truncated
    /// The server cannot or will not say (RCODE 2, 5 and the like).
    case refused
  }

  /// RFC 1035 §2.3.4: labels of 63 and names of 255 bytes at most, on the wire.
  private static let maxLabel = 63
  private static let maxName = 255
  /// Aliases followed from the name asked for.
  private static let maxAliases = 16
  /// Records looked at in one answer.
  private static let maxRecords = 256

  /// The labels of a name, lower case; `nil` when it cannot be one.
  static func labels(_ name: String) -> [[UInt8]]? {
    var bytes = Array(name.utf8)
    if bytes.last == UInt8(ascii: ".") { bytes.removeLast() }
    let labels = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).map { label in
      label.map { ASCII.lowercased($0) }
    }
    guard labels.allSatisfy({ (1...maxLabel).contains($0.count) }), bytes.count + 2 <= maxName else { return nil }
    // Names from configuration and URIs: nothing that is no host name reaches a server.
    let isHost = bytes.allSatisfy {
      ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
        || $0 == UInt8(ascii: ".")
    }
    return isHost ? labels : nil
  }

  static func query(id: UInt16, labels: [[UInt8]], type: RecordType) -> [UInt8] {
    var writer = ByteWriter()
    writer.write(id)
    // RFC 1035 §4.1.1: a standard query, recursion desired.
    writer.write(UInt16(0x0100))
    for count in [1, 0, 0, 0] as [UInt16] { writer.write(count) }
    for label in labels {
      writer.write(UInt8(label.count))
      writer.write(label)
    }
    writer.write(UInt8(0))
    writer.write(type.rawValue)
    // Class IN.
    writer.write(UInt16(1))
    return writer.bytes
  }

  /// The answer to the question with that number, name and type; `nil` for anything else, which is dropped.
  static func answer(_ message: [UInt8], id: UInt16, labels: [[UInt8]], type: RecordType) -> Answer? {
    guard message.count >= 12, word(message, 0) == id else { return nil }
    let flags = word(message, 2)
    // RFC 1035 §4.1.1: a response, and to a standard query.
    guard flags & 0xF800 == 0x8000, word(message, 4) == 1 else { return nil }
    var at = 12
    guard let asked = name(message, &at), asked == labels, at + 4 <= message.count,
      word(message, at) == type.rawValue, word(message, at + 2) == 1
    else { return nil }
    at += 4
    if flags & 0x0200 != 0 { return .truncated }
    switch flags & 15 {
    case 0: return .addresses(addresses(message, at, labels, type))
    case 3: return .noSuchName
    default: return .refused
    }
  }

  private static func addresses(
    _ message: [UInt8], _ start: Int, _ labels: [[UInt8]], _ type: RecordType
  ) -> [IPAddress] {
    var aliases: [(owner: [[UInt8]], target: [[UInt8]])] = []
    var found: [(owner: [[UInt8]], address: IPAddress)] = []
    var at = start
    for _ in 0..<min(Int(word(message, 6)), maxRecords) {
      guard let owner = name(message, &at), at + 10 <= message.count else { break }
      let (kind, network, length) = (word(message, at), word(message, at + 2), Int(word(message, at + 8)))
      at += 10
      guard at + length <= message.count else { break }
      if network == 1, kind == RecordType.cname.rawValue {
        var target = at
        if let alias = name(message, &target) { aliases.append((owner, alias)) }
      } else if network == 1, kind == type.rawValue, let address = address(message[at..<at + length], type) {
        found.append((owner, address))
      }
      at += length
    }
    var wanted = labels
    for _ in 0..<maxAliases {
      guard let alias = aliases.first(where: { $0.owner == wanted }) else { break }
      wanted = alias.target
    }
    return found.filter { $0.owner == wanted }.map { $0.address }
  }

  private static func address(_ data: ArraySlice<UInt8>, _ type: RecordType) -> IPAddress? {
    guard data.count == (type == .a ? 4 : 16) else { return nil }
    return data.withUnsafeBytes {
      type == .a ? IPAddress(kernelV4: $0.baseAddress!) : IPAddress(kernelV6: $0.baseAddress!, scope: 0)
    }
  }

  /// Reads a name and moves past it. Compression pointers only lead backwards (RFC 1035 §4.1.4), so this ends.
  private static func name(_ message: [UInt8], _ at: inout Int) -> [[UInt8]]? {
    var labels: [[UInt8]] = []
    var total = 0
    var position = at
    var limit = at
    var hasJumped = false
    while position < message.count {
      let length = Int(message[position])
      switch length {
      case 0:
        if !hasJumped { at = position + 1 }
        return labels
      case 1...maxLabel:
        guard position + 1 + length <= message.count else { return nil }
        total += length + 1
        guard total < maxName else { return nil }
        labels.append(message[position + 1..<position + 1 + length].map { ASCII.lowercased($0) })
        position += 1 + length
      case 0xC0...0xFF:
        guard position + 1 < message.count else { return nil }
        let target = (length & 0x3F) << 8 | Int(message[position + 1])
        guard target < limit else { return nil }
        if !hasJumped { at = position + 2 }
        hasJumped = true
        limit = target
        position = target
      default: return nil
      }
    }
    return nil
  }

  private static func word(_ message: [UInt8], _ at: Int) -> UInt16 {
    UInt16(message[at]) << 8 | UInt16(message[at + 1])
  }
}
