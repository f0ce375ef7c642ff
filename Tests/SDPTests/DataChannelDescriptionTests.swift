import EdgeCore
import SDP
import Testing

@Suite("Data channel description")
struct DataChannelDescriptionTests {
  static let fingerprint = Fingerprint(Samples.fingerprint)!

  static func example() -> DataChannelDescription {
    var example = DataChannelDescription(
      sessionID: "42", iceUfrag: "abcd", icePassword: "0123456789abcdefABCDEF", fingerprint: fingerprint,
      setup: .actpass)
    example.candidates = [
      SDPCandidate(
        foundation: "1", priority: 2_130_706_431, address: SocketAddress("[2001:db8::1]:5000")!, kind: .host),
      SDPCandidate(
        foundation: "2", priority: 2_130_706_175, address: SocketAddress("192.0.2.7:5001")!, kind: .host),
      SDPCandidate(
        foundation: "3", priority: 1_694_498_815, address: SocketAddress("203.0.113.7:6001")!,
        kind: .serverReflexive, relatedAddress: SocketAddress("0.0.0.0:9")!),
    ]
    return example
  }

  @Test func `Chromium's offer is understood`() throws {
    let offer = try DataChannelDescription(Samples.chromiumOffer)
    #expect(offer.iceUfrag == "YGmB")
    #expect(offer.icePassword == "WVoPGXjvny3Bfo4SNN+39paC")
    #expect(offer.iceOptions == ["trickle"])
    #expect(offer.hasICEOption("ice2") == false)
    #expect(offer.setup == .actpass)
    #expect(offer.mid == "0")
    #expect(offer.isBundled)
    #expect(offer.sctpPort == 5000)
    #expect(offer.maxMessageSize == 262_144)
    #expect(offer.fingerprints == [Self.fingerprint])
    #expect(offer.endOfCandidates == false)
    // The mDNS name and the TCP candidate are left out, without an error.
    #expect(offer.candidates.map(\.kind) == [.host, .host, .serverReflexive])
    #expect(offer.candidates[2].relatedAddress == SocketAddress("192.0.2.163:59267"))
    #expect(
      offer.candidates[2].extensions == [.init(name: "generation", value: "0"), .init(name: "network-id", value: "1")])
  }

  @Test func `aiortc's offer is understood, its longer fingerprints set aside`() throws {
    let offer = try DataChannelDescription(Samples.aiortcOffer)
    #expect(offer.fingerprints == [Self.fingerprint])
    #expect(offer.candidates.count == 2)
    #expect(offer.endOfCandidates)
    #expect(offer.iceOptions.isEmpty)
  }

  @Test func `session-level values hold where the section has none`() throws {
    let offer = try DataChannelDescription(Samples.twoSections)
    #expect(offer.fingerprints == [Self.fingerprint])
    #expect(offer.iceOptions == ["trickle"])
    #expect(offer.mid == "1")
  }

  @Test func `an offer carries a wish, and one that is none costs nothing else`() throws {
    var offer = Self.example()
    offer.wish = "quality=lossless size=640x480"
    #expect(offer.serialized.contains("\r\na=x-edge-wish:quality=lossless size=640x480\r\n"))
    #expect(try DataChannelDescription(offer.serialized) == offer)
    for bad in ["", String(repeating: "a", count: 129), "quality=\u{7}", "quality=gr\u{fc}n"] {
      offer.wish = bad
      let read = try DataChannelDescription(offer.serialized)
      #expect(read.wish == nil)
      #expect(read.candidates == offer.candidates)
    }
  }

  @Test func `ours is written as browsers and aiortc want it`() {
    #expect(
      Self.example().serialized
        == """
        v=0\r
        o=- 42 1 IN IP4 0.0.0.0\r
        s=-\r
        t=0 0\r
        a=group:BUNDLE 0\r
        m=application 6001 UDP/DTLS/SCTP webrtc-datachannel\r
        c=IN IP4 203.0.113.7\r
        a=mid:0\r
        a=ice-ufrag:abcd\r
        a=ice-pwd:0123456789abcdefABCDEF\r
        a=ice-options:ice2 trickle\r
        a=fingerprint:sha-256 \(Samples.fingerprint)\r
        a=setup:actpass\r
        a=sctp-port:5000\r
        a=max-message-size:65536\r
        a=candidate:1 1 udp 2130706431 2001:db8::1 5000 typ host\r
        a=candidate:2 1 udp 2130706175 192.0.2.7 5001 typ host\r
        a=candidate:3 1 udp 1694498815 203.0.113.7 6001 typ srflx raddr 0.0.0.0 rport 9\r

        """)
  }

  @Test func `without a candidate the destination is port 9`() {
    var offer = Self.example()
    offer.candidates = []
    let media = offer.sessionDescription.media[0]
    #expect(media.port == 9)
    #expect(media.connection?.address == "0.0.0.0")
  }

  @Test func `everything survives a round trip`() throws {
    var offer = Self.example()
    #expect(try DataChannelDescription(offer.serialized) == offer)
    offer.sessionVersion = 7
    offer.iceOptions = []
    offer.isICELite = true
    offer.endOfCandidates = true
    offer.fingerprints.append(Fingerprint(bytes: Array(repeating: 9, count: 32))!)
    offer.setup = .passive
    offer.tlsID = "abc3de65cddef001be82"
    offer.mid = "data"
    offer.isBundled = false
    offer.sctpPort = 1
    offer.maxMessageSize = 0
    #expect(try DataChannelDescription(offer.serialized) == offer)
  }

  @Test func `a message size left out means 64 KiB`() throws {
    let text = Samples.chromiumOffer.replacing("a=max-message-size:262144\r\n", with: "")
    #expect(try DataChannelDescription(text).maxMessageSize == 65_536)
  }

  @Test(arguments: [
    ("a=ice-ufrag:YGmB", "", SDPError.missing(.iceUfrag)),
    ("a=ice-ufrag:YGmB", "a=ice-ufrag:abc", .invalid(.iceUfrag)),
    ("a=ice-ufrag:YGmB", "a=ice-ufrag:ab c", .invalid(.iceUfrag)),
    ("a=ice-pwd:WVoPGXjvny3Bfo4SNN+39paC", "", .missing(.icePassword)),
    ("a=ice-pwd:WVoPGXjvny3Bfo4SNN+39paC", "a=ice-pwd:short", .invalid(.icePassword)),
    ("a=setup:actpass", "", .missing(.setup)),
    ("a=setup:actpass", "a=setup:holdconn", .invalid(.setup)),
    ("a=sctp-port:5000", "", .missing(.sctpPort)),
    ("a=sctp-port:5000", "a=sctp-port:0", .invalid(.sctpPort)),
    ("a=sctp-port:5000", "a=sctp-port:65536", .invalid(.sctpPort)),
    ("a=max-message-size:262144", "a=max-message-size:-1", .invalid(.maxMessageSize)),
    ("a=fingerprint:sha-256", "a=fingerprint:sha-1", .missing(.fingerprint)),
    ("a=fingerprint:sha-256 2D:", "a=fingerprint:sha-256 ", .invalid(.fingerprint)),
    ("a=mid:0", "a=mid:a b", .invalid(.mid)),
    ("a=mid:0", "a=tls-id:short", .invalid(.tlsID)),
    ("m=application 59267", "m=application 0", .noDataChannel),
    ("m=application", "m=audio", .noDataChannel),
    ("UDP/DTLS/SCTP", "DTLS/SCTP", .noDataChannel),
  ])
  func `each missing or broken attribute is named`(from: String, to: String, error: SDPError) {
    let line = to.isEmpty ? from + "\r\n" : from
    let text = Samples.chromiumOffer.replacing(line, with: to)
    #expect(text != Samples.chromiumOffer)
    #expect(throws: error) { try DataChannelDescription(text) }
  }

  @Test func `an answer refuses the sections it has no use for`() throws {
    let offer = try SessionDescription(Samples.twoSections)
    var description = Self.example()
    description.setup = .active
    description.mid = try DataChannelDescription(offer).mid
    let answer = description.answer(to: offer)
    #expect(answer.media.map(\.kind) == ["audio", "application"])
    #expect(answer.media[0].port == 0)
    #expect(answer.media[0].attribute("mid") == "0")
    #expect(answer.attribute("group") == "BUNDLE 1")
    #expect(try DataChannelDescription(answer) == description)
  }

  @Test func `more candidates than the limit are dropped, not refused`() throws {
    var offer = Self.example()
    offer.candidates = (1...100).map {
      SDPCandidate(
        foundation: "\($0)", priority: 1, address: SocketAddress(.v4(0xC000_0201), port: UInt16($0)), kind: .host)
    }
    #expect(try DataChannelDescription(offer.serialized).candidates == Array(offer.candidates[..<64]))
  }
}

@Suite("Candidate text")
struct CandidateTests {
  @Test(arguments: [
    "1 1 udp 2130706431 192.0.2.1 5000 typ host",
    "a+/9 1 udp 1 2001:db8::1 65535 typ prflx raddr 192.0.2.1 rport 1",
    "842163049 1 udp 1677729535 203.0.113.5 46154 typ srflx raddr 0.0.0.0 rport 0 generation 0 ufrag 4ZcD network-cost 999",
    "3 2 udp 2147483647 198.51.100.3 3478 typ relay raddr 198.51.100.9 rport 9",
  ])
  func `text survives a round trip`(text: String) throws {
    #expect(try SDPCandidate(text).serialized == text)
    #expect(try SDPCandidate("candidate:" + text).serialized == text)
  }

  @Test(arguments: [
    ("1 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active", SDPCandidateError.unsupported(.transport)),
    ("1 1 ssl 1 192.0.2.1 9 typ host", .unsupported(.transport)),
    ("1 1 UDP 1 3c1e6.local 9 typ host", .unsupported(.address)),
    ("1 1 UDP 1 fe80::1%eth0 9 typ host", .unsupported(.address)),
    ("1 1 UDP 1 192.0.2.1 0 typ host", .unsupported(.address)),
    ("1 1 UDP 1 192.0.2.1 9 typ magic", .unsupported(.type)),
    ("", .malformed), ("1 1 udp 1 192.0.2.1 9 typ", .malformed), ("1 1 udp 1 192.0.2.1 9 kind host", .malformed),
    ("1 0 udp 1 192.0.2.1 9 typ host", .malformed), ("1 257 udp 1 192.0.2.1 9 typ host", .malformed),
    ("1 1 udp 0 192.0.2.1 9 typ host", .malformed), ("1 1 udp 2147483648 192.0.2.1 9 typ host", .malformed),
    ("1 1 udp 1 192.0.2.1 65536 typ host", .malformed), ("a_b 1 udp 1 192.0.2.1 9 typ host", .malformed),
    ("123456789012345678901234567890123 1 udp 1 192.0.2.1 9 typ host", .malformed),
  ])
  func `what cannot be used is told apart from what is broken`(text: String, error: SDPCandidateError) {
    #expect(throws: error) { try SDPCandidate(text) }
  }
}

@Suite("Trickle fragment")
struct TrickleFragmentTests {
  @Test func `the RFC 8840 example is understood`() throws {
    let fragment = try TrickleFragment(Samples.fragment)
    #expect(fragment.sections.map(\.mid) == ["1", "2"])
    #expect(fragment.sections.map(\.candidates.count) == [2, 1])
    #expect(fragment.sections.map(\.endOfCandidates) == [true, false])
    #expect(fragment.section(mid: "2")?.iceUfrag == "8hhY")
    #expect(fragment.section(mid: "3") == nil)
  }

  @Test func `a fragment survives a round trip`() throws {
    let fragment = TrickleFragment(sections: [
      .init(
        mid: "0", iceUfrag: "abcd", icePassword: "0123456789abcdefABCDEF",
        candidates: DataChannelDescriptionTests.example().candidates, endOfCandidates: true)
    ])
    #expect(try TrickleFragment(fragment.serialized) == fragment)
  }

  @Test func `a fragment that is not one is refused`() {
    #expect(throws: SDPError.malformed(.attribute, line: 1)) { try TrickleFragment("v=0\r\n") }
    #expect(throws: SDPError.missing(.mid)) { try TrickleFragment("m=audio 9 RTP/AVP 0\r\n") }
    #expect(throws: SDPError.missing(.iceUfrag)) { try TrickleFragment("m=audio 9 RTP/AVP 0\r\na=mid:1\r\n") }
  }

  @Test func `one changed byte never traps`() throws {
    let original = Array(Samples.fragment.utf8)
    for index in original.indices {
      for value: UInt8 in [0, 0x0A, 0x20, 0x30, 0x3A, 0x6D, 0xFF] {
        var bytes = original
        bytes[index] = value
        guard let fragment = try? TrickleFragment(parsing: bytes.span.bytes) else { continue }
        #expect(try TrickleFragment(fragment.serialized) == fragment)
      }
    }
  }
}
