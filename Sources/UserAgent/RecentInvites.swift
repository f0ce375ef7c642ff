import EdgeCore
import SIP

/// The INVITEs that came lately, to tell apart one that arrives a second time by another path: a merged request
/// (RFC 3261 §8.2.2.2). The transaction layer absorbs what comes again with the same branch.
struct RecentInvites {
  private struct Entry {
    var callID: String
    var fromTag: String
    var number: UInt32
    var until: Instant
  }

  private var entries: [Entry] = []

  /// More calls at once than this are refused anyway.
  static let capacity = 256
  /// As long as an INVITE transaction may live (RFC 3261 §17.2.1 timer H).
  static let lifetime = Duration.seconds(32)

  var count: Int { entries.count }

  mutating func removeAll() { entries.removeAll() }

  /// Remembers a request outside any dialog. False when the same one is known from another path.
  mutating func admit(_ request: Message, at now: Instant) -> Bool {
    entries.removeAll { $0.until <= now }
    let entry = Entry(
      callID: request.callID ?? "", fromTag: request.from?.tag ?? "", number: request.cseq?.number ?? 0,
      until: now + Self.lifetime)
    guard
      !entries.contains(where: { $0.callID == entry.callID && $0.fromTag == entry.fromTag && $0.number == entry.number }
      )
    else { return false }
    if entries.count >= Self.capacity { entries.removeFirst() }
    entries.append(entry)
    return true
  }
}
