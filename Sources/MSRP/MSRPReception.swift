import EdgeCore

/// The messages a session is receiving.
struct MSRPReception {
  struct Message {
    var id: String
    var contentType: String
    var total: UInt64?
    /// The chunk flagged `$` came: `total` is certain.
    var isTotalCertain = false
    var coverage = ByteCoverage()
    /// With whole delivery.
    var bytes: [UInt8] = []
    var wantsSuccessReport: Bool
    /// Who reports go to.
    var returnPath: [MSRPURI]
    /// The request to be answered when the owner has decided.
    var held: MSRPHead?

    var isComplete: Bool {
      guard let total, isTotalCertain else { return false }
      return coverage.covers(total)
    }
  }

  /// The request whose body or end-line comes next.
  struct Current {
    var head: MSRPHead
    /// Where its next byte belongs; `nil` when its bytes are dropped.
    var offset: UInt64?
    /// What it will be answered; `nil` when its message decides.
    var status: Int?
  }

  var messages: [Message] = []
  var current: Current?
  /// Complete or rejected messages: chunks of them that come again are answered alike and not taken.
  private(set) var finished: [(id: String, status: Int)] = []
  /// Complete messages whose success report is still owed.
  private var owed: [Message] = []

  func index(of id: String) -> Int? { messages.firstIndex { $0.id == id } }

  func finishedStatus(_ id: String) -> Int? { finished.first { $0.id == id }?.status }

  var bufferedBytes: Int {
    var sum = 0
    for message in messages { sum += message.bytes.count }
    return sum
  }

  mutating func finish(_ index: Int, status: Int) -> Message {
    let message = messages.remove(at: index)
    if finished.count == MSRPLimits.finishedMessages { finished.removeFirst() }
    finished.append((message.id, status))
    return message
  }

  mutating func owe(_ message: Message) {
    if owed.count == MSRPLimits.finishedMessages { owed.removeFirst() }
    owed.append(message)
  }

  mutating func takeOwed(_ id: String) -> Message? {
    owed.firstIndex { $0.id == id }.map { owed.remove(at: $0) }
  }

  mutating func removeAll() -> [String] {
    defer {
      messages = []
      current = nil
    }
    return messages.map { $0.id }
  }
}
