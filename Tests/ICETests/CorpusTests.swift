import EdgeCore
import Testing

@Suite("ICE fuzz corpus")
struct CorpusTests {
  @Test func `every list of operations kept from fuzzing is taken without a trap`() throws {
    let inputs = try keptInputs("ICE")
    #expect(inputs.count >= 4)
    for input in inputs { runAgentScript(input) }
  }

  @Test func `random operations neither trap nor make the agent send without end`() {
    var random = SeededRandom(seed: 8445)
    for _ in 0..<300 { runAgentScript(random.bytes(Int(random.next() % 600))) }
  }
}
