internal import EdgeCore

/// Token buckets per source address in a fixed amount of memory: how often a stranger is answered.
///
/// Addresses that fall into the same slot share a bucket; the key keeps an attacker from choosing with whom.
struct ReplyLimiter {
  /// A power of two. 16 bytes each: 128 KiB.
  private static let slots = 8192

  private struct Bucket {
    var tokens: Float = .infinity
    var filled = Instant.zero
  }

  private let perSecond: Float
  private let burst: Float
  private let key: UInt64
  private var buckets: [Bucket]

  init(perSecond: Int, key: UInt64) {
    self.perSecond = Float(perSecond)
    burst = Float(perSecond * 2)
    self.key = key
    buckets = Array(repeating: Bucket(), count: Self.slots)
  }

  /// Takes one token; `false` when there is none.
  mutating func allows(_ source: IPAddress, at now: Instant) -> Bool {
    var mixed = SeededRandom(seed: source.site ^ key)
    let slot = Int(truncatingIfNeeded: mixed.next() & UInt64(Self.slots - 1))
    var bucket = buckets[slot]
    let elapsed = Float((now - bucket.filled).wholeMilliseconds) / 1000
    bucket.tokens = min(burst, bucket.tokens + max(0, elapsed) * perSecond)
    bucket.filled = now
    let isAllowed = bucket.tokens >= 1
    if isAllowed { bucket.tokens -= 1 }
    buckets[slot] = bucket
    return isAllowed
  }
}
