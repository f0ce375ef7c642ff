import EdgeCore
import SIP
import Testing
import UserAgent

@Suite("Messages")
struct MessageTests {
  private func incoming(_ world: World) -> Message {
    var request = world.invite(branch: "z9hG4bKmsg")
    request.startLine = .request(.message, URI(.sip, user: "gate-box", host: "192.0.2.7"))
    request.cseq = CSeq(1, .message)
    request.setBody(Array("hello".utf8), type: "text/plain")
    return request
  }

  private func received(_ world: World) -> (MessageHandle, IncomingMessage)? {
    for event in world.events { if case .messageReceived(let handle, let message) = event { return (handle, message) } }
    return nil
  }

  private func answers(_ world: World) -> [StatusCode?] {
    world.events.compactMap { event -> StatusCode?? in
      if case .messageAnswered(_, let status) = event { return .some(status) }
      return nil
    }
  }

  @Test func `a message is answered when its owner has kept it, and not before`() throws {
    let world = World()
    world.logIn()
    world.sent.removeAll()
    world.deliver(incoming(world))
    #expect(world.sent.isEmpty)
    let (handle, message) = try #require(received(world))
    #expect(message.sender == "ann")
    #expect(message.contentType == "text/plain")
    #expect(message.body == Array("hello".utf8))
    world.do { $0.answerMessage(handle, 200, at: $1, into: &$2) }
    #expect(world.sent.map { $0.status } == [200])
    world.do { $0.answerMessage(handle, 200, at: $1, into: &$2) }
    #expect(world.sent.count == 1)
  }

  @Test func `no more than sixteen messages wait for their owner`() {
    let world = World()
    world.logIn()
    world.sent.removeAll()
    for number in 0..<17 {
      var request = incoming(world)
      var via = request.topVia!
      via.branch = "z9hG4bKmsg\(number)"
      request.topVia = via
      request.callID = "call-\(number)"
      world.deliver(request)
    }
    #expect(world.sent.map { $0.status } == [503])
  }

  @Test(arguments: [200, 202, 404, 480] as [StatusCode])
  func `what became of a message is told`(status: StatusCode) throws {
    let world = World()
    world.logIn()
    world.sent.removeAll()
    world.do { _ = $0.sendMessage(to: "ann", contentType: "text/plain", body: Array("hi".utf8), at: $1, into: &$2) }
    let request = try #require(world.next(.message))
    #expect(request.requestURI?.user == "ann")
    #expect(request.body == Array("hi".utf8))
    world.answer(request, status)
    #expect(answers(world) == [status])
  }

  @Test func `a message whose answer is lost with the link is told as unanswered`() {
    let world = World()
    world.logIn()
    world.do { _ = $0.sendMessage(to: "ann", contentType: "text/plain", body: Array("hi".utf8), at: $1, into: &$2) }
    world.close()
    #expect(answers(world) == [nil])
  }

  @Test func `the subscription names the terminal, and each notification waits for its owner`() throws {
    let world = World()
    world.logIn()
    world.sent.removeAll()
    world.do { _ = $0.subscribeToMessages(at: $1, into: &$2) }
    let subscribe = try #require(world.next(.subscribe))
    #expect(subscribe.event?.package == "im")
    #expect(subscribe.contact?.instance?.hasPrefix("urn:uuid:") == true)
    #expect(subscribe.body == Array("gate-box".utf8))
  }

  @Test func `a change of a list is published once, under its own name, and its answer told`() throws {
    let world = World()
    world.logIn()
    world.sent.removeAll()
    world.do {
      _ = $0.publishOnce(
        to: "gate-box+contacts", event: "presence", contentType: "application/pidf+xml", body: [0x3C], at: $1, into: &$2
      )
    }
    let request = try #require(world.next(.publish))
    #expect(request.event?.package == "presence")
    #expect(request.requestURI?.decodedUser == "gate-box+contacts" && request.body == [0x3C])
    world.answer(request, 202)
    #expect(answers(world) == [202])
  }
}
