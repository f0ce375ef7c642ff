/// FINGERPRINT (RFC 8489 §14.7): a CRC-32 that tells STUN from anything that only looks like it.
enum Fingerprint {
  static let mask: UInt32 = 0x5354_554E

  /// The attribute's value for a message whose first bytes are `bytes`, FINGERPRINT itself left out,
  /// with the header's length already counting it.
  static func value(over bytes: RawSpan) -> UInt32 {
    // ITU V.42, reflected polynomial, as zlib and Ethernet use it.
    var crc: UInt32 = 0xFFFF_FFFF
    for index in 0..<bytes.byteCount {
      let byte = unsafe bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self)
      crc = table[Int((crc ^ UInt32(byte)) & 0xFF)] ^ (crc >> 8)
    }
    return ~crc ^ mask
  }

  private static let table: [UInt32] = (0..<256).map { index in
    var value = UInt32(index)
    for _ in 0..<8 { value = value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1 }
    return value
  }
}
