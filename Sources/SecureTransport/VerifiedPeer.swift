/// Proof that the peer holds the certificate that signalling announced.
///
/// A DTLS session cannot become established without one, and only the comparison below makes them.
struct VerifiedPeer: ~Copyable {
  let fingerprint: CertificateFingerprint

  fileprivate init(fingerprint: CertificateFingerprint) { self.fingerprint = fingerprint }
}

extension CertificateFingerprint {
  /// RFC 8122 §5: the certificate presented must match a fingerprint that was signalled.
  static func check(_ certificate: CertificateFingerprint, isAmong signalled: [CertificateFingerprint]) -> VerifiedPeer?
  {
    for candidate in signalled where candidate.bytes.count == 32 && candidate == certificate {
      return VerifiedPeer(fingerprint: certificate)
    }
    return nil
  }
}
