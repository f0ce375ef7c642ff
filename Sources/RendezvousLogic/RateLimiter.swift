import EdgeCore

/// Token buckets per source address, in a fixed amount of memory.
///
/// The table never grows: addresses that fall into the same slot share a bucket, which only makes
/// a flood with many forged addresses hit its limit sooner. The key keeps an attacker from
/// choosing whom it shares with.
struct RateLimiter {
  /// A power of two. 16 bytes each: 256 KiB.
  private static let slots = 16_384

  private struct Bucket {
    var tokens: Float = .infinity
    var filled = Instant.zero
  }

  /// Tokens a source gains per second, and the most it may save up.
  let perSecond: Float
  let burst: Float
  private let key: UInt64
  private var buckets: [Bucket]
  private(set) var refusals: UInt64 = 0

  init(perSecond: Float, burst: Float, key: UInt64) {
    self.perSecond = perSecond
    self.burst = burst
    self.key = key
    buckets = Array(repeating: Bucket(), count: Self.slots)
  }

  /// Takes one token of `source`; `false` when it has none left.
  mutating func allows(_ source: IPAddress, at now: Instant) -> Bool {
    let slot = slot(of: source)
    var bucket = buckets[slot]
    let elapsed = Float((now - bucket.filled).wholeMilliseconds) / 1000
    bucket.tokens = min(burst, bucket.tokens + max(0, elapsed) * perSecond)
    bucket.filled = now
    defer { buckets[slot] = bucket }
    guard bucket.tokens >= 1 else {
      refusals &+= 1
      return false
    }
    bucket.tokens -= 1
    return true
  }

  /// Whether `source` has no token left, without taking one.
  func isExhausted(_ source: IPAddress, at now: Instant) -> Bool {
    let bucket = buckets[slot(of: source)]
    let elapsed = Float((now - bucket.filled).wholeMilliseconds) / 1000
    return min(burst, bucket.tokens + max(0, elapsed) * perSecond) < 1
  }

  private func slot(of source: IPAddress) -> Int {
    var mixed = SeededRandom(seed: source.site ^ key)
    return Int(truncatingIfNeeded: mixed.next() & UInt64(Self.slots - 1))
  }
}
