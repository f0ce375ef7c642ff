/// Decides, frame by frame, what one viewer gets.
///
/// A slow viewer must never slow the capture or another viewer, and half a frame is worth
/// nothing. So whole frames are dropped *before* they are sent, once the viewer's unsent
/// bytes would pass a budget; as the next frame builds on the dropped one, delivery resumes
/// at a key frame only.
///
///     awaiting key ──key frame that fits──▶ flowing
///          ▲                                   │
///          └──────── frame over budget ────────┘
public struct DeliveryGate: Sendable {
  /// What to do with a frame.
  public enum Verdict: Hashable, Sendable {
    case send
    case drop
  }

  /// Unsent bytes above which frames are dropped. A single key frame larger than this is
  /// still sent when nothing is waiting: otherwise a large picture could never start.
  public var budgetBytes: Int
  /// On top of the budget, for pictures that were already being made when there was no more room.
  public var spareBytes = 0
  /// Unsent bytes with which a picture is still made: ``hasRoom(bytes:unsentBytes:)``.
  public var roomBytes: Int
  /// Frames handed over for sending, and their payload bytes.
  public private(set) var framesSent: UInt64 = 0
  public private(set) var bytesSent: UInt64 = 0
  /// Frames dropped because the viewer was too slow. Frames that passed before its first
  /// key frame are not counted: nothing was lost.
  public private(set) var framesDropped: UInt64 = 0

  /// ``bytesSent`` at the end of the last backlog.
  private var backlogEnd: UInt64 = 0
  private var isFlowing = false
  private var hasStarted = false

  public init(budgetBytes: Int) {
    self.budgetBytes = budgetBytes
    roomBytes = budgetBytes
  }

  /// - Parameters:
  ///   - bytes: size of the frame on the wire.
  ///   - isKey: the frame builds on no earlier one.
  ///   - unsentBytes: what the viewer's channel still has queued.
  public mutating func admit(bytes: Int, isKey: Bool, unsentBytes: Int) -> Verdict {
    // A key frame ends a pause: it need not wait for all the room that a stream of pictures needs, and the next one is
    // a second away.
    let room = isKey && !isFlowing ? 2 * budgetBytes : budgetBytes + spareBytes + backlogLeft(unsentBytes)
    let fits = unsentBytes == 0 || unsentBytes + bytes <= room
    guard fits && (isFlowing || isKey) else {
      isFlowing = false
      if hasStarted { framesDropped += 1 }
      return .drop
    }
    isFlowing = true
    hasStarted = true
    framesSent += 1
    bytesSent += UInt64(bytes)
    return .send
  }

  /// What is left of a backlog: it was let in beyond the budget, and is not held against the pictures behind it, or a
  /// path that has yet to find its speed would lose those.
  private func backlogLeft(_ unsentBytes: Int) -> Int {
    let gone = bytesSent - min(bytesSent, UInt64(max(0, unsentBytes)))
    return backlogEnd > gone ? Int(backlogEnd - gone) : 0
  }

  /// A key frame and the pictures made since, for a viewer that would have to wait for the next one: all of them, or
  /// `false` and none. Where the path is known to be narrow they may not take longer than that wait.
  public mutating func admitBacklog(count: Int, bytes: Int, unsentBytes: Int, isPathKnown: Bool) -> Bool {
    let isStart = unsentBytes == 0 && (count == 1 || !isPathKnown)
    guard isStart || unsentBytes + bytes <= 2 * budgetBytes else { return false }
    isFlowing = true
    hasStarted = true
    framesSent += UInt64(count)
    bytesSent += UInt64(bytes)
    backlogEnd = bytesSent
    return true
  }

  /// Whether a picture should be made at all. The one that is not made leaves no gap, where one that is made and dropped
  /// costs everything up to the next key frame.
  public func hasRoom(bytes: Int, unsentBytes: Int) -> Bool {
    unsentBytes == 0 || unsentBytes + bytes <= roomBytes
  }

  /// So many pictures were not made for want of room.
  public mutating func held(_ count: Int) { if hasStarted { framesDropped += UInt64(count) } }

  /// True when a key frame asked for now could be delivered: the viewer waits for one and
  /// has room again. Asking earlier would spend the camera's key frames on a full queue.
  public func wantsKeyFrame(unsentBytes: Int) -> Bool { !isFlowing && unsentBytes <= budgetBytes / 4 }

  /// The viewer reported that it cannot decode: nothing but a key frame helps it.
  public mutating func requireKeyFrame() { isFlowing = false }
}
