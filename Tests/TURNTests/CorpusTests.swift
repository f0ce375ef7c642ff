import Testing

@Suite("TURN fuzz corpus")
struct CorpusTests {
  @Test func `every input kept from fuzzing is taken without a trap`() throws {
    let inputs = try keptInputs("TURN")
    #expect(inputs.count >= 7)
    for input in inputs { checkRelay(input) }
  }
}
