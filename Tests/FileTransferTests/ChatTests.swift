import FileTransfer
import SDP
import Testing

@Suite("Lines and descriptions of a chat")
struct ChatTests {
  @Test func `a line is a text or a command`() {
    #expect(ChatLine("hello /file") == .text("hello /file"))
    #expect(ChatLine("//shrug\r") == .text("/shrug"))
    #expect(ChatLine("  \t ") == .nothing)
    #expect(ChatLine("/file  my clip.y4m ") == .file(path: "my clip.y4m"))
    #expect(ChatLine("/accept") == .accept(nil))
    #expect(ChatLine("/refuse 12") == .refuse(12))
    #expect(ChatLine("/quit") == .quit)
    #expect(ChatLine("/help") == .help)
    for wrong in ["/file", "/accept x", "/accept 99999999999999999999", "/nonsense", "/"] {
      guard case .wrong = ChatLine(wrong) else {
        Issue.record("\(wrong) is taken")
        continue
      }
    }
  }

  @Test func `a peer's text cannot move the cursor or turn the line`() {
    #expect(ShownText.line("a\u{1B}[2Jb\nc\td\u{202E}e\u{9B}f grüße") == "a?[2Jb c d?e?f grüße")
  }

  @Test func `a chat's channel is told from a file's`() {
    let chat = ChatDescription(path: "msrps://abc.invalid:2855/def;dc", isActive: true)
    #expect(ChatDescription(chat.channel) == chat)
    #expect(FileDescription(chat.channel) == nil)
    let file = FileDescription(
      direction: .sends, selector: FileSelector(name: "a"), transferID: "x", path: "msrps://a:9/s;dc")
    #expect(ChatDescription(file.channel) == nil)
    var other = chat.channel
    other.attributes = [.init("path", chat.path), .init("accept-types", "image/png message/cpim")]
    #expect(ChatDescription(other) == nil)
    other.attributes = [.init("path", chat.path), .init("accept-types", "message/cpim text/*")]
    #expect(ChatDescription(other) != nil)
    other.protocolName = "bfcp"
    #expect(ChatDescription(other) == nil)
  }
}
