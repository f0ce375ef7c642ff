public import EdgeCore

extension MSRPSession {
  /// What the framer of this session's connection found: requests to ``local`` and responses to its requests.
  ///
  /// The owner of a connection that carries several sessions gives each its own items, found by `To-Path`.
  public mutating func receive(_ item: MSRPFramer.Item, at now: Instant, into out: inout Output) {
    guard !isEnded else { return }
    switch item {
    case .head(let head, let hasBody): begin(head, hasBody: hasBody, at: now, into: &out)
    case .body(let bytes): take(bytes, into: &out)
    case .end(let flag): finish(flag, into: &out)
    }
  }

  /// Confirms a message that ``Event/received(messageID:contentType:body:total:)`` announced: it is stored.
  public mutating func accept(_ messageID: String, into out: inout Output) {
    guard let index = incoming.index(of: messageID), let held = incoming.messages[index].held else { return }
    respond(200, to: held, into: &out)
    complete(index, into: &out)
  }

  /// Tells the sender, who asked for that, that a confirmed message is at its destination.
  public mutating func reportSuccess(_ messageID: String, into out: inout Output) {
    if let message = incoming.takeOwed(messageID) { report(message, into: &out) }
  }

  /// Refuses a message, complete or not: 413 to have no more of it, or what else RFC 4975 §10 has.
  public mutating func reject(_ messageID: String, _ status: Int, into out: inout Output) {
    guard let index = incoming.index(of: messageID) else { return }
    let message = incoming.finish(index, status: status)
    if incoming.current?.head.messageID == messageID {
      incoming.current?.offset = nil
      incoming.current?.status = status
    } else if let held = message.held {
      respond(status, to: held, into: &out)
    }
  }

  // MARK: Inside

  private mutating func begin(_ head: MSRPHead, hasBody: Bool, at now: Instant, into out: inout Output) {
    incoming.current = nil
    if let code = head.responseCode { return receiveResponse(code, to: head.transactionID, at: now, into: &out) }
    // RFC 4975 §7.3: exactly one URI, of this session.
    guard head.toPath.count == 1, head.toPath[0] == local else { return refuse(head, 481) }
    switch head.method {
    case "SEND": beginSend(head, hasBody: hasBody, into: &out)
    // RFC 4975 §7.1.2: "MSRP nodes MUST NOT send MSRP responses to REPORT requests."
    case "REPORT":
      if head.isIntelligible { receiveReport(head, at: now, into: &out) }
    default: refuse(head, 501)
    }
  }

  private mutating func refuse(_ head: MSRPHead, _ status: Int) {
    guard head.method != "REPORT" else { return }
    incoming.current = .init(head: head, offset: nil, status: status)
  }

  private mutating func beginSend(_ head: MSRPHead, hasBody: Bool, into out: inout Output) {
    guard head.isIntelligible else { return refuse(head, 400) }
    guard hasBody else { return refuse(head, 200) }
    guard let id = head.messageID, let contentType = head.contentType else { return refuse(head, 400) }
    if let status = incoming.finishedStatus(id) { return refuse(head, status) }
    let offset = (head.byteRange?.start ?? 1) - 1
    if let index = incoming.index(of: id) {
      // Complete, and the owner has not decided: what comes again changes nothing.
      guard incoming.messages[index].held == nil else { return refuse(head, 200) }
    } else {
      // RFC 4975 §7.3.1: an unsupported media type is answered 415.
      guard MSRPMediaType.accepts(configuration.acceptTypes, contentType) else { return refuse(head, 415) }
      guard incoming.messages.count < MSRPLimits.incompleteMessages, !isTooLong(head.byteRange?.total ?? 0) else {
        return refuse(head, 413)
      }
      incoming.messages.append(
        .init(
          id: id, contentType: contentType, total: head.byteRange?.total, wantsSuccessReport: head.wantsSuccessReport,
          returnPath: head.fromPath))
      incoming.current = .init(head: head, offset: offset, status: nil)
      out.events.append(.began(messageID: id, contentType: contentType, total: head.byteRange?.total))
      return
    }
    incoming.current = .init(head: head, offset: offset, status: nil)
  }

  private func isTooLong(_ total: UInt64) -> Bool {
    switch configuration.delivery {
    case .whole(let maximum): total > UInt64(maximum)
    case .pieces(let maximum): total > maximum
    }
  }

  private mutating func take(_ bytes: [UInt8], into out: inout Output) {
    guard let current = incoming.current, let offset = current.offset, let id = current.head.messageID,
      let index = incoming.index(of: id)
    else { return }
    let end = offset + UInt64(bytes.count)
    incoming.current?.offset = end
    var isTaken = !isTooLong(end) && incoming.messages[index].coverage.insert(offset..<end)
    if isTaken, case .whole(let maximum) = configuration.delivery {
      let growth = Int(end) - incoming.messages[index].bytes.count
      isTaken = growth <= 0 || incoming.bufferedBytes + growth <= maximum
      if isTaken { incoming.messages[index].place(bytes, at: Int(offset)) }
    } else if isTaken {
      out.events.append(.piece(messageID: id, offset: offset, bytes: bytes))
    }
    guard !isTaken else { return }
    // RFC 4975 §10.5: 413 has the sender stop.
    reject(id, 413, into: &out)
    out.events.append(.abandoned(messageID: id))
  }

  private mutating func finish(_ flag: MSRPFlag, into out: inout Output) {
    guard let current = incoming.current else { return }
    incoming.current = nil
    guard current.status == nil, let id = current.head.messageID, let index = incoming.index(of: id) else {
      return respond(current.status ?? 200, to: current.head, into: &out)
    }
    switch flag {
    case .more: break
    case .last:
      // RFC 4975 §7.3.1: this chunk "defines the total length of the message".
      incoming.messages[index].total = current.offset
      incoming.messages[index].isTotalCertain = true
    case .aborted:
      _ = incoming.finish(index, status: 200)
      out.events.append(.abandoned(messageID: id))
      return respond(200, to: current.head, into: &out)
    }
    guard incoming.messages[index].isComplete else { return respond(200, to: current.head, into: &out) }
    let total = incoming.messages[index].total ?? 0
    let body = incoming.messages[index].takeBody(total)
    let received = Event.received(
      messageID: id, contentType: incoming.messages[index].contentType, body: body, total: total)
    if configuration.ownerConfirms {
      incoming.messages[index].held = current.head
    } else {
      respond(200, to: current.head, into: &out)
      complete(index, into: &out)
    }
    out.events.append(received)
  }

  /// RFC 4975 §7.1.3: the success report, of the whole message.
  private mutating func complete(_ index: Int, into out: inout Output) {
    let message = incoming.finish(index, status: 200)
    guard message.wantsSuccessReport else { return }
    if configuration.reportsAtOnce { report(message, into: &out) } else { incoming.owe(message) }
  }

  private mutating func report(_ message: MSRPReception.Message, into out: inout Output) {
    guard let total = message.total, !isEnded else { return }
    var report = newRequest("REPORT", to: message.returnPath)
    report.messageID = message.id
    report.byteRange = MSRPByteRange(start: 1, end: total, total: total)
    report.reportedStatus = 200
    out.messages.append(report.serialized())
  }

  private func respond(_ status: Int, to head: MSRPHead, into out: inout Output) {
    // RFC 4975 §7.1.4: `no` wants no response at all, `partial` only those that are errors.
    switch head.failureReport {
    case .no: return
    case .partial: if status == 200 { return }
    case .yes: break
    }
    out.messages.append(head.response(status, from: local).serialized())
  }
}

extension MSRPReception.Message {
  /// RFC 4975 §7.3.1: "the last chunk received SHOULD take precedence".
  fileprivate mutating func place(_ piece: [UInt8], at offset: Int) {
    let end = offset + piece.count
    if bytes.count == offset {
      bytes += piece
      return
    }
    if bytes.count < end { bytes += [UInt8](repeating: 0, count: end - bytes.count) }
    bytes.replaceSubrange(offset..<end, with: piece)
  }

  fileprivate mutating func takeBody(_ total: UInt64) -> [UInt8] {
    defer { bytes = [] }
    if bytes.count > total { bytes.removeLast(bytes.count - Int(total)) }
    return bytes
  }
}
