import Testing

@Suite("SDP fuzz corpus")
struct CorpusTests {
  @Test func `every input kept from fuzzing is taken without a trap`() throws {
    let inputs = try keptInputs("SDP")
    #expect(inputs.count >= 6)
    for input in inputs { checkDescription(input) }
  }
}
