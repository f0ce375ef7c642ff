import Foundation

/// The inputs kept from fuzzing `target`; linked into the unit tests that replay them.
func keptInputs(_ target: String) throws -> [[UInt8]] {
  let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../Fuzz/Corpus/\(target)").standardized
  return try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
    .map { [UInt8](try Data(contentsOf: $0)) }
}
