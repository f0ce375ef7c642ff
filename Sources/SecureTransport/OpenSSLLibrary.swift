internal import COpenSSL

/// OpenSSL, set up once for the process.
enum OpenSSLLibrary {
  /// Touch this before the first call of a public entry point.
  ///
  /// The machine's `openssl.cnf` is not read: it could weaken or break what both ends of a camera agreed
  /// on, and a static program has no business with the files of a shared library it does not use.
  static let isReady: Bool =
    OPENSSL_init_ssl(UInt64(OPENSSL_INIT_NO_LOAD_CONFIG), nil) == 1
}
