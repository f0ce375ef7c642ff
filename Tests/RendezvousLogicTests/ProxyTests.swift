import EdgeCore
import SIP
import Testing

@testable import RendezvousLogic

@Suite("Calling a serial")
struct CallingTests {
  @Test func `an INVITE reaches the node that manages the serial, with 100 at once`() throws {
    let scene = CallScene()
    let (answers, atNode) = scene.invite()
    #expect(answers.map { $0.status?.value } == [100])
    let invite = try #require(atNode.first)
    #expect(invite.requestURI == scene.node.contact)
    #expect(invite.to?.uri.user == "CAM-1")
    #expect(invite.maxForwards == 69)
    #expect(invite.viaCount == 2 && invite.topVia?.host == domain)
    #expect(invite[.other("P-Asserted-Identity")] == "<sip:alice@\(domain)>")
    #expect(invite[.other("P-Called-Party-ID")] == "<sip:CAM-1@\(domain)>")
    #expect(!invite.contains(.authorization) && !invite.contains(.proxyAuthorization))
    #expect(invite.recordRoutes.count == 2)
    #expect(invite.recordRoutes.allSatisfy { $0.uri.parameters.contains("lr") })
  }

  @Test func `ringing, acceptance, ACK and BYE go from end to end both ways, and the session is counted`() {
    let scene = CallScene()
    let invite = scene.invite().atNode[0]
    scene.node.answer(invite, 180)
    #expect(scene.viewer.received().map { $0.status?.value } == [180])
    scene.node.answer(invite, 200)
    let ok = scene.viewer.received()
    #expect(ok.map { $0.status?.value } == [200])
    #expect(ok[0].viaCount == 1 && ok[0].recordRoutes.count == 2)
    #expect(scene.world.rendezvous.snapshot(at: scene.world.now).sessions == 1)
    let call = (invite, ok[0])
    scene.world.deliver(scene.inside(.ack, call, fromNode: false, number: 1), on: scene.viewer.flow)
    let ack = scene.node.received()
    #expect(ack.map(\.method) == [.ack] && ack[0].routes.isEmpty && ack[0].maxForwards == 69)
    // A request of the node to the viewer, then the viewer hangs up.
    scene.world.deliver(scene.inside(.info, call, fromNode: true, number: 1), on: scene.node.flow)
    let info = scene.viewer.received()
    #expect(info.map(\.method) == [.info] && info[0].requestURI == scene.viewer.contact)
    scene.viewer.answer(info[0], 200)
    #expect(scene.world.responses(scene.node.flow) == [200])
    scene.world.deliver(scene.inside(.bye, call, fromNode: false, number: 2), on: scene.viewer.flow)
    let bye = scene.node.received()
    #expect(bye.map(\.method) == [.bye])
    scene.node.answer(bye[0], 200)
    #expect(scene.world.responses(scene.viewer.flow) == [200])
    #expect(scene.world.rendezvous.snapshot(at: scene.world.now).sessions == 0)
  }

  @Test func `no such serial, not one's own, and no such account are one answer`() {
    let scene = CallScene()
    var shapes: Set<[String]> = []
    for name in ["CAM-77", "CAM-2", "bob", "nobody", "%00", "a%20b"] {
      let answer = scene.invite(name).answers
      #expect(answer.map { $0.status?.value } == [404], "\(name)")
      shapes.insert(answer[0].headers.map(\.name.text))
    }
    #expect(shapes.count == 1)
    #expect(scene.node.received().isEmpty)
  }

  @Test func `a node that is off line is 480, from before its first log-in to after its last`() {
    let world = World()
    let viewer = Peer(world, "alice")
    viewer.register()
    #expect(viewer.send(viewer.request(.invite, "CAM-1")).map { $0.status?.value } == [480])
    // Granted before any node has published it.
    #expect(viewer.send(viewer.request(.invite, "CAM-9")).map { $0.status?.value } == [480])
    let node = Peer(world, "gate-box")
    node.register()
    #expect(viewer.send(viewer.request(.invite, "CAM-1")).map { $0.status?.value } == [480])
    node.publish("CAM-1")
    #expect(viewer.send(viewer.request(.invite, "CAM-1")).map { $0.status?.value } == [100])
    world.drop(node.flow)
    #expect(viewer.received().map { $0.status?.value } == [480])
    #expect(viewer.send(viewer.request(.invite, "CAM-1")).map { $0.status?.value } == [480])
  }

  @Test func `the node's refusal is passed through and acknowledged hop by hop`() {
    let scene = CallScene()
    let invite = scene.invite().atNode[0]
    scene.node.answer(invite, 603)
    #expect(scene.viewer.received().map { $0.status?.value } == [603])
    let ack = scene.node.received()
    #expect(ack.map(\.method) == [.ack] && ack[0].topVia == invite.topVia)
    #expect(scene.world.rendezvous.snapshot(at: scene.world.now).sessions == 0)
  }

  @Test func `a right that is withdrawn counts from the next INVITE`() {
    let scene = CallScene()
    #expect(scene.invite().atNode.count == 1)
    var without = Directory()
    for (name, account) in scene.world.directory.accounts { without.add(name, account) }
    without.bind("CAM-1", to: "gate-box")
    scene.world.change { $0 = without }
    #expect(scene.invite().answers.last?.status == 404)
  }

  @Test func `who one says to be must be who one is`() {
    let scene = CallScene()
    let mallory = Peer(scene.world, "bob")
    mallory.register()
    var forged = mallory.request(.invite, "CAM-1")
    forged.from?.uri.user = "alice"
    #expect(mallory.send(forged).last?.status == 403)
    #expect(scene.node.received().isEmpty)
    var claimed = scene.viewer.request(.invite, "CAM-1")
    claimed.append(.other("P-Asserted-Identity"), "<sip:root@\(domain)>")
    claimed.append(.other("p-preferred-identity"), "<sip:root@\(domain)>")
    scene.viewer.send(claimed)
    let invite = scene.node.received()[0]
    #expect(invite.values(.other("P-Asserted-Identity")) == ["<sip:alice@\(domain)>"])
    #expect(!invite.contains(.other("P-Preferred-Identity")))
  }

  @Test func `another camera cannot be had by naming it in To`() {
    let scene = CallScene()
    var message = scene.viewer.request(.invite, "CAM-1")
    message.to = NameAddress(URI(.sip, user: "CAM-2", host: domain))
    #expect(scene.viewer.send(message).last?.status == 403)
    #expect(scene.node.received().isEmpty)
  }

  @Test func `a stranger is challenged and reaches nobody`() {
    let scene = CallScene()
    let stranger = Peer(scene.world, "alice", on: scene.world.connect(.udp), password: "wrong")
    #expect(stranger.send(stranger.request(.invite, "CAM-1")).last?.status == 407)
    #expect(scene.node.received().isEmpty)
    #expect(scene.world.rendezvous.proxy.count == 0)
  }

  @Test func `an account reaches its other devices, and those joined to it by a right`() {
    let scene = CallScene()
    #expect(scene.viewer.send(scene.viewer.request(.options, "gate-box")).isEmpty)
    #expect(scene.node.received().map(\.method) == [.options])
    let first = Peer(scene.world, "alice")
    first.instance = "urn:uuid:7"
    first.register()
    let second = Peer(scene.world, "alice")
    second.instance = "urn:uuid:8"
    second.register()
    first.send(first.request(.invite, "alice"))
    let atSecond = second.received()
    let atViewer = scene.viewer.received()
    #expect(atSecond.map(\.method) == [.invite] && atViewer.map(\.method) == [.invite])
    second.answer(atSecond[0], 180)
    scene.viewer.answer(atViewer[0], 180)
    second.answer(atSecond[0], 200)
    #expect(first.received().map { $0.status?.value } == [180, 180, 200])
    #expect(scene.viewer.received().map(\.method) == [.cancel])
  }
}

@Suite("Proxy rules")
struct ProxyRuleTests {
  @Test func `Max-Forwards 0 goes no further`() {
    let scene = CallScene()
    var message = scene.viewer.request(.invite, "CAM-1")
    message.maxForwards = 0
    #expect(scene.viewer.send(message).last?.status == 483)
    message = scene.viewer.request(.invite, "CAM-1")
    message.maxForwards = nil
    scene.viewer.send(message)
    #expect(scene.node.received().last?.maxForwards == 70)
  }

  @Test func `a request that comes back is a loop, one that comes back changed a spiral`() {
    let scene = CallScene()
    let sent = scene.viewer.request(.invite, "CAM-1")
    let answers = scene.viewer.send(sent)
    #expect(answers.last?.status == 100)
    var looped = scene.node.received()[0]
    looped.requestURI = sent.requestURI
    looped.removeAll(.other("P-Asserted-Identity"))
    looped.routes = []
    let back = scene.world.connect(.tls, from: 0xC633_6402)
    var via = Via(transport: "TLS", host: "10.0.0.9", port: nil, branch: "z9hG4bKback")
    via.requestRport()
    looped.push(via)
    scene.world.deliver(looped, on: back)
    #expect(scene.world.responses(back) == [482])
    looped.requestURI = URI("sip:CAM-2@\(domain)")
    via.branch = "z9hG4bKback2"
    looped.topVia = via
    scene.world.deliver(looped, on: back)
    #expect(scene.world.responses(back) == [407])
  }

  @Test func `one request that arrives by two ways is merged`() {
    let scene = CallScene()
    let message = scene.viewer.request(.invite, "CAM-1")
    #expect(scene.viewer.send(message).last?.status == 100)
    var twin = message
    var via = twin.topVia!
    via.branch = "z9hG4bKother"
    twin.topVia = via
    scene.world.deliver(twin, on: scene.viewer.flow)
    #expect(scene.world.responses(scene.viewer.flow) == [482])
  }

  @Test func `an extension asked of proxies is refused by name`() {
    let scene = CallScene()
    var message = scene.viewer.request(.invite, "CAM-1")
    message.append(.proxyRequire, "teleport")
    let answer = scene.viewer.send(message).last
    #expect(answer?.status == 420 && answer?[.unsupported] == "teleport")
  }

  @Test func `a forged route is forbidden, and a true one to a dead flow is 430`() {
    let scene = CallScene()
    let call = scene.call()
    var forged = scene.inside(.bye, call, fromNode: false, number: 2)
    forged.routes = forged.routes.map { route in
      var route = route
      route.uri.user = Base64.encode(Array(repeating: 1, count: 30))
      return route
    }
    scene.world.deliver(forged, on: scene.viewer.flow)
    #expect(scene.world.responses(scene.viewer.flow) == [403])
    scene.world.drop(scene.node.flow)
    scene.world.deliver(scene.inside(.bye, call, fromNode: false, number: 3), on: scene.viewer.flow)
    #expect(scene.world.responses(scene.viewer.flow) == [430])
  }

  @Test func `a stolen route is no use to who cannot say who he is`() {
    let scene = CallScene()
    let call = scene.call()
    let thief = scene.world.connect(.udp, from: 0xC633_6403)
    scene.world.deliver(scene.inside(.bye, call, fromNode: false, number: 2), on: thief)
    #expect(scene.world.responses(thief) == [407])
    #expect(scene.node.received().isEmpty)
  }

  @Test func `a device whose connection changed can still end its call`() {
    let scene = CallScene()
    let call = scene.call()
    scene.viewer.flow = scene.world.connect()
    scene.viewer.register()
    scene.viewer.send(scene.inside(.bye, call, fromNode: false, number: 2))
    #expect(scene.node.received().map(\.method) == [.bye])
  }

  @Test func `a call follows each of its ends to another connection, and is found there`() {
    let scene = CallScene()
    let call = scene.call()
    let (oldNode, oldViewer) = (scene.node.flow, scene.viewer.flow)
    #expect(scene.world.rendezvous.sessions.count == 1)
    scene.world.drop(oldViewer)
    #expect(scene.world.rendezvous.sessions.count == 0)
    scene.viewer.flow = scene.world.connect()
    scene.viewer.send(scene.inside(.info, call, fromNode: false, number: 2))
    #expect(scene.node.received().map(\.method) == [.info])
    #expect(scene.world.rendezvous.sessions.count == 1)
    // What the node says now finds the viewer, along the route it always had.
    scene.world.deliver(scene.inside(.info, call, fromNode: true, number: 2), on: oldNode)
    #expect(scene.viewer.received().contains { $0.method == .info })
    scene.world.drop(oldNode)
    scene.node.flow = scene.world.connect()
    scene.node.register()
    _ = scene.node.received()
    scene.world.deliver(scene.inside(.info, call, fromNode: true, number: 3), on: scene.node.flow)
    #expect(scene.viewer.received().contains { $0.method == .info })
    scene.viewer.send(scene.inside(.bye, call, fromNode: false, number: 4))
    #expect(scene.node.received().map(\.method) == [.bye])
  }

  @Test func `what an end was sent where it is no more is answered when it comes back`() {
    let scene = CallScene()
    let call = scene.call()
    scene.world.deliver(scene.inside(.invite, call, fromNode: true, number: 2), on: scene.node.flow)
    #expect(scene.world.responses(scene.node.flow) == [100])
    scene.viewer.flow = scene.world.connect()
    scene.viewer.send(scene.inside(.invite, call, fromNode: false, number: 2))
    // The failure comes first: until then the node may not take the viewer's own offer (RFC 3261 §14.2).
    let atNode = scene.node.received()
    #expect(atNode.map { $0.status?.value ?? 0 } == [430, 0])
    #expect(atNode.last?.method == .invite)
  }

  @Test func `a call is where its device logs in again`() {
    let scene = CallScene()
    let call = scene.call()
    scene.node.flow = scene.world.connect()
    scene.node.register()
    _ = scene.node.received()
    scene.viewer.send(scene.inside(.invite, call, fromNode: false, number: 2))
    #expect(scene.node.received().map(\.method) == [.invite])
  }

  @Test func `a call outlives a server that has forgotten it`() {
    let call = CallScene().call()
    let scene = CallScene(from: 0xC633_6407)
    #expect(scene.world.rendezvous.sessions.isEmpty)
    scene.viewer.send(scene.inside(.invite, call, fromNode: false, number: 2))
    let offers = scene.node.received()
    #expect(offers.map(\.method) == [.invite])
    scene.node.answer(offers[0], 200)
    #expect(scene.viewer.received().last?.status == 200)
    scene.world.deliver(scene.inside(.ack, call, fromNode: false, number: 2), on: scene.viewer.flow)
    #expect(scene.node.received().map(\.method) == [.ack])
    scene.world.deliver(scene.inside(.info, call, fromNode: true, number: 1), on: scene.node.flow)
    #expect(scene.viewer.received().map(\.method) == [.info])
    let fewer = scene.world.directory(without: "CAM-1")
    scene.world.change { $0 = fewer }
    #expect(scene.node.received().map(\.method) == [.bye])
  }

  @Test func `a forgotten call is nobody's who could not make it`() {
    let call = CallScene().call()
    let scene = CallScene(from: 0xC633_6407)
    let other = Peer(scene.world, "bob", on: scene.world.connect(from: 0xC633_6408))
    other.register()
    other.send(scene.inside(.invite, call, fromNode: false, number: 2))
    #expect(scene.node.received().isEmpty)
    #expect(scene.world.rendezvous.sessions.isEmpty)
  }

  @Test func `a call follows nobody who is not one of its ends, and waits a minute only`() {
    let scene = CallScene()
    let call = scene.call()
    scene.world.drop(scene.viewer.flow)
    let other = Peer(scene.world, "bob", on: scene.world.connect())
    other.register()
    var stolen = scene.inside(.info, call, fromNode: false, number: 2)
    stolen.from?.uri.user = "bob"
    other.send(stolen)
    _ = scene.node.received()
    scene.world.deliver(scene.inside(.info, call, fromNode: true, number: 2), on: scene.node.flow)
    #expect(scene.world.responses(scene.node.flow) == [430])
    #expect(!other.received().contains { $0.method == .info })
    scene.world.advance(.seconds(120))
    #expect(scene.world.rendezvous.sessions.isEmpty)
  }

  @Test func `CANCEL is answered, waits for the node to show itself, and ends in 487`() {
    let scene = CallScene()
    let (_, atNode) = scene.invite()
    var cancel = Message.cancel(for: scene.viewer.last)!
    cancel.maxForwards = 70
    scene.world.deliver(cancel, on: scene.viewer.flow)
    #expect(scene.world.responses(scene.viewer.flow) == [200])
    #expect(scene.node.received().isEmpty)
    scene.node.answer(atNode[0], 180)
    let toNode = scene.node.received()
    #expect(toNode.map(\.method) == [.cancel] && toNode[0].topVia == atNode[0].topVia)
    scene.node.answer(toNode[0], 200)
    scene.node.answer(atNode[0], 487)
    #expect(scene.world.responses(scene.viewer.flow) == [180, 487])
    scene.world.deliver(cancel, on: scene.viewer.flow)
    var unknown = cancel
    unknown.topVia = Via(transport: "TLS", host: "10.0.0.7", port: 5060, branch: "z9hG4bKnothing")
    _ = scene.viewer.received()
    scene.world.deliver(unknown, on: scene.viewer.flow)
    #expect(scene.world.responses(scene.viewer.flow) == [481])
  }

  @Test func `the viewer's connection breaks and the node is told to stop`() {
    let scene = CallScene()
    let (_, atNode) = scene.invite()
    scene.node.answer(atNode[0], 180)
    scene.world.drop(scene.viewer.flow)
    #expect(scene.node.received().map(\.method) == [.cancel])
  }

  @Test func `requests under way are bounded per account`() {
    let scene = CallScene()
    for _ in 0..<64 { #expect(scene.invite().answers.last?.status == 100) }
    let over = scene.invite().answers.last
    #expect(over?.status == 503 && over?.retryAfter == 5)
  }

  @Test func `what is not for this server to do is 405, 501 or 404`() {
    let scene = CallScene()
    #expect(scene.viewer.send(scene.viewer.request(.message, "sip:\(domain)")).last?.status == 405)
    #expect(scene.viewer.send(scene.viewer.request(SIP.Method("JUMP"), "sip:\(domain)")).last?.status == 501)
    #expect(scene.viewer.send(scene.viewer.request(.invite, "sip:alice@elsewhere.example")).last?.status == 404)
    let options = scene.viewer.send(scene.viewer.request(.options, "sip:\(domain)")).last
    #expect(options?.status == 200 && options?[.allow]?.contains("INVITE") == true)
    var tel = scene.viewer.request(.invite, "sip:x@\(domain)")
    tel.requestURI = URI("tel:+15551234")
    #expect(scene.viewer.send(tel).last?.status == 416)
  }
}

@Suite("Proxy timers")
struct ProxyTimerTests {
  @Test func `by UDP the INVITE is repeated to the node and 408 ends it`() {
    let scene = CallScene(node: .udp)
    _ = scene.invite()
    scene.world.advance(.seconds(33))
    // 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s after the first.
    #expect(scene.node.received().filter { $0.method == .invite }.count == 6)
    #expect(scene.world.responses(scene.viewer.flow) == [408])
  }

  @Test func `by UDP a refusal is repeated to the viewer until its ACK`() {
    let scene = CallScene(viewer: .udp)
    let (_, atNode) = scene.invite()
    scene.node.answer(atNode[0], 603)
    scene.world.advance(.seconds(4))
    // At once, and 0.5, 1.5 and 3.5 s later.
    let refusals = scene.viewer.received().filter { $0.status == 603 }
    #expect(refusals.count == 4)
    let ack = Message.acknowledgement(of: refusals[0], to: scene.viewer.last)!
    scene.world.deliver(ack, on: scene.viewer.flow)
    scene.world.advance(.seconds(10))
    #expect(scene.viewer.received().isEmpty)
    #expect(scene.world.rendezvous.proxy.count == 0)
  }

  @Test func `by UDP a repeated INVITE gets the last answer and does not ring twice`() {
    let scene = CallScene(viewer: .udp)
    let (_, atNode) = scene.invite()
    scene.world.deliver(scene.viewer.last, on: scene.viewer.flow)
    #expect(scene.world.responses(scene.viewer.flow) == [100])
    scene.node.answer(atNode[0], 180)
    scene.world.deliver(scene.viewer.last, on: scene.viewer.flow)
    #expect(scene.world.responses(scene.viewer.flow) == [180, 180])
    #expect(scene.node.received().isEmpty)
  }

  @Test func `every repeated 200 of the node goes on to the viewer`() {
    let scene = CallScene(node: .udp)
    let (_, atNode) = scene.invite()
    for _ in 0..<3 { scene.node.answer(atNode[0], 200) }
    #expect(scene.world.responses(scene.viewer.flow) == [200, 200, 200])
    #expect(scene.world.rendezvous.snapshot(at: scene.world.now).sessions == 1)
  }

  @Test func `a node that rings for ever is stopped after three minutes and the viewer gets an answer`() {
    let scene = CallScene()
    let (_, atNode) = scene.invite()
    scene.node.answer(atNode[0], 180)
    _ = scene.viewer.received()
    for _ in 0..<24 {
      scene.world.advance(.seconds(10))
      for peer in [scene.node, scene.viewer] { scene.world.deliver([0x0D, 0x0A, 0x0D, 0x0A], on: peer.flow) }
    }
    #expect(scene.node.received().contains { $0.method == .cancel })
    #expect(scene.world.responses(scene.viewer.flow) == [487])
    #expect(scene.world.rendezvous.proxy.clients.isEmpty)
  }

  @Test func `an unanswered BYE by UDP is repeated and its silence is not answered for it`() {
    let scene = CallScene(node: .udp)
    let call = scene.call()
    scene.world.deliver(scene.inside(.bye, call, fromNode: false, number: 2), on: scene.viewer.flow)
    for _ in 0..<4 {
      scene.world.advance(.seconds(10))
      // A stray ping keeps the flow from being given up first.
      scene.world.deliver([0x0D, 0x0A], on: scene.node.flow)
      scene.world.deliver([0x0D, 0x0A, 0x0D, 0x0A], on: scene.viewer.flow)
    }
    #expect(scene.node.received().filter { $0.method == .bye }.count == 11)
    #expect(scene.viewer.received().isEmpty)
    #expect(scene.world.rendezvous.proxy.clients.isEmpty)
  }

  @Test func `nothing is left when everything is over`() {
    let scene = CallScene(node: .udp, viewer: .udp)
    let call = scene.call()
    scene.world.deliver(scene.inside(.ack, call, fromNode: false, number: 1), on: scene.viewer.flow)
    scene.world.deliver(scene.inside(.bye, call, fromNode: false, number: 2), on: scene.viewer.flow)
    scene.node.answer(scene.node.received().last!, 200)
    scene.world.advance(.seconds(700))
    let rendezvous = scene.world.rendezvous
    #expect(rendezvous.proxy.clients.isEmpty && rendezvous.proxy.servers.isEmpty)
    #expect(rendezvous.flows.isEmpty && rendezvous.answered.isEmpty && rendezvous.nextDeadline == nil)
  }
}
