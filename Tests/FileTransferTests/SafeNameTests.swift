import FileTransfer
import Testing

@Suite("Names from peers")
struct SafeNameTests {
  private func refusal(_ name: String) -> NameRefusal? {
    do throws(NameRefusal) {
      try SafeName.check(name)
      return nil
    } catch {
      return error
    }
  }

  private func pathRefusal(_ text: String) -> NameRefusal? {
    do throws(NameRefusal) {
      _ = try SharedPath(text)
      return nil
    } catch {
      return error
    }
  }

  @Test(arguments: [
    "a", "clip.y4m", "Gate north (2).tar.gz", "день.y4m", "a b", "com.txt", "console", "-rf", "~", "$(x)",
  ])
  func `a plain name is taken as it is`(name: String) { #expect(refusal(name) == nil) }

  @Test func `no name leads out of the folder or to something that is no file`() {
    let cases: [(String, NameRefusal)] = [
      ("", .empty), ("..", .leadsElsewhere), (".", .leadsElsewhere), ("../x", .leadsElsewhere),
      ("/etc/passwd", .leadsElsewhere), ("a/b", .leadsElsewhere), ("a\\b", .leadsElsewhere), ("C:x", .leadsElsewhere),
      ("a\0b", .controlCharacter), ("a\nb", .controlCharacter), ("a\u{1B}[2J", .controlCharacter),
      ("a\u{202E}4m.exe", .controlCharacter), ("a\u{9B}m", .controlCharacter), (".bashrc", .hidden),
      (".edge-00.part", .hidden), ("NUL", .device), ("con.txt", .device), ("Com1", .device), ("lpt9.y4m", .device),
      ("a.", .leadsElsewhere), ("a ", .leadsElsewhere), (" a", .leadsElsewhere),
      (String(repeating: "a", count: 4096), .tooLong), (String(repeating: "ä", count: 101), .tooLong),
    ]
    for (name, wanted) in cases { #expect(refusal(name) == wanted, "\(name.debugDescription)") }
  }

  @Test func `a second file of a name gets a number before its ending`() {
    #expect(SafeName.numbered("clip.y4m", 1) == "clip (1).y4m")
    #expect(SafeName.numbered("clip", 2) == "clip (2)")
    #expect(SafeName.numbered("a.tar.gz", 1) == "a.tar (1).gz")
    #expect(SafeName.numbered("a.much-too-long-for-an-ending", 1) == "a.much-too-long-for-an-ending (1)")
  }

  @Test func `a path stays below the shared folder`() throws {
    #expect(try SharedPath("clips/monday.y4m").components == ["clips", "monday.y4m"])
    #expect(try SharedPath("clips/").isFolder)
    #expect(try SharedPath("/").components.isEmpty)
    #expect(try SharedPath("/").isFolder)
    #expect(try SharedPath("clips/a").text == "clips/a")
    for text in ["/etc/passwd", "//", "../x", "a/../../x", "a//b", "a/./b", "a/..", "..", "/.."] {
      #expect(pathRefusal(text) == .leadsElsewhere, "\(text)")
    }
    #expect(pathRefusal("") == .empty)
    #expect(pathRefusal("a/.ssh/id") == .hidden)
    #expect(pathRefusal("a/\0") == .controlCharacter)
    #expect(pathRefusal(String(repeating: "a/", count: 17)) == .tooDeep)
    #expect(pathRefusal(String(repeating: "a", count: 4096)) == .tooLong)
  }
}
