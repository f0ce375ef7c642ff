import EdgeCore
import Foundation
import Testing

@Suite("ICE fuzz corpus")
struct CorpusTests {
  @Test func `every list of operations kept from fuzzing is taken without a trap`() throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../Fuzz/Corpus/ICE").standardized
    let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
    #expect(files.count >= 3)
    for file in files { runAgentScript([UInt8](try Data(contentsOf: file))) }
  }

  @Test func `random operations neither trap nor make the agent send without end`() {
    var random = SeededRandom(seed: 8445)
    for _ in 0..<300 { runAgentScript(random.bytes(Int(random.next() % 600))) }
  }
}
