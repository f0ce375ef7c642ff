import Foundation
import Storage
import Testing

@Suite("Contacts and groups in the store")
struct ContactTests {
  let scratch = Scratch()
  let store: AccountStore

  init() throws {
    store = try AccountStore(path: scratch.path)
    for name in ["anna", "ben", "carl"] { _ = try store.add(Self.account(name)) }
  }

  private static func account(_ name: String) -> AccountStore.Account {
    .init(name: name, ha1SHA256: String(repeating: "0", count: 64), isNode: false, created: 0)
  }

  @Test func `a wish is kept once, and parting takes both sides' wishes`() throws {
    #expect(try store.want("ben", by: "anna", now: 1) == .done)
    #expect(try store.want("ben", by: "anna", now: 2) == .exists)
    #expect(try store.want("nobody", by: "anna", now: 1) == .missing)
    #expect(try store.want("anna", by: "anna", now: 1) == .missing)
    #expect(try store.wishes() == [.init(account: "anna", other: "ben")])
    #expect(try store.join("ben", "anna", now: 3) == .done)
    #expect(try store.join("ben", "anna", now: 3) == .exists)
    #expect(try store.wishes().count == 2)
    #expect(try store.part("ben", "anna") == .done)
    #expect(try store.part("ben", "anna") == .missing)
    #expect(try store.wishes().isEmpty)
  }

  @Test func `contacts and memberships go with the account`() throws {
    _ = try store.join("anna", "ben", now: 1)
    _ = try store.want("anna", by: "carl", now: 1)
    _ = try store.add("anna", toTopic: "family", now: 1)
    #expect(try store.remove(account: "anna") == .done)
    #expect(try store.wishes().isEmpty)
    #expect(try store.memberships().isEmpty)
  }

  @Test func `accounts, serials and groups do not share names`() throws {
    #expect(try store.add("anna", toTopic: "family", now: 1) == .done)
    #expect(try store.add("anna", toTopic: "family", now: 1) == .exists)
    #expect(try store.add("nobody", toTopic: "family", now: 1) == .missing)
    #expect(try store.add("anna", toTopic: "ben", now: 1) == .nameTaken)
    #expect(try store.add(Self.account("family")) == .nameTaken)
    #expect(try store.claim("family", for: "carl", now: 1) == .nameTaken)
    #expect(try store.claim("CAM-1", for: "carl", now: 1) == .owned)
    #expect(try store.add("anna", toTopic: "CAM-1", now: 1) == .nameTaken)
    #expect(try store.memberships() == [.init(topic: "family", account: "anna")])
    #expect(try store.remove("anna", fromTopic: "family") == .done)
    #expect(try store.remove("anna", fromTopic: "family") == .missing)
    #expect(try store.add(Self.account("family")) == .done)
  }
}
