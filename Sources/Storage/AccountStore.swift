/// Accounts, viewing rights and the owners of serials: everything that must outlive the process.
///
/// Bindings, publications and subscriptions are not here: they are worth nothing after a restart.
public final class AccountStore {
  /// One account. Passwords are never kept, only H(name:realm:password) in hexadecimal.
  public struct Account: Hashable, Sendable {
    public var name: String
    /// RFC 8760: SHA-256, 64 digits.
    public var ha1SHA256: String
    /// RFC 3261 §22.4: MD5, 32 digits; only where the account opted in for an old peer.
    public var ha1MD5: String?
    /// Whether this account may publish serials.
    public var isNode: Bool
    /// Seconds since 1970.
    public var created: Int64

    public init(name: String, ha1SHA256: String, ha1MD5: String? = nil, isNode: Bool, created: Int64) {
      self.name = name
      self.ha1SHA256 = ha1SHA256
      self.ha1MD5 = ha1MD5
      self.isNode = isNode
      self.created = created
    }
  }

  /// `account` may watch `serial`.
  public struct ViewingRight: Hashable, Sendable {
    public var account: String
    public var serial: String
    public init(account: String, serial: String) {
      self.account = account
      self.serial = serial
    }
  }

  /// `serial` belongs to the node `account`.
  public struct Ownership: Hashable, Sendable {
    public var serial: String
    public var account: String
    public init(serial: String, account: String) {
      self.serial = serial
      self.account = account
    }
  }

  /// What became of a change.
  public enum Change: Hashable, Sendable {
    case done
    /// The account or right was there already, and was left as it is.
    case exists
    /// There is no such account, right or serial.
    case missing
    /// Accounts, serials and groups share one name space (all are `sip:NAME@domain`).
    case nameTaken
  }

  /// What became of a node's wish to publish a serial.
  public enum Claim: Hashable, Sendable {
    /// The serial is this account's, since now or since before.
    case owned
    /// The first publisher was another node, and keeps the serial.
    case refused(owner: String)
    /// The serial is the name of an account or group.
    case nameTaken
    /// No such account.
    case missing
  }

  let database: Database
  private var seenDataVersion: Int64

  /// Opens or makes the database and brings its schema up to date.
  public init(path: String) throws(StorageError) {
    database = try Database(path: path)
    try Schema.migrate(database)
    seenDataVersion = try database.dataVersion()
  }

  public var path: String { database.path }

  /// Whether another connection has committed since the last call. Cheap enough to ask every second.
  public func changedElsewhere() throws(StorageError) -> Bool {
    let version = try database.dataVersion()
    defer { seenDataVersion = version }
    return version != seenDataVersion
  }

  // MARK: Accounts

  public func add(_ account: Account) throws(StorageError) -> Change {
    try database.transaction { () throws(StorageError) -> Change in
      if try owner(of: account.name) != nil { return .nameTaken }
      if try hasTopic(account.name) { return .nameTaken }
      try database.query(
        "INSERT INTO account VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [
          .text(account.name), .text(account.ha1SHA256), account.ha1MD5.map { .text($0) } ?? .null,
          .integer(account.isNode ? 1 : 0), .integer(account.created),
        ])
      return database.changedRows == 1 ? .done : .exists
    }
  }

  /// Gives the account another password; `ha1MD5` as in ``Account``.
  public func setPassword(of name: String, ha1SHA256: String, ha1MD5: String?) throws(StorageError) -> Change {
    try database.query(
      "UPDATE account SET ha1_sha256=?, ha1_md5=? WHERE name=?",
      [.text(ha1SHA256), ha1MD5.map { .text($0) } ?? .null, .text(name)])
    return database.changedRows == 1 ? .done : .missing
  }

  /// Removes the account, its viewing rights and its serials.
  public func remove(account name: String) throws(StorageError) -> Change {
    try database.query("DELETE FROM account WHERE name=?", [.text(name)])
    return database.changedRows == 1 ? .done : .missing
  }

  /// In order of name.
  public func accounts() throws(StorageError) -> [Account] {
    var accounts: [Account] = []
    try database.query("SELECT name, ha1_sha256, ha1_md5, is_node, created FROM account ORDER BY name") { row in
      accounts.append(
        Account(
          name: row.text(0), ha1SHA256: row.text(1), ha1MD5: row.optionalText(2), isNode: row.integer(3) != 0,
          created: row.integer(4)))
    }
    return accounts
  }

  func hasAccount(_ name: String) throws(StorageError) -> Bool {
    var found = false
    try database.query("SELECT 1 FROM account WHERE name=?", [.text(name)]) { _ in found = true }
    return found
  }

  // MARK: Viewing rights

  /// The serial need not have been published yet.
  public func grant(_ serial: String, to account: String, now: Int64) throws(StorageError) -> Change {
    try database.transaction { () throws(StorageError) -> Change in
      guard try hasAccount(account) else { return .missing }
      try database.query(
        "INSERT INTO viewing_right VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [.text(account), .text(serial), .integer(now)])
      return database.changedRows == 1 ? .done : .exists
    }
  }

  public func revoke(_ serial: String, from account: String) throws(StorageError) -> Change {
    try database.query(
      "DELETE FROM viewing_right WHERE account=? AND serial=?", [.text(account), .text(serial)])
    return database.changedRows == 1 ? .done : .missing
  }

  /// In order of account, then serial.
  public func viewingRights() throws(StorageError) -> [ViewingRight] {
    var rights: [ViewingRight] = []
    try database.query("SELECT account, serial FROM viewing_right ORDER BY account, serial") { row in
      rights.append(ViewingRight(account: row.text(0), serial: row.text(1)))
    }
    return rights
  }

  // MARK: Serials

  /// Binds the serial to the first node that publishes it; every later claim only compares.
  public func claim(_ serial: String, for account: String, now: Int64) throws(StorageError) -> Claim {
    if try owner(of: serial) == account { return .owned }
    return try database.transaction { () throws(StorageError) -> Claim in
      if let owner = try owner(of: serial) { return owner == account ? .owned : .refused(owner: owner) }
      guard try hasAccount(account) else { return .missing }
      if try hasAccount(serial) { return .nameTaken }
      if try hasTopic(serial) { return .nameTaken }
      try database.query(
        "INSERT INTO serial_owner VALUES (?, ?, ?)", [.text(serial), .text(account), .integer(now)])
      return .owned
    }
  }

  /// Frees a serial, so that another node may claim it: a box was replaced.
  public func release(serial: String) throws(StorageError) -> Change {
    try database.query("DELETE FROM serial_owner WHERE serial=?", [.text(serial)])
    return database.changedRows == 1 ? .done : .missing
  }

  /// In order of serial.
  public func ownerships() throws(StorageError) -> [Ownership] {
    var owned: [Ownership] = []
    try database.query("SELECT serial, account FROM serial_owner ORDER BY serial") { row in
      owned.append(Ownership(serial: row.text(0), account: row.text(1)))
    }
    return owned
  }

  func owner(of serial: String) throws(StorageError) -> String? {
    var owner: String?
    try database.query("SELECT account FROM serial_owner WHERE serial=?", [.text(serial)]) { owner = $0.text(0) }
    return owner
  }

  // MARK: Settings

  /// A value that belongs to the database rather than to a configuration file, such as the digest realm.
  public func setting(_ name: String) throws(StorageError) -> String? {
    var value: String?
    try database.query("SELECT value FROM setting WHERE name=?", [.text(name)]) { value = $0.text(0) }
    return value
  }

  public func set(_ name: String, to value: String) throws(StorageError) {
    try database.query(
      "INSERT INTO setting VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value=excluded.value",
      [.text(name), .text(value)])
  }

  /// SQLite's own check of the whole file; `nil` when it finds nothing wrong.
  public func integrityProblem() throws(StorageError) -> String? {
    var first: String?
    try database.query("PRAGMA integrity_check(1)") { first = $0.text(0) }
    return first == "ok" ? nil : first
  }

  /// Lets no statement grow the file any further, as a full device would.
  func limitPagesToPresent() throws(StorageError) { try database.query("PRAGMA max_page_count=1") }

  func waitForLocks(milliseconds: Int) throws(StorageError) {
    try database.query("PRAGMA busy_timeout=\(milliseconds)")
  }
}
