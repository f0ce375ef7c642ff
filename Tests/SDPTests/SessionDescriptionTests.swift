import EdgeCore
import SDP
import Testing

@Suite("Session description")
struct SessionDescriptionTests {
  @Test(arguments: Samples.descriptions)
  func `what a real peer sent is written back byte for byte`(sample: Samples.Named) throws {
    #expect(try SessionDescription(sample.text).serialized == sample.text)
  }

  @Test func `the RFC 8866 example is understood`() throws {
    let session = try SessionDescription(Samples.rfc8866)
    #expect(session.origin.username == "jdoe")
    #expect(session.origin.sessionVersion == 3_724_394_405)
    #expect(session.name == "Call to John Smith")
    #expect(session.connection?.address == "198.51.100.1")
    #expect(session.media.map(\.port) == [49170, 49180, 51372])
    #expect(session.media[2].connection?.addressType == "IP6")
    #expect(session.media[2].attribute("rtpmap") == "99 h263-1998/90000")
  }

  @Test func `bare newlines and a missing last newline are accepted`() throws {
    let bare = Samples.chromiumOffer.replacing("\r\n", with: "\n")
    #expect(try SessionDescription(bare) == SessionDescription(Samples.chromiumOffer))
    #expect(try SessionDescription(String(bare.dropLast())) == SessionDescription(Samples.chromiumOffer))
  }

  @Test func `unknown lines and attributes are kept`() throws {
    let text = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nX=later\r\na=novel:1:2\r\na=flag\r\na=empty:\r\n"
    let session = try SessionDescription(text)
    #expect(session.attribute("novel") == "1:2")
    #expect(session.attribute("flag") == "")
    #expect(session.attribute("none") == nil)
    #expect(session.serialized == text)
  }

  @Test(arguments: [
    ("", SDPError.malformed(.version, line: 1)),
    ("v=1\no=- 1 1 IN IP4 h\ns=-\n", .malformed(.version, line: 1)),
    ("v=0\no=- x 1 IN IP4 h\ns=-\n", .malformed(.origin, line: 2)),
    ("v=0\no=- 1 18446744073709551616 IN IP4 h\ns=-\n", .malformed(.origin, line: 2)),
    ("v=0\no=- 1 1 IN IP4\ns=-\n", .malformed(.origin, line: 2)),
    ("v=0\no=- 1 1 IN IP4 h\nt=0 0\n", .malformed(.sessionName, line: 3)),
    ("v=0\no=- 1 1 IN IP4 h\ns=-\nm=audio 65536 RTP/AVP 0\n", .malformed(.mediaLine, line: 4)),
    ("v=0\no=- 1 1 IN IP4 h\ns=-\nm=audio 1 RTP/AVP\n", .malformed(.mediaLine, line: 4)),
    ("v=0\no=- 1 1 IN IP4 h\ns=-\nm=audio 1/0 RTP/AVP 0\n", .malformed(.mediaLine, line: 4)),
    ("v=0\no=- 1 1 IN IP4 h\ns=-\nc=IN IP4\n", .malformed(.connection, line: 4)),
    ("v=0\no=- 1 1 IN IP4 h\ns=-\nc=IN IP4 a\nc=IN IP4 b\n", .malformed(.order, line: 5)),
    ("v=0\no=- 1 1 IN IP4 h\ns=-\nv=0\n", .malformed(.order, line: 4)),
    ("v=0\no=- 1 1 IN IP4 h\ns=-\na=:x\n", .malformed(.attribute, line: 4)),
    ("v=0\no=- 1 1 IN IP4 h\ns=-\nnonsense\n", .malformed(.notTypeEqualsValue, line: 4)),
    ("v=0\no=- 1 1 IN IP4 h\ns=-\n\na=x\n", .malformed(.notTypeEqualsValue, line: 4)),
    ("v=0\no=- 1 1 IN IP4 h\ns=a\rb\n", .malformed(.controlCharacter, line: 3)),
    ("v=0\no=- 1 1 IN IP4 h\ns=a\0b\n", .malformed(.controlCharacter, line: 3)),
  ])
  func `each defect is named with its line`(text: String, error: SDPError) {
    #expect(throws: error) { try SessionDescription(text) }
  }

  @Test func `text that is not UTF-8 is refused`() {
    let head = Array("v=0\no=- 1 1 IN IP4 h\ns=".utf8)
    for bad: [UInt8] in [
      [0x80], [0xC0, 0x80], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2],
    ] {
      let bytes = head + bad + [0x0A]
      #expect(throws: SDPError.malformed(.notUTF8, line: 3)) { try SessionDescription(parsing: bytes.span.bytes) }
    }
    let good = head + Array("Straße 日本 🎥\n".utf8)
    #expect(throws: Never.self) { try SessionDescription(parsing: good.span.bytes) }
  }

  @Test func `limits hold at their edge`() throws {
    let head = "v=0\no=- 1 1 IN IP4 h\ns=-\n"
    let lines = head + String(repeating: "a=x\n", count: SDPLimits.lines - 3)
    #expect(try SessionDescription(lines).attributes.count == SDPLimits.lines - 3)
    #expect(throws: SDPError.tooLarge(.lines)) { try SessionDescription(lines + "a=x\n") }

    let long = head + "a=" + String(repeating: "x", count: SDPLimits.lineBytes - 2)
    #expect(throws: Never.self) { try SessionDescription(long + "\n") }
    #expect(throws: SDPError.tooLarge(.lineBytes)) { try SessionDescription(long + "y\n") }

    let media = head + String(repeating: "m=a 1 b c\n", count: SDPLimits.media)
    #expect(try SessionDescription(media).media.count == SDPLimits.media)
    #expect(throws: SDPError.tooLarge(.media)) { try SessionDescription(media + "m=a 1 b c\n") }

    let big = String(repeating: "x", count: SDPLimits.bytes + 1)
    #expect(throws: SDPError.tooLarge(.bytes)) { try SessionDescription(big) }
  }

  @Test func `a value cannot become a second line`() throws {
    var session = SessionDescription(origin: .init(sessionID: "1", sessionVersion: 1))
    session.name = "evil\r\na=injected"
    #expect(try SessionDescription(session.serialized).attributes.isEmpty)
  }

  /// Every byte of every sample replaced by bytes that matter to the grammar: nothing traps, and what
  /// still parses survives a round trip.
  @Test(arguments: Samples.descriptions)
  func `one changed byte never traps`(sample: Samples.Named) throws {
    let original = Array(sample.text.utf8)
    let values: [UInt8] = [0, 0x0A, 0x0D, 0x20, 0x2F, 0x30, 0x39, 0x3A, 0x3D, 0x63, 0x6D, 0xFF]
    for index in original.indices {
      for value in [values[index % values.count], values[(index * 5 + 7) % values.count]] {
        var bytes = original
        bytes[index] = value
        guard let session = try? SessionDescription(parsing: bytes.span.bytes) else { continue }
        #expect(try SessionDescription(session.serialized) == session)
        guard let channel = try? DataChannelDescription(session) else { continue }
        #expect(try DataChannelDescription(channel.serialized).candidates == channel.candidates)
      }
    }
  }

  @Test func `a truncated description is refused or survives a round trip`() throws {
    let original = Array(Samples.chromiumOffer.utf8)
    for count in stride(from: 0, to: original.count, by: 3) {
      let bytes = Array(original[..<count])
      guard let session = try? SessionDescription(parsing: bytes.span.bytes) else { continue }
      #expect(try SessionDescription(session.serialized) == session)
    }
  }
}
