import CLinux

/// Why a byte stream ended.
public enum CloseReason: Error, Hashable, Sendable, CustomStringConvertible {
  /// Nobody listens there.
  case refused
  /// No route, or the network or the host is down.
  case unreachable
  /// No connection, or no acknowledgement of what was sent, in the time given.
  case timedOut
  /// The peer, or something on the way, cut the connection.
  case reset
  /// The peer ended it in order.
  case endOfStream
  /// This side ended it in order: ``StreamSocket/closeAfterSending(within:)`` is done.
  case local
  /// The peer did not read for so long that ``StreamSocket/maxUnsentBytes`` was passed.
  case tooSlow
  /// A unix socket: no such file.
  case notFound
  /// The system, a firewall or the socket file's mode forbids it.
  case notAllowed
  case failed(SystemError)

  init(_ error: SystemError) {
    switch error.errno {
    case ECONNREFUSED: self = .refused
    case ENETUNREACH, EHOSTUNREACH, ENETDOWN, EHOSTDOWN, EADDRNOTAVAIL: self = .unreachable
    case ETIMEDOUT: self = .timedOut
    case ECONNRESET, EPIPE, ECONNABORTED: self = .reset
    case ENOENT: self = .notFound
    case EACCES, EPERM: self = .notAllowed
    default: self = .failed(error)
    }
  }

  public var description: String {
    switch self {
    case .refused: "connection refused: nobody listens there"
    case .unreachable: "unreachable: no route to it, or its network is down"
    case .timedOut: "timed out"
    case .reset: "cut by the other side or on the way"
    case .endOfStream: "closed by the other side"
    case .local: "closed by this side"
    case .tooSlow: "the other side does not read what it is sent"
    case .notFound: "no such socket"
    case .notAllowed: "not allowed by the system"
    case .failed(let error): error.description
    }
  }
}
