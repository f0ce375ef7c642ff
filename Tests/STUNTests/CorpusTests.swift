import Testing

@Suite("STUN fuzz corpus")
struct CorpusTests {
  @Test func `every input kept from fuzzing is taken without a trap`() throws {
    let inputs = try keptInputs("STUN")
    #expect(inputs.count >= 7)
    for input in inputs { checkDatagram(input.span.bytes) }
  }
}
