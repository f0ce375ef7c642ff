public import SIP

/// Why the link to the server is not up. The text says what happened; what to do about it is
/// the health report's business.
public enum LinkFailure: Hashable, Sendable {
  /// No connection could be made; the transport's own words.
  case unreachable(String)
  /// An established connection ended; the transport's own words.
  case lost(String)
  /// RFC 5626 §4.4.1: ten seconds without an answer to a heartbeat.
  case noHeartbeat
  /// The NAT gave the UDP flow another address, so the server can no longer reach the old one.
  case addressChanged
  /// The server refused the password, or does not know the account; it does not say which.
  case badPassword
  /// The challenge was for somebody else's realm, and was not answered.
  case foreignRealm(String)
  /// Any other refusal of the log-in.
  case refused(StatusCode)
  /// The server took the connection and then said nothing.
  case silent
  /// What came was not SIP.
  case notSIP

  public var text: String {
    switch self {
    case .unreachable(let why): "server unreachable: " + why
    case .lost(let why): "connection lost: " + why
    case .noHeartbeat: "no heartbeat answer for 10 s"
    case .addressChanged: "public address changed"
    case .badPassword: "account or password refused"
    case .foreignRealm(let realm): "the server asks for a log-in to another domain (" + realm + ")"
    case .refused(let status): "log-in refused: \(status.value) " + status.reason
    case .silent: "the server does not answer"
    case .notSIP: "what answers there is no SIP server"
    }
  }

  /// True when trying again cannot help until somebody changes the configuration.
  public var isPermanent: Bool {
    switch self {
    case .badPassword, .foreignRealm: true
    case .refused(let status): status == 403 || status == 404
    default: false
    }
  }
}
