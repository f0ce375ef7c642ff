/// The hash functions protocol cores need, handed in by the owner.
///
/// A core imports no C, and hand-made cryptography has no place here: `SecureTransport`
/// supplies these from OpenSSL (`Hashes.openSSL`), in tests as in the daemon.
public struct Hashes: Sendable {
  public typealias Digest = @Sendable (_ message: [UInt8]) -> [UInt8]
  public typealias MAC = @Sendable (_ key: [UInt8], _ message: [UInt8]) -> [UInt8]

  /// 16 bytes. Only for digest accounts that opted in to it, and RFC 8489 long-term keys.
  public var md5: Digest
  /// 20 bytes.
  public var sha1: Digest
  /// 32 bytes.
  public var sha256: Digest
  /// 20 bytes.
  public var hmacSHA1: MAC
  /// 32 bytes.
  public var hmacSHA256: MAC

  public init(
    md5: @escaping Digest, sha1: @escaping Digest, sha256: @escaping Digest, hmacSHA1: @escaping MAC,
    hmacSHA256: @escaping MAC
  ) {
    self.md5 = md5
    self.sha1 = sha1
    self.sha256 = sha256
    self.hmacSHA1 = hmacSHA1
    self.hmacSHA256 = hmacSHA256
  }

  /// Compares secrets without telling by its duration where they differ.
  public static func constantTimeEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    guard a.count == b.count else { return false }
    var difference: UInt8 = 0
    for index in a.indices { difference |= a[index] ^ b[index] }
    return difference == 0
  }
}
