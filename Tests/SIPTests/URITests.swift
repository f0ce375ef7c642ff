import EdgeCore
import SIP
import Testing

@Suite("SIP URIs")
struct URITests {
  /// RFC 3261 §19.1.4, its own examples.
  @Test(arguments: [
    ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
    ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
    (
      "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
      "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com"
    ),
    (
      "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
      "sip:alice@atlanta.com?priority=urgent&subject=project%20x"
    ),
  ])
  func `equivalent by RFC 3261`(a: String, b: String) throws {
    let (left, right) = (try #require(URI(a)), try #require(URI(b)))
    #expect(left.isEquivalent(to: right))
    #expect(right.isEquivalent(to: left))
  }

  @Test(arguments: [
    ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
    ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
    ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
    ("sip:a@b", "sips:a@b"), ("sip:a:x@b", "sip:a@b"), ("sip:a@b", "sip:b"),
  ])
  func `different by RFC 3261`(a: String, b: String) throws {
    let (left, right) = (try #require(URI(a)), try #require(URI(b)))
    #expect(!left.isEquivalent(to: right))
    #expect(!right.isEquivalent(to: left))
  }

  @Test(arguments: [
    "sip:a@b", "sips:CAM-7F3A-0001@rv.example.org", "sip:[2001:db8::1]:5061;transport=tls;lr", "sip:a:b@c:1;x=y?h=v",
    "tel:+1-201-555-0123", "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
  ])
  func `text survives a round trip`(text: String) {
    #expect(URI(text)?.description == text)
  }

  @Test(arguments: [
    "", "sip", "sip:", "sip:@b", "sip:a@", "sip:a@b:", "sip:a@b:65536", "sip:a@b;", "sip:a@b;=x", "sip:a@b;x=",
    "sip:a%@b", "sip:a%4@b", "sip:a%zz@b", "sip:a b@c", "sip:a@b c", "sip:a@[::1", "sip:a@[1.2.3.4]", "sip:a@b@c",
    "sip:a@b?x y", "<sip:a@b>", "1sip:a", "sip:a\"@b", "tel:", "x:a<b",
  ])
  func `nonsense is refused`(text: String) {
    #expect(URI(text) == nil)
  }

  @Test func `hosts that are addresses are recognised`() {
    #expect(URI("sip:[::1]:5060")?.address?.isLoopback == true)
    #expect(URI("sip:127.0.0.1")?.address?.isLoopback == true)
    #expect(URI("sip:localhost")?.address == nil)
  }
}

@Suite("Name addresses and Via")
struct FieldTests {
  @Test(arguments: [
    ("<sip:a@b>", "<sip:a@b>"), ("sip:a@b;tag=1", "<sip:a@b>;tag=1"),
    ("\"x \\\" y\" <sip:a@b;lr>;tag=1;flag", "\"x \\\" y\" <sip:a@b;lr>;tag=1;flag"),
    ("Two Words<sip:a@b>", "\"Two Words\" <sip:a@b>"), ("  <sip:a@b> ; tag = 1", "<sip:a@b>;tag=1"),
    ("<sip:a@b>;x=\"q;,\\\"\"", "<sip:a@b>;x=\"q;,\\\"\""),
  ])
  func `an address is read and written`(text: String, written: String) {
    #expect(NameAddress(text)?.description == written)
  }

  @Test(arguments: [
    "", "<>", "<sip:a@b", "sip:a@b>", "\"x\" sip:a@b", "\"x <sip:a@b>", "a, b <sip:a@b>", "<sip:a@b>;", "<sip:a@b>;;x",
    "<sip:a@b>;x=", "<sip:a@b> x", "sip:a@b?x=y", "sip:a@b,c", "< sip:a@b>", "<sip:a@b>;x=\"y",
  ])
  func `a broken address is refused`(text: String) {
    #expect(NameAddress(text) == nil)
  }

  @Test func `a Via is read with all the white space RFC 3261 allows`() {
    let via = Via("SIP / 2.0 / tls  [2001:db8::1] : 5061 ; branch = z9hG4bKa ; rport ; received = 192.0.2.1")
    #expect(via?.transport == "TLS")
    #expect(via?.host == "[2001:db8::1]")
    #expect(via?.port == 5061)
    #expect(via?.branch == "z9hG4bKa")
    #expect(via?.wantsRport == true)
    #expect(via?.rport == nil)
    #expect(via?.received == "192.0.2.1")
    #expect(via?.hasUniqueBranch == true)
  }

  @Test(arguments: [
    "", "SIP/2.0/UDP", "SIP/2.0/UDP ", "SIP/3.0/UDP a", "HTTP/1.1/TCP a", "SIP/2.0/UDP a:", "SIP/2.0/UDP a:99999",
    "SIP/2.0/UDP a;", "SIP/2.0/UDP a b", "SIP/2.0/UDP [::1",
  ])
  func `a broken Via is refused`(text: String) {
    #expect(Via(text) == nil)
  }

  @Test(arguments: ["1 INVITE", "0009 \t INVITE", "2147483647 X"])
  func `a CSeq is read`(text: String) {
    #expect(CSeq(text) != nil)
  }

  @Test(arguments: [
    "", "1", "INVITE", "-1 INVITE", "2147483648 INVITE", "1 IN VITE", "1INVITE", "99999999999999999999 A",
  ])
  func `a CSeq out of range is refused`(text: String) {
    #expect(CSeq(text) == nil)
  }
}
