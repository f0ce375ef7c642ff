internal import CLinux
internal import COpenSSL

/// What many TLS connections share: the certificate a server shows, or whom a client trusts.
///
/// TLS 1.2 at least, forward secrecy and authenticated encryption only, no renegotiation. Buffers are given
/// back between records, so that an idle connection costs a few kilobytes.
public final class TLSContext {
  /// Which authorities a client believes.
  public enum Trust: Hashable, Sendable {
    /// The machine's own list.
    case system
    /// These and no others. A server's own self-signed certificate will do too.
    case authorities(pem: [UInt8])
  }

  enum Role { case client, server }

  let role: Role
  /// One reference. Sessions hold their own, so replacing it does not disturb them.
  private(set) var raw: OpaquePointer

  private init(role: Role, raw: OpaquePointer) {
    self.role = role
    self.raw = raw
  }

  deinit { SSL_CTX_free(raw) }

  /// A server showing the certificate chain in `certificatePEM`, its own certificate first.
  public static func server(
    certificatePEM: [UInt8], keyPEM: [UInt8]
  ) throws(SecureTransportError) -> TLSContext {
    TLSContext(role: .server, raw: try makeServer(certificatePEM, keyPEM))
  }

  /// Shows another certificate from the next connection on. On an error the old one stays.
  public func reload(certificatePEM: [UInt8], keyPEM: [UInt8]) throws(SecureTransportError) {
    precondition(role == .server, "a client context has no certificate")
    let fresh = try Self.makeServer(certificatePEM, keyPEM)
    SSL_CTX_free(raw)
    raw = fresh
  }

  public static func client(_ trust: Trust) throws(SecureTransportError) -> TLSContext {
    let context = TLSContext(role: .client, raw: try make())
    SSL_CTX_set_verify(context.raw, SSL_VERIFY_PEER, nil)
    SSL_CTX_set_cert_verify_callback(context.raw, TLSSession.verifyThunk, nil)
    switch trust {
    case .system: trustSystem(context.raw)
    case .authorities(let pem):
      let store = SSL_CTX_get_cert_store(context.raw)
      for certificate in try Certificate.all(pem: pem) {
        guard X509_STORE_add_cert(store, certificate.raw) == 1 else { throw failure() }
      }
      // A certificate that is itself in the list needs no authority above it.
      X509_STORE_set_flags(store, UInt(X509_V_FLAG_PARTIAL_CHAIN))
    }
    return context
  }

  private static func makeServer(_ certificatePEM: [UInt8], _ keyPEM: [UInt8]) throws(SecureTransportError)
    -> OpaquePointer
  {
    let chain = try Certificate.all(pem: certificatePEM)
    let key = try PrivateKey(pem: keyPEM)
    let raw = try make()
    guard SSL_CTX_use_certificate(raw, chain[0].raw) == 1, SSL_CTX_use_PrivateKey(raw, key.raw) == 1 else {
      SSL_CTX_free(raw)
      ErrorQueue.clear()
      throw .unusable("the private key does not belong to the first certificate of the file")
    }
    for certificate in chain.dropFirst() { _ = edge_SSL_CTX_add1_chain_cert(raw, certificate.raw) }
    SSL_CTX_set_options(raw, edge_SSL_OP_CIPHER_SERVER_PREFERENCE)
    // One ticket is enough for a client that has one connection (the default is two, some 250 bytes each).
    SSL_CTX_set_num_tickets(raw, 1)
    return raw
  }

  private static func make() throws(SecureTransportError) -> OpaquePointer {
    precondition(OpenSSLLibrary.isReady)
    ErrorQueue.clear()
    guard let raw = SSL_CTX_new(TLS_method()) else { throw failure() }
    guard edge_SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION) == 1,
      SSL_CTX_set_cipher_list(raw, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1,
      edge_SSL_CTX_set1_groups_list(raw, "X25519:P-256:P-384") == 1
    else {
      SSL_CTX_free(raw)
      throw failure()
    }
    SSL_CTX_set_options(raw, edge_SSL_OP_NO_RENEGOTIATION | edge_SSL_OP_NO_COMPRESSION)
    _ = edge_SSL_CTX_set_mode(raw, Int(SSL_MODE_RELEASE_BUFFERS))
    _ = edge_SSL_CTX_set_session_cache_mode(raw, Int(SSL_SESS_CACHE_OFF))
    return raw
  }

  /// Looks certificates up one by one where the directory is indexed; loading the whole list costs over a megabyte.
  private static func trustSystem(_ raw: OpaquePointer) {
    let directory = "/etc/ssl/certs"
    // The name hashes of two authorities found in every list, ISRG Root X1 and GlobalSign R3: present where c_rehash ran.
    for probe in ["4042bcee.0", "062cdee6.0"] where access("\(directory)/\(probe)", R_OK) == 0 {
      SSL_CTX_load_verify_dir(raw, directory)
      return
    }
    for file in ["/etc/ssl/cert.pem", "\(directory)/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"]
    where SSL_CTX_load_verify_file(raw, file) == 1 {
      return
    }
    SSL_CTX_load_verify_dir(raw, directory)
    ErrorQueue.clear()
  }

  private static func failure() -> SecureTransportError {
    .refused(doing: "set up TLS", faults: ErrorQueue.drain())
  }
}
