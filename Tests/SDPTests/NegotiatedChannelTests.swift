import SDP
import Testing

@Suite("Negotiated data channels")
struct NegotiatedChannelTests {
  private func channels(_ lines: [String]) throws -> [NegotiatedChannel] {
    let text = DataChannelDescriptionTests.example().serialized + lines.map { "a=\($0)\r\n" }.joined()
    return try DataChannelDescription(text).channels
  }

  @Test func `the examples of RFC 8864 are read, unreliable and unordered ones left out`() throws {
    let found = try channels([
      "dcmap:0", "dcmap:1 subprotocol=\"bfcp\";max-time=60000;priority=512",
      "dcmap:2 subprotocol=\"msrp\";ordered=true;label=\"msrp\"",
      "dcmap:3 label=\"Label 1\";ordered=false;max-retr=5;priority=128", "dcmap:4 label=\"foo%09bar\";ordered=true",
    ])
    #expect(found.map(\.streamID) == [0, 2, 4])
    #expect(found[1].protocolName == "msrp")
    #expect(found[2].label == "foo\tbar")
  }

  @Test func `a channel is written and read again with its attributes`() throws {
    var description = DataChannelDescriptionTests.example()
    description.channels = [
      NegotiatedChannel(
        streamID: 1, label: "a \"b\" 100% ä", protocolName: "msrp",
        attributes: [.init("sendonly"), .init("path", "msrps://a:9/b;dc"), .init("empty", "")])
    ]
    #expect(try DataChannelDescription(description.serialized) == description)
  }

  @Test func `what is malformed is left out, and what is too much too`() throws {
    #expect(
      try channels([
        "dcmap", "dcmap:x", "dcmap:65535", "dcmap:7 label=\"a", "dcmap:8 label=\"%zz\"", "dcmap:9 label=\"a\"x",
        "dcmap:10 junk", "dcsa:3 sendonly", "dcsa:x", "dcsa:",
      ]).isEmpty)
    let many = (0..<40).map { "dcmap:\($0)" } + (0..<200).map { _ in "dcsa:0 sendonly" } + ["dcmap:0 label=\"again\""]
    let found = try channels(many)
    #expect(found.count == SDPLimits.channels)
    #expect(found[0].attributes.count == SDPLimits.channelAttributes)
    #expect(found[0].label == "")
  }
}
