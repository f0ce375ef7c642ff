internal import EdgeCore

/// The SHA-256 hash of a certificate, as in `a=fingerprint:sha-256 AB:CD:...` (RFC 8122 §5).
public struct Fingerprint: Hashable, Sendable {
  /// 32 bytes.
  public let bytes: [UInt8]

  public init?(bytes: [UInt8]) {
    guard bytes.count == 32 else { return nil }
    self.bytes = bytes
  }

  /// Takes `AB:CD:...`, 32 pairs of hexadecimal digits of either case.
  public init?(_ text: String) {
    let digits = Array(text.utf8)
    guard digits.count == 95 else { return nil }
    var bytes: [UInt8] = []
    var index = 0
    while index < 95 {
      guard let high = Hex.value(of: digits[index]), let low = Hex.value(of: digits[index + 1]) else { return nil }
      guard index + 2 == 95 || digits[index + 2] == UInt8(ascii: ":") else { return nil }
      bytes.append(high << 4 | low)
      index += 3
    }
    self.bytes = bytes
  }

  /// The value of a `fingerprint` attribute; `nil` for another hash function.
  ///
  /// RFC 8122 §5: the name of the hash function is not case-sensitive.
  enum Parsed {
    case sha256(Fingerprint)
    case otherFunction
    case malformed
  }

  static func parse(attribute value: String) -> Parsed {
    let fields = words(Array(value.utf8)[...])
    guard fields.count == 2 else { return .malformed }
    guard ASCII.equalIgnoringCase(fields[0], "sha-256") else { return .otherFunction }
    return Fingerprint(fields[1]).map { .sha256($0) } ?? .malformed
  }
}

extension Fingerprint: CustomStringConvertible {
  /// `AB:CD:...`: RFC 8122 §5 has the digits in upper case.
  public var description: String {
    var text: [UInt8] = []
    for byte in bytes {
      if !text.isEmpty { text.append(UInt8(ascii: ":")) }
      for nibble in [byte >> 4, byte & 15] { text.append(nibble < 10 ? nibble + 0x30 : nibble - 10 + 0x41) }
    }
    return String(decoding: text, as: UTF8.self)
  }
}
