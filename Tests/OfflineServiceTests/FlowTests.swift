import EdgeCore
import MSRP
import SIP
import Testing

@testable import OfflineService
@testable import RendezvousLogic

/// Every message of the offline service's flows, in order.
@Suite("Offline messages over MSRP")
struct FlowTests {
  let scene = OfflineScene()
  let alice: Peer
  let box: Peer

  init() {
    alice = Peer(scene.world, "alice")
    box = Peer(scene.world, "gate-box")
    scene.register(alice)
    scene.reset()
  }

  @Test func `a call for an account that is not there is answered, stored and ended by its caller`() throws {
    let (invite, uri) = scene.call("gate-box", by: alice)
    scene.send(invite, by: alice)
    let answers = alice.received()
    #expect(answers.map { $0.status?.value } == [100, 200])
    let answer = try #require(answers.last)
    // For the callee, not in the service's own name.
    #expect(answer.to?.uri.decodedUser == "gate-box")
    scene.follow(.ack, invite, answer, by: alice)
    let link = scene.connect(alice, to: answer.body, as: uri)
    scene.send("a long message", id: "m-one", over: link)
    #expect(link.events.last == .sent(messageID: "m-one"))
    #expect(scene.boxes[0].messages.map(\.body) == [Array("a long message".utf8)])
    #expect(scene.boxes[0].messages.map(\.receiver) == ["gate-box"])
    scene.follow(.bye, invite, answer, by: alice)
    #expect(alice.received().map { $0.status?.value } == [200])
    #expect(
      scene.trace == [
        "alice>proxy INVITE sdp", "proxy>as INVITE sdp", "as>ms1 INVITE sdp", "ms1>as 200 INVITE sdp", "as>ms1 ACK",
        "as>ms1 CFW CONTROL RestoreMsg", "ms1>as CFW 200 MsgRestored", "as>proxy 200 INVITE sdp", "alice>proxy ACK",
        "proxy>as ACK", "alice>ms1 MSRP SEND", "ms1>alice MSRP 200", "ms1>as CFW CONTROL MsgRestored", "as>ms1 CFW 200",
        "alice>proxy BYE", "proxy>as BYE", "as>proxy 200 BYE", "as>ms1 BYE", "ms1>as 200 BYE",
      ])
    #expect(
      scene.controlBodies[0].hasPrefix(
        "<request><RestoreMsg from-uri=\"sip:alice@\(domain)\" to-uri=\"sip:gate-box@\(domain)\" connection-id=\""))
    #expect(scene.controlBodies[0].hasSuffix("\"/></request>"))
    #expect(scene.controlBodies[1].hasPrefix("<response><MsgRestored from-uri="))
    #expect(scene.server.choice.counts == [0])
  }

  @Test func `who registers is called in the sender's name, sent what waits, and told goodbye`() throws {
    scene.leave(["first", "second"], from: alice, to: "gate-box")
    scene.reset()
    scene.register(box)
    let call = try #require(box.received().last)
    #expect(call.method == .invite)
    #expect(call.from?.uri.description == "sip:alice@\(domain)")
    let (sdp, uri) = scene.offer(box)
    scene.answer(call, 200, by: box, sdp: sdp)
    let link = scene.connect(box, to: call.body, as: uri)
    scene.speak(link)
    let texts = link.events.compactMap { event -> String? in
      guard case .received(_, _, let body, _) = event else { return nil }
      return String(decoding: body, as: UTF8.self)
    }
    #expect(texts.count == 2)
    #expect(texts[0].contains("From: <sip:alice@\(domain)>") && texts[0].hasSuffix("\r\n\r\nfirst"))
    #expect(texts[1].hasSuffix("\r\n\r\nsecond"))
    let bye = try #require(box.received().last)
    #expect(bye.method == .bye)
    scene.answer(bye, 200, by: box)
    #expect(
      scene.trace == [
        "proxy>as NOTIFY", "as>proxy 200 NOTIFY", "as>ms1 CFW CONTROL SendMsg", "ms1>as CFW 200 MsgSended",
        "as>ms1 INVITE", "ms1>as 200 INVITE sdp", "as>proxy INVITE sdp", "proxy>as 100 INVITE",
        "gate-box>proxy 200 INVITE sdp", "proxy>as 200 INVITE sdp", "as>proxy ACK", "as>ms1 ACK sdp",
        "as>ms1 CFW CONTROL SendMsg", "gate-box>ms1 MSRP SEND", "ms1>gate-box MSRP 200", "ms1>gate-box MSRP SEND",
        "gate-box>ms1 MSRP 200", "ms1>gate-box MSRP SEND", "gate-box>ms1 MSRP 200", "ms1>as CFW 200 MsgSended",
        "as>proxy BYE", "as>ms1 BYE", "as>ms1 CFW CONTROL SendMsg", "ms1>as 200 BYE", "ms1>as CFW 200 MsgSended",
        "gate-box>proxy 200 BYE", "proxy>as 200 BYE",
      ])
    // Registering again brings nothing twice.
    scene.reset()
    scene.world.advance(.seconds(1))
    box.registrationID = 2
    scene.register(box)
    #expect(!scene.trace.contains("as>proxy INVITE sdp"))
  }

  @Test func `each terminal of the account gets each message once`() throws {
    scene.leave(["for all"], from: alice, to: "gate-box")
    for number in 1...2 {
      let terminal = Peer(scene.world, "gate-box")
      terminal.instance = "urn:uuid:00000000-0000-1000-8000-00000000000\(number)"
      scene.register(terminal)
      let call = try #require(terminal.received().last { $0.isRequest && $0.method == .invite })
      let (sdp, uri) = scene.offer(terminal)
      scene.answer(call, 200, by: terminal, sdp: sdp)
      let link = scene.connect(terminal, to: call.body, as: uri)
      scene.speak(link)
      #expect(link.events.filter { if case .received = $0 { true } else { false } }.count == (number == 1 ? 1 : 1))
      for bye in terminal.received() where bye.isRequest && bye.method == .bye { scene.answer(bye, 200, by: terminal) }
    }
  }

  @Test func `a terminal that takes no messages leaves them for the service`() {
    scene.register(box)
    _ = box.received()
    let (invite, _) = scene.call("gate-box", by: alice)
    scene.reset()
    scene.send(invite, by: alice)
    let offered = box.received().last!
    scene.answer(offered, 488, by: box)
    #expect(alice.received().map { $0.status?.value } == [100, 200])
    #expect(scene.trace.contains("proxy>as INVITE sdp"))
  }

  @Test func `a terminal that declines is taken at its word`() {
    scene.register(box)
    _ = box.received()
    let (invite, _) = scene.call("gate-box", by: alice)
    scene.send(invite, by: alice)
    scene.answer(box.received().last!, 603, by: box)
    #expect(alice.received().map { $0.status?.value } == [100, 603])
  }

  @Test func `a call without messages for somebody who is not there is 480 as ever`() {
    var invite = alice.request(.invite, "gate-box")
    invite.setBody(
      Array("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n".utf8), type: "application/sdp")
    scene.send(invite, by: alice)
    #expect(alice.received().map { $0.status?.value } == [480])
  }

  @Test func `an account the caller may not reach is 404 as ever`() {
    var invite = alice.request(.invite, "bob")
    invite.setBody(Array(scene.offer(alice).0.utf8), type: "application/sdp")
    scene.send(invite, by: alice)
    #expect(alice.received().map { $0.status?.value } == [404])
  }

  @Test func `a full box stops the message and the sender is told`() {
    scene.boxes[0].isFull = true
    let (invite, uri) = scene.call("gate-box", by: alice)
    scene.send(invite, by: alice)
    let answer = alice.received().last!
    scene.follow(.ack, invite, answer, by: alice)
    let link = scene.connect(alice, to: answer.body, as: uri)
    scene.send("no room", id: "m-one", over: link)
    #expect(link.events.last == .failed(messageID: "m-one", status: 413))
  }
}

@Suite("Choice of a media server")
struct ChoiceTests {
  @Test func `sessions are shared out by count over weight`() {
    let scene = OfflineScene(weights: [1, 2, 4])
    let alice = Peer(scene.world, "alice")
    scene.register(alice)
    scene.reset()
    for number in 0..<14 {
      var invite = alice.request(.invite, "gate-box")
      let (sdp, _) = scene.offer(alice, session: "s\(number)")
      invite.setBody(Array(sdp.utf8), type: "application/sdp")
      scene.send(invite, by: alice)
      _ = alice.received()
    }
    #expect(scene.server.choice.counts == [2, 4, 8])
  }

  @Test func `the heaviest is first among equals and one that is not ready is passed over`() {
    var choice = ServerChoice(weights: [1, 3, 2])
    #expect(choice.best { _ in true } == 1)
    #expect(choice.best { $0 != 1 } == 2)
    choice.opened(1)
    #expect(choice.best { _ in true } == 2)
    choice.opened(2)
    #expect(choice.best { _ in true } == 0)
    choice.opened(0)
    // 1/1, 1/3, 1/2.
    #expect(choice.best { _ in true } == 1)
    choice.closed(0)
    #expect(choice.best { _ in true } == 0)
    #expect(choice.best { _ in false } == nil)
  }
}

@Suite("Control channel")
struct ControlTests {
  @Test func `a frame is read however the stream is cut`() throws {
    var document = ControlDocument(.sendMessage, from: "sip:a&b@x", to: "sip:c@x", connection: "t1:t2")
    document.terminal = "<urn:\"uuid\">"
    let bytes = ControlFrame.control("abcd", document).serialized + ControlFrame("efgh", .response(200)).serialized
    for cut in 0...bytes.count {
      var framer = ControlFramer()
      var frames: [ControlFrame] = []
      for piece in [Array(bytes[..<cut]), Array(bytes[cut...])] {
        framer.append(piece)
        while let frame = try framer.next() { frames.append(frame) }
      }
      #expect(frames.count == 2)
      #expect(ControlDocument(parsing: frames[0].body) == document)
      #expect(frames[1].kind == .response(200))
    }
  }

  @Test func `what is no frame is refused`() {
    for text in ["GET / HTTP/1.1\r\n\r\n", "CFW x\r\n\r\n", "CFW abcd CONTROL\r\nContent-Length: 99999999\r\n\r\n"] {
      var framer = ControlFramer()
      framer.append(Array(text.utf8))
      #expect(throws: ControlFramer.Malformed.self) { try framer.next() }
    }
  }
}
