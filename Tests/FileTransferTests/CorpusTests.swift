import Testing

@Suite("File transfer fuzz corpus")
struct CorpusTests {
  @Test func `every input kept from fuzzing is taken without a trap`() throws {
    let inputs = try keptInputs("Files")
    #expect(inputs.count >= 6)
    for input in inputs { checkFileText(input) }
  }
}
