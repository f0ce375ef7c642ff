import EdgeCore
import MSRP
import SDP
import Testing

@Suite("MSRP framing")
struct FramerTests {
  /// RFC 4975 §11.3's message in two chunks, and its answers.
  static let exchange = """
    MSRP d93kswow SEND\r
    To-Path: msrp://bobpc.example.com:8888/9di4eae923wzd;tcp\r
    From-Path: msrp://alicepc.example.com:7777/iau39soe2843z;tcp\r
    Message-ID: 12339sdqwer\r
    Byte-Range: 1-16/16\r
    Content-Type: text/plain\r
    \r
    Hi, I'm Alice!\r
    \r
    -------d93kswow$\r
    MSRP d93kswow 200 OK\r
    To-Path: msrp://alicepc.example.com:7777/iau39soe2843z;tcp\r
    From-Path: msrp://bobpc.example.com:8888/9di4eae923wzd;tcp\r
    -------d93kswow$\r
    MSRP dkei38sd REPORT\r
    To-Path: msrp://alicepc.example.com:7777/iau39soe2843z;tcp\r
    From-Path: msrp://bob.example.com:8888/9di4eae923wzd;tcp\r
    Message-ID: 12339sdqwer\r
    Byte-Range: 1-16/16\r
    Status: 000 200 OK\r
    -------dkei38sd$\r

    """

  @Test func `the messages of the RFC are read, and the line end before the end-line is not the body's`() throws {
    let found = messages(of: [Array(Self.exchange.utf8)])
    #expect(found.error == nil)
    #expect(found.complete.map(\.head.method) == ["SEND", nil, "REPORT"])
    #expect(found.complete[0].body == Array("Hi, I'm Alice!\r\n".utf8))
    #expect(found.complete[0].head.byteRange == MSRPByteRange(start: 1, end: 16, total: 16))
    #expect(found.complete[1].head.responseCode == 200)
    #expect(found.complete[2].head.reportedStatus == 200)
  }

  @Test func `a stream means the same wherever it is cut`() {
    let bytes = Array(Self.exchange.utf8)
    let whole = messages(of: [bytes])
    for cut in 0...bytes.count {
      #expect(messages(of: [Array(bytes[..<cut]), Array(bytes[cut...])]) == whole)
    }
    #expect(messages(of: bytes.map { [$0] }) == whole)
  }

  @Test func `what looks like an end-line in the body is the body's`() {
    for inner in [
      "-------abcd1234", "\r\n-------abcd1235$\r\n", "--------------abcd1234$\r\n", "x-------abcd1234$\r\n",
    ] {
      let text =
        "MSRP abcd1234 SEND\r\nTo-Path: msrp://a:1/b;tcp\r\nFrom-Path: msrp://c:1/d;tcp\r\nMessage-ID: 1234\r\n"
        + "Content-Type: a/b\r\n\r\n" + inner + "\r\n-------abcd1234$\r\n"
      let found = messages(of: [Array(text.utf8)])
      #expect(found.complete.first?.body == Array(inner.utf8))
      #expect(messages(of: text.utf8.map { [$0] }) == found)
    }
  }

  @Test func `a body of any length passes in pieces and little of it is held`() throws {
    var framer = MSRPFramer()
    framer.append(
      Array(
        ("MSRP abcd1234 SEND\r\nTo-Path: msrp://a:1/b;tcp\r\nFrom-Path: msrp://c:1/d;tcp\r\nMessage-ID: 1234\r\n"
          + "Content-Type: a/b\r\n\r\n").utf8))
    _ = try framer.next()
    var given = 0
    for _ in 0..<100 {
      framer.append([UInt8](repeating: 0x2D, count: 10_000))
      while case .body(let piece) = try framer.next() { given += piece.count }
    }
    #expect(given > 100 * 10_000 - 100)
  }

  @Test func `what is no MSRP is refused at once, and what has no path cannot be answered`() {
    for text in [
      "GET / HTTP/1.1\r\n", "\u{16}\u{03}\u{01}\u{02}", "MSRP \r\n", "MSRP a SEND\r\n", "msrp abcd SEND\r\n",
    ] {
      #expect(messages(of: [Array(text.utf8)]).error == .notMSRP)
    }
    let noPath = "MSRP abcd SEND\r\nMessage-ID: 12345\r\nFrom-Path: msrp://a:1/b;tcp\r\n-------abcd$\r\n"
    #expect(messages(of: [Array(noPath.utf8)]).error == .noPath)
    let long = "MSRP abcd SEND\r\n" + String(repeating: "A: b\r\n", count: 5000)
    #expect(messages(of: [Array(long.utf8)]).error == .tooLarge)
    let report =
      "MSRP abcd REPORT\r\nTo-Path: msrp://a:1/b;tcp\r\nFrom-Path: msrp://a:1/b;tcp\r\nContent-Type: a/b\r\n\r\n"
    #expect(messages(of: [Array(report.utf8), [UInt8](repeating: 1, count: 20_000)]).error == .tooLarge)
  }

  @Test func `every one-byte change of an exchange is taken without a trap`() {
    let bytes = Array(Self.exchange.utf8)
    for index in bytes.indices {
      for value: UInt8 in [0, 0x0A, 0x20, 0x2D, bytes[index] ^ 1, 0xFF] {
        var changed = bytes
        changed[index] = value
        checkMSRP(changed)
      }
    }
  }
}

@Suite("MSRP session descriptions")
struct DescriptionTests {
  @Test func `the offer of the RFC is read and written`() throws {
    let text = """
      v=0\r
      o=usera 2890844526 2890844527 IN IP4 alice.example.com\r
      s= -\r
      c=IN IP4 alice.example.com\r
      t=0 0\r
      m=message 7394 TCP/MSRP *\r
      a=accept-types:message/cpim text/plain text/html\r
      a=path:msrp://alice.example.com:7394/2s93i93idj;tcp\r

      """
    let offer = try #require(MSRPDescription(try SessionDescription(text)))
    #expect(offer.acceptTypes == ["message/cpim", "text/plain", "text/html"])
    #expect(offer.path == [MSRPURI(isSecure: false, host: "alice.example.com", port: 7394, sessionID: "2s93i93idj")])
    #expect(offer.setup == nil && !offer.isSecure)
    #expect(MSRPDescription(try SessionDescription(offer.session(id: "1").serialized)) == offer)
  }

  @Test func `the one who opens the connection is agreed on`() {
    #expect(MSRPDescription.answer(to: .actpass, prefersActive: true) == .active)
    #expect(MSRPDescription.answer(to: .actpass, prefersActive: false) == .passive)
    #expect(MSRPDescription.answer(to: .active, prefersActive: true) == .passive)
    #expect(MSRPDescription.answer(to: .passive, prefersActive: false) == .active)
    #expect(MSRPDescription.answer(to: nil, prefersActive: true) == nil)
  }

  @Test func `types are accepted by name, by kind and all`() {
    #expect(MSRPMediaType.accepts(["text/*"], "Text/HTML; charset=utf-8"))
    #expect(!MSRPMediaType.accepts(["text/*"], "texture/x"))
    #expect(MSRPMediaType.accepts(["image/png", "*"], "a/b"))
    #expect(!MSRPMediaType.accepts(["image/png"], "image/jpeg"))
  }
}

@Suite("MSRP bindings")
struct BindingTests {
  @Test func `a session belongs to the connection its first request came over`() {
    var bindings = MSRPBindings<Int>()
    bindings.expect("one")
    #expect(bindings.route("two", over: 1) == .refuse(481))
    #expect(bindings.route(nil, over: 1) == .refuse(481))
    #expect(bindings.route("one", over: 1) == .session("one", isFirst: true))
    #expect(bindings.route("one", over: 1) == .session("one", isFirst: false))
    #expect(bindings.route("one", over: 2) == .refuse(506))
    #expect(bindings.connectionLost(1) == ["one"])
    #expect(bindings.route("one", over: 2) == .session("one", isFirst: true))
  }
}
