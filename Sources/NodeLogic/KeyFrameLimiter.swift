public import EdgeCore

/// Turns any number of requests for a key frame into at most one forced key frame per
/// interval and camera, so that one viewer on a bad link cannot spend everybody's bandwidth.
public struct KeyFrameLimiter: Sendable {
  public let interval: Duration
  private var lastForced: Instant?
  private var isRequested = false

  public init(interval: Duration = .seconds(1)) { self.interval = interval }

  public mutating func request() { isRequested = true }

  /// Called once for each captured picture: whether it is to be coded as a key frame.
  public mutating func takesEffect(at now: Instant) -> Bool {
    guard isRequested else { return false }
    if let lastForced, now - lastForced < interval { return false }
    isRequested = false
    lastForced = now
    return true
  }
}
