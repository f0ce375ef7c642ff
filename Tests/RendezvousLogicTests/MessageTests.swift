import CPIM
import EdgeCore
import SIP
import Testing

@testable import RendezvousLogic

@Suite("Message broker")
struct MessageTests {
  let box = MemoryBox()
  let world: World
  let node: Peer
  let alice: Peer

  init() {
    world = World(mailbox: box.box)
    node = Peer(world, "gate-box")
    alice = Peer(world, "alice")
  }

  private func message(
    _ peer: Peer, _ receiver: String, _ text: String, _ method: SIP.Method = .message
  ) -> Message {
    var request = peer.request(method, receiver)
    if method == .publish { request.event = Event("im") }
    request.setBody(Array(text.utf8), type: "text/plain")
    return request
  }

  /// Subscribes and answers every NOTIFY that comes of it; returns the texts.
  @discardableResult
  private func subscribe(_ peer: Peer, body: String = "", to target: String? = nil) -> [Message] {
    var request = peer.request(.subscribe, target ?? peer.name)
    request.event = Event("im")
    request.expires = 600
    if !body.isEmpty { request.setBody(Array(body.utf8), type: "text/plain") }
    return peer.send(request)
  }

  /// Answers NOTIFYs and MESSAGEs until none comes; returns what they said, "" for an empty one.
  private func take(_ peer: Peer, _ first: [Message] = [], _ status: StatusCode = 200) -> [String] {
    var texts: [String] = []
    var waiting = first + peer.received()
    while !waiting.isEmpty {
      for request in waiting where request.isRequest {
        if request.method == .notify { #expect(request.event?.package == "im") }
        texts.append(CPIMMessage(request.body).map { String(decoding: $0.body, as: UTF8.self) } ?? request.text)
        peer.answer(request, status)
      }
      waiting = peer.received()
    }
    return texts
  }

  @Test func `a subscriber is told at once that nothing waits, and then each message by itself`() {
    let answers = subscribe(alice, body: "alice")
    #expect(answers.first?.status == 200)
    #expect(take(alice, answers) == [""])
    #expect(node.send(message(node, "alice", "one")).isEmpty)
    #expect(take(alice) == ["one"])
    #expect(world.responses(node.flow) == [200])
    let told = node.send(message(node, "alice", "two", .publish))
    #expect(told.isEmpty)
    #expect(take(alice) == ["two"])
    let published = world.received(node.flow)
    #expect(published.map { $0.status?.value } == [200])
    #expect(published.first?.sipETag == "m2")
  }

  @Test func `a notification says who wrote it, when, and its name`() throws {
    let first = take(alice, subscribe(alice))
    #expect(first == [""])
    _ = node.send(message(node, "alice", "hello"))
    let notify = try #require(alice.received().first)
    #expect(notify.mediaType == CPIMMessage.mediaType)
    let content = try #require(CPIMMessage(notify.body))
    #expect(content.from == "sip:gate-box@\(domain)")
    #expect(content.to == "sip:alice@\(domain)")
    #expect(content.dateTime == "2023-11-14T22:13:20Z")
    #expect(content.messageID == "m1")
    #expect(content.contentMediaType == "text/plain")
  }

  @Test func `every terminal gets one of its own, whichever answers first`() {
    let other = Peer(world, "alice")
    other.instance = "urn:uuid:00000000-0000-1000-8000-000000000002"
    _ = take(alice, subscribe(alice))
    _ = take(other, subscribe(other))
    _ = node.send(message(node, "alice", "both"))
    #expect(take(alice) == ["both"])
    #expect(world.responses(node.flow) == [200])
    #expect(take(other) == ["both"])
    #expect(world.responses(node.flow) == [])
  }

  @Test func `what nobody takes is stored, and given in order to who comes`() {
    for text in ["one", "two", "three"] {
      #expect(node.send(message(node, "alice", text)).map { $0.status?.value } == [202])
    }
    #expect(take(alice, subscribe(alice)) == ["one", "two", "three", ""])
  }

  @Test func `a terminal that does not answer keeps nobody waiting for long, and gets it again`() {
    _ = take(alice, subscribe(alice))
    _ = node.send(message(node, "alice", "one"))
    #expect(alice.received().count == 1)
    world.advance(.seconds(4))
    #expect(world.responses(node.flow) == [202])
    world.drop(alice.flow)
    let again = Peer(world, "alice")
    #expect(take(again, subscribe(again)) == ["one", ""])
  }

  @Test func `a plain client that registers gets what waits by MESSAGE, one after the other`() {
    _ = node.send(message(node, "alice", "one"))
    _ = node.send(message(node, "alice", "two"))
    alice.register()
    #expect(alice.received().isEmpty)
    world.advance(.seconds(3))
    let first = alice.received()
    #expect(first.map(\.method) == [.message])
    #expect(first.first?.from?.uri.user == "gate-box")
    #expect(first.first?.mediaType == "text/plain")
    #expect(take(alice, first) == ["one", "two"])
    _ = node.send(message(node, "alice", "three"))
    #expect(take(alice) == ["three"])
    #expect(world.responses(node.flow).contains(200))
  }

  @Test func `a client that does not understand MESSAGE is not asked again over the same flow`() {
    alice.register()
    world.advance(.seconds(3))
    _ = node.send(message(node, "alice", "one"))
    let asked = alice.received()
    #expect(asked.count == 1)
    alice.answer(asked[0], 405)
    #expect(node.send(message(node, "alice", "two")).last?.status == 202)
    #expect(alice.received().isEmpty)
  }

  @Test func `the same message sent twice is taken once`() {
    var first = message(node, "alice", "")
    let content = CPIMMessage(
      from: "sip:mallory@x", to: "sip:y@x", dateTime: "", messageID: "ab", contentType: "text/plain",
      body: Array("once".utf8))
    first.setBody(content.serialized, type: CPIMMessage.mediaType)
    var second = message(node, "alice", "")
    second.setBody(content.serialized, type: CPIMMessage.mediaType)
    #expect(node.send(first).last?.status == 202)
    #expect(node.send(second).last?.status == 202)
    #expect(box.messages.count == 1)
    #expect(box.messages.first?.sender == "gate-box")
    #expect(take(alice, subscribe(alice)) == ["once", ""])
  }

  @Test func `no topic but one's own is anybody's, and unknown packages are told the known ones`() {
    #expect(subscribe(alice, body: "gate-box").last?.status == 404)
    #expect(subscribe(alice, to: "gate-box").last?.status == 404)
    #expect(subscribe(alice, body: "alice", to: "sip:\(domain)").first?.status == 200)
    var unknown = alice.request(.subscribe, "alice")
    unknown.event = Event("weather")
    let refused = alice.send(unknown).last
    #expect(refused?.status == 489)
    #expect(refused?[.allowEvents] == "presence, im")
  }

  @Test(arguments: [(1300, 202), (1301, 413), (0, 400)])
  func `a message has 1 to 1300 bytes`(size: Int, status: Int) {
    let text = String(repeating: "x", count: size)
    #expect(alice.send(message(alice, "gate-box", text)).last?.status?.value == status)
  }

  @Test func `content that is compressed is refused, for who reads it later may not understand`() {
    var request = message(node, "alice", "x")
    request[.contentEncoding] = "deflate"
    let answer = node.send(request).last
    #expect(answer?.status == 415 && answer?[.acceptEncoding] == "identity")
    #expect(box.messages.isEmpty)
  }

  @Test func `strangers and full mailboxes are told so`() {
    #expect(Peer(world, "bob").send(message(Peer(world, "bob"), "alice", "hi")).last?.status == 404)
    #expect(node.send(message(node, "nobody", "hi")).last?.status == 404)
    world.change {
      $0.want("alice", by: "bob")
      $0.want("bob", by: "alice")
    }
    #expect(Peer(world, "bob").send(message(Peer(world, "bob"), "alice", "hi")).last?.status == 202)
    box.isFull = true
    #expect(node.send(message(node, "alice", "hi")).last?.status == 480)
  }

  @Test func `what arrives together is written together, and each sender is answered`() {
    _ = node.send(message(node, "alice", "first"))
    let before = box.writes
    let bytes = ["one", "two", "three"].flatMap { message(node, "alice", $0).serialized() }
    world.deliver(bytes, on: node.flow)
    #expect(world.responses(node.flow) == [202, 202, 202])
    #expect(box.writes == before + 1)
    #expect(box.messages.map { String(decoding: $0.body, as: UTF8.self) } == ["first", "one", "two", "three"])
  }

  @Test func `what cannot be written is refused, and what a terminal has is written later`() {
    _ = take(alice, subscribe(alice))
    _ = node.send(message(node, "alice", "one"))
    box.isBroken = true
    #expect(take(alice) == ["one"])
    #expect(node.send(message(node, "alice", "two")).map { $0.status?.value } == [200, 503])
    #expect(box.cursors.isEmpty)
    box.isBroken = false
    world.advance(.seconds(2))
    #expect(box.cursors.values.map { $0 } == [1])
  }

  @Test func `what a node writes to its serial goes to everybody who may watch it, and to nobody else`() {
    world.change { $0.grant("CAM-1", to: "bob") }
    _ = take(alice, subscribe(alice))
    #expect(node.send(message(node, "CAM-1", "motion")).last?.status == 202)
    #expect(take(alice) == ["motion"])
    let bob = Peer(world, "bob")
    #expect(take(bob, subscribe(bob)) == ["motion", ""])
    #expect(box.messages.map(\.receiver) == ["alice", "bob"])
    // Nobody but the owner may watch the other one.
    #expect(node.send(message(node, "CAM-2", "motion", .publish)).last?.status == 200)
    let stranger = Peer(world, "other-box")
    #expect(stranger.send(message(stranger, "CAM-1", "false alarm", .publish)).last?.status == 404)
    #expect(box.messages.count == 2)
  }

  @Test func `a picture goes to those that have a connection, and only a node sends one to who may watch it`() {
    let picture = String(repeating: "p", count: Rendezvous.maximumPicture)
    #expect(node.send(message(node, "CAM-1", picture)).last?.status == 202)
    #expect(node.send(message(node, "CAM-1", "end")).last?.status == 202)
    #expect(node.send(message(node, "alice", picture)).last?.status == 202)
    #expect(alice.send(message(alice, "gate-box", picture)).last?.status == 413)
    #expect(node.send(message(node, "CAM-1", picture + "p")).last?.status == 413)
    #expect(take(alice, subscribe(alice)) == [picture, "end", picture, ""])
    let plain = Peer(world, "alice", on: world.connect(.udp))
    plain.instance = "urn:uuid:00000000-0000-1000-8000-000000000002"
    plain.register()
    world.advance(.seconds(3))
    // Over UDP it is sent again until it is answered.
    #expect(Set(take(plain)) == ["end"])
  }

  @Test func `a serial that never stops is heard so many times`() {
    var answers: [Int: Int] = [:]
    for _ in 0..<50 { answers[node.send(message(node, "CAM-1", "motion")).last?.status?.value ?? 0, default: 0] += 1 }
    #expect(answers == [202: AlarmLimiter.burst, 480: 50 - AlarmLimiter.burst])
    world.advance(AlarmLimiter.interval)
    #expect(node.send(message(node, "CAM-1", "motion")).last?.status == 202)
  }

  @Test func `an account that is removed is subscribed no longer`() {
    _ = take(alice, subscribe(alice))
    var directory = Directory()
    directory.add("gate-box", World.account("gate-box", isNode: true))
    world.take(world.rendezvous.directoryChanged(to: directory, at: world.now))
    let last = alice.received().first
    #expect(last?.subscriptionState?.state == .terminated)
    #expect(last?.body.isEmpty == true)
  }

  @Test func `what a member sends to a group goes once to each terminal of every other member`() {
    world.change { directory in
      for name in ["alice", "bob", "gate-box"] { directory.add(name, toGroup: "family") }
    }
    let second = Peer(world, "alice")
    second.instance = "urn:uuid:00000000-0000-1000-8000-000000000002"
    let bob = Peer(world, "bob")
    for peer in [alice, second, bob] { _ = take(peer, subscribe(peer)) }
    _ = take(node, subscribe(node))
    #expect(node.send(message(node, "family", "dinner")).isEmpty)
    let notify = alice.received().first
    let content = notify.flatMap { CPIMMessage($0.body) }
    #expect(content?.from == "sip:gate-box@\(domain)" && content?.to == "sip:family@\(domain)")
    #expect(take(alice, notify.map { [$0] } ?? []) == ["dinner"])
    // Its fate is not known before every member has it on one terminal.
    #expect(world.responses(node.flow) == [])
    #expect(take(second) == ["dinner"])
    #expect(take(bob) == ["dinner"])
    #expect(world.responses(node.flow) == [200])
    #expect(take(node) == [])
  }

  @Test func `a group keeps what it got for members that are away, and tells the sender so at once`() {
    world.change { directory in
      for name in ["alice", "bob", "gate-box"] { directory.add(name, toGroup: "family") }
    }
    _ = take(alice, subscribe(alice))
    #expect(node.send(message(node, "family", "dinner")).map { $0.status?.value } == [202])
    #expect(take(alice) == ["dinner"])
    let bob = Peer(world, "bob")
    bob.register()
    world.advance(.seconds(3))
    let pushed = bob.received()
    #expect(pushed.first?.from?.uri.user == "gate-box" && pushed.first?.to?.uri.user == "family")
    #expect(take(bob, pushed) == ["dinner"])
  }

  @Test func `a group is nobody's but its members', and its own server's to keep together`() {
    world.change { directory in
      for name in ["alice", "gate-box"] { directory.add(name, toGroup: "family") }
      directory.add("bob", toGroup: "alone")
    }
    let bob = Peer(world, "bob")
    #expect(bob.send(message(bob, "family", "hi")).last?.status == 404)
    #expect(bob.send(message(bob, "alone", "hi")).last?.status == 480)
    #expect(bob.send(bob.request(.invite, "alone")).last?.status == 404)
    #expect(subscribe(bob, to: "family").last?.status == 404)
    #expect(box.messages.isEmpty)
  }
}
