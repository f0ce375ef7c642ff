import EdgeCore
import SIP
import Testing
import UserAgent

/// Every way a call ends, against what `hangUp` promises: no event follows.
@Suite("Endings")
struct EndingTests {
  private func ring(_ world: World) throws -> CallHandle {
    world.deliver(world.invite())
    guard case .incomingCall(let handle, _)? = world.events.last else { throw Missing() }
    world.events.removeAll()
    return handle
  }

  private struct Missing: Error {}

  private func accept(_ world: World, _ handle: CallHandle) throws -> String {
    world.do { $0.accept(handle, contentType: "application/sdp", body: [1], at: $1, into: &$2) }
    return try #require(world.sent.last { $0.status == 200 }?.to?.tag)
  }

  private func inDialog(_ world: World, _ method: SIP.Method, _ number: UInt32, tag: String) -> Message {
    var request = world.invite(branch: "z9hG4bK\(method)\(number)")
    request.startLine = .request(method, URI(.sip, user: "gate-box", host: "192.0.2.7"))
    request.cseq = CSeq(number, method)
    request.to?.tag = tag
    return request
  }

  private func sent(_ world: World, _ method: SIP.Method) -> Int {
    world.sent.count { $0.isRequest && $0.method == method }
  }

  @Test func `hanging up a ringing call refuses it and tells nothing`() throws {
    let world = World()
    world.logIn()
    let handle = try ring(world)
    world.do { $0.hangUp(handle, at: $1, into: &$2) }
    #expect(world.sent.last?.status == 603)
    world.do { $0.hangUp(handle, at: $1, into: &$2) }
    world.advance(.seconds(9))
    #expect(world.events.isEmpty)
  }

  @Test func `an answer that was not acknowledged yet gets its BYE after the ACK`() throws {
    let world = World()
    world.logIn()
    let handle = try ring(world)
    let tag = try accept(world, handle)
    world.do { $0.hangUp(handle, at: $1, into: &$2) }
    #expect(sent(world, .bye) == 0)
    world.deliver(inDialog(world, .info, 2, tag: tag))
    #expect(world.sent.last?.status == 481)
    world.deliver(inDialog(world, .ack, 1, tag: tag))
    #expect(sent(world, .bye) == 1)
    #expect(world.events.isEmpty)
  }

  @Test func `an answer hung up and never acknowledged gets its BYE after 32 s, silently`() throws {
    let world = World()
    world.logIn()
    let handle = try ring(world)
    _ = try accept(world, handle)
    world.do { $0.hangUp(handle, at: $1, into: &$2) }
    for _ in 0..<8 {
      world.advance(.seconds(5))
      world.deliver([0x0D, 0x0A])
    }
    #expect(sent(world, .bye) == 1)
    #expect(!world.events.contains { if case .callEnded = $0 { true } else { false } })
  }

  @Test func `hung up while the link is down, the other side hears of it on the next flow`() throws {
    let world = World()
    world.logIn()
    let handle = try ring(world)
    let tag = try accept(world, handle)
    world.deliver(inDialog(world, .ack, 1, tag: tag))
    world.close()
    world.events.removeAll()
    world.do { $0.hangUp(handle, at: $1, into: &$2) }
    world.advance(.seconds(1))
    world.open()
    world.grant(world.next(.register))
    #expect(sent(world, .bye) == 1)
    #expect(world.events == [.linkUp])
  }

  @Test func `a goodbye that is challenged is said again`() throws {
    let world = World()
    world.logIn()
    let handle = try ring(world)
    let tag = try accept(world, handle)
    world.deliver(inDialog(world, .ack, 1, tag: tag))
    world.do { $0.hangUp(handle, at: $1, into: &$2) }
    let first = try #require(world.next(.bye))
    let second = try #require(world.challenge(first, status: 407))
    #expect(second.cseq?.number == (first.cseq?.number ?? 0) + 1)
    #expect(world.isSigned(second))
  }

  @Test func `the ACK of an earlier INVITE confirms nothing`() throws {
    let world = World()
    world.logIn()
    let handle = try ring(world)
    let tag = try accept(world, handle)
    world.deliver(inDialog(world, .ack, 1, tag: tag))
    world.deliver(inDialog(world, .invite, 2, tag: tag))
    guard case .callReoffered(handle, _, _)? = world.events.last else {
      Issue.record("\(world.events)")
      return
    }
    _ = try accept(world, handle)
    world.events.removeAll()
    world.deliver(inDialog(world, .ack, 1, tag: tag))
    #expect(world.events.isEmpty)
    world.deliver(inDialog(world, .ack, 2, tag: tag))
    #expect(world.events == [.callConfirmed(handle, contentType: "application/sdp", body: Array("offer".utf8))])
  }

  @Test func `a new offer taken back leaves the call as it was`() throws {
    let world = World()
    world.logIn()
    let handle = try ring(world)
    let tag = try accept(world, handle)
    world.deliver(inDialog(world, .ack, 1, tag: tag))
    let invite = inDialog(world, .invite, 2, tag: tag)
    world.deliver(invite)
    var cancel = invite
    cancel.startLine = .request(.cancel, invite.requestURI!)
    cancel.cseq = CSeq(2, .cancel)
    cancel.body = []
    world.deliver(cancel)
    #expect(world.sent.contains { $0.status == 487 })
    // Another offer is welcome.
    world.events.removeAll()
    world.deliver(inDialog(world, .invite, 3, tag: tag))
    #expect(world.events.count == 1)
    // And one that is hung up over is answered before the BYE.
    world.sent.removeAll()
    world.do { $0.hangUp(handle, at: $1, into: &$2) }
    #expect(world.sent.first?.status == 487)
    #expect(sent(world, .bye) == 1)
  }

  @Test func `a call nobody answers does not ring for ever`() throws {
    let world = World()
    world.logIn()
    var invite = world.invite()
    invite.expires = 5
    world.deliver(invite)
    guard case .incomingCall(let handle, _)? = world.events.last else { throw Missing() }
    world.advance(.seconds(6))
    #expect(world.events.last == .callEnded(handle, .timedOut))
    #expect(world.sent.last?.status == 487)
  }

  @Test func `a callee that rings for ever is given up`() throws {
    let world = World(registers: false)
    world.do { $0.start(at: $1, into: &$2) }
    world.open()
    var handle: CallHandle?
    world.do { handle = $0.call("CAM-1", contentType: "application/sdp", body: [1], at: $1, into: &$2) }
    world.answer(world.next(.invite), 180)
    for _ in 0..<50 {
      world.advance(.seconds(4))
      world.deliver([0x0D, 0x0A])
    }
    let ended = world.events.filter { if case .callEnded = $0 { true } else { false } }
    #expect(ended == [.callEnded(try #require(handle), .timedOut)])
    #expect(sent(world, .cancel) == 1)
  }

  @Test func `a second answer of a forked call is acknowledged and ended`() throws {
    let world = World(registers: false)
    world.do { $0.start(at: $1, into: &$2) }
    world.open()
    world.do { _ = $0.call("CAM-1", contentType: "application/sdp", body: [1], at: $1, into: &$2) }
    let invite = try #require(world.next(.invite))
    for tag in ["one", "two"] {
      world.answer(invite, 200, tag: tag) { $0.contact = NameAddress(URI(.sip, user: "x", host: "203.0.113.5")) }
    }
    #expect(sent(world, .ack) == 2)
    let bye = try #require(world.next(.bye))
    #expect(bye.to?.tag == "two")
  }
}
