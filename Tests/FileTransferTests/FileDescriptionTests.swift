import EdgeCore
import FileTransfer
import SDP
import Testing

@Suite("File descriptions in SDP")
struct FileDescriptionTests {
  /// RFC 8873 §4.8, its lines unfolded, its hash 32 bytes as SHA-256 has.
  static let offer = """
    v=0\r
    o=- 42 1 IN IP4 0.0.0.0\r
    s=-\r
    t=0 0\r
    m=application 54111 UDP/DTLS/SCTP webrtc-datachannel\r
    c=IN IP6 2001:db8::3\r
    a=ice-ufrag:abcd\r
    a=ice-pwd:0123456789abcdefABCDEF\r
    a=max-message-size:100000\r
    a=sctp-port:5000\r
    a=setup:actpass\r
    a=fingerprint:sha-256 12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD\r
    a=dcmap:0 label="chat";subprotocol="msrp"\r
    a=dcsa:0 msrp-cema\r
    a=dcsa:0 accept-types:message/cpim text/plain\r
    a=dcsa:0 path:msrps://2001:db8::3:54111/si438dsaodes;dc\r
    a=dcmap:2 label="file transfer";subprotocol="msrp"\r
    a=dcsa:2 sendonly\r
    a=dcsa:2 msrp-cema\r
    a=dcsa:2 setup:active\r
    a=dcsa:2 accept-types:message/cpim\r
    a=dcsa:2 accept-wrapped-types:*\r
    a=dcsa:2 path:msrps://2001:db8::3:54111/jshA7we;dc\r
    a=dcsa:2 file-selector:name:"picture1.jpg" type:image/jpeg size:1463440 hash:sha-256:7C:DF:3E:5D:49:6B:19:E5:12:AB:4A:AD:4A:B1:3F:82:3E:3B:54:12:02:5D:18:DF:49:6B:19:E5:7C:AB:B9:AD\r
    a=dcsa:2 file-transfer-id:rjEtHAcYVZ7xKwGYpGGwyn5gqsSaU7Ep\r
    a=dcsa:2 file-disposition:attachment\r
    a=dcsa:2 file-date:creation:"Tue, 11 Aug 2020 19:05:30 +0200" modification:"Wed, 12 Aug 2020 19:05:30 +0200"\r
    a=dcsa:2 file-icon:cid:id2@bob.example.com\r
    a=dcsa:2 file-range:1-1463440\r

    """

  @Test func `the example of RFC 8873 is understood`() throws {
    let description = try DataChannelDescription(Self.offer)
    #expect(description.channels.map(\.label) == ["chat", "file transfer"])
    let file = try #require(FileDescription.find(in: description))
    #expect(file.direction == .sends)
    #expect(file.selector.name == "picture1.jpg")
    #expect(file.selector.type == "image/jpeg")
    #expect(file.selector.size == 1_463_440)
    #expect(file.selector.sha256?.prefix(3) == [0x7C, 0xDF, 0x3E])
    #expect(file.transferID == "rjEtHAcYVZ7xKwGYpGGwyn5gqsSaU7Ep")
    #expect(file.modified == Timestamp.parse("2020-08-12T17:05:30Z"))
    #expect(file.range == FileRange(first: 1, last: 1_463_440))
    #expect(!file.canResume)
  }

  @Test func `what is written is read again, whatever the name`() throws {
    for name in ["a.y4m", "Gate \"north\" 100%.y4m", "день.y4m", "clips/monday.y4m", "a;b=c:d"] {
      var file = FileDescription(
        direction: .receives,
        selector: FileSelector(
          name: name, type: "video/x-raw", size: 1 << 40, sha256: Array(repeating: 0xA5, count: 32)),
        transferID: "0123456789abcdef", path: "msrps://a.invalid:9/s;dc")
      file.modified = 1_795_242_075
      file.range = FileRange(first: 4097, last: 1 << 40)
      file.canResume = true
      var description = try DataChannelDescription(Self.offer)
      description.channels = [file.channel]
      let again = try DataChannelDescription(description.serialized)
      #expect(again == description)
      #expect(FileDescription.find(in: again) == file, "\(name)")
    }
  }

  @Test(arguments: [
    "name:\"a", "name:a", "name:\"\"", "name:\"a\" name:\"b\"", "name:\"a\"b", "name:\"%4\"", "name:\"%FF\"", "size:-1",
    "size:99999999999999999999", "size:", "type:video", "type:/", "type:a/b c", "hash:sha-256:00", "nonsense",
    "hash:sha-256:" + String(repeating: "G0:", count: 31) + "00",
    "name:\"" + String(repeating: "a", count: 4096) + "\"",
  ])
  func `a selector that breaks the grammar is none`(text: String) { #expect(FileSelector(text) == nil) }

  @Test func `unknown selectors and other hash functions are passed over`() {
    let selector = FileSelector("type:Image/JPEG;charset=\"x y\" colour:\"a b\" hash:sha-1:00:11 size:7")
    #expect(selector == FileSelector(type: "image/jpeg", size: 7))
    #expect(FileSelector("") == FileSelector())
  }

  @Test func `ranges count from one and end inside the file`() {
    #expect(FileRange("1-*") == .whole)
    #expect(FileRange("1-*")?.offsets(in: 10) == 0..<10)
    #expect(FileRange("5-10")?.offsets(in: 10) == 4..<10)
    #expect(FileRange("5-11")?.offsets(in: 10) == nil)
    #expect(FileRange("12-*")?.offsets(in: 10) == nil)
    // All of it is here already.
    #expect(FileRange("11-*")?.offsets(in: 10) == 10..<10)
    #expect(FileRange("1-0")?.offsets(in: 0) == 0..<0)
    for text in ["0-5", "5-3", "-5", "5", "5-", "a-b", "1-99999999999999999999999"] {
      #expect(FileRange(text) == nil, "\(text)")
    }
  }

  @Test func `a channel that says both directions or none is no file`() throws {
    var channel = FileDescription(
      direction: .sends, selector: FileSelector(name: "a"), transferID: "x", path: "msrps://a:9/s;dc"
    ).channel
    #expect(FileDescription(channel) != nil)
    channel.attributes.append(.init("recvonly"))
    #expect(FileDescription(channel) == nil)
    channel.attributes.removeAll { $0.name == "sendonly" || $0.name == "recvonly" }
    #expect(FileDescription(channel) == nil)
  }
}
