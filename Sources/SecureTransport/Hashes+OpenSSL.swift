internal import COpenSSL
public import EdgeCore

extension Hashes {
  /// OpenSSL's implementations. Each call allocates only its answer.
  public static let openSSL = Hashes(
    md5: { digest($0, EVP_md5()) },
    sha1: { digest($0, EVP_sha1()) },
    sha256: { digest($0, EVP_sha256()) },
    hmacSHA1: { authenticate($1, key: $0, EVP_sha1()) },
    hmacSHA256: { authenticate($1, key: $0, EVP_sha256()) })

  private static func digest(_ message: [UInt8], _ algorithm: OpaquePointer?) -> [UInt8] {
    precondition(OpenSSLLibrary.isReady)
    return [UInt8](unsafeUninitializedCapacity: Int(EVP_MAX_MD_SIZE)) { output, count in
      var length: UInt32 = 0
      let done = message.withUnsafeBytes {
        EVP_Digest($0.baseAddress, $0.count, output.baseAddress, &length, algorithm, nil)
      }
      precondition(done == 1, "the OpenSSL in this program lacks a hash function it must have")
      count = Int(length)
    }
  }

  private static func authenticate(_ message: [UInt8], key: [UInt8], _ algorithm: OpaquePointer?) -> [UInt8] {
    precondition(OpenSSLLibrary.isReady)
    return [UInt8](unsafeUninitializedCapacity: Int(EVP_MAX_MD_SIZE)) { output, count in
      var length: UInt32 = 0
      let done = key.withUnsafeBytes { key in
        message.withUnsafeBufferPointer {
          HMAC(algorithm, key.baseAddress, Int32(key.count), $0.baseAddress, $0.count, output.baseAddress, &length)
        }
      }
      precondition(done != nil, "the OpenSSL in this program lacks a hash function it must have")
      count = Int(length)
    }
  }
}
