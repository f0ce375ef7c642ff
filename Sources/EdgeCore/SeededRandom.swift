/// A small, fast, reproducible random source (SplitMix64), for simulations and jitter.
///
/// Not for secrets: those come from `SecureTransport.SystemRandom`.
public struct SeededRandom: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

extension RandomNumberGenerator {
  public mutating func bytes(_ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    while bytes.count < count {
      var word = next()
      for _ in 0..<min(8, count - bytes.count) {
        bytes.append(UInt8(truncatingIfNeeded: word))
        word >>= 8
      }
    }
    return bytes
  }

  /// A random token of `count` characters from the RFC 8839 `ice-char` set without `+` and `/`,
  /// which is also safe in SIP tags, branches and Call-IDs. 62 characters: 5.95 bits each.
  public mutating func token(_ count: Int) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)
    var text: [UInt8] = []
    for _ in 0..<count { text.append(alphabet[Int.random(in: 0..<alphabet.count, using: &self)]) }
    return String(decoding: text, as: UTF8.self)
  }
}
