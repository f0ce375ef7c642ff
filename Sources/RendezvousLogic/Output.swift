public import PIDF

/// What the owner must do, in this order.
public enum Output: Hashable, Sendable {
  case send([UInt8], Flow)
  /// Close the connection. The core has already forgotten it.
  case close(Flow)
  case log(LogEntry)
}

/// Something an operator may want to know. Never holds a secret.
public struct LogEntry: Hashable, Sendable {
  public enum Level: Int, Hashable, Sendable { case debug, info, warning }

  public struct Field: Hashable, Sendable {
    public var name: String
    public var value: String
  }

  public var level: Level
  public var event: String
  public var fields: [Field]
}

/// Counters since start. Only ever rise.
public struct Counters: Hashable, Sendable {
  public var requests: UInt64 = 0
  public var responses: UInt64 = 0
  public var malformed: UInt64 = 0
  public var registrations: UInt64 = 0
  public var challenges: UInt64 = 0
  public var wrongPasswords: UInt64 = 0
  public var publications: UInt64 = 0
  public var notifications: UInt64 = 0
  public var invitations: UInt64 = 0
  /// Taken by the message broker, and given to a terminal.
  public var messages: UInt64 = 0
  public var messagesDelivered: UInt64 = 0
  public var bindingRequests: UInt64 = 0
  public var pings: UInt64 = 0
  public var flowsLost: UInt64 = 0
  /// Dropped because a source had used up its share.
  public var limited: UInt64 = 0
}

/// What the server holds now.
public struct Snapshot: Sendable {
  public struct Node: Hashable, Sendable {
    public var account: String
    public var flow: Flow
    /// Since anything was heard on the flow.
    public var silence: Duration
    /// Since the flow was opened, or for UDP first used.
    public var age: Duration
    public var serials: [Presence.Tuple]
  }

  /// In order of account.
  public var nodes: [Node] = []
  public var contacts = 0
  public var flows = 0
  /// Flows that carry a contact, by transport.
  public var contactFlows: [FlowTransport: Int] = [:]
  public var connections = 0
  public var serials = 0
  public var subscriptions = 0
  public var sessions = 0
  public var pending = 0
  public var counters = Counters()
}
