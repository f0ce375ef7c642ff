import EdgeCore
import SIP
import Testing
import UserAgent

@Suite("Calls")
struct CallTests {
  private func dial(_ world: World) throws -> CallHandle {
    var handle: CallHandle?
    world.do { handle = $0.call("CAM-1", contentType: "application/sdp", body: Array("offer".utf8), at: $1, into: &$2) }
    return try #require(handle)
  }

  private func contact(_ response: inout Message) {
    response.contact = NameAddress(URI(.sip, user: "gate", host: "203.0.113.5", port: 4242))
    response.append(.recordRoute, "<sip:rv.example.org:5061;transport=tls;lr>")
    response.setBody(Array("answer".utf8), type: "application/sdp")
  }

  @Test func `a viewer calls without registering, answers one challenge, and hangs up`() throws {
    let world = World(registers: false)
    world.do { $0.start(at: $1, into: &$2) }
    world.open()
    #expect(world.events == [.linkUp])
    let handle = try dial(world)
    let first = try #require(world.next(.invite))
    #expect(first.requestURI?.user == "CAM-1")
    let second = try #require(world.challenge(first, status: 407))
    // The error response was acknowledged hop by hop.
    #expect(world.next(.ack)?.topVia?.branch == first.topVia?.branch)
    #expect(second.contains(.proxyAuthorization) && world.isSigned(second))
    world.answer(second, 180)
    world.answer(second, 200, contact)
    #expect(
      world.events.suffix(2) == [
        .callProgress(handle, 180),
        .callAnswered(handle, contentType: "application/sdp", body: Array("answer".utf8)),
      ])
    let ack = try #require(world.next(.ack))
    #expect(ack.requestURI?.host == "203.0.113.5")
    #expect(ack.routes.first?.uri.host == "rv.example.org")
    #expect(ack.cseq?.number == second.cseq?.number)
    // The ACK was lost: the 2xx comes again and so does the ACK.
    world.answer(second, 200, contact)
    #expect(world.next(.ack) == ack)
    world.do { $0.hangUp(handle, at: $1, into: &$2) }
    let bye = try #require(world.next(.bye))
    #expect(bye.to?.tag == "server")
    #expect(world.isSigned(bye))
  }

  @Test func `relays are told as soon as the server offers them`() throws {
    let world = World(registers: false)
    world.do { $0.start(at: $1, into: &$2) }
    world.open()
    let handle = try dial(world)
    let invite = world.next(.invite)
    world.answer(invite, 100) { $0.append(.other("X-Edge-Relay"), "one") }
    #expect(world.events.last == .relaysOffered(handle, ["one"]))
    let before = world.events.count
    world.answer(invite, 100)
    #expect(world.events.count == before)
    world.answer(invite, 200) {
      contact(&$0)
      $0.append(.other("X-Edge-Relay"), "two")
    }
    #expect(world.events.suffix(2).first == .relaysOffered(handle, ["two"]))
  }

  @Test(arguments: [404, 480, 603] as [StatusCode])
  func `a refusal is told with its status`(status: StatusCode) throws {
    let world = World(registers: false)
    world.do { $0.start(at: $1, into: &$2) }
    world.open()
    let handle = try dial(world)
    world.answer(world.next(.invite), status)
    #expect(world.events.last == .callEnded(handle, .refused(status, retryAfter: nil)))
    #expect(world.next(.ack) != nil)
  }

  @Test func `a wrong password ends the call, not the program`() throws {
    let world = World(registers: false)
    world.do { $0.start(at: $1, into: &$2) }
    world.open()
    let handle = try dial(world)
    let second = world.challenge(world.next(.invite), status: 407)
    #expect(world.challenge(second, status: 407) == nil)
    #expect(world.events.last == .callEnded(handle, .badPassword))
  }

  @Test func `a call given up before its answer is cancelled, and ended if the answer came after all`() throws {
    let world = World(registers: false)
    world.do { $0.start(at: $1, into: &$2) }
    world.open()
    let handle = try dial(world)
    let invite = try #require(world.next(.invite))
    world.answer(invite, 180)
    world.do { $0.hangUp(handle, at: $1, into: &$2) }
    let cancel = try #require(world.next(.cancel))
    #expect(cancel.topVia?.branch == invite.topVia?.branch)
    world.answer(invite, 200, contact)
    #expect(world.next(.ack) != nil)
    #expect(world.next(.bye) != nil)
  }

  @Test func `an incoming call is answered, confirmed, informed and ended`() throws {
    let world = World()
    world.logIn()
    let invite = world.invite()
    world.deliver(invite)
    guard case .incomingCall(let handle, let call)? = world.events.last else {
      Issue.record("\(world.events)")
      return
    }
    #expect(call.caller == "ann" && call.serial == "CAM-1" && call.body == Array("offer".utf8))
    world.do { $0.accept(handle, contentType: "application/sdp", body: Array("answer".utf8), at: $1, into: &$2) }
    let answer = try #require(world.sent.last { $0.status == 200 })
    #expect(answer.recordRoutes.count == 1)
    let tag = try #require(answer.to?.tag)
    world.sent.removeAll()
    world.advance(.milliseconds(600))
    #expect(world.sent.filter { $0.status == 200 }.count == 1)
    func inDialog(_ method: SIP.Method, _ number: UInt32) -> Message {
      var request = world.invite(branch: "z9hG4bK\(method)\(number)")
      request.startLine = .request(method, URI(.sip, user: "gate-box", host: "192.0.2.7"))
      request.cseq = CSeq(number, method)
      request.to?.tag = tag
      return request
    }
    world.deliver(inDialog(.ack, 1))
    #expect(world.events.last == .callConfirmed(handle, contentType: "application/sdp", body: Array("offer".utf8)))
    world.sent.removeAll()
    world.advance(.seconds(5))
    #expect(world.sent.isEmpty)
    world.deliver(inDialog(.info, 2))
    #expect(world.events.last == .info(handle, contentType: "application/sdp", body: Array("offer".utf8)))
    // A number that does not rise is refused (RFC 3261 §12.2.2).
    world.deliver(inDialog(.bye, 2))
    #expect(world.sent.last?.status == 500)
    world.deliver(inDialog(.bye, 3))
    #expect(world.events.last == .callEnded(handle, .remote))
    world.deliver(inDialog(.bye, 4))
    #expect(world.sent.last?.status == 481)
  }

  @Test func `an answer that is never acknowledged ends the call`() throws {
    let world = World()
    world.logIn()
    world.deliver(world.invite())
    guard case .incomingCall(let handle, _)? = world.events.last else { return }
    world.do { $0.accept(handle, contentType: "application/sdp", body: [1], at: $1, into: &$2) }
    for _ in 0..<4 {
      world.advance(.seconds(10))
      world.deliver([0x0D, 0x0A])
    }
    #expect(world.events.contains(.callEnded(handle, .timedOut)))
    #expect(world.next(.bye) != nil)
  }

  @Test func `a caller that gives up is told 487`() {
    let world = World()
    world.logIn()
    let invite = world.invite()
    world.deliver(invite)
    guard case .incomingCall(let handle, _)? = world.events.last else { return }
    var cancel = invite
    cancel.startLine = .request(.cancel, invite.requestURI!)
    cancel.cseq = CSeq(1, .cancel)
    cancel.removeAll(.recordRoute)
    world.deliver(cancel)
    #expect(world.sent.contains { $0.status == 487 })
    #expect(world.sent.contains { $0.status == 200 && $0.cseq?.method == .cancel })
    #expect(world.events.last == .callEnded(handle, .remote))
  }

  @Test func `an established call outlives the link, one being set up does not`() throws {
    let world = World()
    world.logIn()
    world.deliver(world.invite())
    guard case .incomingCall(let handle, _)? = world.events.last else { return }
    world.do { $0.accept(handle, contentType: "application/sdp", body: [1], at: $1, into: &$2) }
    let outgoing = try dial(world)
    world.close()
    #expect(world.events.contains(.callEnded(outgoing, .linkLost)))
    #expect(!world.events.contains(.callEnded(handle, .linkLost)))
    world.advance(.seconds(1))
    world.open()
    world.sent.removeAll { $0.method != .register }
    world.grant(world.next(.register))
    // The answer is sent again on the new flow, as its ACK may have died with the old one.
    #expect(world.sent.contains { $0.status == 200 && $0.cseq?.method == .invite })
  }

  @Test(arguments: [("PRACK", 405), ("SUBSCRIBE", 405), ("FLY", 501), ("message", 501)])
  func `a known method is not allowed, an unknown one not implemented`(name: String, status: Int) {
    let world = World()
    world.logIn()
    var request = world.invite()
    request.startLine = .request(SIP.Method(name), URI(.sip, user: "gate-box", host: "192.0.2.7"))
    request.cseq = CSeq(1, SIP.Method(name))
    world.deliver(request)
    #expect(world.sent.last?.status?.value == status)
    #expect(world.sent.last?.to?.tag != nil)
    #expect(world.sent.last?.list(.allow, contains: "INVITE") == true)
  }

  @Test func `an extension that is required and unknown is refused`() {
    let world = World()
    world.logIn()
    var request = world.invite()
    request.append(.require, "telepathy")
    world.deliver(request)
    #expect(world.sent.last?.status == 420)
    #expect(world.sent.last?[.unsupported] == "telepathy")
    #expect(world.events.isEmpty)
  }
}

@Suite("Subscriptions")
struct SubscriptionTests {
  @Test func `a subscription delivers, survives a reconnect and ends when it is refused`() throws {
    let world = World()
    world.logIn()
    var handle: SubscriptionHandle?
    world.do {
      handle = $0.subscribe(to: "gate-box", event: "presence", accept: "application/pidf+xml", at: $1, into: &$2)
    }
    let subscription = try #require(handle)
    let subscribe = try #require(world.next(.subscribe))
    func notify(_ state: String, number: UInt32) -> Message {
      var request = world.invite(branch: "z9hG4bKn\(number)")
      request.startLine = .request(.notify, URI(.sip, user: "gate-box", host: "192.0.2.7"))
      request.callID = subscribe.callID
      request.to = subscribe.from
      request.from = subscribe.to
      request.from?.tag = "server"
      request.cseq = CSeq(number, .notify)
      request.event = Event("presence")
      request.append(.subscriptionState, state)
      return request
    }
    // RFC 6665 §4.4.1: the first NOTIFY may come before the 200.
    world.deliver(notify("active;expires=600", number: 1))
    #expect(world.events.last == .notified(subscription, contentType: "application/sdp", body: Array("offer".utf8)))
    world.answer(subscribe, 200) {
      $0.expires = 600
      $0.contact = NameAddress(URI(.sip, host: "rv.example.org"))
    }
    world.deliver(notify("active;expires=600", number: 2))
    #expect(world.sent.last?.status == 200)
    world.close()
    world.advance(.seconds(1))
    world.open()
    world.grant(world.next(.register))
    let again = try #require(world.next(.subscribe))
    #expect(again.callID != subscribe.callID)
    world.answer(again, 404)
    #expect(world.events.last == .subscriptionEnded(subscription, 404))
  }

  @Test func `a stray notification is refused`() {
    let world = World()
    world.logIn()
    var request = world.invite()
    request.startLine = .request(.notify, URI(.sip, user: "gate-box", host: "192.0.2.7"))
    request.cseq = CSeq(1, .notify)
    request.to?.tag = "nobody"
    world.deliver(request)
    #expect(world.sent.last?.status == 481)
  }
}
