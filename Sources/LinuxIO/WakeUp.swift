import CLinux
public import EdgeCore

/// Interrupts a thread that waits, from any other thread (eventfd).
public final class WakeUp: @unchecked Sendable {
  private let event: FileDescriptor

  public init() throws(SystemError) {
    event = FileDescriptor(owning: try systemCall("eventfd") { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) })
  }

  /// Readable from ``wake()`` to ``clear()``, to be waited on together with other descriptors.
  public var descriptor: Int32 { event.raw }

  public func wake() { eventfd_write(event.raw, 1) }

  public func clear() {
    var count: UInt64 = 0
    eventfd_read(event.raw, &count)
  }

  /// Waits until `deadline` (`nil`: for ever); `true` when woken before it.
  public func wait(until deadline: Instant?) -> Bool {
    while true {
      var milliseconds: Int32 = -1
      if let deadline {
        let left = (deadline - MonotonicClock.now).wholeNanoseconds
        guard left > 0 else { return false }
        milliseconds = Int32(clamping: (left + 999_999) / 1_000_000)
      }
      var polled = pollfd(fd: event.raw, events: Int16(POLLIN), revents: 0)
      if poll(&polled, 1, milliseconds) > 0 { return true }
    }
  }
}
