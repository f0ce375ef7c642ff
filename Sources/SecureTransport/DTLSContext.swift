internal import COpenSSL

/// What all DTLS sessions of one identity share: its certificate, key and the algorithms.
final class DTLSContext {
  let raw: OpaquePointer

  deinit { SSL_CTX_free(raw) }

  /// RFC 8827 §6.5: ECDHE with AES-GCM and P-256 are what every WebRTC peer has; ChaCha20 (RFC 7905) is for
  /// processors without AES instructions.
  private static let ciphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384"

  init(_ identity: Identity) throws(SecureTransportError) {
    precondition(OpenSSLLibrary.isReady)
    ErrorQueue.clear()
    guard let raw = SSL_CTX_new(DTLS_method()) else {
      throw .refused(doing: "set up DTLS", faults: ErrorQueue.drain())
    }
    self.raw = raw
    guard edge_SSL_CTX_set_min_proto_version(raw, DTLS1_2_VERSION) == 1,
      SSL_CTX_set_cipher_list(raw, Self.ciphers) == 1,
      edge_SSL_CTX_set1_groups_list(raw, "X25519:P-256") == 1,
      SSL_CTX_use_certificate(raw, identity.certificate.raw) == 1,
      SSL_CTX_use_PrivateKey(raw, identity.key.raw) == 1,
      // Peers that expect a profile for media (RFC 5764 §4.1.1) get one; it is not used. 0 means done here.
      SSL_CTX_set_tlsext_use_srtp(raw, "SRTP_AES128_CM_SHA1_80") == 0
    else { throw .refused(doing: "set up DTLS", faults: ErrorQueue.drain()) }
    SSL_CTX_set_options(
      raw,
      edge_SSL_OP_NO_RENEGOTIATION | edge_SSL_OP_NO_COMPRESSION | edge_SSL_OP_NO_TICKET | edge_SSL_OP_NO_QUERY_MTU)
    // A resumed session would skip the certificates, and with them the check of the fingerprint.
    _ = edge_SSL_CTX_set_session_cache_mode(raw, Int(SSL_SESS_CACHE_OFF))
    // Sizes the write buffer: an SCTP packet never comes near it.
    _ = edge_SSL_CTX_set_max_send_fragment(raw, DTLSSession.maximumPayload)
    // RFC 8827 §6.5: both ends present a certificate.
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
    SSL_CTX_set_cert_verify_callback(raw, DTLSSession.verifyThunk, nil)
  }
}
