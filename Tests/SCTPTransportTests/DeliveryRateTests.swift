import EdgeCore
import Testing

@testable import SCTPTransport

@Suite("Delivery rate")
struct DeliveryRateTests {
  /// A path of one queue, and a sender that always has more: every 10 ms as much as the window lets it.
  private struct Path {
    /// Bytes a second.
    var speed: Int64
    /// Milliseconds.
    var roundTrip: Int64
    var rate = DeliveryRate()
    var now = Instant.zero
    private var sent: Int64 = 0
    private var delivered: Int64 = 0
    /// Bytes acknowledged by then.
    private var acknowledgements: [(at: Instant, total: Int64)] = []
    private var free = Instant.zero

    init(speed: Int64, roundTrip: Int64) {
      self.speed = speed
      self.roundTrip = roundTrip
    }

    /// Bytes under way, at most, in the last of these milliseconds.
    mutating func run(_ milliseconds: Int64) -> Int64 {
      for _ in 0..<(milliseconds / 10) {
        now = now + .milliseconds(10)
        while let first = acknowledgements.first, first.at <= now {
          delivered = first.total
          acknowledgements.removeFirst()
        }
        let queue = max(.zero, free - now).wholeMilliseconds
        rate.note(delivered: delivered, isLimited: true, smoothed: roundTrip + queue / 4, at: now)
        let window = Int64(rate.window ?? 12_000)
        while sent - delivered < window {
          sent += 1200
          free = max(free, now) + .microseconds(1200 * 1_000_000 / speed)
          acknowledgements.append((free + .milliseconds(roundTrip), sent))
        }
      }
      return sent - delivered
    }
  }

  @Test(arguments: [(Int64(250_000), Int64(50)), (1_250_000, 50), (6_250_000, 50), (1_000_000, 200)])
  func `the window finds what the path takes and leaves a short queue`(speed: Int64, roundTrip: Int64) {
    var path = Path(speed: speed, roundTrip: roundTrip)
    let under = path.run(4000)
    let product = speed * roundTrip / 1000
    #expect(path.rate.best > speed * 3 / 4)
    #expect(under >= min(product, 16_000))
    #expect(under <= max(product * 2, 24_000))
  }

  @Test func `a path that shrinks and grows again is followed`() {
    var path = Path(speed: 1_250_000, roundTrip: 50)
    _ = path.run(3000)
    path.speed = 125_000
    #expect(path.run(5000) <= 40_000)
    #expect(path.rate.best < 300_000)
    path.speed = 1_250_000
    _ = path.run(4000)
    #expect(path.rate.best > 900_000)
  }

  @Test func `what a sender did not ask of the path does not count against it`() {
    var path = Path(speed: 1_250_000, roundTrip: 50)
    _ = path.run(2000)
    let best = path.rate.best
    for step in 1..<500 {
      path.rate.note(
        delivered: 10_000_000 + Int64(step) * 100, isLimited: false, smoothed: 50,
        at: path.now + .milliseconds(step * 10))
    }
    #expect(path.rate.best >= best)
  }

  @Test func `another path begins with nothing`() {
    var path = Path(speed: 1_250_000, roundTrip: 50)
    _ = path.run(1000)
    path.rate.restart()
    #expect(path.rate.window == nil)
    #expect(path.rate.best == 0)
  }
}
