import EdgeCore
import SIP
import Testing
import UserAgent

/// RFC 3261 §8.2: what a request is checked for before anybody acts on it.
@Suite("Requests that are refused")
struct RefusalTests {
  private func bytes(_ message: Message, replacing text: String, with other: String) -> [UInt8] {
    let whole = String(decoding: message.serialized(), as: UTF8.self)
    #expect(whole.contains(text))
    return Array(whole.replacing(text, with: other).utf8)
  }

  @Test func `a malformed request is answered, a malformed acknowledgement never`() {
    let world = World()
    world.logIn()
    var request = world.invite()
    request.startLine = .request(.options, URI(.sip, user: "gate-box", host: "192.0.2.7"))
    request.cseq = CSeq(1, .options)
    world.deliver(bytes(request, replacing: "CSeq: 1 OPTIONS", with: "CSeq: 1 INVITE"))
    #expect(world.sent.last?.status == 400)
    #expect(world.sent.last?.to?.tag != nil)
    world.sent.removeAll()
    request.startLine = .request(.ack, URI(.sip, user: "gate-box", host: "192.0.2.7"))
    request.cseq = CSeq(1, .ack)
    world.deliver(bytes(request, replacing: "CSeq: 1 ACK", with: "CSeq: 1 INVITE"))
    world.deliver(bytes(request, replacing: "SIP/2.0\r\n", with: "SIP/3.0\r\n"))
    #expect(world.sent.isEmpty)
    #expect(world.agent.isUp)
  }

  @Test func `a malformed acknowledgement in a datagram is not answered either`() {
    let world = World()
    world.logIn()
    var request = world.invite()
    request.startLine = .request(.ack, URI(.sip, user: "gate-box", host: "192.0.2.7"))
    let ack = bytes(request, replacing: "CSeq: 1 INVITE", with: "CSeq: 1 BYE")
    world.do { $0.receive(datagram: ack.span.bytes, at: $1, into: &$2) }
    #expect(world.sent.isEmpty)
    request.startLine = .request(.bye, URI(.sip, user: "gate-box", host: "192.0.2.7"))
    let bye = bytes(request, replacing: "CSeq: 1 INVITE", with: "CSeq: 1 ACK")
    world.do { $0.receive(datagram: bye.span.bytes, at: $1, into: &$2) }
    #expect(world.sent.last?.status == 400)
  }

  @Test func `an answer with two Vias was meant for somebody else`() throws {
    let world = World()
    world.do { $0.start(at: $1, into: &$2) }
    world.open()
    let register = try #require(world.next(.register))
    var response = Message.response(to: register, status: 403, tag: "server")
    response.append(.via, "SIP/2.0/TLS other.example.org;branch=z9hG4bKother")
    world.deliver(response)
    #expect(world.events.isEmpty)
    world.grant(world.challenge(register))
    #expect(world.agent.isUp)
  }

  @Test func `the same INVITE by another path is a merged request`() {
    let world = World()
    world.logIn()
    world.deliver(world.invite())
    #expect(world.events.count == 1)
    world.deliver(world.invite(branch: "z9hG4bKin2"))
    #expect(world.sent.last?.status == 482)
    // With the same branch it is the same transaction: nothing new.
    world.deliver(world.invite())
    #expect(world.events.count == 1)
    var next = world.invite(branch: "z9hG4bKin3")
    next.cseq = CSeq(2, .invite)
    world.deliver(next)
    #expect(world.events.count == 2)
  }

  @Test func `a body of another type is refused with what is accepted, unless it is optional`() {
    let world = World()
    world.logIn()
    var request = world.invite()
    request.setBody([1], type: "text/plain")
    world.deliver(request)
    #expect(world.sent.last?.status == 415)
    #expect(world.sent.last?[.accept] == "application/sdp")
    var packed = world.invite(branch: "z9hG4bKin2")
    packed.callID = "call-2"
    packed.append(.contentEncoding, "gzip")
    world.deliver(packed)
    #expect(world.sent.last?.status == 415)
    #expect(world.sent.last?[.acceptEncoding] == "identity")
    #expect(world.events.isEmpty)
    var optional = request
    optional.topVia = Via(transport: "TLS", host: World.domain, port: 5061, branch: "z9hG4bKin3")
    optional.callID = "call-3"
    optional.append(.contentDisposition, "icon; handling = optional")
    world.deliver(optional)
    #expect(world.events.count == 1)
  }

  @Test func `a telephone number is no address here`() {
    let world = World()
    world.logIn()
    world.deliver(
      bytes(world.invite(), replacing: "INVITE sip:CAM-1@rv.example.org", with: "INVITE tel:+4930123456"))
    #expect(world.sent.last?.status == 416)
    #expect(world.events.isEmpty)
  }

  @Test func `goodbyes and news from outside any dialog are told so`() {
    let world = World()
    world.logIn()
    for (number, method) in [SIP.Method.bye, .info, .notify].enumerated() {
      var request = world.invite(branch: "z9hG4bKout\(number)")
      request.startLine = .request(method, URI(.sip, user: "gate-box", host: "192.0.2.7"))
      request.cseq = CSeq(1, method)
      world.deliver(request)
      #expect(world.sent.last?.status == 481)
    }
  }

  @Test func `what we say we support may be required`() {
    let world = World()
    world.logIn()
    var request = world.invite()
    request.append(.require, "trickle-ice")
    world.deliver(request)
    #expect(world.events.count == 1)
  }

  @Test func `a call that comes while taking leave is not taken`() {
    let world = World()
    world.logIn()
    world.do { $0.stop(at: $1, into: &$2) }
    world.deliver(world.invite())
    #expect(world.sent.last?.status == 480)
    #expect(world.events.isEmpty)
  }
}
