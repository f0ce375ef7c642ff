import EdgeCore
import SIP
import Testing
import UserAgent

@Suite("Account link")
struct LinkTests {
  @Test func `logs in with SHA-256, outbound, and one instance for ever`() throws {
    let world = World()
    world.do { $0.start(at: $1, into: &$2) }
    #expect(world.connects == 1)
    world.open()
    let first = try #require(world.next(.register))
    #expect(first.credentials.isEmpty)
    let second = try #require(world.challenge(first))
    #expect(world.isSigned(second))
    #expect(second.cseq == CSeq(2, .register))
    #expect(second.callID == first.callID)
    #expect(second.topVia?.branch != first.topVia?.branch)
    let contact = try #require(second.contact)
    #expect(contact.instance == "urn:uuid:00000000-0000-1000-8000-000a95a0e128")
    #expect(contact.registrationID == 1)
    #expect(contact.isOutbound)
    #expect(second.list(.supported, contains: "outbound") && second.list(.supported, contains: "path"))
    #expect(!world.agent.isUp)
    world.grant(second)
    #expect(world.agent.isUp)
    #expect(world.events == [.linkUp])
  }

  @Test func `a wrong password is reported once and not hammered`() {
    let world = World()
    world.do { $0.start(at: $1, into: &$2) }
    world.open()
    let second = world.challenge(world.next(.register))
    #expect(world.challenge(second) == nil)
    guard case .linkDown(.badPassword, let wait)? = world.events.last else {
      Issue.record("\(world.events)")
      return
    }
    #expect(wait >= .seconds(30))
    #expect(world.closes == 1)
    world.advance(.seconds(29))
    #expect(world.connects == 1)
  }

  @Test func `somebody else's realm gets no digest`() {
    let world = World()
    world.do { $0.start(at: $1, into: &$2) }
    world.open()
    #expect(world.challenge(world.next(.register), realm: "evil.example.com") == nil)
    guard case .linkDown(.foreignRealm("evil.example.com"), _)? = world.events.last else {
      Issue.record("\(world.events)")
      return
    }
    #expect(world.sent.isEmpty)
  }

  @Test(arguments: UInt64(0)..<20)
  func `a killed server is tried again within a second and gets everything anew`(seed: UInt64) throws {
    let world = World(seed: seed)
    world.do { $0.publish(Array("<presence/>".utf8), contentType: "application/pidf+xml", at: $1, into: &$2) }
    world.logIn()
    world.answer(world.next(.publish), 200) {
      $0.sipETag = "e1"; $0.expires = 600
    }
    #expect(world.events == [.published])
    world.close()
    #expect(!world.agent.isUp)
    world.advance(.seconds(1))
    #expect(world.connects == 2)
    world.open()
    // The nonce of the old flow is tried first: no round trip is lost if it still holds.
    let register = try #require(world.next(.register))
    #expect(world.isSigned(register))
    world.grant(register)
    let publish = try #require(world.next(.publish))
    #expect(publish.sipIfMatch == nil)
    #expect(publish.body == Array("<presence/>".utf8))
    #expect(world.agent.reconnects == 1)
  }

  @Test func `ten seconds without a pong end the flow`() {
    let world = World()
    world.logIn()
    world.advance(.seconds(25))
    #expect(world.pings == 1)
    world.deliver([0x0D, 0x0A])
    #expect(world.events.count == 1)
    world.advance(.seconds(25))
    #expect(world.pings == 2)
    world.advance(.seconds(10))
    guard case .linkDown(.noHeartbeat, _)? = world.events.last else {
      Issue.record("\(world.events)")
      return
    }
    #expect(world.closes == 1)
  }

  @Test func `the server's Flow-Timer sets the heartbeat`() {
    let world = World()
    world.do { $0.start(at: $1, into: &$2) }
    world.open()
    world.grant(world.next(.register), flowTimer: 100)
    world.advance(.seconds(79))
    #expect(world.pings == 0)
    world.advance(.seconds(21))
    #expect(world.pings == 1)
  }

  @Test func `a server that is too busy is left alone for as long as it asks`() {
    let world = World()
    world.do { $0.start(at: $1, into: &$2) }
    world.open()
    world.answer(world.next(.register), 503) { $0.retryAfter = 40 }
    guard case .linkDown(.refused(503), let wait)? = world.events.last else {
      Issue.record("\(world.events)")
      return
    }
    #expect(wait == .seconds(40))
  }

  @Test func `an interval too brief is corrected`() throws {
    let world = World()
    world.do { $0.start(at: $1, into: &$2) }
    world.open()
    world.answer(world.next(.register), 423) { $0.minExpires = 1800 }
    let again = try #require(world.next(.register))
    #expect(again.expires == 1800)
    world.grant(again, expires: 1800)
    #expect(world.agent.isUp)
  }

  @Test func `the registration is renewed before it expires`() throws {
    let world = World()
    world.logIn()
    while world.sent.isEmpty && world.now < .zero + .seconds(600) {
      let pings = world.pings
      world.advance(.seconds(1))
      if world.pings > pings { world.deliver([0x0D, 0x0A]) }
    }
    #expect(world.now >= .zero + .seconds(400) && world.now < .zero + .seconds(600))
    let refresh = try #require(world.next(.register))
    #expect(world.isSigned(refresh))
    world.grant(refresh)
    #expect(world.agent.isUp)
  }

  @Test func `a silent server is given up after ten seconds`() {
    let world = World()
    world.do { $0.start(at: $1, into: &$2) }
    world.open()
    world.advance(.seconds(10))
    guard case .linkDown(.silent, _)? = world.events.last else {
      Issue.record("\(world.events)")
      return
    }
  }

  @Test func `noise instead of SIP closes the flow`() {
    let world = World()
    world.logIn()
    world.deliver([0x16, 0x03, 0x01, 0x02])
    guard case .linkDown(.notSIP, _)? = world.events.last else {
      Issue.record("\(world.events)")
      return
    }
  }

  @Test func `a changed network ends the waiting at once`() {
    let world = World()
    world.do { $0.start(at: $1, into: &$2) }
    for _ in 0..<400 {
      world.close("unreachable")
      world.advance(.seconds(120))
    }
    world.close("unreachable")
    let before = world.connects
    world.advance(.seconds(1))
    world.do { $0.networkChanged(at: $1, into: &$2) }
    #expect(world.connects == before + 1)
  }

  @Test func `a changed document replaces the published one, and 412 starts afresh`() throws {
    let world = World()
    world.do { $0.publish(Array("one".utf8), contentType: "text/plain", at: $1, into: &$2) }
    world.logIn()
    let first = try #require(world.next(.publish))
    world.do { $0.publish(Array("two".utf8), contentType: "text/plain", at: $1, into: &$2) }
    #expect(world.sent.isEmpty)
    world.answer(first, 200) { $0.sipETag = "e1" }
    let second = try #require(world.next(.publish))
    #expect(second.sipIfMatch == "e1")
    #expect(second.body == Array("two".utf8))
    world.answer(second, 412)
    let third = try #require(world.next(.publish))
    #expect(third.sipIfMatch == nil)
    #expect(third.body == Array("two".utf8))
  }

  @Test func `taking leave removes the binding and closes the flow`() throws {
    let world = World()
    world.logIn()
    world.do { $0.stop(at: $1, into: &$2) }
    let leave = try #require(world.next(.register))
    #expect(leave.expires == 0)
    world.answer(leave, 200)
    #expect(world.closes == 1)
    #expect(world.agent.isStopped)
  }
}
