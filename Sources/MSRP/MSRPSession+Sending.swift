public import EdgeCore

extension MSRPSession {
  /// Queues a message and says its Message-ID. Nothing is written before ``pull(at:into:)``.
  ///
  /// After the session ended, the message fails at once.
  @discardableResult
  public mutating func send(_ message: Outgoing, into out: inout Output) -> String {
    let id = message.messageID ?? random.token(20)
    guard !isEnded else {
      out.events.append(.failed(messageID: id, status: 481))
      return id
    }
    var head = MSRPHead(transactionID: "", kind: .request("SEND"), toPath: remotePath, fromPath: [local])
    head.messageID = id
    head.wantsSuccessReport = message.wantsSuccessReport
    head.failureReport = message.failureReport
    head.contentType = message.contentType
    head.fields = message.fields
    switch message.content {
    case .bytes(let bytes):
      sending.messages.append(
        .init(id: id, head: head, total: UInt64(bytes.count), bytes: bytes, next: 0))
    case .supplied(let total, let from):
      var queued = MSRPSendQueue.Message(id: id, head: head, total: total, bytes: nil, next: min(from, total))
      _ = queued.confirmed.insert(0..<queued.next)
      _ = queued.reported.insert(0..<queued.next)
      sending.messages.append(queued)
    }
    return id
  }

  /// A request without content: the active end's first word on a new connection (RFC 4975 §7.1), or a sign of life.
  public mutating func sendEmpty(at now: Instant, into out: inout Output) {
    guard !isEnded else { return }
    let head = newRequest("SEND", to: remotePath)
    var named = head
    named.messageID = random.token(20)
    sending.expect(head.transactionID, nil, 0..<0, at: now)
    out.messages.append(named.serialized())
  }

  /// Called when the connection takes more: see the type's description.
  public mutating func pull(at now: Instant, into out: inout Output) -> Pull {
    guard !isEnded, sending.transactions.count < configuration.maximumUnconfirmed,
      let index = sending.next(interleaves: configuration.interleaves, chunkBytes: configuration.chunkBytes)
    else { return .idle }
    let message = sending.messages[index]
    let count = Int(min(message.remaining, UInt64(configuration.chunkBytes)))
    guard let bytes = message.bytes else {
      return .wants(messageID: message.id, offset: message.next, count: count)
    }
    let offset = Int(message.next)
    write(Array(bytes[offset..<offset + count]), of: index, at: now, into: &out)
    return .sent
  }

  /// The bytes that ``Pull/wants(messageID:offset:count:)`` asked for. Ignored for a message that failed meanwhile.
  public mutating func supply(_ messageID: String, _ bytes: [UInt8], at now: Instant, into out: inout Output) {
    guard !isEnded, let index = sending.index(of: messageID), !sending.messages[index].isHandedOver else { return }
    precondition(UInt64(bytes.count) <= sending.messages[index].remaining, "more bytes than the message has")
    write(bytes, of: index, at: now, into: &out)
  }

  /// Gives up a message; the peer is told when it has had a part of it.
  public mutating func abort(_ messageID: String, at now: Instant, into out: inout Output) {
    guard let index = sending.index(of: messageID) else { return }
    stop(index, at: now, into: &out)
  }

  public mutating func tick(at now: Instant, into out: inout Output) {
    for transaction in sending.takeExpired(at: now) {
      guard !isEnded else { return }
      guard let messageID = transaction.messageID else { return end(408, into: &out) }
      fail(messageID, 408, at: now, into: &out)
    }
  }

  // MARK: Inside

  private mutating func write(_ body: [UInt8], of index: Int, at now: Instant, into out: inout Output) {
    var message = sending.messages[index]
    let range = message.next..<message.next + UInt64(body.count)
    message.next = range.upperBound
    message.isHandedOver = message.next == message.total
    message.head.transactionID = newTransaction()
    // RFC 4975 §7.1: "the sender MUST ensure that the end-line is not present in the body".
    while contains(body, message.head.transactionID) { message.head.transactionID = newTransaction() }
    // RFC 4975 §7.1.1: a chunk of more than 2048 octets has `*` for its end, an empty one begins at 1.
    message.head.byteRange = MSRPByteRange(
      start: range.lowerBound + 1, end: body.count > 2048 ? nil : range.upperBound, total: message.total)
    out.messages.append(message.head.serialized(body: body, flag: message.isHandedOver ? .last : .more))
    if message.head.failureReport == .yes {
      sending.expect(message.head.transactionID, message.id, range, at: now)
    } else if message.isHandedOver {
      message.hasReportedSent = true
      out.events.append(.sent(messageID: message.id))
    }
    sending.messages[index] = message
    if message.isFinished { _ = sending.remove(at: index) }
  }

  private func contains(_ body: [UInt8], _ transactionID: String) -> Bool {
    let wanted = Array(transactionID.utf8)
    var probe = 6
    while probe < body.count {
      if body[probe] == 0x2D {
        var end = probe
        while end < body.count, body[end] == 0x2D { end += 1 }
        if body[end...].starts(with: wanted) { return true }
        probe = end
      }
      probe += 7
    }
    return false
  }

  /// A response to one of this end's requests. Those to requests nobody remembers are ignored.
  mutating func receiveResponse(_ code: Int, to transactionID: String, at now: Instant, into out: inout Output) {
    guard let transaction = sending.takeTransaction(transactionID) else {
      // Failure-Report `partial` keeps no transactions: only an error of the whole session is understood.
      if code == 481 || code == 506 { end(code, into: &out) }
      return
    }
    switch code {
    case 200..<300: confirm(transaction, into: &out)
    case 481, 506: end(code, into: &out)
    default:
      guard let messageID = transaction.messageID else { return }
      fail(messageID, code, at: now, into: &out)
    }
  }

  private mutating func confirm(_ transaction: MSRPSendQueue.Transaction, into out: inout Output) {
    guard let messageID = transaction.messageID, let index = sending.index(of: messageID) else { return }
    _ = sending.messages[index].confirmed.insert(transaction.range)
    let message = sending.messages[index]
    out.events.append(.progress(messageID: messageID, confirmed: message.confirmed.contiguous))
    guard message.isHandedOver, message.confirmed.covers(message.total), !message.hasReportedSent else { return }
    sending.messages[index].hasReportedSent = true
    out.events.append(.sent(messageID: messageID))
    if sending.messages[index].isFinished { _ = sending.remove(at: index) }
  }

  /// RFC 4975 §7.3.2: a report means what a response of that status would.
  mutating func receiveReport(_ head: MSRPHead, at now: Instant, into out: inout Output) {
    // "silently ignore the REPORT" of a message nobody knows.
    guard let id = head.messageID, let status = head.reportedStatus, let index = sending.index(of: id) else { return }
    guard (200..<300).contains(status) else {
      // "it MUST treat the session as failed", but for a receiver that only has enough of this message.
      fail(id, status, at: now, into: &out)
      if status != 413 && status != 415 { end(status, into: &out) }
      return
    }
    let total = sending.messages[index].total
    let start = head.byteRange.map { $0.start - 1 } ?? 0
    let end = min(head.byteRange?.end ?? total, total)
    guard sending.messages[index].head.wantsSuccessReport, start <= end else { return }
    _ = sending.messages[index].reported.insert(start..<end)
    guard sending.messages[index].isHandedOver, sending.messages[index].reported.covers(total) else { return }
    // What is at its destination passed every hop before.
    if !sending.messages[index].hasReportedSent { out.events.append(.sent(messageID: id)) }
    out.events.append(.delivered(messageID: id))
    _ = sending.remove(at: index)
  }

  private mutating func fail(_ messageID: String, _ status: Int, at now: Instant, into out: inout Output) {
    guard let index = sending.index(of: messageID) else { return }
    let wasSent = sending.messages[index].hasReportedSent
    stop(index, at: now, into: &out)
    // Once sent, only a report can still say that it failed.
    if !wasSent || status != 408 { out.events.append(.failed(messageID: messageID, status: status)) }
  }

  /// RFC 4975 §7.1: `#`, "intends to send no further chunks in that message".
  private mutating func stop(_ index: Int, at now: Instant, into out: inout Output) {
    let message = sending.remove(at: index)
    guard !isEnded, !message.isHandedOver, message.next > 0 else { return }
    var head = message.head
    head.transactionID = newTransaction()
    head.byteRange = MSRPByteRange(start: message.next + 1, end: nil, total: message.total)
    out.messages.append(head.serialized(body: [], flag: .aborted))
  }
}
