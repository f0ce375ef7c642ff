internal import COpenSSL

/// The process's cryptographically secure random source, seeded by the kernel.
public struct SystemRandom: RandomNumberGenerator, Sendable {
  public init() { precondition(OpenSSLLibrary.isReady) }

  public mutating func next() -> UInt64 {
    var word: UInt64 = 0
    let done = withUnsafeMutableBytes(of: &word) { RAND_bytes($0.baseAddress, Int32($0.count)) }
    // A guessable secret is worse than a process that stops.
    precondition(done == 1, "the kernel's random source cannot be read")
    return word
  }
}
