import EdgeCore
import SIP

/// What makes two requests the same transaction (RFC 3261 §17.2.3), and from the same peer.
struct AnswerKey: Hashable {
  private let text: String
  private let flow: Flow

  /// `method` replaces that of the request: a CANCEL or ACK looks for its INVITE.
  init(_ request: Message, _ flow: Flow, method: SIP.Method? = nil) {
    self.flow = flow
    let via = request.topVia
    let name = (method ?? request.method)?.name ?? ""
    if let via, via.hasUniqueBranch, let branch = via.branch {
      // RFC 3261 §17.2.3: branch, sent-by, method.
      text = "\(branch) \(via.sentBy) \(name)"
    } else {
      // An RFC 2543 client: everything that stays the same in a retransmission.
      text =
        "\(request.requestURI?.description ?? "") \(request.from?.tag ?? "") \(request.callID ?? "") "
        + "\(request.cseq?.number ?? 0) \(via?.description ?? "") \(name)"
    }
  }
}

/// Final answers by UDP, for as long as the request may come again (RFC 3261 §17.2.2, timer J).
struct AnswerCache {
  private static let lifetime: Duration = .seconds(32)
  private static let capacity = 20_000

  private var answers: [AnswerKey: [UInt8]] = [:]
  /// All live equally long, so the order of entry is the order of expiry.
  private var order: [(key: AnswerKey, expires: Instant)] = []
  private var first = 0

  var isEmpty: Bool { answers.isEmpty }

  subscript(key: AnswerKey) -> [UInt8]? { answers.isEmpty ? nil : answers[key] }

  mutating func keep(_ bytes: [UInt8], for key: AnswerKey, at now: Instant) {
    while answers.count >= Self.capacity { removeFirst() }
    guard answers.updateValue(bytes, forKey: key) == nil else { return }
    order.append((key, now + Self.lifetime))
  }

  mutating func removeExpired(at now: Instant) {
    while first < order.count, order[first].expires <= now { removeFirst() }
  }

  private mutating func removeFirst() {
    guard first < order.count else { return }
    answers[order[first].key] = nil
    first += 1
    if first * 2 > order.count {
      order.removeFirst(first)
      first = 0
    }
  }
}
