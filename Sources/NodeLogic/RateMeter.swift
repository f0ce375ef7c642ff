public import EdgeCore

/// Events per second over the last few seconds.
public struct RateMeter: Sendable {
  private var windowStart: Instant?
  private var inWindow: Int64 = 0
  private var last: Int64?
  private static let window = Duration.seconds(2)

  public init() {}

  /// - Parameter times: how many events this one stands for.
  public mutating func count(at now: Instant, times: Int = 1) {
    guard let start = windowStart else {
      windowStart = now
      return
    }
    inWindow += Int64(times)
    guard now - start >= Self.window else { return }
    last = inWindow * 1_000_000_000_000 / max(1, (now - start).wholeNanoseconds)
    windowStart = now
    inWindow = 0
  }

  /// Events per second, times 1000. Zero when nothing came for two windows.
  public func thousandths(at now: Instant) -> Int64 {
    guard let start = windowStart, now - start < Self.window * 2 else { return 0 }
    if let last { return last }
    let elapsed = (now - start).wholeNanoseconds
    return elapsed > 500_000_000 ? inWindow * 1_000_000_000_000 / elapsed : 0
  }
}
