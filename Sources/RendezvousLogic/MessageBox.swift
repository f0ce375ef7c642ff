import EdgeCore
import SIP

/// A message somebody sent to an account, until every terminal of that account has it.
public struct StoredMessage: Hashable, Sendable {
  /// Given by the store, rising; 0 before that.
  public var sequence: Int64
  public var receiver: String
  /// The group it was sent to, of which the receiver is a member; `nil` when it was for the receiver alone.
  public var topic: String?
  public var sender: String
  /// What tells the message from all others of its sender, so that one that comes again is known.
  public var identity: String
  public var contentType: String
  public var body: [UInt8]
  /// Unix seconds; given by the store.
  public var accepted: Int64

  public init(
    sequence: Int64 = 0, receiver: String, topic: String? = nil, sender: String, identity: String,
    contentType: String, body: [UInt8], accepted: Int64 = 0
  ) {
    self.sequence = sequence
    self.receiver = receiver
    self.topic = topic
    self.sender = sender
    self.identity = identity
    self.contentType = contentType
    self.body = body
    self.accepted = accepted
  }
}

/// A message that a terminal said it has.
public struct Delivery: Hashable, Sendable {
  public var account: String
  public var terminal: String
  public var sequence: Int64

  public init(account: String, terminal: String, sequence: Int64) {
    self.account = account
    self.terminal = terminal
    self.sequence = sequence
  }
}

/// Where messages are kept, as functions.
///
/// A terminal is one device of an account. Each has what it was given noted for it, so every one gets every message
/// once and in order; one that is new gets what none has had yet.
public struct MessageBox {
  public enum Verdict: Hashable, Sendable {
    case stored(Int64)
    /// It was taken before, under this number.
    case known(Int64)
    /// The receiver has as much waiting as an account may.
    case full
    case unavailable
  }

  /// Takes messages in this order, and notes deliveries, all in one write that is durable when it returns: one verdict
  /// for each message. `nil`: nothing was written.
  public var commit: (_ messages: [StoredMessage], _ deliveries: [Delivery]) -> [Verdict]?
  /// The oldest message behind number `after` that the terminal has not had; `nil` also when the store fails.
  public var next: (_ account: String, _ terminal: String, _ after: Int64) -> StoredMessage?

  public init(
    commit: @escaping ([StoredMessage], [Delivery]) -> [Verdict]?,
    next: @escaping (String, String, Int64) -> StoredMessage?
  ) {
    self.commit = commit
    self.next = next
  }
}

/// What the message broker has under way.
struct MessageTraffic {
  /// A terminal that is given messages with MESSAGE, on the flow it registered over.
  struct Terminal: Hashable, Comparable {
    var account: String
    var name: String
    var flow: Flow

    static func < (a: Self, b: Self) -> Bool { (a.account, a.name, a.flow) < (b.account, b.name, b.flow) }
  }

  /// A device of an account, however it is given messages.
  struct Device: Hashable {
    var account: String
    var name: String
  }

  /// A message that is not written yet, one for each receiver, and the request that brought it.
  struct Incoming {
    var messages: [StoredMessage]
    var request: Message
    var key: AnswerKey
    var flow: Flow
  }

  /// A request whose sender waits to hear whether a terminal of each receiver took the message at once.
  struct Awaiting {
    /// The copies that no terminal has taken yet.
    var open: Set<Int64>
    var request: Message
    var key: AnswerKey
    var flow: Flow
    var deadline: Instant
  }

  /// What the next write takes up. A write costs the same for one message and for a hundred, so what arrives together
  /// is written together.
  var incoming: [Incoming] = []
  var incomingKeys: Set<AnswerKey> = []
  /// The last message each device has, where that is not written yet.
  var delivered: [Device: Int64] = [:]
  var commitDue: Instant?
  /// By the first of its copies.
  var awaiting: [Int64: Awaiting] = [:]
  /// Under which key of `awaiting` a copy is.
  var awaitedUnder: [Int64: Int64] = [:]
  /// The message each terminal has not answered yet: one at a time.
  var pushing: [Terminal: Int64] = [:]
  /// Those that said they do not understand MESSAGE.
  var refusing: Set<Terminal> = []
  /// Accounts with a new registration, and when they are given what waits: a little later, so that a terminal can
  /// subscribe to its topic first.
  var due: [String: Instant] = [:]

  var isEmpty: Bool {
    awaiting.isEmpty && pushing.isEmpty && refusing.isEmpty && due.isEmpty && incoming.isEmpty && delivered.isEmpty
  }
}
