public import EdgeCore

/// A message off the wire, with the bytes its keyed checksums cover.
public struct ReceivedMessage: Hashable, Sendable {
  /// What it says. Attributes behind MESSAGE-INTEGRITY are not here: nobody vouches for them.
  public let message: STUNMessage
  /// A FINGERPRINT was there, and right.
  public let hasFingerprint: Bool
  /// Whole, as received; padding included, because the checksums cover it.
  public let bytes: [UInt8]

  /// Where each MAC attribute begins, in bytes from the start of the message.
  private let sha1Offset: Int?
  private let sha256Offset: Int?

  /// Parses a datagram that must be exactly one message.
  ///
  /// A FINGERPRINT is checked here. A MAC is not: that takes a key, see ``verify(key:hashes:)``.
  public init(parsing datagram: RawSpan) throws(STUNError) {
    let header = try STUNHeader(parsing: datagram)
    var message = STUNMessage(header.type, transaction: header.transaction)
    var (sha1Offset, sha256Offset): (Int?, Int?) = (nil, nil)
    var hasFingerprint = false
    var count = 0
    var reader = ByteReader(datagram)
    do throws(ShortRead) { try reader.skip(STUNHeader.byteCount) } catch {
      throw .truncated(offset: error.offset, wanted: error.wanted)
    }
    while reader.remaining > 0 {
      let start = reader.offset
      // RFC 8489 §14.7: "the FINGERPRINT attribute MUST be the last attribute in the message".
      guard !hasFingerprint else { throw .malformed(.fingerprintNotLast, offset: start) }
      guard count < STUNMessage.maxAttributes else { throw .malformed(.tooManyAttributes, offset: start) }
      count += 1
      let type: AttributeType
      let value: [UInt8]
      do throws(ShortRead) {
        type = AttributeType(rawValue: try reader.readUInt16())
        let length = Int(try reader.readUInt16())
        value = try reader.readBytes(length)
        // RFC 8489 §14: padding "MUST be ignored by the receiver".
        try reader.skip(-length & 3)
      } catch {
        throw .malformed(.attributeOverrun, offset: start)
      }
      switch type {
      case .fingerprint:
        guard value.count == 4 else { throw .malformed(.wrongSize(type), offset: start) }
        let claimed = value.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        guard Fingerprint.value(over: datagram.extracting(0..<start)) == claimed else {
          throw .malformed(.fingerprintMismatch, offset: start)
        }
        hasFingerprint = true
      // RFC 8489 §14.5: "agents MUST ignore all other attributes that follow MESSAGE-INTEGRITY",
      // with the exception of MESSAGE-INTEGRITY-SHA256 and FINGERPRINT; §14.6 likewise.
      case _ where sha256Offset != nil: break
      case .messageIntegritySHA256:
        guard value.count == 32 else { throw .malformed(.wrongSize(type), offset: start) }
        sha256Offset = start
      case _ where sha1Offset != nil: break
      case .messageIntegrity:
        guard value.count == 20 else { throw .malformed(.wrongSize(type), offset: start) }
        sha1Offset = start
      default:
        message.attributes.append(Attribute(type, value))
      }
    }
    self.message = message
    self.hasFingerprint = hasFingerprint
    self.sha1Offset = sha1Offset
    self.sha256Offset = sha256Offset
    bytes = [UInt8](copying: datagram)
  }

  /// Which keyed checksums the message carries; whether they are right is ``verify(key:hashes:)``'s to say.
  public var hasIntegrity: Bool { sha1Offset != nil || sha256Offset != nil }

  public var hasSHA256Integrity: Bool { sha256Offset != nil }

  /// How to protect a response so that it uses the request's algorithm (RFC 8489 §9.1.3).
  public func integrity(forReplyWith key: [UInt8]) -> STUNMessage.Integrity {
    if sha256Offset != nil { return .sha256(key: key) }
    return sha1Offset != nil ? .sha1(key: key) : .none
  }

  /// Whether the strongest keyed checksum present is right for `key` (RFC 8489 §9.1.3: SHA-256 is
  /// looked at first, and a wrong one is not excused by a right SHA-1). False when there is none.
  public func verify(key: [UInt8], hashes: Hashes) -> Bool {
    if let offset = sha256Offset {
      return matches(offset: offset, size: 32) { hashes.hmacSHA256(key, $0) }
    }
    if let offset = sha1Offset { return matches(offset: offset, size: 20) { hashes.hmacSHA1(key, $0) } }
    return false
  }

  private func matches(offset: Int, size: Int, mac: ([UInt8]) -> [UInt8]) -> Bool {
    // RFC 8489 §14.5: for the check the length field ends at the MAC, whatever follows it.
    var covered = Array(bytes[..<offset])
    let length = offset + 4 + size - STUNHeader.byteCount
    covered[2] = UInt8(truncatingIfNeeded: length >> 8)
    covered[3] = UInt8(truncatingIfNeeded: length)
    return Hashes.constantTimeEqual(mac(covered), Array(bytes[(offset + 4)..<(offset + 4 + size)]))
  }
}
