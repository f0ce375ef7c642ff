import Foundation
import Testing

@Suite("STUN fuzz corpus")
struct CorpusTests {
  @Test func `every input kept from fuzzing is taken without a trap`() throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../Fuzz/Corpus/STUN").standardized
    let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
    #expect(files.count >= 7)
    for file in files {
      let bytes = [UInt8](try Data(contentsOf: file))
      checkDatagram(bytes.span.bytes)
    }
  }
}
