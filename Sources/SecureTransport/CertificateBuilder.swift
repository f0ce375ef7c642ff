internal import COpenSSL
internal import EdgeCore

/// Puts together and signs an X.509 certificate (RFC 5280).
struct CertificateBuilder {
  struct Extension {
    let nid: Int32
    /// In the notation of OpenSSL's x509v3_config(5): never built from text that was not checked.
    let value: String
  }

  var commonName: String
  var validity: Validity
  var extensions: [Extension] = []

  /// A certificate for `subject`, signed by `signer`; self-signed when there is no `issuer`.
  func sign(
    subject: PrivateKey, issuer: Certificate?, signer: PrivateKey, using random: inout SystemRandom
  ) throws(SecureTransportError) -> Certificate {
    ErrorQueue.clear()
    guard let raw = X509_new() else { throw failure() }
    let certificate = Certificate(owning: raw)
    // RFC 5280 §4.1.2.2: positive, at most 20 bytes; unpredictable against collision attacks.
    var serial = random.bytes(16)
    serial[0] = serial[0] & 0x7F | 0x40
    let number = BN_bin2bn(serial, Int32(serial.count), nil)
    defer { BN_free(number) }
    guard X509_set_version(raw, 2) == 1, BN_to_ASN1_INTEGER(number, X509_get_serialNumber(raw)) != nil,
      ASN1_TIME_set(X509_getm_notBefore(raw), Int(validity.notBefore)) != nil,
      ASN1_TIME_set(X509_getm_notAfter(raw), Int(validity.notAfter)) != nil,
      X509_set_pubkey(raw, subject.raw) == 1
    else { throw failure() }
    // RFC 5280 appendix A: ub-common-name is 64 characters.
    let name = Array(commonName.utf8.prefix(64))
    guard
      X509_NAME_add_entry_by_NID(
        X509_get_subject_name(raw), NID_commonName, 0x1000, name, Int32(name.count), -1, 0) == 1
    else { throw failure() }
    let issuerName = X509_get_subject_name(issuer?.raw ?? raw)
    guard X509_set_issuer_name(raw, issuerName) == 1 else { throw failure() }
    for item in extensions { try add(item, to: raw, issuer: issuer?.raw ?? raw) }
    guard X509_sign(raw, signer.raw, EVP_sha256()) > 0 else { throw failure() }
    return certificate
  }

  private func add(
    _ item: Extension, to raw: OpaquePointer, issuer: OpaquePointer
  ) throws(SecureTransportError) {
    var context = X509V3_CTX()
    edge_X509V3_set_ctx(&context, issuer, raw)
    guard let made = X509V3_EXT_conf_nid(nil, &context, item.nid, item.value) else { throw failure() }
    defer { X509_EXTENSION_free(made) }
    guard X509_add_ext(raw, made, -1) == 1 else { throw failure() }
  }

  private func failure() -> SecureTransportError {
    .refused(doing: "make a certificate for \(commonName)", faults: ErrorQueue.drain())
  }
}
