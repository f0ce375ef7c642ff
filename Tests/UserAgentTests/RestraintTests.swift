import EdgeCore
import SIP
import Testing
import UserAgent

/// Whatever the server answers, it is not asked again as fast as it answers.
@Suite("Restraint")
struct RestraintTests {
  @Test func `an interval that is always too brief is asked for twice, not for ever`() {
    let world = World()
    world.do { $0.start(at: $1, into: &$2) }
    world.open()
    var asked = 0
    while asked < 100, world.sent.contains(where: { $0.method == .register }) {
      asked += 1
      let minimum = UInt32(600 + asked)
      world.answer(world.next(.register), 423) { $0.minExpires = minimum }
    }
    #expect(asked == 2)
    guard case .linkDown(.refused(423), _)? = world.events.last else {
      Issue.record("\(world.events)")
      return
    }
  }

  @Test func `a minimum that is no more than what was asked is a refusal`() {
    let world = World()
    world.do { $0.start(at: $1, into: &$2) }
    world.open()
    world.answer(world.next(.register), 423) { $0.minExpires = 60 }
    #expect(world.sent.isEmpty && !world.agent.isConnecting)
  }

  @Test func `the minimum is remembered for the renewals`() throws {
    let world = World()
    world.do { $0.start(at: $1, into: &$2) }
    world.open()
    world.answer(world.next(.register), 423) { $0.minExpires = 1800 }
    world.grant(world.next(.register), expires: 1800)
    world.close()
    world.advance(.seconds(1))
    world.open()
    #expect(try #require(world.next(.register)).expires == 1800)
  }

  @Test func `412 to a publication without an entity tag is a refusal like another`() throws {
    let world = World()
    world.do { $0.publish([1], contentType: "text/plain", at: $1, into: &$2) }
    world.logIn()
    world.answer(world.next(.publish), 412)
    #expect(world.events.last == .publishRefused(412))
    #expect(world.sent.isEmpty)
    world.advance(.seconds(19))
    world.advance(.seconds(11))
    #expect(world.sent.count { $0.method == .publish } == 1)
  }

  @Test func `a publication too brief is corrected once, and a busy server gets the time it asks for`() throws {
    let world = World()
    world.do { $0.publish([1], contentType: "text/plain", at: $1, into: &$2) }
    world.logIn()
    world.answer(world.next(.publish), 423) { $0.minExpires = 900 }
    let again = try #require(world.next(.publish))
    #expect(again.expires == 900)
    world.answer(again, 423) { $0.minExpires = 901 }
    #expect(world.sent.isEmpty && world.events.last == .publishRefused(423))
    world.advance(.seconds(19))
    world.deliver([0x0D, 0x0A])
    world.advance(.seconds(11))
    world.deliver([0x0D, 0x0A])
    world.answer(world.next(.publish), 503) { $0.retryAfter = 120 }
    for _ in 0..<11 {
      world.advance(.seconds(10))
      world.deliver([0x0D, 0x0A])
    }
    #expect(world.sent.isEmpty)
    world.advance(.seconds(10))
    #expect(world.next(.publish) != nil)
  }

  @Test(arguments: ["timeout", "deactivated"])
  func `a subscription ended at once is made again ever more slowly`(reason: String) throws {
    let world = World()
    world.logIn()
    world.do { _ = $0.subscribe(to: "CAM-1", event: "presence", accept: "x/y", at: $1, into: &$2) }
    var subscribed = 0
    for _ in 0..<600 {
      while let index = world.sent.firstIndex(where: { $0.method == .subscribe && $0.isRequest }) {
        let subscribe = world.sent.remove(at: index)
        subscribed += 1
        if subscribed > 1000 { break }
        world.answer(subscribe, 200) { $0.contact = NameAddress(URI(.sip, host: "rv.example.org")) }
        world.deliver(notify(subscribe, "terminated;reason=\(reason)", number: subscribed, world))
      }
      world.advance(.seconds(1))
      world.deliver([0x0D, 0x0A])
    }
    // 1 + 2 + ... + 64 s, then every 60 to 120 s.
    #expect(subscribed >= 7 && subscribed <= 20)
    #expect(!world.events.contains { if case .subscriptionEnded = $0 { true } else { false } })
  }

  @Test func `a subscription is not made again before the time the server names, nor when it forbids it`() throws {
    let world = World()
    world.logIn()
    var handle: SubscriptionHandle?
    world.do { handle = $0.subscribe(to: "CAM-1", event: "presence", accept: "x/y", at: $1, into: &$2) }
    let first = try #require(world.next(.subscribe))
    world.answer(first, 200) { $0.contact = NameAddress(URI(.sip, host: "rv.example.org")) }
    world.deliver(notify(first, "terminated;reason=probation;retry-after=15", number: 1, world))
    world.advance(.seconds(14))
    #expect(world.sent.allSatisfy { $0.method != .subscribe })
    world.advance(.seconds(2))
    let second = try #require(world.next(.subscribe))
    #expect(second.callID != first.callID)
    world.answer(second, 200) { $0.contact = NameAddress(URI(.sip, host: "rv.example.org")) }
    world.deliver(notify(second, "terminated;reason=noresource", number: 2, world))
    #expect(world.events.last == .subscriptionEnded(try #require(handle), nil))
  }

  private func notify(_ subscribe: Message, _ state: String, number: Int, _ world: World) -> Message {
    var request = world.invite(branch: "z9hG4bKn\(number)")
    request.startLine = .request(.notify, URI(.sip, user: "gate-box", host: "192.0.2.7"))
    request.callID = subscribe.callID
    request.to = subscribe.from
    request.from = subscribe.to
    request.from?.tag = "server"
    request.cseq = CSeq(UInt32(number), .notify)
    request.event = Event("presence")
    request.append(.subscriptionState, state)
    request.body = []
    return request
  }

  @Test func `MD5 is answered only where the account allows it`() throws {
    for allows in [false, true] {
      let world = World(allowsMD5: allows)
      world.do { $0.start(at: $1, into: &$2) }
      world.open()
      let second = world.challenge(world.next(.register), algorithm: .md5)
      #expect((second != nil) == allows)
    }
  }

  @Test func `another realm is answered when it is the account's`() throws {
    let world = World(realm: "cameras")
    world.do { $0.start(at: $1, into: &$2) }
    world.open()
    let register = try #require(world.next(.register))
    #expect(world.challenge(register, realm: "cameras")?.credentials.first?.realm == "cameras")
    let other = World(realm: "cameras")
    other.do { $0.start(at: $1, into: &$2) }
    other.open()
    #expect(other.challenge(other.next(.register)) == nil)
  }

  @Test func `starting twice is starting once, and stopping works in every state`() {
    let world = World()
    world.do { $0.start(at: $1, into: &$2) }
    world.do { $0.start(at: $1, into: &$2) }
    #expect(world.connects == 1)
    world.do { $0.stop(at: $1, into: &$2) }
    #expect(world.agent.isStopped && world.closes == 1)
    world.open()
    #expect(world.sent.isEmpty && world.agent.nextDeadline == nil)
    world.do { $0.start(at: $1, into: &$2) }
    world.open()
    world.do { $0.stop(at: $1, into: &$2) }
    #expect(world.agent.isStopped && world.closes == 2 && world.agent.nextDeadline == nil)
    world.sent.removeAll()
    world.deliver(Message.response(to: world.invite(), status: 200))
    let idle = World()
    idle.do { $0.stop(at: $1, into: &$2) }
    #expect(idle.agent.isStopped && idle.closes == 0)
    let viewer = World(registers: false)
    viewer.do { $0.start(at: $1, into: &$2) }
    viewer.open()
    viewer.do { $0.stop(at: $1, into: &$2) }
    #expect(viewer.agent.isStopped && !viewer.agent.isUp && viewer.agent.nextDeadline == nil)
  }

  @Test func `taking leave waits for the registration that is under way`() throws {
    let world = World()
    world.logIn()
    for _ in 0..<97 {
      world.advance(.seconds(5))
      world.deliver([0x0D, 0x0A])
    }
    let refresh = try #require(world.next(.register))
    world.do { $0.stop(at: $1, into: &$2) }
    #expect(world.sent.allSatisfy { $0.method != .register })
    world.grant(refresh)
    let leave = try #require(world.next(.register))
    #expect(leave.expires == 0 && !world.agent.isStopped)
    world.answer(leave, 200)
    #expect(world.agent.isStopped)
  }

  @Test func `a link that never lasts is tried ever more slowly`() {
    let world = World()
    world.do { $0.start(at: $1, into: &$2) }
    for _ in 0..<1200 {
      if world.agent.isConnecting { world.open() }
      if let register = world.sent.first(where: { $0.method == .register && $0.isRequest }) {
        world.sent.removeAll()
        world.grant(register)
        world.close()
      }
      world.advance(.seconds(1))
    }
    // About every second and a half for three minutes, and then ever more slowly.
    #expect(world.connects > 100 && world.connects < 250)
  }
}
