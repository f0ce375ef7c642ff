import CPIM
import EdgeCore
import Testing

@Suite("CPIM")
struct CPIMMessageTests {
  private let message = CPIMMessage(
    from: "sip:anna@rv.example.org", to: "sip:ben@rv.example.org", dateTime: "2026-11-21T10:00:00Z",
    messageID: "34jk324j", contentType: CPIMMessage.plainText, body: Array("Здравствуй\r\n\r\nworld".utf8))

  @Test func `a message reads as it was written`() {
    #expect(CPIMMessage(message.serialized) == message)
    var bare = message
    bare.dateTime = ""
    bare.messageID = ""
    bare.body = []
    #expect(CPIMMessage(bare.serialized) == bare)
  }

  /// RFC 3862 §5.1, and RFC 5438 §6.3 with another prefix for its namespace.
  @Test func `display names, unknown headers and another prefix are understood`() throws {
    let text = """
      From: MR SANDERS <im:piglet@100akerwood.com>\r
      To: Depressed Donkey <im:eeyore@100akerwood.com>\r
      DateTime: 2000-12-13T13:40:00-08:00\r
      Subject: the weather will be fine today\r
      NS: x <urn:ietf:params:imdn>\r
      x.Message-ID: Ab1\r
      x.Disposition-Notification: positive-delivery\r
      \r
      content-type: TEXT/xml; charset=utf-8\r
      Content-ID: <1234567890@foo.com>\r
      \r
      <body>\r

      """
    let message = try #require(CPIMMessage(Array(text.utf8)))
    #expect(message.from == "im:piglet@100akerwood.com")
    #expect(message.to == "im:eeyore@100akerwood.com")
    #expect(message.messageID == "Ab1")
    #expect(message.contentMediaType == "text/xml")
    #expect(message.body == Array("<body>\r\n".utf8))
  }

  @Test(arguments: [
    "", "hello", "From: <a:b>\r\n\r\n", "From: <a:b>\r\nTo: <c:d>\r\n\r\n\r\nbody", "From <a:b>\r\n\r\n",
    "From: <a:b>\r\nTo: <c:d>\r\nRequire: x.y\r\n\r\nContent-Type: text/plain\r\n\r\nx",
    "From: <a:b>\r\nTo: <c\u{0}:d>\r\n\r\nContent-Type: text/plain\r\n\r\nx",
    "To: <c:d>\r\n\r\nContent-Type: text/plain\r\n\r\nx",
  ])
  func `what is no message is none`(text: String) { #expect(CPIMMessage(Array(text.utf8)) == nil) }

  @Test func `ten thousand mutations neither trap nor make a message that does not read back`() {
    var random = SeededRandom(seed: 11)
    for _ in 0..<10_000 {
      var bytes = message.serialized
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      guard let read = CPIMMessage(bytes) else { continue }
      let again = CPIMMessage(read.serialized)
      #expect(again?.body == read.body)
    }
  }
}
