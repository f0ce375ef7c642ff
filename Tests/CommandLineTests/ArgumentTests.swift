import CommandLine
import Testing

@Suite("Arguments")
struct ArgumentTests {
  static let syntax = CommandSyntax(
    "send", summary: "", discussion: "", arguments: [.init("WHAT", "")],
    options: [.init("--to", "NAME", ""), .init("--loud", nil, ""), .init("--tone", "T", "")])

  private func parse(_ words: String...) throws(UsageError) -> ParsedArguments {
    try ParsedArguments(words, syntax: Self.syntax)
  }

  @Test func `options stand before, after and between arguments, in both forms`() throws {
    for words in [["--to", "bob", "--loud", "x"], ["x", "--to=bob", "--loud"], ["--loud", "x", "--to", "bob"]] {
      let parsed = try ParsedArguments(words, syntax: Self.syntax)
      #expect(parsed.arguments == ["x"])
      #expect(parsed.value("--to") == "bob")
      #expect(parsed.has("--loud"))
      #expect(!parsed.has("--tone"))
    }
  }

  @Test func `a dash is a word, and after two nothing is an option`() throws {
    #expect(try parse("-").arguments == ["-"])
    #expect(try parse("x", "--to", "-").value("--to") == "-")
    #expect(try parse("--", "--loud").arguments == ["--loud"])
    #expect(try parse("x", "--to=a=b").value("--to") == "a=b")
    #expect(try parse("x", "--to=--loud").value("--to") == "--loud")
  }

  @Test func `help wins over every mistake`() throws {
    #expect(try parse("--nonsense", "-h").wantsHelp)
    #expect(try parse("--to", "--help").wantsHelp)
    #expect(try parse("--", "-h").wantsHelp == false)
  }

  @Test(arguments: [
    ([], "send needs WHAT"), (["x", "y"], "unexpected argument 'y'"),
    (["x", "--lout"], "unknown option '--lout'; did you mean --loud?"),
    (["x", "--zzzzzz"], "unknown option '--zzzzzz'"),
    (["x", "-x"], "unknown option '-x'"), (["x", "--to"], "--to needs a value: NAME"),
    (["x", "--to="], "--to needs a value: NAME"), (["x", "--to", ""], "--to needs a value: NAME"),
    (["x", "--to", "--loud"], "--to needs a value: NAME"), (["x", "--loud=1"], "--loud takes no value"),
    (["x", "--to", "a", "--to=b"], "--to is given twice"), (["x", "--loud", "--loud"], "--loud is given twice"),
  ])
  func `a mistake is named`(words: [String], message: String) {
    #expect(throws: UsageError(message)) { try ParsedArguments(words, syntax: Self.syntax) }
  }
}
