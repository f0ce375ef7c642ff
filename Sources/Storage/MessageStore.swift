/// Messages that wait for their receivers' terminals.
///
/// A message is committed before its sender is told so, and what a terminal has is noted for it alone. A message that
/// every terminal has is emptied and kept for a while as a name, so that a sender that asks again is not heard twice.
/// When an account's room is used up, what one of its terminals has had makes room: a device that never comes back must
/// not keep the others from hearing anything.
public final class MessageStore {
  public struct Message: Hashable, Sendable {
    public var sequence: Int64
    public var receiver: String
    /// The group it was sent to, of which the receiver is a member; `nil` when it was for the receiver alone.
    public var topic: String?
    public var sender: String
    /// Unique for the sender.
    public var identity: String
    public var contentType: String
    public var body: [UInt8]
    /// Unix seconds.
    public var accepted: Int64

    public init(
      sequence: Int64 = 0, receiver: String, topic: String? = nil, sender: String, identity: String,
      contentType: String, body: [UInt8], accepted: Int64
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

  public enum Verdict: Hashable, Sendable {
    case stored(Int64)
    /// It is here already, under this number.
    case known(Int64)
    /// The receiver's quota is used up by what none of its terminals has had, or there is no such account.
    case refused
  }

  public struct Limits: Hashable, Sendable {
    /// Messages one account may have waiting.
    public var messages: Int64 = 1000
    /// Bytes of their bodies. Large ones (pictures) may take half of it, so that they crowd out no words.
    public var bytes: Int64 = 4 << 20
    /// Bytes of a body that is large.
    public var large: Int64 = 1301
    /// Seconds a message waits for a terminal.
    public var lifetime: Int64 = 30 * 86_400
    /// Seconds the name of a delivered message is remembered.
    public var memory: Int64 = 86_400
    /// Devices of one account; the one not seen for longest makes room.
    public var terminals: Int64 = 16

    public init() {}

    /// Of messages that came over MSRP.
    public static var large: Limits {
      var limits = Limits()
      limits.messages = 200
      limits.bytes = 64 << 20
      return limits
    }
  }

  /// Which messages.
  public enum Kind: Hashable, Sendable {
    /// Those of one SIP message each, to accounts of the same file.
    case page
    /// Those that came over MSRP, to anybody.
    case large
  }

  public let limits: Limits
  private let database: Database
  private let table: String
  private let terminals: String
  /// What must hold of a receiver, whose name is parameter 1.
  private let isReceiver: String
  private var waitingOf: [String: Waiting] = [:]
  private var lastExpiry = Int64.min / 2

  private struct Waiting {
    var messages: Int64 = 0
    var bytes: Int64 = 0
  }

  /// Receivers whose waiting messages are kept count of.
  private static let mostCounted = 10_000
  /// Seconds between two looks for what has expired.
  private static let expiryInterval: Int64 = 60

  /// Uses the connection and file of the accounts.
  public init(sharing store: AccountStore, kind: Kind = .page, limits: Limits? = nil) {
    database = store.database
    self.limits = limits ?? (kind == .page ? Limits() : .large)
    table = kind == .page ? "message" : "large_message"
    terminals = kind == .page ? "terminal" : "large_terminal"
    isReceiver = kind == .page ? "EXISTS (SELECT 1 FROM account WHERE name=?1)" : "TRUE"
  }

  /// A message that a terminal has.
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

  /// Takes messages in this order and notes deliveries, all of it or nothing; durable when it returns.
  public func commit(
    _ messages: [Message], _ deliveries: [Delivery], now: Int64
  ) throws(StorageError) -> [Verdict] {
    do throws(StorageError) {
      return try database.transaction { () throws(StorageError) -> [Verdict] in
        if !deliveries.isEmpty { try note(deliveries, now) }
        var verdicts: [Verdict] = []
        if !messages.isEmpty, now - lastExpiry >= Self.expiryInterval || now < lastExpiry {
          lastExpiry = now
          try expire(now: now)
        }
        for message in messages { verdicts.append(try take(message)) }
        return verdicts
      }
    } catch {
      waitingOf = [:]
      throw error
    }
  }

  /// One message by itself.
  public func store(_ message: Message) throws(StorageError) -> Verdict {
    try commit([message], [], now: message.accepted)[0]
  }

  /// The terminal has it. When all have, only its name is kept.
  public func delivered(_ sequence: Int64, to account: String, terminal: String, now: Int64) throws(StorageError) {
    _ = try commit([], [Delivery(account: account, terminal: terminal, sequence: sequence)], now: now)
  }

  private func take(_ message: Message) throws(StorageError) -> Verdict {
    var known: Int64?
    try database.query(
      "SELECT sequence FROM \(table) WHERE sender=? AND receiver=? AND identity=?",
      [.text(message.sender), .text(message.receiver), .text(message.identity)]
    ) { known = $0.integer(0) }
    if let known { return .known(known) }
    let size = Int64(message.body.count)
    guard try hasRoom(message.receiver, size) else { return .refused }
    try database.query(
      """
      INSERT INTO \(table) (receiver, sender, identity, content_type, body, accepted, topic)
      SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE \(isReceiver)
      """,
      [
        .text(message.receiver), .text(message.sender), .text(message.identity), .text(message.contentType),
        .blob(message.body), .integer(message.accepted), message.topic.map { .text($0) } ?? .null,
      ])
    guard database.changedRows == 1 else { return .refused }
    waitingOf[message.receiver]?.messages += 1
    waitingOf[message.receiver]?.bytes += size
    return .stored(database.lastRow)
  }

  /// What waits is counted once and then kept count of: as much as is counted, more never waits.
  private func hasRoom(_ receiver: String, _ size: Int64) throws(StorageError) -> Bool {
    let room = size >= limits.large ? limits.bytes / 2 : limits.bytes
    func fits(_ waiting: Waiting) -> Bool { waiting.messages < limits.messages && waiting.bytes + size <= room }
    if let waiting = waitingOf[receiver], fits(waiting) { return true }
    var waiting = Waiting()
    try database.query(
      "SELECT count(*), coalesce(sum(length(body)), 0) FROM \(table) WHERE receiver=? AND body IS NOT NULL",
      [.text(receiver)]
    ) { waiting = Waiting(messages: $0.integer(0), bytes: $0.integer(1)) }
    if waitingOf.count >= Self.mostCounted { waitingOf = [:] }
    if !fits(waiting), size <= room {
      // Some more than is needed, so that not every message has to look.
      let count = waiting.messages - limits.messages + 1 + limits.messages / 16
      try makeRoom(of: receiver, messages: count, bytes: waiting.bytes + size - room + room / 16, &waiting)
    }
    waitingOf[receiver] = waiting
    return fits(waiting)
  }

  /// Empties the oldest messages that one of the receiver's terminals has had, until so much is free or none is left.
  private func makeRoom(
    of receiver: String, messages: Int64, bytes: Int64, _ waiting: inout Waiting
  ) throws(StorageError) {
    var last: Int64?
    var freed = Waiting()
    try database.query(
      """
      SELECT sequence, length(body) FROM \(table) WHERE receiver=?1 AND body IS NOT NULL
      AND sequence <= (SELECT max(delivered) FROM \(terminals) WHERE account=?1) ORDER BY sequence
      """, [.text(receiver)]
    ) { row in
      guard freed.messages < messages || freed.bytes < bytes else { return }
      last = row.integer(0)
      freed.messages += 1
      freed.bytes += row.integer(1)
    }
    guard let last else { return }
    try database.query(
      "UPDATE \(table) SET body=NULL WHERE receiver=? AND body IS NOT NULL AND sequence<=?",
      [.text(receiver), .integer(last)])
    waiting.messages -= freed.messages
    waiting.bytes -= freed.bytes
  }

  private func note(_ deliveries: [Delivery], _ now: Int64) throws(StorageError) {
    var accounts: Set<String> = []
    for delivery in deliveries {
      try database.query(
        "UPDATE \(terminals) SET delivered=max(delivered, ?), seen=? WHERE account=? AND name=?",
        [.integer(delivery.sequence), .integer(now), .text(delivery.account), .text(delivery.terminal)])
      accounts.insert(delivery.account)
    }
    for account in accounts {
      try database.query(
        """
        UPDATE \(table) SET body=NULL WHERE receiver=?1 AND body IS NOT NULL
        AND sequence <= (SELECT min(delivered) FROM \(terminals) WHERE account=?1)
        """, [.text(account)])
      if database.changedRows > 0 { waitingOf[account] = nil }
    }
  }

  /// The oldest message a terminal has not had. A terminal never seen before begins with those none has had.
  ///
  /// - Parameter after: a number it has had, where that is not noted yet.
  public func next(
    for account: String, terminal: String, after: Int64 = 0, now: Int64
  ) throws(StorageError) -> Message? {
    let cursor = max(after, try cursor(of: account, terminal: terminal, now: now))
    var found: Message?
    try database.query(
      """
      SELECT sequence, receiver, sender, identity, content_type, body, accepted, topic FROM \(table)
      WHERE receiver=? AND sequence>? AND body IS NOT NULL AND accepted>? ORDER BY sequence LIMIT 1
      """, [.text(account), .integer(cursor), .integer(now - limits.lifetime)]
    ) { row in
      found = Message(
        sequence: row.integer(0), receiver: row.text(1), topic: row.optionalText(7), sender: row.text(2),
        identity: row.text(3), contentType: row.text(4), body: row.blob(5), accepted: row.integer(6))
    }
    return found
  }

  /// Messages that wait for somebody, of all accounts.
  public func waiting() throws(StorageError) -> Int {
    var count: Int64 = 0
    try database.query("SELECT count(*) FROM \(table) WHERE body IS NOT NULL") { count = $0.integer(0) }
    return Int(count)
  }

  private func cursor(of account: String, terminal: String, now: Int64) throws(StorageError) -> Int64 {
    if let known = try known(account, terminal) { return known }
    return try database.transaction { () throws(StorageError) -> Int64 in
      var begin: Int64 = 0
      try database.query("SELECT coalesce(max(delivered), 0) FROM \(terminals) WHERE account=?", [.text(account)]) {
        begin = $0.integer(0)
      }
      try database.query(
        """
        DELETE FROM \(terminals) WHERE account=?1 AND name IN
        (SELECT name FROM \(terminals) WHERE account=?1 ORDER BY seen DESC, name LIMIT -1 OFFSET ?2)
        """, [.text(account), .integer(limits.terminals - 1)])
      try database.query(
        "INSERT INTO \(terminals) SELECT ?1, ?2, ?3, ?4 WHERE \(isReceiver)",
        [.text(account), .text(terminal), .integer(begin), .integer(now)])
      return begin
    }
  }

  private func known(_ account: String, _ terminal: String) throws(StorageError) -> Int64? {
    var found: Int64?
    try database.query(
      "SELECT delivered FROM \(terminals) WHERE account=? AND name=?", [.text(account), .text(terminal)]
    ) { found = $0.integer(0) }
    return found
  }

  /// Inside a transaction.
  private func expire(now: Int64) throws(StorageError) {
    try database.query(
      "DELETE FROM \(table) WHERE accepted<=?1 OR body IS NULL AND accepted<=?2",
      [.integer(now - limits.lifetime), .integer(now - limits.memory)])
  }
}
