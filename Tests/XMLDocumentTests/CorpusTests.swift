import Testing

@Suite("presence fuzz corpus")
struct CorpusTests {
  @Test func `every input kept from fuzzing is taken without a trap`() throws {
    let inputs = try keptInputs("XML")
    #expect(inputs.count >= 3)
    for input in inputs { checkPresence(input) }
  }
}
