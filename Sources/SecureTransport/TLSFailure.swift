/// Why a TLS connection could not be made or broke.
public enum TLSFailure: Error, Hashable, Sendable {
  /// The certificate's time is over, by a clock that reads `clock` (both in seconds since 1970).
  case certificateExpired(notAfter: Int64, clock: Int64)
  /// The certificate's time has not begun, by a clock that reads `clock`.
  case certificateNotYetValid(notBefore: Int64, clock: Int64)
  /// Nobody trusted here signed it.
  case untrustedAuthority(issuer: String)
  /// It vouches for itself, and is not itself trusted.
  case selfSigned
  /// It is somebody else's: `names` are some of those it was made for.
  case nameMismatch(wanted: String, names: [String])
  /// Refused for another reason: an `X509_V_ERR_*` number.
  case certificateRefused(code: Int)
  /// The handshake failed.
  case handshake([OpenSSLFault])
  /// The connection broke after the handshake.
  case broken([OpenSSLFault])
}

extension TLSFailure {
  /// A clock before 2024 was never set: this program did not exist then.
  private static let oldestCredibleClock: Int64 = 1_704_067_200

  /// Whether the remedy is to set this machine's clock.
  public var isClockWrong: Bool {
    switch self {
    case .certificateExpired(_, let clock), .certificateNotYetValid(_, let clock): clock < Self.oldestCredibleClock
    default: false
    }
  }
}

extension TLSFailure: CustomStringConvertible {
  /// What happened and what to do about it.
  public var description: String {
    switch self {
    case .certificateExpired(_, let clock) where isClockWrong, .certificateNotYetValid(_, let clock) where isClockWrong:
      "this machine's clock says \(CivilTime(unixSeconds: clock)), so no certificate can be checked: set the time"
    case .certificateExpired(let notAfter, let clock):
      "the server's certificate expired on \(CivilTime(unixSeconds: notAfter)): renew it on the server "
        + "(this machine's clock says \(CivilTime(unixSeconds: clock)))"
    case .certificateNotYetValid(let notBefore, let clock):
      "the server's certificate is valid only from \(CivilTime(unixSeconds: notBefore)), but this machine's clock says "
        + "\(CivilTime(unixSeconds: clock)): set the time"
    case .untrustedAuthority(let issuer):
      "the server's certificate was signed by \"\(issuer)\", which is not trusted here: copy the server's ca.pem to "
        + "this machine and name it as ca-file"
    case .selfSigned:
      "the server's certificate is self-signed and not trusted here: copy the server's ca.pem to this machine and "
        + "name it as ca-file"
    case .nameMismatch(let wanted, let names):
      "the server's certificate is not for \(wanted)\(Self.list(names)): check the server's name in the configuration, "
        + "or give the server a certificate for that name"
    case .certificateRefused(let code): "the server's certificate was refused (X.509 verification error \(code))"
    case .handshake(let faults): "the TLS handshake failed\(Self.list(faults))"
    case .broken(let faults): "the TLS connection broke\(Self.list(faults))"
    }
  }

  private static func list(_ names: [String]) -> String {
    var text = ""
    for name in names { text += text.isEmpty ? " but for \(name)" : ", \(name)" }
    return text
  }

  private static func list(_ faults: [OpenSSLFault]) -> String {
    var text = ""
    for fault in faults { text += ": \(fault)" }
    return text
  }
}
