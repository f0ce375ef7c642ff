import Config
import EdgeCore
import LinuxIO
import SecureTransport

/// The certificate the server shows: from the configuration's files, made with a private authority when absent.
enum ServerCertificate {
  private static let limit = 1 << 20

  static func context(_ configuration: RendezvousConfiguration, log: Log) throws(StartError) -> TLSContext {
    let credential = try loadOrMake(configuration, log: log)
    do throws(SecureTransportError) {
      return try TLSContext.server(certificatePEM: credential.certificatePEM, keyPEM: credential.keyPEM)
    } catch {
      throw StartError("cannot use the certificate \(configuration.tls.certificate): \(error)")
    }
  }

  /// Shows the files' present contents from the next connection on; an error leaves the old certificate.
  static func reload(_ context: TLSContext, _ configuration: RendezvousConfiguration) throws(StartError) {
    let credential = try load(configuration.tls)
    do throws(SecureTransportError) {
      try context.reload(certificatePEM: credential.certificatePEM, keyPEM: credential.keyPEM)
    } catch {
      throw StartError("cannot use the certificate \(configuration.tls.certificate): \(error)")
    }
  }

  private static func loadOrMake(
    _ configuration: RendezvousConfiguration, log: Log
  ) throws(StartError) -> CertificateAuthority.Credential {
    let files = configuration.tls
    switch (File.exists(files.certificate), File.exists(files.key)) {
    case (true, true): return try load(files)
    case (false, false): break
    case (true, false): throw StartError("\(files.certificate) is there and its key \(files.key) is not")
    case (false, true):
      throw StartError("the key \(files.key) is there and its certificate \(files.certificate) is not")
    }
    let names = names(configuration)
    do {
      if let slash = files.certificate.lastIndex(of: "/"), slash != files.certificate.startIndex {
        try File.makeDirectories(String(files.certificate[..<slash]), mode: 0o700)
      }
      let authority = try authority(files, domain: configuration.domain)
      let credential = try authority.issueServerCredential(names: names)
      try File.writeAtomically(credential.keyPEM, to: files.key, mode: 0o600)
      try File.writeAtomically(credential.certificatePEM, to: files.certificate, mode: 0o644)
      log.notice(
        "certificate-made", ("certificate", files.certificate), ("names", names.joined(separator: ",")),
        ("ca", files.authority), ("hint", "copy the ca file to the nodes and viewers and name it as their ca-file"))
      return credential
    } catch {
      throw StartError("cannot make the server's certificate: \(error)")
    }
  }

  private static func load(
    _ files: RendezvousConfiguration.TLS
  ) throws(StartError) -> CertificateAuthority.Credential {
    do throws(FileError) {
      return .init(
        certificatePEM: try File.read(files.certificate, maxBytes: limit),
        keyPEM: try File.read(files.key, maxBytes: limit))
    } catch {
      throw StartError("cannot read the server's certificate: \(error)")
    }
  }

  /// The authority made before, or a new one: nodes keep trusting a server whose certificate is made again.
  private static func authority(_ files: RendezvousConfiguration.TLS, domain: String) throws -> CertificateAuthority {
    let keyPath = files.authority.hasSuffix(".pem") ? files.authority.dropLast(4) + ".key" : files.authority + ".key"
    if File.exists(files.authority), File.exists(keyPath) {
      return try CertificateAuthority(
        certificatePEM: try File.read(files.authority, maxBytes: limit),
        keyPEM: try File.read(keyPath, maxBytes: limit))
    }
    let authority = try CertificateAuthority(commonName: "Edge private authority of \(domain)")
    try File.writeAtomically(authority.keyPEM, to: keyPath, mode: 0o600)
    try File.writeAtomically(authority.certificatePEM, to: files.authority, mode: 0o644)
    return authority
  }

  /// Every name and address by which the server may be reached: the domain, this host, where it listens.
  private static func names(_ configuration: RendezvousConfiguration) -> [String] {
    var names = [configuration.domain]
    let host = ProcessFacts.hostName
    if Self.isHostName(host) { names.append(host) }
    var addresses: [IPAddress] = []
    for listener in configuration.listen.sips {
      if listener.ip.isUnspecified {
        let found = (try? NetworkInterfaces.addresses()) ?? []
        addresses += found.map(\.address).filter { $0.isV4 == listener.ip.isV4 && !$0.isLinkLocal }
      } else {
        addresses.append(listener.ip)
      }
    }
    for address in addresses.prefix(64) where !names.contains("\(address)") { names.append("\(address)") }
    return names
  }

  private static func isHostName(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == 0x2D || $0 == 0x2E }
  }
}
