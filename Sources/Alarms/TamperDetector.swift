public import EdgeCore

/// Finds a covered lens: the picture loses what there was to see, and it stays lost.
///
/// What there is to see is learnt over minutes, so that dusk is no covering. A scene that never had anything to see
/// (fog, a bare wall) cannot lose it, and is not judged.
public struct TamperDetector: Sendable {
  public enum Event: Hashable, Sendable {
    /// - first: when the picture was lost.
    case began(first: Instant)
    case ended
  }

  /// It is an alarm after so long.
  public static let patience: Duration = .seconds(5)
  /// Seen again for so long, it is over.
  public static let recovery: Duration = .seconds(2)
  /// Pictures until anything is known.
  private static let lesson = 20
  /// Of neighbouring cells, on average a difference of 1.5.
  private static let leastContrast: Float = 530

  private var usual: Float = 0
  private var pictures = 0
  private var lostSince: Instant?
  private var seenSince: Instant?
  public private(set) var isTampered = false

  public init() {}

  public mutating func see(_ look: Look, at now: Instant) -> Event? {
    let contrast = Float(look.contrast)
    pictures += 1
    if pictures <= Self.lesson {
      usual += (contrast - usual) / Float(pictures)
      return nil
    }
    if contrast < usual * 0.3, usual >= Self.leastContrast {
      seenSince = nil
      if lostSince == nil { lostSince = now }
      guard !isTampered, let since = lostSince, now - since >= Self.patience else { return nil }
      isTampered = true
      return .began(first: since)
    }
    if isTampered {
      guard contrast > usual * 0.5 else {
        seenSince = nil
        return nil
      }
      if seenSince == nil { seenSince = now }
      guard let since = seenSince, now - since >= Self.recovery else { return nil }
      isTampered = false
      lostSince = nil
      seenSince = nil
      return .ended
    }
    lostSince = nil
    usual += (contrast - usual) / 600
    return nil
  }
}
