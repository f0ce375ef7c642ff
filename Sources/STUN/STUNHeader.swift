internal import EdgeCore

/// The fixed 20 bytes at the start of every message (RFC 8489 §5).
public struct STUNHeader: Hashable, Sendable {
  public let type: MessageType
  /// Bytes of attributes behind the header, a multiple of four.
  public let bodyLength: Int
  public let transaction: TransactionID

  public static let byteCount = 20
  public static let magicCookie: UInt32 = 0x2112_A442

  /// Parses the header at the start of `datagram`, which must be the whole message.
  ///
  /// Does not look at attributes. Use it to tell STUN apart from DTLS and media
  /// that share the socket before doing any further work.
  public init(parsing datagram: RawSpan) throws(STUNError) {
    var reader = ByteReader(datagram)
    let typeBits: UInt16
    let cookie: UInt32
    do throws(ShortRead) {
      typeBits = try reader.readUInt16()
      bodyLength = Int(try reader.readUInt16())
      cookie = try reader.readUInt32()
      transaction = TransactionID(high: try reader.readUInt32(), low: try reader.readUInt64())
    } catch {
      throw .truncated(offset: error.offset, wanted: error.wanted)
    }
    // RFC 8489 §5: "The most significant 2 bits of every STUN message MUST be zeroes."
    guard let type = MessageType(wire: typeBits) else { throw .notSTUN(.leadingBits) }
    self.type = type
    guard cookie == Self.magicCookie else { throw .notSTUN(.magicCookie) }
    // RFC 8489 §5: attributes are padded to 4 bytes, so the low 2 bits of the length are zero.
    guard bodyLength % 4 == 0 else { throw .malformed(.lengthNotPadded, offset: 2) }
    guard bodyLength == reader.remaining else { throw .malformed(.lengthMismatch, offset: 2) }
  }

  /// Whether the datagram has a well-formed STUN header: the question to ask of bytes on a socket
  /// that SIP or DTLS shares, where ``MuxedProtocol`` (the first byte alone) is not enough.
  public static func isPresent(in datagram: RawSpan) -> Bool {
    do throws(STUNError) {
      _ = try STUNHeader(parsing: datagram)
      return true
    } catch {
      return false
    }
  }
}

/// Which protocol a datagram on a shared socket belongs to, from its first byte (RFC 7983 §7).
public enum MuxedProtocol: Hashable, Sendable {
  case stun, zrtp, dtls, turnChannel, rtp
  /// Empty, or a first byte no protocol owns: "the packet MUST be dropped".
  case unknown

  public init(of datagram: RawSpan) {
    guard datagram.byteCount > 0 else {
      self = .unknown
      return
    }
    var reader = ByteReader(datagram)
    switch (try? reader.readUInt8()) ?? 255 {
    case 0...3: self = .stun
    case 16...19: self = .zrtp
    case 20...63: self = .dtls
    case 64...79: self = .turnChannel
    case 128...191: self = .rtp
    default: self = .unknown
    }
  }
}
