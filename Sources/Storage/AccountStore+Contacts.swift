// Who knows whom, and who belongs to which group.
extension AccountStore {
  /// `account` wants `other` among its contacts. When `other` wants it too they are contacts; until then it is asked.
  public struct Wish: Hashable, Sendable {
    public var account: String
    public var other: String
    public init(account: String, other: String) {
      self.account = account
      self.other = other
    }
  }

  /// `account` gets what is sent to the group `topic`, and may send to it.
  public struct Membership: Hashable, Sendable {
    public var topic: String
    public var account: String
    public init(topic: String, account: String) {
      self.topic = topic
      self.account = account
    }
  }

  // MARK: Contacts

  /// In order of account, then other.
  public func wishes() throws(StorageError) -> [Wish] {
    var found: [Wish] = []
    try database.query("SELECT account, other FROM contact ORDER BY account, other") { row in
      found.append(Wish(account: row.text(0), other: row.text(1)))
    }
    return found
  }

  /// Durable when it returns; `missing` when one of them is no account.
  public func want(_ other: String, by account: String, now: Int64) throws(StorageError) -> Change {
    try database.transaction { () throws(StorageError) -> Change in
      guard try hasAccount(account), try hasAccount(other), account != other else { return .missing }
      try database.query(
        "INSERT INTO contact VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [.text(account), .text(other), .integer(now)])
      return database.changedRows == 1 ? .done : .exists
    }
  }

  /// Makes contacts of two accounts without asking either.
  public func join(_ account: String, _ other: String, now: Int64) throws(StorageError) -> Change {
    let one = try want(other, by: account, now: now)
    guard one != .missing else { return .missing }
    return try want(account, by: other, now: now) == .exists ? one : .done
  }

  /// Neither is the other's contact any more, nor asks to be.
  public func part(_ account: String, _ other: String) throws(StorageError) -> Change {
    try database.query(
      "DELETE FROM contact WHERE account=?1 AND other=?2 OR account=?2 AND other=?1", [.text(account), .text(other)])
    return database.changedRows > 0 ? .done : .missing
  }

  // MARK: Groups

  /// In order of topic, then account.
  public func memberships() throws(StorageError) -> [Membership] {
    var found: [Membership] = []
    try database.query("SELECT topic, account FROM topic_member ORDER BY topic, account") { row in
      found.append(Membership(topic: row.text(0), account: row.text(1)))
    }
    return found
  }

  /// The first member makes the group.
  public func add(_ account: String, toTopic topic: String, now: Int64) throws(StorageError) -> Change {
    try database.transaction { () throws(StorageError) -> Change in
      guard try hasAccount(account) else { return .missing }
      if try hasAccount(topic) { return .nameTaken }
      if try owner(of: topic) != nil { return .nameTaken }
      try database.query(
        "INSERT INTO topic_member VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [.text(topic), .text(account), .integer(now)])
      return database.changedRows == 1 ? .done : .exists
    }
  }

  /// With its last member the group is gone.
  public func remove(_ account: String, fromTopic topic: String) throws(StorageError) -> Change {
    try database.query("DELETE FROM topic_member WHERE topic=? AND account=?", [.text(topic), .text(account)])
    return database.changedRows == 1 ? .done : .missing
  }

  func hasTopic(_ name: String) throws(StorageError) -> Bool {
    var found = false
    try database.query("SELECT 1 FROM topic_member WHERE topic=? LIMIT 1", [.text(name)]) { _ in found = true }
    return found
  }
}
