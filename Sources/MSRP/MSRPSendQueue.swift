import EdgeCore

/// The messages a session is sending, and the requests that wait for their response.
struct MSRPSendQueue {
  struct Message {
    var id: String
    var head: MSRPHead
    var total: UInt64
    /// `nil`: the owner supplies the bytes.
    var bytes: [UInt8]?
    /// Where the next chunk begins.
    var next: UInt64
    var isHandedOver = false
    var confirmed = ByteCoverage()
    var reported = ByteCoverage()
    var hasReportedSent = false

    var remaining: UInt64 { total - next }
    /// Nothing more is to be heard of it. Of an empty message nothing is missing, and its report comes all the same.
    var isFinished: Bool { hasReportedSent && (!head.wantsSuccessReport || total > 0 && reported.covers(total)) }
  }

  /// A request that wants a response. RFC 4975 §7.1.1: 30 seconds.
  struct Transaction {
    var id: String
    /// `nil` for a request without content.
    var messageID: String?
    var range: Range<UInt64>
    var deadline: Instant
  }

  var messages: [Message] = []
  /// In the order of their deadlines.
  private(set) var transactions: [Transaction] = []

  static let responseTimeout = Duration.seconds(30)

  var nextDeadline: Instant? { transactions.first?.deadline }

  func index(of id: String) -> Int? { messages.firstIndex { $0.id == id } }

  /// The message whose chunk is next: the first that is not handed over; a short one may go before.
  func next(interleaves: Bool, chunkBytes: Int) -> Int? {
    guard let first = messages.firstIndex(where: { !$0.isHandedOver }) else { return nil }
    guard interleaves, messages[first].next > 0 else { return first }
    return messages[first...].firstIndex { !$0.isHandedOver && $0.total <= UInt64(chunkBytes) } ?? first
  }

  mutating func expect(_ id: String, _ messageID: String?, _ range: Range<UInt64>, at now: Instant) {
    transactions.append(Transaction(id: id, messageID: messageID, range: range, deadline: now + Self.responseTimeout))
  }

  mutating func takeTransaction(_ id: String) -> Transaction? {
    guard let index = transactions.firstIndex(where: { $0.id == id }) else { return nil }
    return transactions.remove(at: index)
  }

  mutating func takeExpired(at now: Instant) -> [Transaction] {
    let count = transactions.prefix { $0.deadline <= now }.count
    defer { transactions.removeFirst(count) }
    return Array(transactions.prefix(count))
  }

  mutating func remove(at index: Int) -> Message {
    let message = messages.remove(at: index)
    transactions.removeAll { $0.messageID == message.id }
    return message
  }

  mutating func removeAll() -> [Message] {
    defer {
      messages = []
      transactions = []
    }
    return messages.filter { !$0.hasReportedSent }
  }
}
