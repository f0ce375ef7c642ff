public import EdgeCore

extension Attribute {
  /// MAPPED-ADDRESS and its relatives (RFC 8489 §14.1).
  public static func address(_ type: AttributeType, _ address: SocketAddress) -> Attribute {
    Attribute(type, encode(address, portMask: 0, mask: (0, 0, 0)))
  }

  /// XOR-MAPPED-ADDRESS and its relatives (RFC 8489 §14.2): also what TURN's addresses look like.
  public static func xorAddress(
    _ type: AttributeType, _ address: SocketAddress, transaction: TransactionID
  ) -> Attribute {
    Attribute(
      type,
      encode(
        address, portMask: UInt16(truncatingIfNeeded: STUNHeader.magicCookie >> 16),
        mask: (STUNHeader.magicCookie, transaction.high, transaction.low)))
  }

  /// `nil` when the value is not an address (RFC 8489 §14.1).
  public var addressValue: SocketAddress? { decode(portMask: 0, mask: (0, 0, 0)) }

  public func xorAddressValue(transaction: TransactionID) -> SocketAddress? {
    decode(
      portMask: UInt16(truncatingIfNeeded: STUNHeader.magicCookie >> 16),
      mask: (STUNHeader.magicCookie, transaction.high, transaction.low))
  }

  private typealias Mask = (cookie: UInt32, high: UInt32, low: UInt64)

  private static func encode(_ address: SocketAddress, portMask: UInt16, mask: Mask) -> [UInt8] {
    var writer = ByteWriter(reserving: 20)
    writer.write(UInt8(0))
    switch address.ip {
    case .v4(let ip):
      writer.write(UInt8(1))
      writer.write(address.port ^ portMask)
      writer.write(ip ^ mask.cookie)
    case .v6(let high, let low, _):
      writer.write(UInt8(2))
      writer.write(address.port ^ portMask)
      writer.write(high ^ (UInt64(mask.cookie) << 32 | UInt64(mask.high)))
      writer.write(low ^ mask.low)
    }
    return writer.bytes
  }

  private func decode(portMask: UInt16, mask: Mask) -> SocketAddress? {
    var reader = unsafe ByteReader(value.span.bytes)
    do throws(ShortRead) {
      // RFC 8489 §14.1: "The first 8 bits ... MUST be ignored by receivers".
      try reader.skip(1)
      let family = try reader.readUInt8()
      let port = try reader.readUInt16() ^ portMask
      switch (family, reader.remaining) {
      case (1, 4):
        return SocketAddress(.v4(try reader.readUInt32() ^ mask.cookie), port: port)
      case (2, 16):
        let high = try reader.readUInt64() ^ (UInt64(mask.cookie) << 32 | UInt64(mask.high))
        return SocketAddress(.v6(high: high, low: try reader.readUInt64() ^ mask.low, scope: 0), port: port)
      default: return nil
      }
    } catch {
      return nil
    }
  }
}
