import CLinux
public import EdgeCore

/// What a descriptor is ready for.
public struct Readiness: OptionSet, Hashable, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  public static let read = Readiness(rawValue: 1)
  public static let write = Readiness(rawValue: 2)
  /// The other side is gone altogether. Reported whether asked for or not.
  public static let hangUp = Readiness(rawValue: 4)
  /// An error waits in the descriptor. Reported whether asked for or not.
  public static let error = Readiness(rawValue: 8)
}

/// One epoll loop on one thread: sockets, timers and put-off tasks of everything a process does.
///
/// A turn waits, reads the clock once, calls the handlers of ready descriptors, then due timers,
/// then tasks by priority. Anything may be added, changed or removed from inside a handler.
/// Nothing here may be called from another thread: those use ``Mailbox``.
public final class Reactor {
  /// Names one registration. Descriptor numbers are reused by the kernel at once;
  /// the generation keeps an event queued for the old owner from reaching the new one.
  public struct Token: Hashable, Sendable {
    let descriptor: Int32
    let generation: UInt32

    var packed: UInt64 { UInt64(generation) << 32 | UInt64(UInt32(bitPattern: descriptor)) }
  }

  public struct TimerToken: Hashable, Sendable {
    let id: UInt64
  }

  public enum Priority: Int, Sendable {
    case signalling, media, bulk
  }

  private struct Registration {
    var generation: UInt32
    var interest: Readiness
    var handler: (Readiness) -> Void
  }

  /// The time this turn began: nanoseconds since boot, time asleep included.
  public private(set) var now: Instant
  /// Buffers every socket of this reactor receives into, one after the other.
  private(set) lazy var arena = ReceiveArena()

  /// Called at the end of every turn, for work that is better done once for all of it.
  var onTurnEnd: (() -> Void)?

  private let epoll: FileDescriptor
  private let alarm: FileDescriptor
  private let events: UnsafeMutablePointer<epoll_event>
  private static let maxEvents = 64
  private static let alarmMark = UInt64.max

  /// Indexed by descriptor.
  private var registrations: [Registration?] = []
  private var lastGeneration: UInt32 = 0
  private var timers = TimerQueue()
  private var tasks = TaskQueue()
  /// What the alarm is set to; `nil` when it is not.
  private var armed: Instant?
  private var isStopping = false

  public init() throws(SystemError) {
    epoll = FileDescriptor(owning: try systemCall("epoll_create1") { epoll_create1(Int32(EPOLL_CLOEXEC)) })
    // A timer on the boot clock also fires on waking from a suspend; epoll's own time-out would sleep on.
    alarm = FileDescriptor(
      owning: try systemCall("timerfd_create") {
        timerfd_create(CLOCK_BOOTTIME, Int32(TFD_CLOEXEC | TFD_NONBLOCK))
      })
    events = .allocate(capacity: Self.maxEvents)
    now = MonotonicClock.now
    var event = epoll_event()
    event.events = EPOLLIN.rawValue
    event.data.u64 = Self.alarmMark
    let (epollDescriptor, alarmDescriptor) = (epoll.raw, alarm.raw)
    try systemCall("epoll_ctl") { epoll_ctl(epollDescriptor, EPOLL_CTL_ADD, alarmDescriptor, &event) }
  }

  deinit { events.deallocate() }

  /// Seconds since 1970, as the machine believes. For certificates and dates in documents, never for deadlines.
  public var wallClockSeconds: Int64 { MonotonicClock.wallClockSeconds }

  // MARK: Descriptors

  /// Calls `handler` whenever `descriptor` is ready for something in `interest` (level-triggered).
  ///
  /// The caller keeps owning the descriptor and calls ``remove(_:)`` before closing it. The handler is kept until then.
  public func add(
    _ descriptor: Int32, interest: Readiness, handler: @escaping (Readiness) -> Void
  ) throws(SystemError) -> Token {
    lastGeneration &+= 1
    let token = Token(descriptor: descriptor, generation: lastGeneration)
    var event = Self.event(interest, token)
    try systemCall("epoll_ctl") { epoll_ctl(epoll.raw, EPOLL_CTL_ADD, descriptor, &event) }
    let index = Int(descriptor)
    while registrations.count <= index { registrations.append(nil) }
    registrations[index] = Registration(generation: token.generation, interest: interest, handler: handler)
    return token
  }

  /// Changes what the handler is called for. Does nothing for a removed token.
  public func update(_ token: Token, interest: Readiness) {
    guard let registration = registration(token), registration.interest != interest else { return }
    registrations[Int(token.descriptor)]?.interest = interest
    var event = Self.event(interest, token)
    // The descriptor is registered, so only a bug of ours can be refused.
    precondition(epoll_ctl(epoll.raw, EPOLL_CTL_MOD, token.descriptor, &event) == 0, "epoll_ctl: modify")
  }

  /// Ends a registration; its handler is not called again, not even for an event already fetched.
  public func remove(_ token: Token) {
    guard registration(token) != nil else { return }
    registrations[Int(token.descriptor)] = nil
    epoll_ctl(epoll.raw, EPOLL_CTL_DEL, token.descriptor, nil)
  }

  // MARK: Timers and tasks

  /// Runs `body` once, at the first turn not before `deadline`.
  @discardableResult
  public func schedule(at deadline: Instant, _ body: @escaping () -> Void) -> TimerToken {
    TimerToken(id: timers.schedule(at: deadline, body))
  }

  /// Runs `body` once, `delay` after the start of this turn.
  @discardableResult
  public func schedule(after delay: Duration, _ body: @escaping () -> Void) -> TimerToken {
    schedule(at: now + delay, body)
  }

  /// Does nothing for a timer that ran already.
  public func cancel(_ timer: TimerToken) { timers.cancel(timer.id) }

  /// Runs `body` later in this turn, or in a following one when this turn has run enough of that priority.
  public func enqueue(_ priority: Priority, _ body: @escaping () -> Void) { tasks.append(priority.rawValue, body) }

  // MARK: Running

  /// Turns until ``stop()``.
  public func run() throws(SystemError) {
    isStopping = false
    while !isStopping { try turn() }
  }

  /// Makes ``run()`` return at the end of this turn.
  public func stop() { isStopping = true }

  /// One turn: waits until something is ready or due, but not longer than `limit`, and handles it.
  public func turn(waitingAtMost limit: Duration? = nil) throws(SystemError) {
    let count = Int(try wait(limit))
    now = MonotonicClock.now
    for index in 0..<count { dispatch(events[index]) }
    for id in timers.removeDue(at: now) { timers.take(id)?() }
    for (level, limit) in TaskQueue.turnLimits.enumerated() {
      var left = limit
      while left > 0, let task = tasks.popFirst(level) {
        task()
        left -= 1
      }
    }
    onTurnEnd?()
  }

  private func wait(_ limit: Duration?) throws(SystemError) -> Int32 {
    var milliseconds: Int32 = -1
    // Rounded up: waking a moment early would only mean another empty turn.
    if let limit { milliseconds = Int32(clamping: max(0, (limit.wholeNanoseconds + 999_999) / 1_000_000)) }
    if !tasks.isEmpty {
      milliseconds = 0
    } else if let deadline = timers.nextDeadline() {
      if deadline <= now { milliseconds = 0 } else { try arm(deadline) }
    }
    return try systemCall("epoll_wait") { epoll_wait(epoll.raw, events, Int32(Self.maxEvents), milliseconds) }
  }

  /// Sets the alarm unless it goes off before `deadline` anyway: then it is set again after that.
  private func arm(_ deadline: Instant) throws(SystemError) {
    if let armed, armed <= deadline { return }
    var setting = itimerspec()
    setting.it_value.tv_sec = time_t(deadline.nanoseconds / 1_000_000_000)
    setting.it_value.tv_nsec = Int(deadline.nanoseconds % 1_000_000_000)
    try systemCall("timerfd_settime") { timerfd_settime(alarm.raw, Int32(TFD_TIMER_ABSTIME), &setting, nil) }
    armed = deadline
  }

  private func dispatch(_ event: epoll_event) {
    let mark = event.data.u64
    if mark == Self.alarmMark {
      var expirations: UInt64 = 0
      read(alarm.raw, &expirations, 8)
      armed = nil
      return
    }
    let token = Token(
      descriptor: Int32(bitPattern: UInt32(truncatingIfNeeded: mark)),
      generation: UInt32(truncatingIfNeeded: mark >> 32))
    guard let registration = registration(token) else { return }
    var ready: Readiness = []
    if event.events & EPOLLIN.rawValue != 0 { ready.insert(.read) }
    if event.events & EPOLLOUT.rawValue != 0 { ready.insert(.write) }
    if event.events & EPOLLHUP.rawValue != 0 { ready.insert(.hangUp) }
    if event.events & EPOLLERR.rawValue != 0 { ready.insert(.error) }
    registration.handler(ready)
  }

  private func registration(_ token: Token) -> Registration? {
    let index = Int(token.descriptor)
    guard index >= 0, index < registrations.count, let registration = registrations[index],
      registration.generation == token.generation
    else { return nil }
    return registration
  }

  private static func event(_ interest: Readiness, _ token: Token) -> epoll_event {
    var event = epoll_event()
    event.data.u64 = token.packed
    if interest.contains(.read) { event.events |= EPOLLIN.rawValue }
    if interest.contains(.write) { event.events |= EPOLLOUT.rawValue }
    return event
  }
}
