public import EdgeCore
public import STUN

/// What a Send or Data indication carries, read and written without a copy (RFC 8656 §11).
public struct DataIndication {
  public let peer: SocketAddress
  /// `nil` when there is no DATA attribute.
  public let payload: Range<Int>?
  /// Where the value of an ICMP attribute is.
  public let icmp: Range<Int>?
  /// A comprehension-required attribute nobody knows.
  public let hasUnknown: Bool

  /// `nil` when the attributes do not fit, or none is a peer's address. Of an attribute that comes twice the
  /// first counts (RFC 8489 §14).
  public init?(parsing bytes: RawSpan, _ transaction: TransactionID) {
    var peer: SocketAddress?
    var payload: Range<Int>?
    var icmp: Range<Int>?
    var hasUnknown = false
    var count = 0
    var reader = ByteReader(bytes)
    do throws(ShortRead) {
      try reader.skip(STUNHeader.byteCount)
      while reader.remaining > 0 {
        count += 1
        guard count <= STUNMessage.maxAttributes else { return nil }
        let type = AttributeType(rawValue: try reader.readUInt16())
        let length = Int(try reader.readUInt16())
        let start = reader.offset
        switch type.rawValue {
        case AttributeNumber.xorPeerAddress where peer == nil:
          guard let address = try Self.readAddress(&reader, length, transaction) else { return nil }
          peer = address
        case AttributeNumber.data where payload == nil:
          try reader.skip(length)
          payload = start..<start + length
        case AttributeNumber.icmp where icmp == nil:
          try reader.skip(length)
          if length == 8 { icmp = start..<start + length }
        default:
          try reader.skip(length)
          if type.isComprehensionRequired && !type.isKnownToRelay { hasUnknown = true }
        }
        try reader.skip(-length & 3)
      }
    } catch {
      return nil
    }
    guard let peer else { return nil }
    self.peer = peer
    self.payload = payload
    self.icmp = icmp
    self.hasUnknown = hasUnknown
  }

  /// The numbers as constants: a global of a type is looked up each time.
  private enum AttributeNumber {
    static var xorPeerAddress: UInt16 { 0x0012 }
    static var data: UInt16 { 0x0013 }
    static var icmp: UInt16 { 0x8004 }
  }

  private static func readAddress(
    _ reader: inout ByteReader, _ length: Int, _ transaction: TransactionID
  ) throws(ShortRead) -> SocketAddress? {
    try reader.skip(1)
    let family = try reader.readUInt8()
    let port = try reader.readUInt16() ^ 0x2112
    switch (family, length) {
    case (1, 8): return SocketAddress(.v4(try reader.readUInt32() ^ STUNHeader.magicCookie), port: port)
    case (2, 20):
      let high = try reader.readUInt64() ^ (UInt64(STUNHeader.magicCookie) << 32 | UInt64(transaction.high))
      let low = try reader.readUInt64() ^ transaction.low
      return SocketAddress(.v6(high: high, low: low, scope: 0), port: port)
    default: return nil
    }
  }

  /// Appends everything of a Data indication that comes before `count` bytes of data; zeros up to a multiple
  /// of four come after them.
  ///
  /// An indication has no answer, so its transaction needs to be unique and nothing more.
  static func writeHeader(_ peer: SocketAddress, count: Int, serial: UInt64, to bytes: inout [UInt8]) {
    write(0x0017, peer, count: count, TransactionID(high: 0x6564_6765, low: serial), to: &bytes)
  }

  /// The same for a Send indication.
  static func writeSendHeader(
    _ peer: SocketAddress, count: Int, _ transaction: TransactionID, to bytes: inout [UInt8]
  ) {
    write(0x0016, peer, count: count, transaction, to: &bytes)
  }

  private static func write(
    _ type: UInt16, _ peer: SocketAddress, count: Int, _ transaction: TransactionID, to bytes: inout [UInt8]
  ) {
    let addressLength: UInt16 = peer.ip.isV4 ? 8 : 20
    let body = 4 + Int(addressLength) + 4 + (count + 3) & ~3
    append(type, to: &bytes)
    append(UInt16(truncatingIfNeeded: body), to: &bytes)
    append(STUNHeader.magicCookie, to: &bytes)
    append(transaction.high, to: &bytes)
    append(transaction.low, to: &bytes)
    append(AttributeNumber.xorPeerAddress, to: &bytes)
    append(addressLength, to: &bytes)
    switch peer.ip {
    case .v4(let ip):
      append(UInt16(1), to: &bytes)
      append(peer.port ^ 0x2112, to: &bytes)
      append(ip ^ STUNHeader.magicCookie, to: &bytes)
    case .v6(let high, let low, _):
      append(UInt16(2), to: &bytes)
      append(peer.port ^ 0x2112, to: &bytes)
      append(high ^ (UInt64(STUNHeader.magicCookie) << 32 | UInt64(transaction.high)), to: &bytes)
      append(low ^ transaction.low, to: &bytes)
    }
    append(AttributeNumber.data, to: &bytes)
    append(UInt16(truncatingIfNeeded: count), to: &bytes)
  }

  private static func append(_ value: some FixedWidthInteger, to bytes: inout [UInt8]) {
    var shift = value.bitWidth - 8
    while shift >= 0 {
      bytes.append(UInt8(truncatingIfNeeded: value >> shift))
      shift -= 8
    }
  }
}
