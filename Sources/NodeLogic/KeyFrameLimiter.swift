public import EdgeCore

/// Turns any number of requests for a key frame into few forced key frames per camera: one per interval, and up to
/// ``burst`` at once after a quiet time. So a viewer that joins is served with the next picture although another was
/// a moment ago, and one viewer on a bad link cannot spend everybody's bandwidth.
public struct KeyFrameLimiter: Sendable {
  public let interval: Duration
  public let burst: Int
  /// When the allowance would be whole again: each forced key frame moves it by an interval.
  private var restored: Instant?
  private var isRequested = false

  public init(interval: Duration = .seconds(1), burst: Int = 4) {
    precondition(burst > 0, "a limiter that allows nothing is no limiter")
    self.interval = interval
    self.burst = burst
  }

  public mutating func request() { isRequested = true }

  /// Called once for each captured picture: whether it is to be coded as a key frame.
  public mutating func takesEffect(at now: Instant) -> Bool {
    guard isRequested else { return false }
    let begin = max(restored ?? now, now)
    guard begin - now <= interval * (burst - 1) else { return false }
    isRequested = false
    restored = begin + interval
    return true
  }
}
