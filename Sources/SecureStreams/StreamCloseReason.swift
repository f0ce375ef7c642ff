public import LinuxIO
public import SecureTransport

/// Why a ``StreamConnection`` ended.
public enum StreamCloseReason: Error, Hashable, Sendable {
  /// The TCP connection could not be made, or broke; also an orderly end of a plain one.
  case transport(CloseReason)
  /// TLS failed: most often the server's certificate.
  case tls(TLSFailure)
  /// The peer said goodbye in TLS.
  case closedByPeer
  /// TCP stood, but the TLS handshake was not done in time.
  case handshakeTimedOut
  /// This machine could not begin: a server name that is none, or memory.
  case setup(SecureTransportError)
  /// The name has no address.
  case noAddress
}

extension StreamCloseReason: CustomStringConvertible {
  public var description: String {
    switch self {
    case .transport(let reason): reason.description
    case .tls(let failure): failure.description
    case .closedByPeer: "closed by the other side"
    case .handshakeTimedOut: "the other side accepted the connection but did not answer in TLS"
    case .setup(let error): error.description
    case .noAddress: "the server's name has no address"
    }
  }
}
