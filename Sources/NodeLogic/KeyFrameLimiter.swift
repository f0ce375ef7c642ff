public import EdgeCore

/// Turns any number of requests for a key frame, for whatever reason, into at most one per interval and encoder: one
/// viewer on a bad link cannot spend everybody's bandwidth.
///
/// Who joins in between need not wait: ``PictureBacklog``.
public struct KeyFrameLimiter: Sendable {
  public static let standardInterval = Duration.seconds(1)

  public let interval: Duration
  private var last: Instant?
  private var isRequested = false

  public init(interval: Duration = Self.standardInterval) { self.interval = interval }

  public mutating func request() { isRequested = true }

  /// Whether the picture that is encoded next is to be a key frame.
  public func isDue(at now: Instant) -> Bool { isRequested && last.map { now - $0 >= interval } ?? true }

  /// A key frame was made, asked for or not: an encoder's first picture is one. It serves whoever asked before.
  public mutating func made(at now: Instant) {
    isRequested = false
    last = now
  }
}
