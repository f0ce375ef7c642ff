internal import COpenSSL

/// One entry of OpenSSL's error queue.
public struct OpenSSLFault: Hashable, Sendable {
  /// The library of OpenSSL that failed (`ERR_LIB_*`).
  public let library: Int
  /// Why, within that library (`SSL_R_*`, `X509_R_*`, ...). 1000 + n in the SSL library is TLS alert n, sent by the peer.
  public let reason: Int

  /// The TLS alert the peer ended the connection with (RFC 8446 §6), if that is what this is.
  public var peerAlert: Int? {
    library == Int(ERR_LIB_SSL) && reason > Int(SSL_AD_REASON_OFFSET) ? reason - Int(SSL_AD_REASON_OFFSET) : nil
  }
}

extension OpenSSLFault: CustomStringConvertible {
  /// OpenSSL's own table of texts would cost some 100 kB of memory for good: the few that people meet are here.
  public var description: String {
    if let alert = peerAlert { return "the peer sent alert \(Self.alertName(alert))" }
    guard library == Int(ERR_LIB_SSL) else { return "OpenSSL library \(library) reason \(reason)" }
    switch Int32(reason) {
    case SSL_R_WRONG_VERSION_NUMBER, SSL_R_UNKNOWN_PROTOCOL: return "the peer does not speak TLS on this port"
    case SSL_R_HTTP_REQUEST: return "the peer speaks plain HTTP on this port"
    case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW: return "the peer's TLS version is too old"
    case SSL_R_NO_SHARED_CIPHER: return "no cipher in common"
    case SSL_R_CERTIFICATE_VERIFY_FAILED: return "the peer's certificate was refused"
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return "the peer sent no certificate"
    case SSL_R_READ_TIMEOUT_EXPIRED: return "the peer stopped answering"
    case SSL_R_UNEXPECTED_EOF_WHILE_READING: return "the peer cut the connection without saying goodbye"
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC: return "a record was changed on the way"
    default: return "OpenSSL SSL reason \(reason)"
    }
  }

  /// RFC 8446 §6.2.
  static func alertName(_ alert: Int) -> String {
    switch alert {
    case 0: "close_notify"
    case 10: "unexpected_message"
    case 20: "bad_record_mac"
    case 40: "handshake_failure"
    case 42: "bad_certificate"
    case 43: "unsupported_certificate"
    case 44: "certificate_revoked"
    case 45: "certificate_expired"
    case 46: "certificate_unknown"
    case 47: "illegal_parameter"
    case 48: "unknown_ca"
    case 49: "access_denied"
    case 50: "decode_error"
    case 51: "decrypt_error"
    case 70: "protocol_version"
    case 71: "insufficient_security"
    case 80: "internal_error"
    case 90: "user_canceled"
    case 112: "unrecognized_name"
    case 116: "certificate_required"
    default: "\(alert)"
    }
  }
}

/// OpenSSL's queue of errors: one per thread, and whatever is left in it is blamed on the next call.
enum ErrorQueue {
  static func clear() { ERR_clear_error() }

  /// Takes all entries, oldest (the cause) first.
  static func drain() -> [OpenSSLFault] {
    var faults: [OpenSSLFault] = []
    while true {
      let code = ERR_get_error()
      guard code != 0 else { return faults }
      faults.append(
        OpenSSLFault(library: Int(edge_ERR_GET_LIB(code)), reason: Int(edge_ERR_GET_REASON(code))))
    }
  }
}
