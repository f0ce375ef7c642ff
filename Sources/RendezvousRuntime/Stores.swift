import Config
import EdgeCore
import LinuxIO
import RendezvousLogic
import Storage

/// What the shell and the log are told when the server cannot do its work.
public struct StartError: Error, CustomStringConvertible {
  public let description: String
  init(_ text: String) { description = text }
}

/// The rules for names on the command line.
enum AccountName {
  static func isValid(_ text: String) -> Bool { Directory.isName(text) }
  static let rule = "1 to 64 letters, digits, '.', '_' or '-'"
}

/// The digest realm is part of every stored password hash, so it is kept beside them.
enum Realm {
  static let setting = "realm"

  /// Makes `domain` the realm of a new database, and refuses another one for a database in use.
  static func settle(_ store: AccountStore, domain: String) throws(StartError) {
    var known: String?
    do throws(StorageError) {
      known = try store.setting(setting)
      if known == domain { return }
      let hasAccounts = try !store.accounts().isEmpty
      if known == nil || !hasAccounts { return try store.set(setting, to: domain) }
    } catch {
      throw StartError("\(error)")
    }
    throw StartError(
      "the passwords in \(store.path) were set for the domain \(known ?? ""), and the configuration says \(domain): "
        + "set the domain back, or remove the accounts and add them again")
  }
}

extension AccountStore {
  /// Opens the database of a configuration, with its directory when that is missing.
  static func open(_ path: String) throws(StartError) -> AccountStore {
    do throws(FileError) {
      if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
        try File.makeDirectories(String(path[..<slash]), mode: 0o700)
      }
      // Password hashes: nobody else's to read, whatever the umask. SQLite takes an empty file for a new database.
      if !File.exists(path) { try File.writeAtomically([], to: path, mode: 0o600) }
    } catch {
      throw StartError("cannot make the database: \(error)")
    }
    do throws(StorageError) {
      return try AccountStore(path: path)
    } catch {
      throw StartError("\(error)")
    }
  }

  /// Everything the core must know, in one value.
  func directory() throws(StorageError) -> Directory {
    var directory = Directory()
    for account in try accounts() {
      directory.add(
        account.name,
        Directory.Account(ha1SHA256: account.ha1SHA256, ha1MD5: account.ha1MD5, isNode: account.isNode))
    }
    for right in try viewingRights() { directory.grant(right.serial, to: right.account) }
    for owned in try ownerships() { directory.bind(owned.serial, to: owned.account) }
    for wish in try wishes() { directory.want(wish.other, by: wish.account) }
    for membership in try memberships() { directory.add(membership.account, toGroup: membership.topic) }
    return directory
  }

  /// 32 random bytes that outlive the process, made on first use.
  func flowKey(_ random: inout some RandomNumberGenerator) throws(StorageError) -> [UInt8] {
    if let text = try setting("flow-key"), let key = Hex.decode(text), key.count == 32 { return key }
    let key = random.bytes(32)
    try set("flow-key", to: Hex.encode(key))
    return key
  }
}
