import Foundation
import Storage
import Testing

@Suite("Message store")
struct MessageStoreTests {
  let accounts: AccountStore
  let store: MessageStore
  let scratch = Scratch()
  let path: String

  init() throws {
    path = scratch.path
    accounts = try AccountStore(path: path)
    for name in ["anna", "ben"] {
      _ = try accounts.add(.init(name: name, ha1SHA256: String(repeating: "0", count: 64), isNode: false, created: 0))
    }
    var limits = MessageStore.Limits()
    limits.messages = 4
    limits.bytes = 100
    limits.lifetime = 1000
    limits.memory = 500
    limits.terminals = 3
    store = MessageStore(sharing: accounts, limits: limits)
  }

  private func message(_ text: String, id: String? = nil, at time: Int64 = 10) -> MessageStore.Message {
    MessageStore.Message(
      receiver: "anna", sender: "ben", identity: id ?? text, contentType: "text/plain", body: Array(text.utf8),
      accepted: time)
  }

  private func next(_ terminal: String, at time: Int64 = 10) throws -> String? {
    try store.next(for: "anna", terminal: terminal, now: time).map { String(decoding: $0.body, as: UTF8.self) }
  }

  /// Hands the terminal everything it has not had.
  private func drain(_ terminal: String, at time: Int64 = 10) throws -> [String] {
    var texts: [String] = []
    while let message = try store.next(for: "anna", terminal: terminal, now: time) {
      texts.append(String(decoding: message.body, as: UTF8.self))
      try store.delivered(message.sequence, to: "anna", terminal: terminal, now: time)
    }
    return texts
  }

  @Test func `each terminal gets every message once and in order`() throws {
    #expect(try next("phone") == nil)
    #expect(try next("box") == nil)
    for text in ["one", "two"] { _ = try store.store(message(text)) }
    #expect(try drain("phone") == ["one", "two"])
    #expect(try store.waiting() == 2)
    #expect(try drain("box") == ["one", "two"])
    #expect(try store.waiting() == 0)
    #expect(try drain("phone") == [])
  }

  @Test func `a new terminal begins with what none has had`() throws {
    _ = try store.store(message("one"))
    #expect(try drain("phone") == ["one"])
    _ = try store.store(message("two"))
    #expect(try drain("box") == ["two"])
  }

  @Test func `the same message is taken once, delivered or not, until its name is forgotten`() throws {
    #expect(try store.store(message("one", id: "a")) == .stored(1))
    #expect(try store.store(message("one", id: "a")) == .known(1))
    #expect(try drain("phone") == ["one"])
    #expect(try store.store(message("one", id: "a", at: 400)) == .known(1))
    #expect(try store.store(message("x", id: "b", at: 600)) != .known(1))
    #expect(try store.store(message("one", id: "a", at: 600)) == .stored(3))
  }

  @Test func `a mailbox holds so many messages and bytes`() throws {
    #expect(try store.store(message(String(repeating: "x", count: 101))) == .refused)
    for number in 0..<4 { #expect(try store.store(message("\(number)")) == .stored(Int64(number + 1))) }
    #expect(try store.store(message("4")) == .refused)
    #expect(try drain("phone").count == 4)
    #expect(try store.store(message("4")) == .stored(5))
    var stranger = message("5")
    stranger.receiver = "nobody"
    #expect(try store.store(stranger) == .refused)
  }

  @Test func `a terminal that stays away does not keep the others from hearing anything`() throws {
    #expect(try next("gone") == nil)
    for number in 0..<40 {
      #expect(try store.store(message("\(number)")) == .stored(Int64(number + 1)))
      #expect(try drain("phone") == ["\(number)"])
    }
    // Back again it gets the last of them, in order.
    #expect(try drain("gone") == ["36", "37", "38", "39"])
    #expect(try store.waiting() == 0)
  }

  @Test func `bytes make room too, and what nobody has had never does`() throws {
    #expect(try next("gone") == nil)
    #expect(try store.store(message("a" + String(repeating: "x", count: 59))) == .stored(1))
    #expect(try drain("phone").count == 1)
    // Only what one terminal has had goes, and not for what would not fit even then.
    #expect(try store.store(message("b" + String(repeating: "x", count: 100))) == .refused)
    #expect(try store.waiting() == 1)
    #expect(try store.store(message("c" + String(repeating: "x", count: 59))) == .stored(2))
    #expect(try store.waiting() == 1)
    #expect(try store.store(message("d" + String(repeating: "x", count: 59))) == .refused)
    #expect(try drain("gone").map { $0.first } == ["c"])
  }

  @Test func `what nobody fetched in time is gone`() throws {
    _ = try store.store(message("old"))
    #expect(try next("phone", at: 1011) == nil)
    _ = try store.store(message("new", at: 1011))
    #expect(try store.waiting() == 1)
  }

  @Test func `the terminal not seen for longest makes room`() throws {
    for (time, name) in ["a", "b", "c", "d"].enumerated() { #expect(try next(name, at: Int64(time)) == nil) }
    _ = try store.store(message("one"))
    for name in ["b", "c", "d"] { #expect(try drain(name) == ["one"]) }
    #expect(try store.waiting() == 0)
  }

  @Test func `what was stored is there after the process opens the file again`() throws {
    _ = try store.store(message("one"))
    _ = try next("phone")
    let again = MessageStore(sharing: try AccountStore(path: path))
    let found = try again.next(for: "anna", terminal: "phone", now: 11)
    #expect(found?.body == Array("one".utf8))
    #expect(found?.identity == "one")
  }

  @Test func `messages go with their account`() throws {
    _ = try store.store(message("one"))
    _ = try accounts.remove(account: "anna")
    #expect(try store.waiting() == 0)
  }

  @Test func `a message to a group is stored for each member, and says for which group`() throws {
    let copies = ["anna", "ben", "nobody"].map {
      MessageStore.Message(
        receiver: $0, topic: "family", sender: "ben", identity: "one", contentType: "text/plain", body: [1],
        accepted: 10)
    }
    let verdicts = try store.commit(copies, [], now: 10)
    #expect(verdicts.map { if case .stored = $0 { true } else { false } } == [true, true, false])
    #expect(try store.next(for: "ben", terminal: "box", now: 10)?.topic == "family")
    #expect(
      try store.commit(copies, [], now: 10).map { if case .known = $0 { true } else { false } } == [true, true, false])
  }
}
