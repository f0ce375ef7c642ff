import EdgeCore
import NodeLogic
import Testing

@Suite("Key frame limiter")
struct KeyFrameLimiterTests {
  /// Asks with every tenth of a second; returns the tenths at which a key frame was made.
  private func forced(_ limiter: inout KeyFrameLimiter, _ tenths: Range<Int>) -> [Int] {
    var forced: [Int] = []
    for tenth in tenths {
      let now = Instant.zero + .milliseconds(tenth * 100)
      limiter.request()
      guard limiter.isDue(at: now) else { continue }
      limiter.made(at: now)
      forced.append(tenth)
    }
    return forced
  }

  @Test func `many requests make one key frame a second, and none is forgotten`() {
    var limiter = KeyFrameLimiter()
    #expect(forced(&limiter, 0..<36) == [0, 10, 20, 30])
    #expect(!limiter.isDue(at: .zero + .milliseconds(3900)))
    #expect(limiter.isDue(at: .zero + .milliseconds(4000)))
    limiter.made(at: .zero + .milliseconds(4000))
    #expect(!limiter.isDue(at: .zero + .seconds(20)))
  }

  @Test func `quiet time gives nothing back`() {
    var limiter = KeyFrameLimiter()
    #expect(forced(&limiter, 0..<1) == [0])
    #expect(forced(&limiter, 1000..<1021) == [1000, 1010, 1020])
  }

  @Test func `a key frame nobody asked for counts`() {
    var limiter = KeyFrameLimiter()
    limiter.made(at: .zero)
    #expect(forced(&limiter, 1..<21) == [10, 20])
  }
}
