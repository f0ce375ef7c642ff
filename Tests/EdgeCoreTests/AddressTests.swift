import EdgeCore
import Testing

@Suite("Addresses")
struct AddressTests {
  @Test(arguments: [
    "0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "::1", "2001:db8::1", "fe80::1:2:3:4", "1:2:3:4:5:6:7:8",
    "2001:db8:0:1::", "::ffff:192.0.2.1", "1::8",
  ])
  func `text survives a round trip`(text: String) {
    #expect(IPAddress(text)?.description == text)
  }

  @Test(arguments: [
    "", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", ":", ":::", "1:2:3", "1::2::3", "g::", "1:2:3:4:5:6:7:8:9", "1:",
  ])
  func `nonsense is refused`(text: String) {
    #expect(IPAddress(text) == nil)
  }

  @Test(arguments: ["::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"])
  func `every disguise of loopback is seen through`(text: String) {
    #expect(IPAddress(text)?.canonical.isLoopback == true)
  }

  @Test func `a translated network's prefix is learned from an address known both ways`() throws {
    let named = try #require(IPAddress("203.0.113.10"))
    let reached = try #require(IPAddress("64:ff9b::cb00:710a"))
    let prefix = try #require(TranslationPrefix(reached: reached, named: named))
    #expect(prefix.translated(named) == reached)
    // RFC 6052 §2.4.
    let example = try #require(IPAddress("192.0.2.33"))
    #expect(prefix.translated(example) == IPAddress("64:ff9b::192.0.2.33"))
    #expect(prefix.translated(reached) == reached)
  }

  @Test(arguments: ["2001:db8::1", "::ffff:203.0.113.10", "::203.0.113.10", "203.0.113.10"])
  func `an address that is no translated one teaches no prefix`(reached: String) throws {
    let named = try #require(IPAddress("203.0.113.10"))
    #expect(TranslationPrefix(reached: try #require(IPAddress(reached)), named: named) == nil)
  }

  @Test func `ports and brackets parse`() {
    #expect(SocketAddress("192.0.2.1:5060") == SocketAddress(.v4(0xC000_0201), port: 5060))
    #expect(SocketAddress("[::1]:80")?.description == "[::1]:80")
    #expect(SocketAddress("::1:80") == nil)
    #expect(SocketAddress("192.0.2.1:65536") == nil)
  }
}

@Suite("Text encodings")
struct EncodingTests {
  @Test(arguments: [
    ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy"),
  ])
  func `RFC 4648 section 10 vectors`(plain: String, encoded: String) {
    #expect(Base64.encode(Array(plain.utf8)) == encoded)
    #expect(Base64.decode(encoded) == Array(plain.utf8))
  }

  @Test func `a decimal that overflows is refused`() {
    #expect(ASCII.decimal("18446744073709551616", max: .max) == nil)
    #expect(ASCII.decimal("18446744073709551615", max: .max) == .max)
    #expect(ASCII.decimal("12a", max: 100) == nil)
  }
}
