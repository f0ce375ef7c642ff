/// A point on the process's monotonic time line, in nanoseconds since an arbitrary
/// origin (boot in the daemon, zero in tests).
///
/// Cores never ask what time it is: every entry point that needs the time takes
/// an `Instant`. The standard library's `ContinuousClock.Instant` cannot be made from a
/// number, which would force a real clock into every test.
public struct Instant: Hashable, Comparable, Sendable {
  public var nanoseconds: Int64

  public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  public static let zero = Instant(nanoseconds: 0)

  public static func < (a: Self, b: Self) -> Bool { a.nanoseconds < b.nanoseconds }

  public static func + (a: Self, d: Duration) -> Self { Self(nanoseconds: a.nanoseconds + d.wholeNanoseconds) }

  public static func - (a: Self, d: Duration) -> Self { Self(nanoseconds: a.nanoseconds - d.wholeNanoseconds) }

  public static func - (a: Self, b: Self) -> Duration { .nanoseconds(a.nanoseconds - b.nanoseconds) }

  /// The earlier of two deadlines, where `nil` means never.
  public static func earliest(_ a: Self?, _ b: Self?) -> Self? {
    guard let a else { return b }
    guard let b else { return a }
    return min(a, b)
  }
}

extension Duration {
  /// The duration in nanoseconds, rounded toward zero. Good for ±292 years.
  public var wholeNanoseconds: Int64 {
    let (seconds, attoseconds) = components
    return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
  }

  /// The duration in milliseconds, rounded toward zero.
  public var wholeMilliseconds: Int64 { wholeNanoseconds / 1_000_000 }
}
