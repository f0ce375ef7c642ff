import MSRP
import Testing

@Suite("MSRP URIs")
struct URITests {
  @Test func `a URI keeps its text and equals by the rules of RFC 4975`() throws {
    let uri = try #require(MSRPURI("msrp://Alice@Host.Example.com:8493/asfd34;tcp"))
    #expect(uri.text == "msrp://Alice@Host.Example.com:8493/asfd34;tcp")
    #expect(uri == MSRPURI("MSRP://host.example.COM:8493/asfd34;TCP"))
    #expect(uri != MSRPURI("msrps://host.example.com:8493/asfd34;tcp"))
    #expect(uri != MSRPURI("msrp://host.example.com/asfd34;tcp"))
    #expect(uri != MSRPURI("msrp://host.example.com:8493/ASFD34;tcp"))
    #expect(uri != MSRPURI("msrp://host.example.com:8493;tcp"))
    #expect(uri != MSRPURI("msrp://host.example.com:8493/asfd34;dc"))
    #expect(MSRPURI("msrp://%48ost:1/a;tcp") == MSRPURI("msrp://host:1/a;tcp"))
    #expect(MSRPURI("msrp://[2001:DB8:0::1]:1/a;tcp") == MSRPURI("msrp://[2001:db8::1]:1/a;tcp"))
  }
}
