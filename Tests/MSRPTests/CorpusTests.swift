import Testing

@Suite("MSRP fuzz corpus")
struct CorpusTests {
  @Test func `every input kept from fuzzing is taken without a trap`() throws {
    let inputs = try keptInputs("MSRP")
    #expect(inputs.count >= 2)
    for input in inputs { checkMSRP(input) }
  }
}
