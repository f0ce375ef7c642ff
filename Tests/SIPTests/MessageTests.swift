import EdgeCore
import SIP
import Testing

@Suite("SIP messages")
struct MessageTests {
  static let request = Array(
    """
    INVITE sip:bob@biloxi.com SIP/2.0\r
    Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776asdhds;rport\r
    Max-Forwards: 70\r
    To: Bob <sip:bob@biloxi.com>\r
    From: Alice <sip:alice@atlanta.com>;tag=1928301774\r
    Call-ID: a84b4c76e66710@pc33.atlanta.com\r
    CSeq: 314159 INVITE\r
    Contact: <sip:alice@pc33.atlanta.com>\r
    Record-Route: <sip:p1.example.com;lr>, <sip:p2.example.com;lr>\r
    X-Bypass-me : lol\r
    \r

    """.utf8)

  static func with(_ line: String) -> [UInt8] {
    let text = String(decoding: request, as: UTF8.self)
    // The last character is the CRLF of the empty line.
    return Array((text.dropLast() + line + "\r\n\r\n").utf8)
  }

  @Test func `a response copies what RFC 3261 section 8.2.6 says and adds the tag`() throws {
    let message = try Message(parsing: Self.request)
    let response = Message.response(to: message, status: 180, tag: "a6c85cf")
    #expect(response.topVia == message.topVia)
    #expect(response.from == message.from)
    #expect(response.callID == message.callID)
    #expect(response.cseq == message.cseq)
    #expect(response.to?.tag == "a6c85cf")
    #expect(response.values(.recordRoute) == ["<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>"])
    #expect(try Message(parsing: response.serialized(), framing: .stream) == response)
    #expect(Message.response(to: message, status: 100, tag: "x").to?.tag == nil)
    #expect(Message.response(to: message, status: 486, tag: "x").recordRoutes.isEmpty)
  }

  @Test func `a space before the colon does not hide a field`() throws {
    var message = try Message(parsing: Self.request)
    #expect(message[HeaderName("x-bypass-me")] == "lol")
    message.removeAll(HeaderName("X-BYPASS-ME"))
    #expect(!String(decoding: message.serialized(), as: UTF8.self).contains("ypass"))
  }

  @Test func `comma lists of routes are one field per value`() throws {
    var message = try Message(parsing: Self.request)
    #expect(message.recordRoutes.map(\.uri.host) == ["p1.example.com", "p2.example.com"])
    message.prepend(.recordRoute, "<sip:p0.example.com;lr>")
    #expect(message.recordRoutes.map(\.uri.host) == ["p0.example.com", "p1.example.com", "p2.example.com"])
    message.push(Via(transport: "TCP", host: "p0.example.com", port: 5060, branch: "z9hG4bKx"))
    #expect(message.vias.map(\.transport) == ["TCP", "UDP"])
    message.removeFirst(.via)
    #expect(message.topVia?.host == "pc33.atlanta.com")
  }

  @Test func `a value cannot start another header field`() throws {
    var message = try Message(parsing: Self.request)
    message[.subject] = "hi\r\nContact: <sip:evil@example.com>"
    let parsed = try Message(parsing: message.serialized())
    #expect(parsed.values(.contact).count == 1)
    #expect(parsed[.subject] == "hi  Contact: <sip:evil@example.com>")
  }

  @Test func `setting a field replaces all of its name and keeps its place`() throws {
    var message = try Message(parsing: Self.with("Supported: a\r\nX: 1\r\nSupported: b,c"))
    #expect(message.list(.supported) == ["a", "b", "c"])
    #expect(message.list(.supported, contains: "C"))
    message[.supported] = "path, outbound"
    #expect(message.values(.supported) == ["path, outbound"])
    #expect(message.headers.last?.name == HeaderName("X"))
  }

  @Test(arguments: [
    "Contact: *", "Contact: \"a,b\" <sip:a@b;x=y>;q=0.5, <sip:c@[2001:db8::1]:5061>", "Event: presence;id=7",
    "Subscription-State: terminated;reason=timeout;retry-after=5", "Expires: 4294967296", "Flow-Timer: 25",
    "Contact: <sip:x@y;ob>;reg-id=1;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>\"",
  ])
  func `parse of serialize gives the same message back`(line: String) throws {
    let text = String(decoding: Self.with(line), as: UTF8.self).replacing(
      "Contact: <sip:alice@pc33.atlanta.com>\r\n", with: "")
    let message = try Message(parsing: Array(text.utf8))
    #expect(try Message(parsing: message.serialized()) == message)
  }

  @Test func `typed fields read what RFC 5626 and RFC 6665 put there`() throws {
    let line =
      "Contact: <sip:x@y;ob>;reg-id=1;expires=600;+sip.instance=\"<urn:uuid:1>\"\r\nEvent: presence;id=7\r\n"
      + "Subscription-State: terminated;reason=timeout;retry-after=5\r\nFlow-Timer: 25\r\nRetry-After: 18 (busy);duration=3"
    let message = try Message(parsing: Self.with(line))
    guard case .addresses(let contacts) = message.contactList, contacts.count == 2 else {
      Issue.record("contacts")
      return
    }
    #expect(contacts[1].instance == "urn:uuid:1")
    #expect(contacts[1].registrationID == 1)
    #expect(contacts[1].expires == 600)
    #expect(contacts[1].isOutbound)
    #expect(message.event == Event("presence", id: "7"))
    #expect(message.subscriptionState == SubscriptionState(.terminated, reason: "timeout", retryAfter: 5))
    #expect(message.flowTimer == 25)
    #expect(message.retryAfter == 18)
  }

  @Test(arguments: [
    ("Contact: *, <sip:a@b>", 400), ("Via: SIP/2.0/UDP a b", 400), ("Max-Forwards: 3", 400),
    ("Contact: \"unterminated <sip:a@b>", 400),
    (
      "Via: " + Array(repeating: "SIP/2.0/UDP h", count: 64).joined(separator: ",")
        + "\r\nVia: SIP/2.0/UDP a,SIP/2.0/UDP b,SIP/2.0/UDP c,SIP/2.0/UDP d,SIP/2.0/UDP e,SIP/2.0/UDP f", 483
    ),
  ])
  func `a request that breaks a rule is refused with the status of the rule`(line: String, status: Int) {
    let error = #expect(throws: MessageError.self) { try Message(parsing: Self.with(line)) }
    guard case .refused(let refusal) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(refusal.status.value == status)
  }

  @Test(arguments: [
    ("X\u{E9}: 1", Malformation.headerName), ("no colon here", .headerName), (": empty", .headerName),
    ("X: a\nY: b", .bareLineEnd), ("X: a\rY: b", .bareLineEnd),
  ])
  func `a broken header line drops the message`(line: String, why: Malformation) {
    let error = #expect(throws: MessageError.self) { try Message(parsing: Self.with(line)) }
    guard case .malformed(let reason, _) = error else {
      Issue.record("not dropped")
      return
    }
    #expect(reason == why)
  }

  @Test func `the caps hold`() {
    let tooMany = (0..<300).map { "X-\($0): y" }.joined(separator: "\r\n")
    let tooLong = "X: " + String(repeating: "a", count: 9000)
    let folded = "X: a" + String(repeating: "\r\n bcdefgh", count: 1500)
    let commas = "Contact: " + Array(repeating: "<sip:a@b>", count: 1000).joined(separator: ",")
    for line in [tooMany, tooLong, folded, commas] {
      #expect(throws: MessageError.self) { try Message(parsing: Self.with(line)) }
    }
    #expect(throws: MessageError.malformed(.tooLarge, offset: 65535)) {
      try Message(parsing: [UInt8](repeating: 0x41, count: 65536))
    }
    #expect(URI("sip:" + String(repeating: "a", count: 2000) + "@b") == nil)
    #expect(NameAddress("<sip:a@b>" + String(repeating: ";x=y", count: 33)) == nil)
  }

  @Test func `header names are one whatever their case or form`() {
    #expect(HeaderName("v") == .via)
    #expect(HeaderName("VIA") == .via)
    #expect(HeaderName("x-a") == HeaderName("X-A"))
    #expect(HeaderName("x-a").hashValue == HeaderName("X-A").hashValue)
    #expect(HeaderName("x-a") != HeaderName("x-b"))
    #expect(HeaderName("x-a") != .via)
  }
}
