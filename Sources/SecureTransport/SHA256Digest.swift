internal import COpenSSL

/// SHA-256 of bytes that come one piece after the other. One thread at a time.
public final class SHA256Digest: @unchecked Sendable {
  private let context: OpaquePointer

  public init() {
    precondition(OpenSSLLibrary.isReady)
    context = EVP_MD_CTX_new()
    begin()
  }

  deinit { EVP_MD_CTX_free(context) }

  private func begin() {
    precondition(
      EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1,
      "the OpenSSL in this program lacks a hash function it must have")
  }

  public func update(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { _ = EVP_DigestUpdate(context, $0.baseAddress, $0.count) }
  }

  /// The 32 bytes; the digest begins anew.
  public func finish() -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: 32)
    var length: UInt32 = 0
    let done = digest.withUnsafeMutableBytes {
      EVP_DigestFinal_ex(context, $0.baseAddress?.assumingMemoryBound(to: UInt8.self), &length)
    }
    precondition(done == 1 && length == 32)
    begin()
    return digest
  }
}
