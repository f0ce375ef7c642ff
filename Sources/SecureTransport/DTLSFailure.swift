/// Why a DTLS session could not be made or broke.
public enum DTLSFailure: Error, Hashable, Sendable {
  /// The peer's certificate is not the one signalling announced: somebody is in between, or the peer has a new identity.
  case fingerprintMismatch(presented: CertificateFingerprint)
  /// The peer stopped answering in the handshake.
  case timedOut
  /// The handshake failed.
  case handshake([OpenSSLFault])
  /// The session broke after the handshake.
  case broken([OpenSSLFault])
}

extension DTLSFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .fingerprintMismatch(let presented):
      return "the peer's certificate (\(presented)) is not the one that was announced for it"
    case .timedOut: return "the peer stopped answering during the DTLS handshake"
    case .handshake(let faults): return "the DTLS handshake failed" + Self.list(faults)
    case .broken(let faults): return "the DTLS session broke" + Self.list(faults)
    }
  }

  private static func list(_ faults: [OpenSSLFault]) -> String {
    var text = ""
    for fault in faults { text += ": \(fault)" }
    return text
  }
}
