import EdgeCore
import SIP
import Testing

@testable import RendezvousLogic

@Suite("Contacts")
struct ContactTests {
  @Test func `a call and a message to an account reach its terminals when the two are contacts, and else do not exist`()
  {
    let world = World()
    let alice = Peer(world, "alice")
    let bob = Peer(world, "bob")
    bob.register()
    for method in [SIP.Method.invite, .message] {
      #expect(alice.send(alice.request(method, "bob")).last?.status == 404)
      #expect(bob.received().isEmpty)
    }
    // Asking alone opens nothing.
    world.change { $0.want("bob", by: "alice") }
    #expect(alice.send(alice.request(.invite, "bob")).last?.status == 404)
    world.change { $0.want("alice", by: "bob") }
    for method in [SIP.Method.invite, .message] {
      alice.send(alice.request(method, "bob"))
      let arrived = bob.received()
      #expect(arrived.map(\.method) == [method])
      #expect(arrived.first?.values(.other("P-Asserted-Identity")) == ["<sip:alice@\(domain)>"])
    }
    // bob may call alice as well; she is not registered.
    #expect(bob.send(bob.request(.invite, "alice")).last?.status == 480)
  }

  @Test func `a call between contacts ends when they part`() throws {
    let world = World()
    world.change {
      $0.want("bob", by: "alice")
      $0.want("alice", by: "bob")
    }
    let alice = Peer(world, "alice")
    alice.register()
    let bob = Peer(world, "bob")
    bob.register()
    alice.send(alice.request(.invite, "bob"))
    bob.answer(try #require(bob.received().last), 200)
    #expect(world.responses(alice.flow).contains(200))
    world.change { $0.part("bob", "alice") }
    #expect(alice.received().map(\.method) == [.bye])
    #expect(bob.received().map(\.method) == [.bye])
  }

  @Test func `how two accounts stand to each other is seen from both sides`() {
    var directory = Directory()
    #expect(directory.contact("bob", of: "alice") == nil)
    directory.want("bob", by: "alice")
    #expect(directory.contact("bob", of: "alice") == .requested)
    #expect(directory.contact("alice", of: "bob") == .asking)
    directory.want("alice", by: "bob")
    #expect(directory.contact("bob", of: "alice") == .confirmed)
    directory.part("alice", "bob")
    #expect(directory == Directory())
  }
}

@Suite("Contact lists and the presence of accounts")
struct ContactListTests {
  let world = World()
  let alice: Peer
  let bob: Peer
  /// Terminals that only look at their account's list.
  let alices: Peer
  let bobs: Peer

  init() {
    alice = Peer(world, "alice")
    bob = Peer(world, "bob")
    alices = Peer(world, "alice")
    bobs = Peer(world, "bob")
  }

  /// Subscribes to something that is told by presence; answers the first NOTIFY and returns it.
  @discardableResult
  private func watch(_ peer: Peer, _ target: String) -> Message? {
    let answers = peer.send(peer.subscription(target))
    guard let notify = answers.first(where: { $0.method == .notify }) else { return nil }
    peer.answer(notify, 200)
    return notify
  }

  @discardableResult
  private func list(_ peer: Peer) -> Message? { watch(peer, peer.name + "+contacts") }

  private func wish(
    _ peer: Peer, _ name: String, _ state: String = "", to target: String? = nil, sign: String = ""
  ) -> Message? {
    var request = peer.request(.publish, target ?? peer.name + "+contacts")
    request.event = Event("presence")
    request.setBody(Array("\(sign)\(name)@\(domain) \(state)".utf8), type: "application/pidf+xml")
    return peer.send(request).first { !$0.isRequest }
  }

  /// The one contact of a list that was told: its name, whether it is there, how it stands.
  private func told(_ peer: Peer) -> [String] {
    peer.received().filter { $0.method == .notify }.map { notify in
      peer.answer(notify, 200)
      return summary(notify)
    }
  }

  private func summary(_ notify: Message?) -> String {
    guard let notify, notify.body.count > 0 else { return "" }
    return notify.text.split(separator: "<tuple id=").dropFirst().map { tuple in
      let name = tuple.split(separator: "\"")[0].dropFirst(2)
      let relation = ["confirmed", "requested", "asking"].first { tuple.contains(">\($0)<") } ?? "?"
      return "\(name) \(tuple.contains("<basic>open") ? "open" : "closed") \(relation)"
    }.joined(separator: ", ")
  }

  @Test func `who is asked sees it at once, accepts, and both see each other come and go`() {
    #expect(summary(list(alices)) == "" && summary(list(bobs)) == "")
    #expect(wish(alice, "bob")?.status == 202)
    #expect(told(alices) == ["bob closed requested"])
    #expect(told(bobs) == ["alice closed asking"])
    #expect(wish(alice, "bob")?.status == 202)
    #expect(wish(bob, "alice", "asking")?.status == 200)
    #expect(told(alices) == ["bob closed confirmed"])
    #expect(told(bobs) == ["alice closed confirmed"])
    let phone = Peer(world, "bob")
    phone.register()
    #expect(told(alices) == ["bob open confirmed"])
    // A second terminal changes nothing, nor does the first one's leaving while the second is there.
    let other = Peer(world, "bob")
    other.instance = "urn:uuid:00000000-0000-1000-8000-000000000002"
    other.register()
    world.drop(phone.flow)
    #expect(told(alices) == [])
    world.drop(other.flow)
    #expect(told(alices) == ["bob closed confirmed"])
    #expect(told(bobs) == [])
  }

  @Test func `refusing and removing take it from both lists`() {
    list(alices)
    list(bobs)
    _ = wish(alice, "bob")
    _ = (told(alices), told(bobs))
    #expect(wish(bob, "alice", "asking", sign: "-")?.status == 200)
    #expect(told(alices) == [""] && told(bobs) == [""])
    #expect(wish(bob, "alice", "asking", sign: "-")?.status == 404)
    // What was taken back meanwhile cannot be accepted any more, and accepting it asks nobody.
    #expect(wish(bob, "alice", "asking")?.status == 404)
    _ = wish(alice, "bob")
    #expect(wish(alice, "bob", sign: "-")?.status == 200)
    #expect(wish(bob, "alice", "asking")?.status == 404)
    _ = wish(alice, "bob")
    #expect(wish(bob, "alice")?.status == 200)
    bob.register()
    alice.send(alice.request(.message, "bob"))
    #expect(bob.received().contains { $0.method == .message })
    #expect(wish(bob, "alice", sign: "-")?.status == 200)
    #expect(alice.send(alice.request(.message, "bob")).last?.status == 404)
  }

  @Test func `a watcher is pending until it is accepted, and ends when it is not`() throws {
    #expect(alice.send(alice.subscription("bob")).last?.status == 404)
    bob.register()
    _ = wish(alice, "bob")
    let first = try #require(watch(alice, "bob"))
    #expect(first.subscriptionState?.state == .pending && first.body.isEmpty)
    // Coming and going is not told to who is pending.
    let phone = Peer(world, "bob")
    phone.instance = "urn:uuid:00000000-0000-1000-8000-000000000002"
    phone.register()
    world.drop(phone.flow)
    #expect(alice.received().isEmpty)
    _ = wish(bob, "alice", "asking")
    let active = try #require(alice.received().last)
    alice.answer(active, 200)
    #expect(active.subscriptionState?.state == .active)
    #expect(active.text.contains("entity=\"sip:bob@\(domain)\"") && active.text.contains("<basic>open"))
    _ = wish(bob, "alice", sign: "-")
    let last = try #require(alice.received().last)
    #expect(last.subscriptionState?.state == .terminated && last.subscriptionState?.reason == "rejected")
    #expect(last.body.isEmpty)
  }

  @Test func `a terminal that only subscribed to its messages counts as there`() {
    let box = MemoryBox()
    let world = World(mailbox: box.box)
    world.change {
      $0.want("bob", by: "alice")
      $0.want("alice", by: "bob")
    }
    let alice = Peer(world, "alice")
    #expect(summary(watch(alice, "alice+contacts")) == "bob closed confirmed")
    let bob = Peer(world, "bob")
    var request = bob.request(.subscribe, "bob")
    request.event = Event("im")
    for notify in bob.send(request) where notify.isRequest { bob.answer(notify, 200) }
    #expect(told(alice) == ["bob open confirmed"])
    world.drop(bob.flow)
    #expect(told(alice) == ["bob closed confirmed"])
  }

  @Test func `a request is a message too, and its words are the server's`() {
    let box = MemoryBox()
    let world = World(mailbox: box.box)
    let alice = Peer(world, "alice")
    #expect(wish(alice, "bob")?.status == 202)
    #expect(box.messages.map(\.receiver) == ["bob"] && box.messages.first?.sender == "alice")
    #expect(String(decoding: box.messages[0].body, as: UTF8.self).hasPrefix("alice asks to be your contact."))
    #expect(wish(alice, "bob")?.status == 202)
    #expect(box.messages.count == 1)
  }

  @Test func `unknown accounts are told of, but not to who asks for many`() {
    #expect(wish(alice, "nobody")?.status == 404)
    for number in 0..<19 { #expect(wish(alice, "nobody-\(number)")?.status == 404) }
    // From here on who exists and who does not answer alike.
    let refused = ["bob", "nobody"].map { wish(alice, $0) }
    #expect(refused.map { $0?.status?.value } == [503, 503])
    #expect(refused.allSatisfy { (1...61).contains($0?.retryAfter ?? 0) })
    #expect(refused[0]?.headers.map(\.name.text) == refused[1]?.headers.map(\.name.text))
    // Others are not concerned, and a minute later one more is let through.
    #expect(wish(bob, "alice")?.status == 202)
    world.advance(.seconds(61))
    let later = Peer(world, "alice")
    #expect(wish(later, "bob")?.status == 200)
    #expect(wish(later, "nobody")?.status == 404)
    #expect(wish(later, "nobody")?.status == 503)
  }

  @Test func `lists are bounded, one's own, and kept or not changed`() {
    #expect(wish(alice, "bob", to: "bob+contacts")?.status == 404)
    #expect(alice.send(alice.subscription("bob+contacts")).last?.status == 404)
    #expect(wish(alice, "alice")?.status == 400)
    #expect(wish(alice, "bob bob")?.status == 400)
    var request = alice.request(.publish, "alice+contacts")
    request.event = Event("presence")
    request.setBody([1], type: "text/plain")
    #expect(alice.send(request).last?.status == 415)
    request = alice.request(.publish, "alice+contacts")
    request.event = Event("dialog")
    #expect(alice.send(request).last?.status == 489)
    world.book.isBroken = true
    #expect(wish(alice, "bob")?.status == 503)
    #expect(summary(list(alice)) == "")
    let small = World { $0.maximumContactsListed = 1 }
    let peer = Peer(small, "alice")
    #expect(wish(peer, "bob")?.status == 202)
    #expect(wish(peer, "other-box")?.status == 403)
    #expect(wish(Peer(small, "old-phone"), "bob")?.status == 403)
  }

  @Test func `what the administrator changes is seen at once`() {
    list(alices)
    world.change {
      $0.want("bob", by: "alice")
      $0.want("alice", by: "bob")
    }
    #expect(told(alices) == ["bob closed confirmed"])
    bob.register()
    #expect(told(alices) == ["bob open confirmed"])
    watch(alices, "bob")
    world.change { $0.part("alice", "bob") }
    let last = alices.received()
    #expect(last.contains { $0.subscriptionState?.reason == "rejected" } && last.contains { summary($0) == "" })
  }
}
