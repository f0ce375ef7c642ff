import Testing

@Suite("status fuzz corpus")
struct CorpusTests {
  @Test func `every input kept from fuzzing is taken without a trap`() throws {
    let inputs = try keptInputs("JSON")
    #expect(inputs.count >= 3)
    for input in inputs { checkStatus(input) }
  }
}
