internal import COpenSSL

/// The key pair a node or viewer is known by, with the self-signed certificate DTLS shows (RFC 8827 §6.5).
///
/// Made once, on first start, and kept: pairing remembers its fingerprint. The certificate's dates mean
/// nothing, because what a peer checks is the fingerprint that came through signalling.
public final class Identity {
  let key: PrivateKey
  let certificate: Certificate
  private var sharedDTLSContext: DTLSContext?

  public let fingerprint: CertificateFingerprint

  /// `AB:CD:...`, as it stands in an SDP `a=fingerprint:sha-256` line (RFC 8122 §5).
  public var fingerprintSHA256: String { fingerprint.description }

  /// A new key pair, kept nowhere.
  public convenience init(commonName: String = "edge") throws(SecureTransportError) {
    var random = SystemRandom()
    let key = try PrivateKey.makeP256()
    // RFC 5280 §4.1.2.5: 99991231235959Z says that there is no expiration date.
    let builder = CertificateBuilder(
      commonName: commonName, validity: Validity(notBefore: 946_684_800, notAfter: 253_402_300_799))
    let certificate = try builder.sign(subject: key, issuer: nil, signer: key, using: &random)
    try self.init(key: key, certificate: certificate)
  }

  /// Loads a private key and its certificate from one PEM text.
  public convenience init(pem: [UInt8]) throws(SecureTransportError) {
    try self.init(key: PrivateKey(pem: pem), certificate: Certificate(pem: pem))
  }

  private init(key: PrivateKey, certificate: Certificate) throws(SecureTransportError) {
    guard X509_check_private_key(certificate.raw, key.raw) == 1 else {
      ErrorQueue.clear()
      throw .unusable("the private key and the certificate do not belong together")
    }
    self.key = key
    self.certificate = certificate
    fingerprint = certificate.fingerprint
  }

  /// Private key (PKCS #8) and certificate. A secret.
  public func pem() throws(SecureTransportError) -> [UInt8] { try key.pem() + certificate.pem() }

  /// Made when the first session needs it, then shared by all.
  func dtlsContext() throws(SecureTransportError) -> DTLSContext {
    if let sharedDTLSContext { return sharedDTLSContext }
    let made = try DTLSContext(self)
    sharedDTLSContext = made
    return made
  }

  /// The identity kept in `directory`, made there on first start.
  ///
  /// The file has mode 0600 and appears whole or not at all. One that is there but cannot be used is an
  /// error and is never replaced: peers that were paired with it would no longer know this machine.
  public static func loadOrMake(
    directory: String, file: String = "identity.pem", commonName: String = "edge"
  ) throws(SecureTransportError) -> Identity {
    let path = directory + "/" + file
    if let pem = try PrivateFile.read(path) {
      do throws(SecureTransportError) {
        return try Identity(pem: pem)
      } catch {
        throw .unusable(
          "\(path) does not hold a usable identity (\(error)); restore it from a backup, "
            + "or remove it to get a new identity and pair again")
      }
    }
    let identity = try Identity(commonName: commonName)
    try PrivateFile.write(identity.pem(), to: path, in: directory)
    return identity
  }
}
