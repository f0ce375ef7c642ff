internal import EdgeCore
internal import ICE
internal import LinuxIO
internal import SCTPTransport

/// Noticing that what is sent is not acknowledged any more, long before checks of consent (RFC 7675) would tell: they are
/// seconds apart.
extension PeerSession {
  /// SCTP acknowledges within 200 ms (RFC 9260 §6.2), and one acknowledgement may get lost.
  private static let answerPatience = Duration.milliseconds(450)
  private static let askingInterval = Duration.milliseconds(300)

  /// When the path is to be doubted unless something comes before.
  func doubtDeadline() -> Instant? {
    guard let association = channels?.association, association.unacknowledgedBytes > 0 || association.queuedBytes > 0
    else {
      doubtAt = nil
      return nil
    }
    if doubtAt == nil { doubtAt = reactor.now + Self.answerPatience + (agent?.selectedPath?.roundTrip ?? .zero) * 2 }
    return doubtAt
  }

  /// Asks at once whether the path lives. The check also shows the peer where a router that forgot this session has it
  /// come from now.
  func doubtIfUnanswered(at now: Instant) {
    guard let due = doubtAt, now >= due else { return }
    doubtAt = now + Self.askingInterval
    agent?.doubtPath(at: now)
    guard !isSilent else { return }
    isSilent = true
    onSilence?()
  }
}
