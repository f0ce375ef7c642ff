import CSQLite
import Foundation
import Testing

@testable import Storage

/// A database file of its own, removed with the value.
final class Scratch {
  let directory: String
  var path: String { directory + "/rendezvous.sqlite" }

  init() {
    directory = NSTemporaryDirectory() + "storage-\(UUID().uuidString)"
    try! FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }
}

private func account(_ name: String, node: Bool = false, md5: String? = nil) -> AccountStore.Account {
  AccountStore.Account(name: name, ha1SHA256: "aa", ha1MD5: md5, isNode: node, created: 7)
}

@Suite("Account store")
struct AccountStoreTests {
  @Test func `what is stored is read back after the file is opened again`() throws {
    let scratch = Scratch()
    do {
      let store = try AccountStore(path: scratch.path)
      #expect(try store.add(account("gate-box", node: true, md5: "bb")) == .done)
      #expect(try store.add(account("alice")) == .done)
      #expect(try store.grant("CAM-1", to: "alice", now: 8) == .done)
      #expect(try store.claim("CAM-1", for: "gate-box", now: 9) == .owned)
      try store.set("realm", to: "rv.example.org")
    }
    let store = try AccountStore(path: scratch.path)
    #expect(try store.accounts() == [account("alice"), account("gate-box", node: true, md5: "bb")])
    #expect(try store.viewingRights() == [.init(account: "alice", serial: "CAM-1")])
    #expect(try store.ownerships() == [.init(serial: "CAM-1", account: "gate-box")])
    #expect(try store.setting("realm") == "rv.example.org")
    #expect(try store.setting("other") == nil)
  }

  @Test func `an account is added once and keeps its first password`() throws {
    let scratch = Scratch()
    let store = try AccountStore(path: scratch.path)
    #expect(try store.add(account("alice")) == .done)
    var other = account("alice")
    other.ha1SHA256 = "cc"
    #expect(try store.add(other) == .exists)
    #expect(try store.accounts() == [account("alice")])
    #expect(try store.remove(account: "alice") == .done)
    #expect(try store.remove(account: "alice") == .missing)
  }

  @Test func `the first publisher keeps a serial and another node is refused`() throws {
    let scratch = Scratch()
    let store = try AccountStore(path: scratch.path)
    for name in ["box-a", "box-b"] { _ = try store.add(account(name, node: true)) }
    #expect(try store.claim("CAM-1", for: "box-a", now: 1) == .owned)
    #expect(try store.claim("CAM-1", for: "box-a", now: 2) == .owned)
    #expect(try store.claim("CAM-1", for: "box-b", now: 3) == .refused(owner: "box-a"))
    #expect(try store.release(serial: "CAM-1") == .done)
    #expect(try store.claim("CAM-1", for: "box-b", now: 4) == .owned)
    #expect(try store.claim("CAM-2", for: "nobody", now: 4) == .missing)
  }

  @Test func `accounts and serials share one name space`() throws {
    let scratch = Scratch()
    let store = try AccountStore(path: scratch.path)
    _ = try store.add(account("alice"))
    _ = try store.add(account("box", node: true))
    #expect(try store.claim("alice", for: "box", now: 1) == .nameTaken)
    #expect(try store.claim("bob", for: "box", now: 1) == .owned)
    #expect(try store.add(account("bob")) == .nameTaken)
  }

  @Test func `a right needs an account and goes with it`() throws {
    let scratch = Scratch()
    let store = try AccountStore(path: scratch.path)
    #expect(try store.grant("CAM-1", to: "alice", now: 1) == .missing)
    _ = try store.add(account("alice"))
    _ = try store.add(account("box", node: true))
    _ = try store.claim("CAM-9", for: "box", now: 1)
    #expect(try store.grant("CAM-1", to: "alice", now: 1) == .done)
    #expect(try store.grant("CAM-1", to: "alice", now: 1) == .exists)
    #expect(try store.revoke("CAM-1", from: "alice") == .done)
    #expect(try store.revoke("CAM-1", from: "alice") == .missing)
    _ = try store.grant("CAM-2", to: "alice", now: 1)
    _ = try store.remove(account: "alice")
    _ = try store.remove(account: "box")
    #expect(try store.viewingRights().isEmpty)
    #expect(try store.ownerships().isEmpty)
  }

  @Test func `a change by another process is noticed once, one's own is not`() throws {
    let scratch = Scratch()
    let server = try AccountStore(path: scratch.path)
    let tool = try AccountStore(path: scratch.path)
    #expect(try !server.changedElsewhere())
    _ = try tool.add(account("alice"))
    #expect(try server.changedElsewhere())
    #expect(try !server.changedElsewhere())
    _ = try server.add(account("bob"))
    #expect(try !server.changedElsewhere())
    #expect(try server.accounts().count == 2)
  }

  @Test func `names with quotes and control characters are only names`() throws {
    let scratch = Scratch()
    let store = try AccountStore(path: scratch.path)
    let name = "x'; DROP TABLE account; --\u{1}é"
    #expect(try store.add(account(name)) == .done)
    #expect(try store.accounts().map(\.name) == [name])
  }
}

@Suite("Database errors")
struct DatabaseErrorTests {
  @Test func `a directory that does not exist is named`() {
    let path = "/nonexistent-\(UUID().uuidString)/rendezvous.sqlite"
    #expect { try AccountStore(path: path) } throws: { error in
      guard case StorageError.cannotOpen(path, _) = error else { return false }
      return "\(error)".contains(path)
    }
  }

  @Test func `a file that is no database is called damaged and left alone`() throws {
    let scratch = Scratch()
    let content = Data(repeating: 0x41, count: 8192)
    try content.write(to: URL(fileURLWithPath: scratch.path))
    #expect { try AccountStore(path: scratch.path) } throws: { error in
      guard case StorageError.corrupt = error else { return false }
      return true
    }
    #expect(try Data(contentsOf: URL(fileURLWithPath: scratch.path)) == content)
  }

  @Test func `a schema of a later version is refused`() throws {
    let scratch = Scratch()
    _ = try AccountStore(path: scratch.path)
    rawSQL("PRAGMA user_version=99", on: scratch.path)
    #expect(throws: StorageError.newerSchema(found: 99, known: 4)) { try AccountStore(path: scratch.path) }
  }

  @Test func `a full disk says so and changes nothing`() throws {
    let scratch = Scratch()
    let store = try AccountStore(path: scratch.path)
    _ = try store.add(account("alice"))
    // A page limit makes SQLite report exactly what a full device makes it report.
    try store.limitPagesToPresent()
    var failure: StorageError?
    for index in 0..<10_000 {
      do throws(StorageError) { _ = try store.add(account("user-\(index)")) } catch {
        failure = error
        break
      }
    }
    #expect(failure == .diskFull(path: scratch.path))
    #expect(try store.integrityProblem() == nil)
    #expect(try store.accounts().contains(account("alice")))
  }

  @Test func `a write lock held elsewhere is waited for and then reported`() throws {
    let scratch = Scratch()
    let store = try AccountStore(path: scratch.path)
    var other: OpaquePointer?
    sqlite3_open(scratch.path, &other)
    defer { sqlite3_close(other) }
    sqlite3_exec(other, "BEGIN IMMEDIATE", nil, nil, nil)
    try store.waitForLocks(milliseconds: 20)
    #expect(throws: StorageError.locked(path: scratch.path)) { try store.add(account("alice")) }
    sqlite3_exec(other, "ROLLBACK", nil, nil, nil)
    #expect(try store.add(account("alice")) == .done)
  }

  private func rawSQL(_ sql: String, on path: String) {
    var handle: OpaquePointer?
    sqlite3_open(path, &handle)
    sqlite3_exec(handle, sql, nil, nil, nil)
    sqlite3_close(handle)
  }
}
