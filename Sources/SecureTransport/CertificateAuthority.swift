internal import COpenSSL
internal import EdgeCore

/// A private certificate authority: it vouches for one rendezvous server, and nodes are given its certificate.
public final class CertificateAuthority {
  /// A certificate chain and its private key, both PEM.
  public struct Credential: Hashable, Sendable {
    /// The server's certificate first, then the authority's.
    public var certificatePEM: [UInt8]
    /// PKCS #8, not encrypted. A secret.
    public var keyPEM: [UInt8]

    public init(certificatePEM: [UInt8], keyPEM: [UInt8]) {
      self.certificatePEM = certificatePEM
      self.keyPEM = keyPEM
    }
  }

  private let key: PrivateKey
  private let certificate: Certificate

  /// What nodes and viewers are given to trust (`ca.pem`).
  public let certificatePEM: [UInt8]
  /// A secret (`ca.key`).
  public let keyPEM: [UInt8]

  /// A new authority. It can sign server certificates and nothing that signs further ones.
  public convenience init(commonName: String, validity: Validity = .long) throws(SecureTransportError) {
    var random = SystemRandom()
    let key = try PrivateKey.makeP256()
    var builder = CertificateBuilder(commonName: commonName, validity: validity)
    builder.extensions = [
      .init(nid: NID_basic_constraints, value: "critical,CA:TRUE,pathlen:0"),
      .init(nid: NID_key_usage, value: "critical,keyCertSign,cRLSign"),
      .init(nid: NID_subject_key_identifier, value: "hash"),
    ]
    let certificate = try builder.sign(subject: key, issuer: nil, signer: key, using: &random)
    try self.init(key: key, certificate: certificate)
  }

  /// Loads an authority that was made before.
  public convenience init(certificatePEM: [UInt8], keyPEM: [UInt8]) throws(SecureTransportError) {
    try self.init(key: PrivateKey(pem: keyPEM), certificate: Certificate(pem: certificatePEM))
  }

  private init(key: PrivateKey, certificate: Certificate) throws(SecureTransportError) {
    guard X509_check_private_key(certificate.raw, key.raw) == 1 else {
      ErrorQueue.clear()
      throw .unusable("the authority's key and certificate do not belong together")
    }
    self.key = key
    self.certificate = certificate
    certificatePEM = try certificate.pem()
    keyPEM = try key.pem()
  }

  /// A certificate for a server that is reached by any of `names`: host names or IP addresses, at most 100.
  ///
  /// `127.0.0.1`, `::1` and `localhost` are always added, so that the server's own machine can reach it.
  public func issueServerCredential(
    names: [String], validity: Validity = .long
  ) throws(SecureTransportError) -> Credential {
    var random = SystemRandom()
    let subject = try PrivateKey.makeP256()
    var all: [String] = []
    for name in names + ["localhost", "127.0.0.1", "::1"] where !all.contains(name) { all.append(name) }
    guard all.count <= 103 else { throw .unusable("a server certificate can name at most 100 hosts") }
    var alternatives = ""
    for name in all {
      if !alternatives.isEmpty { alternatives += "," }
      alternatives += try Self.alternativeName(name)
    }
    var builder = CertificateBuilder(commonName: all[0], validity: validity)
    builder.extensions = [
      .init(nid: NID_basic_constraints, value: "critical,CA:FALSE"),
      .init(nid: NID_key_usage, value: "critical,digitalSignature"),
      .init(nid: NID_ext_key_usage, value: "serverAuth,clientAuth"),
      .init(nid: NID_subject_alt_name, value: alternatives),
      .init(nid: NID_subject_key_identifier, value: "hash"),
      .init(nid: NID_authority_key_identifier, value: "keyid:always"),
    ]
    let issued = try builder.sign(subject: subject, issuer: certificate, signer: key, using: &random)
    return Credential(certificatePEM: try issued.pem() + certificatePEM, keyPEM: try subject.pem())
  }

  /// One entry of RFC 5280 §4.2.1.6. Checked here, because a comma would start another entry.
  private static func alternativeName(_ name: String) throws(SecureTransportError) -> String {
    if let address = IPAddress(name) { return "IP:\(address)" }
    var usable = (1...253).contains(name.utf8.count)
    for byte in name.utf8 {
      let isAllowed =
        ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
        || byte == UInt8(ascii: "*")
      usable = usable && isAllowed
    }
    guard usable else { throw .unusable("\(name) is neither a host name nor an IP address") }
    return "DNS:\(name)"
  }
}
