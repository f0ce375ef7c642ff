public import EdgeCore

/// A message to send, or the meaning of one that came: type, transaction and attributes.
///
/// MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 and FINGERPRINT are not among the attributes: they
/// are made by ``serialized(integrity:fingerprint:hashes:)`` and checked by ``ReceivedMessage``.
public struct STUNMessage: Hashable, Sendable {
  public var type: MessageType
  public var transaction: TransactionID
  public var attributes: [Attribute]

  public init(_ type: MessageType, transaction: TransactionID, attributes: [Attribute] = []) {
    self.type = type
    self.transaction = transaction
    self.attributes = attributes
  }

  public init(
    _ messageClass: MessageClass, _ method: Method, transaction: TransactionID, attributes: [Attribute] = []
  ) {
    self.init(MessageType(messageClass, method), transaction: transaction, attributes: attributes)
  }

  /// A datagram has no use for more, and a parser must stop somewhere.
  public static let maxAttributes = 64

  /// Which keyed checksum ends the message.
  public enum Integrity: Hashable, Sendable {
    case none
    case sha1(key: [UInt8])
    case sha256(key: [UInt8])
    /// Both, for a peer whose abilities are not known yet (RFC 8489 §9.1.2).
    case both(key: [UInt8])
  }

  /// The bytes for the wire. Padding is zero (RFC 8489 §14).
  public func serialized(
    integrity: Integrity = .none, fingerprint: Bool = false, hashes: Hashes? = nil
  ) -> [UInt8] {
    var writer = ByteWriter(reserving: 128)
    writer.write(type.wire)
    writer.write(UInt16(0))
    writer.write(STUNHeader.magicCookie)
    writer.write(transaction.high)
    writer.write(transaction.low)
    for attribute in attributes { Self.write(attribute.type, attribute.value, to: &writer) }
    switch integrity {
    case .none: break
    case .sha1(let key): Self.writeMAC(.messageIntegrity, key, hashes, to: &writer)
    case .sha256(let key): Self.writeMAC(.messageIntegritySHA256, key, hashes, to: &writer)
    case .both(let key):
      Self.writeMAC(.messageIntegrity, key, hashes, to: &writer)
      Self.writeMAC(.messageIntegritySHA256, key, hashes, to: &writer)
    }
    if fingerprint {
      Self.patchLength(adding: 8, in: &writer)
      let value = unsafe Fingerprint.value(over: writer.bytes.span.bytes)
      writer.write(AttributeType.fingerprint.rawValue)
      writer.write(UInt16(4))
      writer.write(value)
    }
    Self.patchLength(adding: 0, in: &writer)
    return writer.bytes
  }

  private static func write(_ type: AttributeType, _ value: [UInt8], to writer: inout ByteWriter) {
    writer.write(type.rawValue)
    writer.write(UInt16(value.count))
    writer.write(value)
    writer.writeZeros(-value.count & 3)
  }

  /// RFC 8489 §14.5: the length in the header counts up to the end of the MAC while it is computed.
  private static func writeMAC(
    _ type: AttributeType, _ key: [UInt8], _ hashes: Hashes?, to writer: inout ByteWriter
  ) {
    guard let hashes else { preconditionFailure("a message with integrity needs the hash functions") }
    let size = type == .messageIntegrity ? 20 : 32
    patchLength(adding: 4 + size, in: &writer)
    let mac =
      type == .messageIntegrity ? hashes.hmacSHA1(key, writer.bytes) : hashes.hmacSHA256(key, writer.bytes)
    write(type, mac, to: &writer)
  }

  private static func patchLength(adding extra: Int, in writer: inout ByteWriter) {
    let length = writer.count - STUNHeader.byteCount + extra
    precondition(length <= Int(UInt16.max), "a STUN message holds at most 65535 bytes of attributes")
    writer.patch(UInt16(length), at: 2)
  }
}

extension STUNMessage {
  /// RFC 8489 §14: of an attribute that comes twice only the first counts.
  public subscript(type: AttributeType) -> Attribute? { attributes.first { $0.type == type } }

  public func text(_ type: AttributeType) -> String? {
    self[type].map { String(decoding: $0.value, as: UTF8.self) }
  }

  public func uint32(_ type: AttributeType) -> UInt32? {
    guard let value = self[type]?.value, value.count == 4 else { return nil }
    return value.reduce(0) { $0 << 8 | UInt32($1) }
  }

  public func uint64(_ type: AttributeType) -> UInt64? {
    guard let value = self[type]?.value, value.count == 8 else { return nil }
    return value.reduce(0) { $0 << 8 | UInt64($1) }
  }

  public func xorAddress(_ type: AttributeType) -> SocketAddress? {
    self[type]?.xorAddressValue(transaction: transaction)
  }

  /// The address the server saw: XOR-MAPPED-ADDRESS, else the MAPPED-ADDRESS of an RFC 3489 server.
  public var mappedAddress: SocketAddress? {
    xorAddress(.xorMappedAddress) ?? self[.mappedAddress]?.addressValue
  }

  /// `nil` when there is none, or class or number are outside RFC 8489 §14.8.
  public var errorCode: ErrorCode? {
    guard let value = self[.errorCode]?.value, value.count >= 4 else { return nil }
    // RFC 8489 §14.8: "Receivers MUST ignore these bits" (21 reserved ones before the class).
    let (hundreds, rest) = (Int(value[2] & 7), Int(value[3]))
    guard (3...6).contains(hundreds), rest <= 99 else { return nil }
    return ErrorCode(rawValue: hundreds * 100 + rest)
  }

  /// RFC 8489 §14.13. `nil` when absent or of odd length.
  public var unknownAttributes: [AttributeType]? {
    guard let value = self[.unknownAttributes]?.value, value.count % 2 == 0 else { return nil }
    return stride(from: 0, to: value.count, by: 2).map {
      AttributeType(rawValue: UInt16(value[$0]) << 8 | UInt16(value[$0 + 1]))
    }
  }

  /// Comprehension-required attributes the receiver does not know, each once, in order of arrival:
  /// what a 420 lists (RFC 8489 §6.3.1), and what makes a response useless (§6.3.3).
  public func unknownRequired(known: (AttributeType) -> Bool) -> [AttributeType] {
    var unknown: [AttributeType] = []
    for attribute in attributes where attribute.type.isComprehensionRequired && !known(attribute.type) {
      if !unknown.contains(attribute.type) { unknown.append(attribute.type) }
    }
    return unknown
  }
}
