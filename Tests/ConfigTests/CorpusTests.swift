import Testing

@Suite("configuration fuzz corpus")
struct CorpusTests {
  @Test func `every input kept from fuzzing is taken without a trap`() throws {
    let inputs = try keptInputs("YAML")
    #expect(inputs.count >= 2)
    for input in inputs { checkConfiguration(input) }
  }
}
