import CSQLite

/// One connection to an SQLite file: opening, pragmas, statements, transactions.
///
/// Write-ahead logging with `synchronous=FULL`: a transaction that was reported as done survives
/// the process being killed and the machine losing power. A second process may read and write the
/// same file at the same time.
public final class Database {
  /// How long a statement waits for another process's write lock.
  public static let lockWait: Duration = .seconds(5)

  public let path: String
  private var handle: OpaquePointer?
  private var prepared: [String: Statement] = [:]

  /// Opens `path`, making the file when it does not exist. What holds password hashes is nobody else's to
  /// read: an owner that minds the umask makes an empty file of mode 0600 first, which SQLite takes for a new
  /// database and whose mode its journals inherit.
  public init(path: String) throws(StorageError) {
    self.path = path
    let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
    let code = sqlite3_open_v2(path, &handle, flags, nil)
    guard code == SQLITE_OK else {
      let reason = handle.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory"
      sqlite3_close_v2(handle)
      handle = nil
      throw StorageError(code: code, reason: reason, path: path)
    }
    sqlite3_busy_timeout(handle, Int32(Self.lockWait.components.seconds * 1000))
    try run("PRAGMA foreign_keys=ON")
    try run("PRAGMA journal_mode=WAL")
    try run("PRAGMA synchronous=FULL")
    // A hostile or damaged file must not run code of its own choosing.
    try run("PRAGMA trusted_schema=OFF")
  }

  deinit {
    for statement in prepared.values { statement.finalize() }
    sqlite3_close_v2(handle)
  }

  /// Runs one or more statements that take no values and whose rows nobody wants.
  func run(_ sql: String) throws(StorageError) {
    try check(sqlite3_exec(handle, sql, nil, nil, nil))
  }

  /// Runs one statement and hands each row to `row`. Statements are prepared once and kept.
  func query(_ sql: String, _ values: [Value] = [], row: (Row) -> Void = { _ in }) throws(StorageError) {
    let statement = try statement(sql)
    defer { statement.reset() }
    for (index, value) in values.enumerated() { try check(statement.bind(value, at: Int32(index + 1))) }
    while true {
      let code = statement.step()
      switch code {
      case SQLITE_ROW: row(Row(statement: statement.pointer))
      case SQLITE_DONE: return
      default: throw error(code)
      }
    }
  }

  /// The number of the row inserted last.
  var lastRow: Int64 { sqlite3_last_insert_rowid(handle) }

  /// Rows changed by the last statement.
  var changedRows: Int { Int(sqlite3_changes(handle)) }

  /// A number that changes when another connection has committed, and only then.
  func dataVersion() throws(StorageError) -> Int64 {
    var version: Int64 = 0
    try query("PRAGMA data_version") { version = $0.integer(0) }
    return version
  }

  /// Runs `body` inside one write transaction: everything in it happens, or nothing.
  func transaction<Result>(_ body: () throws(StorageError) -> Result) throws(StorageError) -> Result {
    // IMMEDIATE takes the write lock at once: a read that turns into a write cannot then fail half way.
    try run("BEGIN IMMEDIATE")
    do throws(StorageError) {
      let result = try body()
      try run("COMMIT")
      return result
    } catch {
      try? run("ROLLBACK")
      throw error
    }
  }

  private func statement(_ sql: String) throws(StorageError) -> Statement {
    if let known = prepared[sql] { return known }
    var pointer: OpaquePointer?
    try check(sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &pointer, nil))
    let made = Statement(pointer: pointer)
    prepared[sql] = made
    return made
  }

  private func check(_ code: Int32) throws(StorageError) {
    guard code == SQLITE_OK else { throw error(code) }
  }

  private func error(_ code: Int32) -> StorageError {
    StorageError(code: code, reason: String(cString: sqlite3_errmsg(handle)), path: path)
  }
}

extension Database {
  /// A value bound to a statement.
  enum Value {
    case text(String)
    case blob([UInt8])
    case integer(Int64)
    case null
  }

  /// The row a statement stands on; good only inside the closure it was handed to.
  struct Row {
    fileprivate let statement: OpaquePointer?

    func text(_ column: Int32) -> String {
      guard let bytes = sqlite3_column_text(statement, column) else { return "" }
      return String(cString: bytes)
    }

    func optionalText(_ column: Int32) -> String? {
      sqlite3_column_type(statement, column) == SQLITE_NULL ? nil : text(column)
    }

    func blob(_ column: Int32) -> [UInt8] {
      guard let bytes = sqlite3_column_blob(statement, column) else { return [] }
      return [UInt8](UnsafeRawBufferPointer(start: bytes, count: Int(sqlite3_column_bytes(statement, column))))
    }

    func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }
  }

  private struct Statement {
    let pointer: OpaquePointer?

    func bind(_ value: Value, at index: Int32) -> Int32 {
      switch value {
      case .text(let text):
        // SQLITE_TRANSIENT: the library copies the bytes before this call returns.
        sqlite3_bind_text(pointer, index, text, -1, unsafeBitCast(-1, to: sqlite3_destructor_type.self))
      case .blob(let bytes):
        // An empty array has no address, and would be NULL.
        bytes.isEmpty
          ? sqlite3_bind_zeroblob(pointer, index, 0)
          : bytes.withUnsafeBytes {
            sqlite3_bind_blob(
              pointer, index, $0.baseAddress, Int32($0.count), unsafeBitCast(-1, to: sqlite3_destructor_type.self))
          }
      case .integer(let number): sqlite3_bind_int64(pointer, index, number)
      case .null: sqlite3_bind_null(pointer, index)
      }
    }

    func step() -> Int32 { sqlite3_step(pointer) }

    func reset() {
      sqlite3_reset(pointer)
      sqlite3_clear_bindings(pointer)
    }

    func finalize() { sqlite3_finalize(pointer) }
  }
}
