import EdgeCore
import SIP
import Testing

@testable import RendezvousLogic

@Suite("Publishing")
struct PublishingTests {
  private func node(_ world: World, _ name: String = "gate-box") -> Peer {
    let node = Peer(world, name)
    node.register()
    return node
  }

  @Test func `a node's serials are there from its PUBLISH to the reset of its connection`() {
    let world = World()
    let node = node(world)
    let answer = node.publish("CAM-1\nCAM-2")
    #expect(answer.status == 200 && answer.sipETag != nil && answer.expires == 600)
    #expect(world.rendezvous.snapshot(at: world.now).serials == 2)
    world.drop(node.flow)
    let after = world.rendezvous.snapshot(at: world.now)
    #expect(after.serials == 0 && after.contacts == 0 && after.flows == 0 && after.connections == 0)
    #expect(after.counters.flowsLost == 1)
  }

  @Test func `refresh, change and removal go by the entity tag`() {
    let world = World()
    let node = node(world)
    let first = node.publish("CAM-1").sipETag
    let second = node.publish("", match: first)
    #expect(second.status == 200 && second.sipETag != first)
    #expect(node.publish("", match: first).status == 412)
    let third = node.publish("CAM-2", match: second.sipETag)
    #expect(world.rendezvous.publications.serials == ["CAM-2"])
    #expect(node.publish("", match: third.sipETag, expires: 0).status == 200)
    #expect(world.rendezvous.publications.serials.isEmpty)
    #expect(node.publish("", match: "never-made").status == 412)
  }

  @Test func `a publication ends when its time is up`() {
    let world = World()
    let node = node(world)
    node.publish("CAM-1", expires: 60)
    for _ in 0..<4 {
      world.advance(.seconds(20))
      world.deliver([0x0D, 0x0A, 0x0D, 0x0A], on: node.flow)
    }
    #expect(world.rendezvous.snapshot(at: world.now).serials == 0)
    #expect(world.rendezvous.snapshot(at: world.now).contacts == 1)
  }

  @Test func `what cannot be published is refused with its reason`() {
    let world = World()
    let node = node(world)
    #expect(node.publish("CAM-1", expires: 5).status == 423)
    #expect(node.publish("").status == 400)
    #expect(node.publish("<not pidf>").status == 400)
    #expect(node.publish("CAM 1").status == 400)
    #expect(node.publish("CAM-1\nCAM-1").status == 400)
    var message = node.request(.publish, "gate-box")
    message.event = Event("dialog")
    let wrongPackage = node.send(message).last
    #expect(wrongPackage?.status == 489 && wrongPackage?[.allowEvents] == "presence")
    message = node.request(.publish, "gate-box")
    message.event = Event("presence")
    message.setBody([1], type: "text/plain")
    let wrongType = node.send(message).last
    #expect(wrongType?.status == 415 && wrongType?[.accept] == "application/pidf+xml")
    message = node.request(.publish, "other-box")
    message.event = Event("presence")
    #expect(node.send(message).last?.status == 404)
    let unregistered = Peer(world, "other-box")
    #expect(unregistered.publish("CAM-8").status == 403)
    let user = Peer(world, "alice")
    user.register()
    #expect(user.publish("CAM-8").status == 403)
    #expect(world.rendezvous.snapshot(at: world.now).serials == 0)
  }

  @Test func `a serial stays with its first node, and the thief keeps his own`() {
    let world = World()
    let node = node(world)
    node.publish("CAM-1")
    let thief = self.node(world, "other-box")
    #expect(thief.publish("CAM-1").status == 403)
    let mixed = thief.publish("CAM-1\nCAM-7\nalice\nNO-ROOM")
    #expect(mixed.status == 200)
    #expect(mixed[.warning]?.contains("CAM-1 alice NO-ROOM") == true)
    #expect(world.rendezvous.directory.owner(of: "CAM-1") == "gate-box")
    #expect(world.rendezvous.directory.owner(of: "CAM-7") == "other-box")
    #expect(world.rendezvous.publications.carrier(of: "CAM-1")?.publication.account == "gate-box")
    #expect(world.logs.filter { $0.event == "serial-refused" }.count == 4)
  }

  @Test func `a node that forgot its tags does not pile up publications`() {
    let world = World()
    let node = node(world)
    for _ in 0..<50 { #expect(node.publish("CAM-1").status == 200) }
    #expect(world.rendezvous.publications.count == 8)
    #expect(world.rendezvous.publications.serials == ["CAM-1"])
  }
}

@Suite("Flow failure")
struct FlowFailureTests {
  @Test func `a silent node is gone after one and a half intervals, and its watcher knows`() {
    let world = World()
    let node = Peer(world, "gate-box")
    node.register()
    node.publish("CAM-1")
    let viewer = Peer(world, "alice")
    viewer.register()
    let told = viewer.send(viewer.subscription("CAM-1")).last!
    #expect(told.open("CAM-1") == ["CAM-1"])
    viewer.answer(told, 200)
    let silentSince = world.now
    while world.rendezvous.snapshot(at: world.now).serials == 1 {
      world.advance(.seconds(1))
      world.deliver([0x0D, 0x0A, 0x0D, 0x0A], on: viewer.flow)
      precondition(world.now - silentSince < .seconds(60))
    }
    #expect(world.now - silentSince >= .milliseconds(37_500))
    #expect(world.now - silentSince <= .milliseconds(39_000))
    #expect(world.closed == [node.flow])
    let notice = viewer.received().last { $0.method == .notify }
    #expect(notice?.open("CAM-1") == [])
  }

  @Test func `pings, pongs and STUN keep a flow`() {
    let world = World()
    let overTLS = Peer(world, "gate-box")
    overTLS.register()
    let overUDP = Peer(world, "alice", on: world.connect(.udp))
    overUDP.register()
    let binding: [UInt8] = [0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42] + Array(1...12)
    for _ in 0..<20 {
      world.advance(.seconds(25))
      world.raw = [:]
      world.deliver([0x0D, 0x0A, 0x0D, 0x0A], on: overTLS.flow)
      #expect(world.raw[overTLS.flow] == [[0x0D, 0x0A]])
      world.deliver(binding, on: overUDP.flow)
      #expect(world.raw[overUDP.flow]?.first?.starts(with: [1, 1]) == true)
    }
    #expect(world.rendezvous.snapshot(at: world.now).contacts == 2)
  }

  @Test func `a UDP device whose mapping changed is reached at its new address at once`() {
    let world = World()
    let node = Peer(world, "gate-box", on: world.connect(.udp))
    node.register()
    node.publish("CAM-1")
    let viewer = Peer(world, "alice")
    viewer.register()
    let old = node.flow
    node.flow = world.connect(.udp)
    node.register()
    #expect(world.rendezvous.snapshot(at: world.now).flows == 2)
    viewer.send(viewer.request(.invite, "CAM-1"))
    #expect(world.received(node.flow).contains { $0.method == .invite })
    #expect(world.received(old).isEmpty)
    #expect(world.rendezvous.snapshot(at: world.now).serials == 1)
  }

  @Test func `a node's second flow takes over what the first one published`() {
    let world = World()
    let node = Peer(world, "gate-box")
    node.register()
    node.publish("CAM-1")
    let second = Peer(world, "gate-box")
    second.registrationID = 2
    second.register()
    world.drop(node.flow)
    #expect(world.rendezvous.publications.carrier(of: "CAM-1")?.publication.flow == second.flow)
    world.drop(second.flow)
    #expect(world.rendezvous.publications.serials.isEmpty)
  }

  @Test func `a connection that says nothing, or nothing whole, is closed in ten seconds`() {
    let world = World()
    let silent = world.connect(.tcp)
    let pinging = world.connect(.tcp)
    let partial = world.connect(.tcp)
    world.deliver([0x0D, 0x0A, 0x0D, 0x0A], on: pinging)
    world.deliver(Array("REGISTER sip:x SIP/2.0\r\nVia: ".utf8), on: partial)
    world.advance(.seconds(9))
    #expect(world.closed.isEmpty)
    world.advance(.seconds(3))
    #expect(Set(world.closed) == [silent, pinging, partial])
    #expect(world.rendezvous.snapshot(at: world.now).connections == 0)
    #expect(world.rendezvous.nextDeadline == nil)
  }

  @Test func `a registered connection that stops in the middle of a message is closed`() {
    let world = World()
    let node = Peer(world, "gate-box")
    node.register()
    world.deliver(Array("OPTIONS sip:x SIP/2.0\r\n".utf8), on: node.flow)
    for _ in 0..<12 {
      world.advance(.seconds(1))
      world.deliver(Array("X".utf8), on: node.flow)
    }
    #expect(world.closed == [node.flow])
  }

  @Test func `noise on the port closes that connection and no other`() {
    let world = World()
    let node = Peer(world, "gate-box")
    node.register()
    let noise = world.connect(.tcp)
    world.deliver([0x16, 0x03, 0x01, 0x02, 0x00], on: noise)
    #expect(world.closed == [noise])
    #expect(world.rendezvous.snapshot(at: world.now).contacts == 1)
  }

  @Test func `connections of one address are bounded`() {
    let world = World { $0.maximumConnectionsPerAddress = 3 }
    for _ in 0..<5 { _ = world.connect(.tcp) }
    #expect(world.closed.count == 2)
    let elsewhere = world.connect(.tcp, from: 0xC633_6407)
    #expect(!world.closed.contains(elsewhere))
  }
}

@Suite("Watching")
struct WatchingTests {
  private func setUp() -> (World, Peer, Peer) {
    let world = World()
    let node = Peer(world, "gate-box")
    node.register()
    let viewer = Peer(world, "alice")
    viewer.register()
    return (world, node, viewer)
  }

  @Test func `a watcher is answered, told at once, and told of each change`() {
    let (_, node, viewer) = setUp()
    let answers = viewer.send(viewer.subscription("CAM-1"))
    #expect(answers[0].status == 200 && answers[0].expires == 600)
    #expect(answers[1].method == .notify)
    #expect(answers[1].open("CAM-1") == [])
    #expect(answers[1].subscriptionState?.state == .active)
    #expect(answers[1].to?.tag == viewer.last.from?.tag && answers[1].from?.tag == answers[0].to?.tag)
    viewer.answer(answers[1], 200)
    let tag = node.publish("CAM-1").sipETag
    let shown = viewer.received()
    #expect(shown.map(\.method) == [.notify] && shown[0].open("CAM-1") == ["CAM-1"])
    #expect(shown[0].cseq!.number == answers[1].cseq!.number + 1)
    viewer.answer(shown[0], 200)
    node.publish("-CAM-1", match: tag)
    let closed = viewer.received()
    #expect(closed[0].open("CAM-1") == [] && closed[0].text.contains("CAM-1"))
  }

  @Test func `changes meanwhile wait for the answer and become one NOTIFY`() {
    let (_, node, viewer) = setUp()
    let first = viewer.send(viewer.subscription("CAM-1"))[1]
    var tag = node.publish("CAM-1").sipETag
    for _ in 0..<5 { tag = node.publish("CAM-1\nCAM-2", match: tag).sipETag }
    #expect(viewer.received().isEmpty)
    viewer.answer(first, 200)
    let next = viewer.received()
    #expect(next.count == 1 && next[0].open("CAM-1") == ["CAM-1"])
  }

  @Test func `one's own name stands for all one may see, and for no more`() {
    let (_, node, viewer) = setUp()
    node.publish("CAM-1\nCAM-2")
    let told = viewer.send(viewer.subscription("alice"))[1]
    #expect(told.open("CAM-1", "CAM-2", "CAM-9") == ["CAM-1"])
    #expect(told.text.contains("t-CAM-9") && !told.text.contains("CAM-2"))
  }

  @Test func `unknown, foreign and forbidden subjects are all 404`() {
    let (_, node, viewer) = setUp()
    node.publish("CAM-1\nCAM-2")
    var shapes: Set<[String]> = []
    for target in ["CAM-2", "CAM-77", "bob", "nobody"] {
      let answer = viewer.send(viewer.subscription(target))
      #expect(answer.map { $0.status?.value } == [404])
      shapes.insert(answer[0].headers.map(\.name.text))
    }
    #expect(shapes.count == 1)
  }

  @Test func `a right given or taken is seen at once`() {
    let (world, node, viewer) = setUp()
    node.publish("CAM-1\nCAM-2")
    let all = viewer.send(viewer.subscription("alice"))
    viewer.answer(all[1], 200)
    let one = viewer.send(viewer.subscription("CAM-1"))
    viewer.answer(one[1], 200)
    world.change { $0.grant("CAM-2", to: "alice") }
    let more = viewer.received()
    #expect(more.count == 1 && more[0].open("CAM-1", "CAM-2") == ["CAM-1", "CAM-2"])
    viewer.answer(more[0], 200)
    var without = Directory()
    for (name, account) in world.directory.accounts { without.add(name, account) }
    without.bind("CAM-1", to: "gate-box")
    without.bind("CAM-2", to: "gate-box")
    world.change { $0 = without }
    let less = viewer.received()
    #expect(less.count == 2)
    let ended = less.first { $0.callID == one[0].callID }
    #expect(ended?.subscriptionState?.state == .terminated)
    #expect(ended?.subscriptionState?.reason == "rejected")
    #expect(ended?.body.isEmpty == true)
    #expect(less.first { $0.callID == all[0].callID }?.text.contains("CAM") == false)
  }

  @Test func `a removed account is out at once, whatever it held`() {
    let (world, node, viewer) = setUp()
    node.publish("CAM-1")
    viewer.send(viewer.subscription("CAM-1"))
    var without = Directory()
    for (name, account) in world.directory.accounts where name != "alice" && name != "gate-box" {
      without.add(name, account)
    }
    world.change { $0 = without }
    let after = world.rendezvous.snapshot(at: world.now)
    #expect(after.contacts == 0 && after.serials == 0 && after.connections == 0 && after.subscriptions == 0)
    #expect(Set(world.closed) == [node.flow, viewer.flow])
  }

  @Test func `a new password ends the old one's connections`() {
    let (world, _, viewer) = setUp()
    world.change { $0.add("alice", World.account("alice", isNode: false, password: "new")) }
    #expect(world.closed == [viewer.flow])
    #expect(Peer(world, "alice").register().status == 401)
    #expect(Peer(world, "alice", password: "new").register().status == 200)
  }

  @Test func `a subscription is refreshed, ended and asked once`() {
    let (world, _, viewer) = setUp()
    let answers = viewer.send(viewer.subscription("CAM-1", expires: 100))
    viewer.answer(answers[1], 200)
    var refresh = viewer.last
    refresh.to = answers[0].to
    refresh.requestURI = answers[0].contact!.uri
    refresh.cseq = CSeq(viewer.last.cseq!.number + 1, .subscribe)
    refresh.topVia = Via(transport: "TLS", host: "10.0.0.7", port: 5060, branch: "z9hG4bKr1")
    let again = viewer.send(refresh)
    #expect(again[0].status == 200 && again[1].method == .notify)
    viewer.answer(again[1], 200)
    var old = refresh
    old.topVia = Via(transport: "TLS", host: "10.0.0.7", port: 5060, branch: "z9hG4bKr2")
    #expect(viewer.send(old)[0].status == 500)
    refresh.cseq = CSeq(viewer.last.cseq!.number + 1, .subscribe)
    refresh.expires = 0
    refresh.topVia = Via(transport: "TLS", host: "10.0.0.7", port: 5060, branch: "z9hG4bKr3")
    let last = viewer.send(refresh)
    #expect(last[1].subscriptionState?.state == .terminated && last[1].subscriptionState?.reason == "timeout")
    viewer.answer(last[1], 200)
    #expect(world.rendezvous.snapshot(at: world.now).subscriptions == 0)
    let once = viewer.send(viewer.subscription("CAM-1", expires: 0))
    #expect(once[1].subscriptionState?.state == .terminated && once[1].text.contains("CAM-1"))
  }

  @Test func `a subscription runs out with a last word`() {
    let (world, _, viewer) = setUp()
    viewer.answer(viewer.send(viewer.subscription("CAM-1", expires: 60))[1], 200)
    for _ in 0..<4 {
      world.advance(.seconds(20))
      world.deliver([0x0D, 0x0A, 0x0D, 0x0A], on: viewer.flow)
    }
    let last = viewer.received().last { $0.method == .notify }
    #expect(last?.subscriptionState?.state == .terminated)
  }

  @Test(arguments: [UInt16(481), 500])
  func `a watcher that does not want to know is not told again`(status: UInt16) {
    let (world, node, viewer) = setUp()
    let first = viewer.send(viewer.subscription("CAM-1"))[1]
    viewer.answer(first, StatusCode(Int(status)))
    node.publish("CAM-1")
    #expect(viewer.received().isEmpty)
    #expect(world.rendezvous.snapshot(at: world.now).subscriptions == 0)
  }

  @Test func `an unanswered NOTIFY by UDP is repeated and then the watcher forgotten`() {
    let world = World()
    let viewer = Peer(world, "alice", on: world.connect(.udp))
    viewer.register(outbound: false)
    viewer.send(viewer.subscription("CAM-1"))
    world.advance(.seconds(40))
    // RFC 3261 §17.1.2.2: 0.5, 1, 2, 4, 4, ... s up to 32 s: ten repetitions.
    #expect(viewer.received().filter { $0.method == .notify }.count == 10)
    #expect(world.rendezvous.snapshot(at: world.now).subscriptions == 0)
  }

  @Test func `a watcher that asks for a while gets the state of then`() {
    let (world, node, viewer) = setUp()
    let first = viewer.send(viewer.subscription("CAM-1"))[1]
    viewer.answer(first, 503) { $0.retryAfter = 5 }
    node.publish("CAM-1")
    world.advance(.seconds(4))
    #expect(viewer.received().isEmpty)
    world.advance(.seconds(3))
    let again = viewer.received()
    #expect(again.map(\.method) == [.notify] && again[0].open("CAM-1") == ["CAM-1"])
    viewer.answer(again[0], 200)
    #expect(world.rendezvous.snapshot(at: world.now).subscriptions == 1)
  }

  @Test func `a refreshed publication is nothing new to a watcher`() {
    let (_, node, viewer) = setUp()
    let tag = node.publish("CAM-1").sipETag
    viewer.answer(viewer.send(viewer.subscription("CAM-1"))[1], 200)
    let next = node.publish("", match: tag).sipETag
    #expect(viewer.received().isEmpty)
    node.publish("-CAM-1", match: next)
    #expect(viewer.received().first?.open("CAM-1") == [])
  }

  @Test(arguments: [SIP.Method.subscribe, .publish, .message])
  func `nothing is done for who has not shown who it is`(method: SIP.Method) {
    let (world, node, viewer) = setUp()
    _ = node.publish("CAM-1")
    viewer.answer(viewer.send(viewer.subscription("CAM-1"))[1], 200)
    let stranger = Peer(world, "alice", on: world.connect(.udp))
    for package in ["presence", "im"] {
      var message = stranger.request(method, "alice")
      message.event = Event(package)
      message.setBody(Array("CAM-1".utf8), type: "text/plain")
      world.deliver(message, on: stranger.flow)
      let answers = stranger.received()
      let refusals = package == "im" && method != .message ? [489] : [method == .message ? 407 : 401]
      #expect(answers.map { $0.status?.value } == refusals)
    }
    #expect(viewer.received().isEmpty)
  }

  @Test func `what cannot be watched is refused with what can`() {
    let (_, _, viewer) = setUp()
    var message = viewer.subscription("CAM-1")
    message.event = Event("im")
    let package = viewer.send(message)[0]
    #expect(package.status == 489 && package[.allowEvents] == "presence")
    #expect(viewer.send(viewer.subscription("CAM-1", expires: 5))[0].status == 423)
    message = viewer.subscription("CAM-1")
    message[.accept] = "text/plain"
    #expect(viewer.send(message)[0].status == 406)
    message = viewer.subscription("CAM-1")
    message.to?.tag = "no-such-dialog"
    #expect(viewer.send(message)[0].status == 481)
  }

  @Test func `subscriptions of one account are bounded`() {
    let (world, _, viewer) = setUp()
    for _ in 0..<64 { #expect(viewer.send(viewer.subscription("CAM-1"))[0].status == 200) }
    #expect(viewer.send(viewer.subscription("CAM-1"))[0].status == 403)
    #expect(world.rendezvous.snapshot(at: world.now).subscriptions == 64)
  }
}
