import PIDF
import Testing
import XMLDocument

private func parse(_ text: String) throws(XMLError) -> XMLElement { try XMLElement(parsing: Array(text.utf8)) }

@Suite("XML")
struct XMLTests {
  @Test func `names are resolved to namespaces`() throws {
    let root = try parse("<a xmlns='urn:x' xmlns:p='urn:y' k='1' p:k='2'><p:b> t </p:b><c xmlns=''/>x&amp;<d/>y</a>")
    #expect(root.isNamed("a", in: "urn:x"))
    #expect(root.attribute("k") == "1")
    #expect(root.attributes.map(\.namespace) == ["", "urn:y"])
    #expect(root.child("b", in: "urn:y")?.trimmedText == "t")
    #expect(root.child("b", in: "urn:x") == nil)
    #expect(root.child("c", in: "") != nil)
    #expect(root.text == "x&y")
  }

  @Test(arguments: [
    "<!DOCTYPE a><a/>",
    "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
    "<!DOCTYPE l [<!ENTITY a 'aa'><!ENTITY b '&a;&a;&a;'>]><l>&b;</l>",
    "<?xml version='1.0'?><!DOCTYPE l [<!ENTITY x SYSTEM 'http://example.com/'>]><l>&x;</l>",
  ])
  func `a document type is refused, and with it every entity`(text: String) {
    #expect(throws: XMLError.documentType) { try parse(text) }
  }

  @Test(arguments: [
    ("", 1), ("<a>", 1), ("<a></b>", 1), ("<a/><b/>", 1), ("<a>\n&x;</a>", 2), ("<p:a/>", 1), ("<a k='1' k='2'/>", 1),
    ("text", 1), ("<a>\u{1}</a>", 1), ("<a xmlns:p='urn:a&#10;b'><p:c/></a>", 1),
  ])
  func `what is not well-formed is refused with its line`(text: String, line: Int) {
    #expect(throws: XMLError.malformed(line: line)) { try parse(text) }
  }

  @Test func `bytes that are not UTF-8 are refused`() {
    #expect(throws: XMLError.self) { try XMLElement(parsing: Array("<a>".utf8) + [0xFF] + Array("</a>".utf8)) }
    #expect(throws: XMLError.self) { try XMLElement(parsing: [0xFE, 0xFF, 0, 0x3C, 0, 0x61, 0, 0x2F, 0, 0x3E]) }
  }

  @Test func `limits hold at their edge`() throws {
    func nested(_ depth: Int) -> String {
      String(repeating: "<a>", count: depth) + String(repeating: "</a>", count: depth)
    }
    #expect(throws: Never.self) { try parse(nested(XMLLimits.depth)) }
    #expect(throws: XMLError.tooLarge(.depth)) { try parse(nested(XMLLimits.depth + 1)) }
    let wide = String(repeating: "<b/>", count: XMLLimits.elements - 1)
    #expect(try parse("<a>\(wide)</a>").children.count == XMLLimits.elements - 1)
    #expect(throws: XMLError.tooLarge(.elements)) { try parse("<a>\(wide)<b/></a>") }
    let attributes = (0..<XMLLimits.attributes).map { " k\($0)=''" }.joined()
    #expect(throws: Never.self) { try parse("<a\(attributes)/>") }
    #expect(throws: XMLError.tooLarge(.attributes)) { try parse("<a\(attributes) z=''/>") }
    #expect(throws: XMLError.tooLarge(.bytes)) { try parse(String(repeating: " ", count: 65_530) + "<a></a>") }
  }
}

@Suite("Presence")
struct PresenceTests {
  static let presence = Presence(
    entity: "sip:gate-box@rv.example.org",
    tuples: [
      .init(
        serial: "CAM-1", type: "v4l2", name: "<Front> & \"back\" Stra\u{DF}e \u{1F3A5}", formats: ["YUYV", "MJPEG"],
        contact: "sip:CAM-1@rv.example.org", timestamp: 1_795_242_075),
      .init(serial: "2", type: "rtsp", ip: "192.168.1.40", port: 554, isOpen: false),
    ])

  private func parse(_ text: String) throws(PresenceError) -> Presence { try Presence(parsing: Array(text.utf8)) }

  @Test func `what is written is read back`() throws {
    #expect(try parse(Self.presence.serialized) == Self.presence)
    #expect(try parse(Presence(entity: "sip:a@b").serialized) == Presence(entity: "sip:a@b"))
  }

  @Test(arguments: ["\"><x/>", "a&b", "]]>", "tab\tnew\nline\rend", "'", "<!--"])
  func `no text can break out of its place`(text: String) throws {
    var presence = Presence(entity: text)
    presence.tuples = [.init(serial: "A", name: "x" + text + "x", id: text)]
    #expect(try parse(presence.serialized) == presence)
  }

  @Test func `characters XML cannot carry are left out`() throws {
    let presence = Presence(entity: "a\u{0}b\u{1B}c\u{FFFE}d")
    #expect(try parse(presence.serialized).entity == "abcd")
  }

  /// RFC 3863 §4.2.2 and §4.3: other prefixes, unknown elements, no words of ours.
  @Test func `documents of other programs are understood`() throws {
    let presence = try parse(
      """
      <?xml version="1.0" encoding="UTF-8"?>
      <impp:presence xmlns:impp="urn:ietf:params:xml:ns:pidf" xmlns:myex="http://id.example.com/presence/"
          entity="pres:someone@example.com">
        <impp:tuple id="bs35r9">
          <impp:status>
            <impp:basic>
              open
            </impp:basic>
            <myex:ex1 impp:mustUnderstand="1">val1</myex:ex1>
          </impp:status>
          <impp:contact priority="0.8">im:someone@mobilecarrier.net</impp:contact>
          <impp:note xml:lang="en">Don't Disturb Please!</impp:note>
          <impp:timestamp>2001-10-27T16:49:29Z</impp:timestamp>
        </impp:tuple>
        <impp:note>I'll be in Tokyo next week</impp:note>
      </impp:presence>
      """)
    #expect(
      presence
        == Presence(
          entity: "pres:someone@example.com",
          tuples: [.init(serial: "", contact: "im:someone@mobilecarrier.net", timestamp: 1_004_201_369, id: "bs35r9")]))
  }

  @Test(arguments: [
    ("<presence xmlns='urn:ietf:params:xml:ns:pidf'/>", PresenceError.notPresence),
    ("<presence entity='x'/>", .notPresence),
    ("<tuple xmlns='urn:ietf:params:xml:ns:pidf' entity='x'/>", .notPresence),
    ("<presence", .xml(.malformed(line: 1))),
    (
      "<p:presence xmlns:p='urn:ietf:params:xml:ns:pidf' entity='x'><p:tuple><p:status/></p:tuple></p:presence>",
      .badTuple
    ),
    ("<p:presence xmlns:p='urn:ietf:params:xml:ns:pidf' entity='x'><p:tuple id='a'/></p:presence>", .badTuple),
    (
      "<p:presence xmlns:p='urn:ietf:params:xml:ns:pidf' entity='x'><p:tuple id='a'><p:status><p:basic>ajar</p:basic></p:status></p:tuple></p:presence>",
      .badTuple
    ),
    (
      "<p:presence xmlns:p='urn:ietf:params:xml:ns:pidf' entity='x'><p:tuple id='a'><p:status/></p:tuple><p:tuple id='a'><p:status/></p:tuple></p:presence>",
      .badTuple
    ),
  ])
  func `what is no presence document is refused`(text: String, error: PresenceError) {
    #expect(throws: error) { try parse(text) }
  }

  @Test func `a port beyond 65535 and too many tuples are refused`() {
    let tuple = "<tuple id='ID'><status/><e:port>PORT</e:port></tuple>"
    let head = "<presence xmlns='\(Presence.namespace)' xmlns:e='\(Presence.resourceNamespace)' entity='x'>"
    #expect(throws: PresenceError.badTuple) {
      try parse(head + tuple.replacing("PORT", with: "65536") + "</presence>")
    }
    let many = (0...Presence.maximumTuples).map { tuple.replacing("ID", with: "t\($0)").replacing("PORT", with: "1") }
    #expect(throws: PresenceError.tooManyTuples) { try parse(head + many.joined() + "</presence>") }
    #expect(throws: Never.self) { try parse(head + many.dropLast().joined() + "</presence>") }
  }

  @Test func `one changed byte never traps`() throws {
    let original = Array(Self.presence.serialized.utf8)
    let values = Array("<>&\"'/ =:;!?0".utf8) + [0, 0x80, 0xFF]
    for index in original.indices {
      var bytes = original
      bytes[index] = values[(index * 7 + index / 16) % values.count]
      guard let presence = try? Presence(parsing: bytes) else { continue }
      #expect(try parse(presence.serialized) == presence)
    }
  }
}
