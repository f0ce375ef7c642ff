import Testing

@Suite("SIP fuzz corpus")
struct CorpusTests {
  @Test func `every input kept from fuzzing is taken without a trap`() throws {
    let inputs = try keptInputs("SIP")
    #expect(inputs.count >= 2)
    for input in inputs { checkStream(input) }
  }
}
