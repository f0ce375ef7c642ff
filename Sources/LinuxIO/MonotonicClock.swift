import CLinux
public import EdgeCore

/// Reads the clocks. Only adapters and threads of their own do; everything on the reactor uses ``Reactor/now``.
public enum MonotonicClock {
  /// Time since boot, time asleep included, so that deadlines are right after a suspend.
  public static var now: Instant {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
  }

  /// Seconds since 1970, as the machine believes.
  public static var wallClockSeconds: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec)
  }

  /// Microseconds since 1970, as the machine believes.
  public static var wallClockMicroseconds: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
  }
}
