internal import CLinux
internal import COpenSSL

extension TLSFailure {
  /// Puts a failed verification of a chain into words.
  init(verifying store: OpaquePointer?, serverName: String, clock: Int64) {
    let code = X509_STORE_CTX_get_error(store)
    // The one that failed: the server's, or one of those above it.
    let certificate = X509_STORE_CTX_get_current_cert(store) ?? X509_STORE_CTX_get0_cert(store)
    guard let certificate else {
      self = .certificateRefused(code: Int(code))
      return
    }
    switch code {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      self = .certificateExpired(notAfter: Self.seconds(X509_get0_notAfter(certificate)), clock: clock)
    case X509_V_ERR_CERT_NOT_YET_VALID:
      self = .certificateNotYetValid(notBefore: Self.seconds(X509_get0_notBefore(certificate)), clock: clock)
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: self = .selfSigned
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
      X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
      X509_V_ERR_CERT_SIGNATURE_FAILURE, X509_V_ERR_CERT_UNTRUSTED:
      self = .untrustedAuthority(issuer: Self.commonName(X509_get_issuer_name(certificate)))
    case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
      self = .nameMismatch(wanted: serverName, names: Self.names(certificate))
    default: self = .certificateRefused(code: Int(code))
    }
  }

  static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64 {
    var parts = CLinux.tm()
    guard let time, ASN1_TIME_to_tm(time, &parts) == 1 else { return 0 }
    return Int64(timegm(&parts))
  }

  private static func commonName(_ name: OpaquePointer?) -> String {
    let position = X509_NAME_get_index_by_NID(name, NID_commonName, -1)
    guard position >= 0, let entry = X509_NAME_get_entry(name, position) else { return "" }
    return printable(X509_NAME_ENTRY_get_data(entry))
  }

  /// Up to four of the names a certificate was made for.
  private static func names(_ certificate: OpaquePointer) -> [String] {
    guard let list = X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else { return [] }
    let stack = OpaquePointer(list)
    defer { GENERAL_NAMES_free(stack) }
    var names: [String] = []
    for index in 0..<min(OPENSSL_sk_num(stack), 4) {
      guard let item = OPENSSL_sk_value(stack, index)?.assumingMemoryBound(to: GENERAL_NAME.self) else { continue }
      switch item.pointee.type {
      case GEN_DNS: names.append(printable(item.pointee.d.dNSName))
      case GEN_IPADD:
        guard let address = item.pointee.d.iPAddress, ASN1_STRING_length(address) == 4,
          let bytes = ASN1_STRING_get0_data(address)
        else { continue }
        names.append("\(bytes[0]).\(bytes[1]).\(bytes[2]).\(bytes[3])")
      default: continue
      }
    }
    return names
  }

  /// The peer chose this text and it ends up in a log: at most 64 printable ASCII characters.
  private static func printable(_ text: UnsafePointer<ASN1_STRING>?) -> String {
    guard let text, let start = ASN1_STRING_get0_data(text) else { return "" }
    var bytes: [UInt8] = []
    for byte in UnsafeBufferPointer(start: start, count: min(Int(ASN1_STRING_length(text)), 64)) {
      bytes.append((0x20..<0x7F).contains(byte) && byte != UInt8(ascii: "\"") ? byte : UInt8(ascii: "?"))
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
