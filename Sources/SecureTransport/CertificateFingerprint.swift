internal import EdgeCore

/// The SHA-256 fingerprint of a certificate: what signalling carries and DTLS is checked against (RFC 8122 §5).
public struct CertificateFingerprint: Hashable, Sendable {
  /// 32 bytes.
  public let bytes: [UInt8]

  init(uncheckedSHA256 bytes: [UInt8]) { self.bytes = bytes }

  /// `nil` unless there are exactly 32 bytes.
  public init?(sha256 bytes: [UInt8]) {
    guard bytes.count == 32 else { return nil }
    self.bytes = bytes
  }

  /// Parses `AB:CD:...`, either case.
  public init?(_ text: String) {
    let pairs = text.utf8.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    guard pairs.count == 32 else { return nil }
    var bytes: [UInt8] = []
    for pair in pairs {
      guard pair.count == 2, let first = pair.first, let last = pair.last, let high = Hex.value(of: first),
        let low = Hex.value(of: last)
      else { return nil }
      bytes.append(high << 4 | low)
    }
    self.bytes = bytes
  }
}

extension CertificateFingerprint: CustomStringConvertible {
  /// `AB:CD:...`: RFC 8122 §5 wants upper case.
  public var description: String {
    let digits = Array("0123456789ABCDEF".utf8)
    var text: [UInt8] = []
    for byte in bytes {
      if !text.isEmpty { text.append(UInt8(ascii: ":")) }
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
  }
}
