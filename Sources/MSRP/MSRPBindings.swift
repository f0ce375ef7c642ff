import EdgeCore

/// Which connection each session of a server belongs to (RFC 4975 §5.4, §7.3).
///
/// A session is expected from the moment its URI is in an SDP; the first request to it binds it to the connection
/// that request came over. Session IDs have at least 80 random bits, so knowing one is the right to use it.
public struct MSRPBindings<Connection: Hashable> {
  public enum Route: Hashable {
    /// Give the request to the session of this ID; `isFirst`: it was bound just now.
    case session(String, isFirst: Bool)
    /// Answer with this status: 481 for no such session, 506 for one of another connection.
    case refuse(Int)
  }

  private var connections: [String: Connection?] = [:]

  public init() {}

  public var count: Int { connections.count }

  /// A session ID of 119 random bits.
  public static func newSessionID(_ random: inout some RandomNumberGenerator) -> String { random.token(20) }

  public mutating func expect(_ sessionID: String) { connections[sessionID] = .some(nil) }

  /// This end opened the connection for the session.
  public mutating func bind(_ sessionID: String, to connection: Connection) {
    connections[sessionID] = .some(connection)
  }

  public mutating func remove(_ sessionID: String) { connections[sessionID] = nil }

  /// Where a request goes whose `To-Path` is one URI with this session ID.
  public mutating func route(_ sessionID: String?, over connection: Connection) -> Route {
    guard let sessionID, let bound = connections[sessionID] else { return .refuse(481) }
    guard let bound else {
      connections[sessionID] = .some(connection)
      return .session(sessionID, isFirst: true)
    }
    return bound == connection ? .session(sessionID, isFirst: false) : .refuse(506)
  }

  /// The sessions of a connection that is gone; each waits for another.
  public mutating func connectionLost(_ connection: Connection) -> [String] {
    var lost: [String] = []
    for (id, bound) in connections where bound == .some(connection) { lost.append(id) }
    for id in lost { connections[id] = .some(nil) }
    return lost
  }
}
