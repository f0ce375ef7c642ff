public import EdgeCore

/// Which of a camera's events are sent: at most one message in an interval.
///
/// Motion within the interval is counted, and the count told with the next message. That a camera is lost or covered,
/// or no longer, is told later instead, if it is still true then.
public struct AlarmDesk: Sendable {
  public let interval: Duration
  private var free: Instant?
  private var suppressed = 0
  /// What was told last of a kind that is a state, and what is to be told.
  private var told: [AlarmEvent.Kind: AlarmEvent.Phase] = [:]
  private var owed: [AlarmEvent] = []
  /// Motions that no message was sent of, since the start.
  public private(set) var suppressedTotal = 0

  public init(interval: Duration) { self.interval = interval }

  /// - Returns: the event as it is to be sent now; `nil` when it is not.
  public mutating func take(_ event: AlarmEvent, at now: Instant) -> AlarmEvent? {
    let isFree = free.map { $0 <= now } ?? true
    guard event.kind != .motion else {
      guard event.phase == .begin else { return nil }
      guard isFree else {
        suppressed += 1
        suppressedTotal += 1
        return nil
      }
      return send(event, now)
    }
    owed.removeAll { $0.kind == event.kind }
    // That it is over is of interest to who was told that it began.
    guard (told[event.kind] ?? .end) != event.phase else { return nil }
    guard isFree else {
      owed.append(event)
      return nil
    }
    return send(event, now)
  }

  /// What is due to be sent, to be called at ``nextDeadline``.
  public mutating func tick(at now: Instant) -> AlarmEvent? {
    guard !owed.isEmpty, free.map({ $0 <= now }) ?? true else { return nil }
    return send(owed.removeFirst(), now)
  }

  public var nextDeadline: Instant? { owed.isEmpty ? nil : free }

  private mutating func send(_ event: AlarmEvent, _ now: Instant) -> AlarmEvent {
    var event = event
    event.suppressed = suppressed
    suppressed = 0
    told[event.kind] = event.phase
    free = now + interval
    return event
  }
}
