import EdgeCore
import Picture
import Testing

@testable import Capture

@Suite("H.264 parameter sets")
struct H264ParameterSetsTests {
  static let format = PictureFormat(width: 64, height: 48, pixelFormat: .h264)!
  static let start: [UInt8] = [0, 0, 0, 1]
  /// Profile, constraints, level, and the number 0.
  static let sequence = start + [0x67, 0x42, 0x00, 0x1E, 0x95, 0xA8]
  static let picture = start + [0x68, 0xCE, 0x38, 0x80]
  static let delimiter = start + [0x09, 0xF0]
  static let message = start + [0x06, 0x05, 0x01, 0x80]
  static let key = start + [0x65, 0x88, 0x84, 0x00, 0x10, 0x00]
  static let other = start + [0x41, 0x9A, 0x24, 0x6C]

  private func completed(_ sets: inout H264ParameterSets, _ unit: [UInt8]) -> [UInt8] {
    sets.complete(unit.span.bytes, of: Self.format) ?? unit
  }

  @Test func `what a camera sends once is with every picture that decoding may begin with`() {
    var sets = H264ParameterSets()
    let first = Self.sequence + Self.picture + Self.key
    #expect(sets.complete(first.span.bytes, of: Self.format) == nil)
    #expect(sets.complete(Self.other.span.bytes, of: Self.format) == nil)
    #expect(completed(&sets, Self.key) == first)
    // The delimiter stays in front.
    #expect(
      completed(&sets, Self.delimiter + Self.message + Self.key)
        == Self.delimiter + Self.sequence + Self.picture + Self.message + Self.key)
    #expect(completed(&sets, Self.sequence + Self.key) == first)
    #expect(completed(&sets, Self.picture + Self.key) == first)
  }

  @Test func `sets in a buffer of their own, with short start codes`() {
    var sets = H264ParameterSets()
    #expect(completed(&sets, Self.key) == Self.key)
    let apart = Array(Self.sequence.dropFirst()) + Self.picture.dropFirst()
    #expect(completed(&sets, apart) == apart)
    #expect(completed(&sets, Self.key) == Self.sequence + Self.picture + Self.key)
  }

  @Test func `the last of each number counts, and those of another stream do not`() throws {
    var sets = H264ParameterSets()
    let second = Self.start + [0x68, 0x4E, 0x38, 0x80]
    let newer = Self.start + [0x68, 0xCE, 0x38, 0x81]
    _ = completed(&sets, Self.sequence + Self.picture + second + Self.key)
    _ = completed(&sets, newer + Self.key)
    #expect(completed(&sets, Self.key) == Self.sequence + newer + second + Self.key)
    let large = try #require(PictureFormat(width: 128, height: 96, pixelFormat: .h264))
    #expect(sets.complete(Self.key.span.bytes, of: large) == nil)
  }

  @Test func `any bytes at all are taken`() {
    var random = SeededRandom(seed: 11)
    var sets = H264ParameterSets()
    for _ in 0..<3000 {
      var bytes = random.bytes(Int(random.next() % 40))
      for index in bytes.indices where random.next() % 3 != 0 { bytes[index] = [0, 0, 1, 0x67, 0x68, 0x65][index % 6] }
      let whole = completed(&sets, bytes)
      #expect(whole.count >= bytes.count)
    }
  }
}
