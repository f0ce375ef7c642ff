import EdgeCore
import SIP
import Testing

@Suite("Stream framer")
struct StreamFramerTests {
  static func message(_ callID: String, body: String = "", headers: String = "") -> String {
    "OPTIONS sip:a@example.com SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK1\r\nTo: <sip:a@example.com>\r\n"
      + "From: <sip:b@example.com>;tag=1\r\nCall-ID: \(callID)\r\nCSeq: 1 OPTIONS\r\n\(headers)"
      + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
  }

  static func drain(_ framer: inout StreamFramer) throws -> [StreamFramer.Item] {
    var items: [StreamFramer.Item] = []
    while let item = try framer.next() { items.append(item) }
    return items
  }

  static let stream =
    "\r\n\r\n" + message("one") + "\r\n" + message("two", body: "\r\n\r\nhello") + "\r\n\r\n\r\n\r\n" + message("three")

  static func shape(_ items: [StreamFramer.Item]) -> [String] {
    items.map {
      switch $0 {
      case .message(let message): message.callID ?? "?"
      case .refused(let refusal): "refused \(refusal.status)"
      case .malformed: "malformed"
      case .ping: "ping"
      case .pong: "pong"
      }
    }
  }

  @Test func `any split into two gives the same messages and pings`() throws {
    let bytes = Array(Self.stream.utf8)
    for split in 0...bytes.count {
      var framer = StreamFramer(side: .server)
      framer.append(Array(bytes[..<split]))
      var items = try Self.drain(&framer)
      framer.append(Array(bytes[split...]))
      items += try Self.drain(&framer)
      #expect(Self.shape(items) == ["ping", "one", "two", "ping", "ping", "three"], "split at \(split)")
      #expect(!framer.isInsideMessage)
    }
  }

  @Test func `one byte at a time gives the same messages and pings`() throws {
    var framer = StreamFramer(side: .server)
    var items: [StreamFramer.Item] = []
    for byte in Self.stream.utf8 {
      framer.append([byte])
      items += try Self.drain(&framer)
    }
    #expect(Self.shape(items) == ["ping", "one", "two", "ping", "ping", "three"])
  }

  @Test func `each line end is a pong to the side that pings`() throws {
    var framer = StreamFramer(side: .client)
    framer.append(Array(("\r\n" + Self.message("one") + "\r\n\r\n").utf8))
    #expect(Self.shape(try Self.drain(&framer)) == ["pong", "one", "pong", "pong"])
  }

  @Test(arguments: [
    "", "Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: -1\r\n", "Content-Length: five\r\n",
    "Content-Length: 99999999999999999999\r\n", "Content-Length: 5, 5\r\n", "l: 3\r\nContent-Length : 3\r\n",
  ])
  func `a stream without one good Content-Length is closed`(fields: String) {
    var framer = StreamFramer(side: .server)
    framer.append(Array("OPTIONS sip:a@b SIP/2.0\r\nCall-ID: x\r\n\(fields)\r\n".utf8))
    #expect(throws: StreamFramer.FramingError.contentLength) { try framer.next() }
    // Closed means closed: what follows is not looked at.
    framer.append(Array(Self.message("late").utf8))
    #expect(throws: StreamFramer.FramingError.contentLength) { try framer.next() }
  }

  @Test func `a field name before a space and a colon counts like any other`() throws {
    var framer = StreamFramer(side: .server)
    framer.append(Array(Self.message("x").replacing("Content-Length:", with: "cOnTeNt-LeNgTh \t:").utf8))
    #expect(Self.shape(try Self.drain(&framer)) == ["x"])
  }

  @Test func `a refused request does not end the stream`() throws {
    var framer = StreamFramer(side: .server)
    framer.append(
      Array((Self.message("x", headers: "Max-Forwards: 1\r\nMax-Forwards: 2\r\n") + Self.message("y")).utf8))
    #expect(Self.shape(try Self.drain(&framer)) == ["refused 400", "y"])
  }

  @Test(arguments: ["\u{16}\u{3}\u{1}", "\r\r", "\r\n\r\rX", "{}", "GET / HTTP/1.1\r\n\r\n"])
  func `what is not SIP ends the stream`(noise: String) {
    var framer = StreamFramer(side: .server)
    framer.append(Array(noise.utf8))
    #expect(throws: StreamFramer.FramingError.notSIP) { while try framer.next() != nil {} }
  }

  @Test func `an endless head is cut off and not kept`() {
    var framer = StreamFramer(side: .server)
    framer.append(Array("OPTIONS sip:a@b SIP/2.0\r\n".utf8))
    #expect(throws: StreamFramer.FramingError.tooLarge) {
      for _ in 0..<100_000 {
        framer.append(Array("X: y\r\n".utf8))
        _ = try framer.next()
      }
    }
    #expect(framer.bufferedBytes == 0)
  }

  @Test func `a body longer than a message may be is refused before it arrives`() {
    var framer = StreamFramer(side: .server)
    framer.append(Array("OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 65500\r\nX: 0123456789\r\n\r\n".utf8))
    #expect(throws: StreamFramer.FramingError.tooLarge) { try framer.next() }
  }

  @Test(arguments: Torture.all)
  func `no torture message traps when it comes byte by byte`(name: String) throws {
    for side in [StreamFramer.Side.client, .server] {
      var framer = StreamFramer(side: side)
      do {
        for byte in try Torture.bytes(name) {
          framer.append([byte])
          while try framer.next() != nil {}
        }
      } catch is StreamFramer.FramingError {}
    }
  }
}
