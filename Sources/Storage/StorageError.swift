import CSQLite

/// Why the database did not do what it was asked.
///
/// Each case asks for something else of the person who reads it, which is why they are apart.
public enum StorageError: Error, Hashable, Sendable {
  /// The file, or the directory it is in, cannot be opened or made.
  case cannotOpen(path: String, reason: String)
  /// The file may be read but not written.
  case notWritable(path: String)
  /// No space left on the device. Nothing was changed.
  case diskFull(path: String)
  /// The file is not a database, or is damaged.
  case corrupt(path: String, reason: String)
  /// Another process held the write lock for longer than ``Database/lockWait``.
  case locked(path: String)
  /// Written by a later version of this program.
  case newerSchema(found: Int, known: Int)
  /// Anything else SQLite reports.
  case failed(code: Int32, reason: String)

  init(code: Int32, reason: String, path: String) {
    switch code & 0xFF {
    case SQLITE_FULL: self = .diskFull(path: path)
    case SQLITE_CORRUPT, SQLITE_NOTADB: self = .corrupt(path: path, reason: reason)
    case SQLITE_BUSY, SQLITE_LOCKED: self = .locked(path: path)
    case SQLITE_READONLY, SQLITE_PERM: self = .notWritable(path: path)
    case SQLITE_CANTOPEN: self = .cannotOpen(path: path, reason: reason)
    default: self = .failed(code: code, reason: reason)
    }
  }
}

extension StorageError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .cannotOpen(let path, let reason):
      "cannot open the database \(path): \(reason); check that its directory exists and belongs to this user"
    case .notWritable(let path):
      "the database \(path) cannot be written; check the owner and mode of the file and of its directory"
    case .diskFull(let path):
      "no space left on the device that holds \(path); nothing was changed"
    case .corrupt(let path, let reason):
      "the database \(path) is damaged or is no database (\(reason)); restore it from a backup"
    case .locked(let path):
      "another process keeps the database \(path) locked; try again"
    case .newerSchema(let found, let known):
      "the database has schema version \(found), this program knows up to \(known); use the newer program"
    case .failed(let code, let reason):
      "the database reports error \(code): \(reason)"
    }
  }
}
