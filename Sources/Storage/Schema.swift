/// The tables, as a list of steps: step n takes schema version n - 1 to n.
///
/// A step that was ever released is never edited; a change is a new step.
enum Schema {
  static let steps: [String] = [
    """
    CREATE TABLE setting (
      name TEXT PRIMARY KEY, value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE account (
      name TEXT PRIMARY KEY,
      ha1_sha256 TEXT NOT NULL,
      ha1_md5 TEXT,
      is_node INTEGER NOT NULL CHECK (is_node IN (0, 1)),
      created INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE viewing_right (
      account TEXT NOT NULL REFERENCES account (name) ON DELETE CASCADE,
      serial TEXT NOT NULL,
      created INTEGER NOT NULL,
      PRIMARY KEY (account, serial)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE serial_owner (
      serial TEXT PRIMARY KEY,
      account TEXT NOT NULL REFERENCES account (name) ON DELETE CASCADE,
      created INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX serial_owner_account ON serial_owner (account);
    """,
    """
    CREATE TABLE message (
      sequence INTEGER PRIMARY KEY AUTOINCREMENT,
      receiver TEXT NOT NULL REFERENCES account (name) ON DELETE CASCADE,
      sender TEXT NOT NULL,
      identity TEXT NOT NULL,
      content_type TEXT NOT NULL,
      body BLOB,
      accepted INTEGER NOT NULL,
      UNIQUE (sender, receiver, identity)
    ) STRICT;
    CREATE INDEX message_receiver ON message (receiver, sequence) WHERE body IS NOT NULL;
    CREATE INDEX message_accepted ON message (accepted);
    CREATE TABLE terminal (
      account TEXT NOT NULL REFERENCES account (name) ON DELETE CASCADE,
      name TEXT NOT NULL,
      delivered INTEGER NOT NULL,
      seen INTEGER NOT NULL,
      PRIMARY KEY (account, name)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE contact (
      account TEXT NOT NULL REFERENCES account (name) ON DELETE CASCADE,
      other TEXT NOT NULL REFERENCES account (name) ON DELETE CASCADE,
      created INTEGER NOT NULL,
      PRIMARY KEY (account, other)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX contact_other ON contact (other);
    CREATE TABLE topic_member (
      topic TEXT NOT NULL,
      account TEXT NOT NULL REFERENCES account (name) ON DELETE CASCADE,
      created INTEGER NOT NULL,
      PRIMARY KEY (topic, account)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX topic_member_account ON topic_member (account);
    ALTER TABLE message ADD COLUMN topic TEXT;
    """,
    // What a media server keeps. Its receivers need not be accounts of the same file: it may be a process of its own.
    """
    CREATE TABLE large_message (
      sequence INTEGER PRIMARY KEY AUTOINCREMENT,
      receiver TEXT NOT NULL,
      sender TEXT NOT NULL,
      identity TEXT NOT NULL,
      content_type TEXT NOT NULL,
      body BLOB,
      accepted INTEGER NOT NULL,
      topic TEXT,
      UNIQUE (sender, receiver, identity)
    ) STRICT;
    CREATE INDEX large_message_receiver ON large_message (receiver, sequence) WHERE body IS NOT NULL;
    CREATE INDEX large_message_accepted ON large_message (accepted);
    CREATE TABLE large_terminal (
      account TEXT NOT NULL,
      name TEXT NOT NULL,
      delivered INTEGER NOT NULL,
      seen INTEGER NOT NULL,
      PRIMARY KEY (account, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TRIGGER large_message_account AFTER DELETE ON account BEGIN
      DELETE FROM large_message WHERE receiver=old.name;
      DELETE FROM large_terminal WHERE account=old.name;
    END;
    """,
  ]

  static var newest: Int { steps.count }

  /// Brings the file to ``newest``, in one transaction: a crash half way leaves the old version.
  static func migrate(_ database: Database) throws(StorageError) {
    guard try version(of: database) != newest else { return }
    try database.transaction { () throws(StorageError) in
      // Read again under the write lock: another process may have migrated meanwhile.
      let found = try version(of: database)
      guard found <= newest else { throw .newerSchema(found: found, known: newest) }
      for step in steps.dropFirst(found) { try database.run(step) }
      try database.run("PRAGMA user_version=\(newest)")
    }
  }

  private static func version(of database: Database) throws(StorageError) -> Int {
    var version: Int64 = 0
    try database.query("PRAGMA user_version") { version = $0.integer(0) }
    return Int(clamping: version)
  }
}
