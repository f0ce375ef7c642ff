internal import COpenSSL

/// Owns one reference to an OpenSSL `X509`.
final class Certificate {
  let raw: OpaquePointer

  /// Takes over the caller's reference.
  init(owning raw: OpaquePointer) { self.raw = raw }

  deinit { X509_free(raw) }

  /// The SHA-256 of the certificate's DER form (RFC 8122 §5).
  var fingerprint: CertificateFingerprint {
    let bytes = [UInt8](unsafeUninitializedCapacity: Int(EVP_MAX_MD_SIZE)) { output, count in
      var length: UInt32 = 0
      let done = X509_digest(raw, EVP_sha256(), output.baseAddress, &length)
      count = done == 1 ? Int(length) : 0
    }
    return CertificateFingerprint(uncheckedSHA256: bytes)
  }

  func pem() throws(SecureTransportError) -> [UInt8] {
    try PEM.write("write a certificate") { PEM_write_bio_X509($0, raw) }
  }

  /// The first certificate in PEM text. What comes after it is left alone.
  convenience init(pem: [UInt8]) throws(SecureTransportError) {
    guard let raw = PEM.read(pem, { edge_PEM_read_bio_X509($0) }) else {
      throw .refused(doing: "read a certificate in PEM form", faults: ErrorQueue.drain())
    }
    self.init(owning: raw)
  }

  /// Every certificate in PEM text, in order, at most 64.
  static func all(pem: [UInt8]) throws(SecureTransportError) -> [Certificate] {
    var certificates: [Certificate] = []
    ErrorQueue.clear()
    let bio = PEM.input(pem)
    defer { BIO_free(bio) }
    while certificates.count < 64, let raw = edge_PEM_read_bio_X509(bio) {
      certificates.append(Certificate(owning: raw))
    }
    // The end of the text is reported as "no start line": an error only when nothing was found before it.
    let faults = ErrorQueue.drain()
    guard !certificates.isEmpty else { throw .refused(doing: "find a certificate in PEM form", faults: faults) }
    return certificates
  }
}

/// Owns one reference to an OpenSSL private key.
final class PrivateKey {
  let raw: OpaquePointer

  init(owning raw: OpaquePointer) { self.raw = raw }

  deinit { EVP_PKEY_free(raw) }

  /// A fresh P-256 key (FIPS 186-4): what every WebRTC peer can verify (RFC 8827 §6.5).
  static func makeP256() throws(SecureTransportError) -> PrivateKey {
    precondition(OpenSSLLibrary.isReady)
    ErrorQueue.clear()
    guard let raw = edge_EVP_EC_gen_p256() else {
      throw .refused(doing: "make a P-256 key", faults: ErrorQueue.drain())
    }
    return PrivateKey(owning: raw)
  }

  convenience init(pem: [UInt8]) throws(SecureTransportError) {
    guard let raw = PEM.read(pem, { edge_PEM_read_bio_PrivateKey($0) }) else {
      throw .refused(doing: "read an unencrypted private key in PEM form", faults: ErrorQueue.drain())
    }
    self.init(owning: raw)
  }

  /// PKCS #8 (RFC 5958), not encrypted: the file's mode protects it.
  func pem() throws(SecureTransportError) -> [UInt8] {
    try PEM.write("write a private key") { PEM_write_bio_PKCS8PrivateKey($0, raw, nil, nil, 0, nil, nil) }
  }
}

/// PEM text (RFC 7468) through OpenSSL's memory BIOs.
enum PEM {
  /// A copy of `bytes`, to be freed with `BIO_free`.
  static func input(_ bytes: [UInt8]) -> OpaquePointer? {
    precondition(OpenSSLLibrary.isReady)
    let bio = BIO_new(BIO_s_mem())
    bytes.withUnsafeBytes { _ = BIO_write(bio, $0.baseAddress, Int32(truncatingIfNeeded: $0.count)) }
    return bio
  }

  static func read(_ bytes: [UInt8], _ parse: (OpaquePointer?) -> OpaquePointer?) -> OpaquePointer? {
    ErrorQueue.clear()
    let bio = input(bytes)
    defer { BIO_free(bio) }
    return parse(bio)
  }

  static func write(_ what: String, _ body: (OpaquePointer?) -> Int32) throws(SecureTransportError) -> [UInt8] {
    ErrorQueue.clear()
    let bio = BIO_new(BIO_s_mem())
    defer { BIO_free(bio) }
    guard body(bio) == 1 else { throw .refused(doing: what, faults: ErrorQueue.drain()) }
    var start: UnsafeMutablePointer<CChar>?
    let count = edge_BIO_get_mem_data(bio, &start)
    return [UInt8](UnsafeRawBufferPointer(start: start, count: count))
  }
}
