import EdgeCore
import SIP

extension UserAgent {
  /// An out-of-dialog request from the account (RFC 3261 §8.1.1), without Via.
  mutating func newRequest(_ method: Method, to uri: URI) -> Message {
    var request = Message(request: method, uri)
    request.maxForwards = 70
    var from = NameAddress(accountURI)
    from.tag = random.token(12)
    request.from = from
    request.to = NameAddress(uri)
    request.callID = random.token(24)
    request.cseq = CSeq(1, method)
    request.append(.userAgent, configuration.product)
    return request
  }

  /// Sends a request with a fresh branch, and with credentials when a challenge is known already.
  /// `nil` when too much is under way; what the request was for is then put off or ended.
  @discardableResult
  mutating func start(
    _ request: Message, for purpose: Purpose, answered: Int = 0, at now: Instant, into out: inout UserAgentOutbox
  ) -> TransactionHandle? {
    var request = request
    request.removeAll(.via)
    request.push(via())
    digest.authorize(&request, using: &random)
    let id = transactions.send(
      request, over: flow, isReliable: configuration.transport.isReliable, at: now, into: &wire)
    flushTransmissions(into: &out)
    if let id {
      pending[id] = Pending(purpose: purpose, request: request, answered: answered)
    } else {
      couldNotSend(purpose, at: now, into: &out)
    }
    return id
  }

  private mutating func couldNotSend(_ purpose: Purpose, at now: Instant, into out: inout UserAgentOutbox) {
    switch purpose {
    case .register:
      registration.isSending = false
      if state == .ready { registration.refreshAt = now + .seconds(5) }
    case .unregister: finishLeaving(flowIsOpen: true, at: now, into: &out)
    case .publish:
      publication?.isSending = false
      publication?.refreshAt = now + Publication.retryWait
    case .invite(let handle): endCall(handle, .timedOut, into: &out)
    case .reinvite(let handle): calls[handle]?.isReoffering = false
    case .bye, .info, .unsubscribe, .message: break
    case .subscribe(let handle): retrySubscription(handle, after: nil, at: now)
    }
  }

  /// Sends what is no transaction: the ACK of a 2xx, and refusals of malformed requests.
  func send(_ message: Message, into out: inout UserAgentOutbox) {
    guard hasFlow else { return }
    out.actions.append(.send(message.serialized()))
  }

  mutating func respond(
    _ id: TransactionHandle, _ response: Message, at now: Instant, into out: inout UserAgentOutbox
  ) {
    transactions.respond(id, tagged(response), at: now, into: &wire)
    flushTransmissions(into: &out)
  }

  /// RFC 3261 §8.2.6.2: every answer but a 100 has a To tag.
  mutating func tagged(_ response: Message) -> Message {
    guard let status = response.status, status.value > 100, var to = response.to, to.tag == nil else { return response }
    var response = response
    to.tag = random.token(12)
    response.to = to
    return response
  }

  /// What could not be parsed, but well enough to say so.
  mutating func refuse(_ refusal: Refusal, into out: inout UserAgentOutbox) {
    // RFC 3261 §17.1.1.1: nothing ever answers an ACK; and without a Via an answer finds no way.
    guard refusal.request.isRequest, refusal.request.method != .ack, refusal.request.topVia != nil else { return }
    send(tagged(.response(to: refusal.request, status: refusal.status)), into: &out)
  }

  mutating func flushTransmissions(into out: inout UserAgentOutbox) {
    for transmission in wire.transmissions where hasFlow && transmission.flow == flow {
      out.actions.append(.send(transmission.bytes))
    }
    wire.transmissions.removeAll(keepingCapacity: true)
  }

  /// Acts on what the transaction layer found, until nothing is left: acting may add more.
  mutating func drainTransactions(at now: Instant, into out: inout UserAgentOutbox) {
    flushTransmissions(into: &out)
    while !wire.events.isEmpty {
      let events = wire.events
      wire.events.removeAll(keepingCapacity: true)
      for event in events {
        // An event before this one may have ended the flow, and with it what the rest is about.
        guard hasFlow else { return wire.removeAll() }
        switch event {
        case .request(let id, let message, _, let cancels):
          receiveRequest(message, in: id, cancels: cancels, at: now, into: &out)
        case .acknowledgement(let message, _): receiveAcknowledgement(message, at: now, into: &out)
        case .response(let id, let message): receiveResponse(message, in: id, at: now, into: &out)
        case .strayResponse(let message, _): receiveRepeatedAnswer(message, to: nil, at: now, into: &out)
        case .timedOut(let id): timedOut(id, at: now, into: &out)
        case .acknowledgementMissing: break
        case .ended(let id): pending[id] = nil
        }
      }
      flushTransmissions(into: &out)
    }
  }

  /// A response in one of our transactions.
  mutating func receiveResponse(
    _ response: Message, in id: TransactionHandle, at now: Instant, into out: inout UserAgentOutbox
  ) {
    guard let status = response.status else { return }
    guard let entry = pending[id] else {
      // RFC 6026 §7.2: an accepted INVITE's transaction passes further copies of its 2xx on.
      receiveRepeatedAnswer(response, to: transactions.message(id), at: now, into: &out)
      return
    }
    if status.isProvisional {
      switch entry.purpose {
      case .invite(let call): receiveProgress(response, status, call, into: &out)
      case .reinvite(let call): reportRelays(response, call, into: &out)
      default: break
      }
      return
    }
    pending[id] = nil
    guard status == 401 || status == 407 else {
      finish(entry, response, status, at: now, into: &out)
      return
    }
    switch digest.receive(response, answered: entry.answered) {
    case .retry:
      retry(entry, at: now, into: &out)
    case .giveUp(let failure):
      giveUp(entry, failure, response, status, at: now, into: &out)
    }
  }

  /// The same request again with credentials: a new transaction, the next CSeq (RFC 3261 §22.2).
  private mutating func retry(_ entry: Pending, at now: Instant, into out: inout UserAgentOutbox) {
    var request = entry.request
    guard let method = request.method else { return }
    switch entry.purpose {
    case .register, .unregister:
      registration.sequence += 1
      request.cseq = CSeq(registration.sequence, method)
    case .invite(let handle):
      guard calls[handle] != nil else { return }
      request.cseq = request.cseq.map { CSeq($0.number + 1, method) }
    case .reinvite(let handle), .info(let handle):
      guard let next = calls[handle]?.dialog?.request(method) else { return }
      request.cseq = next.cseq
    case .publish, .bye, .unsubscribe, .message:
      // After a BYE or the end of a subscription nothing else is sent in its dialog: the next number is free.
      request.cseq = request.cseq.map { CSeq($0.number + 1, method) }
    case .subscribe(let handle):
      guard subscriptions[handle] != nil else { return }
      request.cseq =
        subscriptions[handle]?.dialog?.request(method).cseq ?? CSeq((request.cseq?.number ?? 0) + 1, method)
    }
    let id = start(request, for: entry.purpose, answered: entry.answered + 1, at: now, into: &out)
    if case .message(let handle) = entry.purpose, id == nil { out.events.append(.messageAnswered(handle, nil)) }
    if case .invite(let handle) = entry.purpose, let id { calls[handle]?.phase = .calling(id) }
  }

  private mutating func giveUp(
    _ entry: Pending, _ failure: DigestClient.Failure, _ response: Message, _ status: StatusCode,
    at now: Instant, into out: inout UserAgentOutbox
  ) {
    let linkFailure: LinkFailure =
      switch failure {
      case .badPassword: .badPassword
      // Its length is the other side's choice, and it goes into reports.
      case .foreignRealm: .foreignRealm(String((response.challenges.first?.realm ?? "").prefix(64)))
      case .noCommonAlgorithm, .noChallenge: .refused(status)
      }
    switch entry.purpose {
    case .register: fail(linkFailure, flowIsOpen: true, at: now, into: &out)
    case .invite(let handle):
      let end: CallEnd = failure == .badPassword ? .badPassword : .refused(status, retryAfter: nil)
      endCall(handle, end, into: &out)
    default: finish(entry, response, status, at: now, into: &out)
    }
  }

  private mutating func finish(
    _ entry: Pending, _ response: Message, _ status: StatusCode, at now: Instant, into out: inout UserAgentOutbox
  ) {
    switch entry.purpose {
    case .register: receiveRegisterResponse(response, status, at: now, into: &out)
    case .unregister: finishLeaving(flowIsOpen: true, at: now, into: &out)
    case .publish: receivePublishResponse(response, status, to: entry.request, at: now, into: &out)
    case .invite(let handle): receiveInviteFinal(response, status, to: entry.request, handle, at: now, into: &out)
    case .reinvite(let handle): receiveReinviteFinal(response, status, to: entry.request, handle, into: &out)
    case .bye, .unsubscribe: break
    case .message(let handle): out.events.append(.messageAnswered(handle, status))
    case .info(let handle):
      // RFC 3261 §12.2.1.2: the other side knows nothing of this dialog any more.
      if status == 481 || status == 408 { endCall(handle, .remote, into: &out) }
    case .subscribe(let handle):
      receiveSubscribeFinal(response, status, to: entry.request, handle, at: now, into: &out)
    }
  }

  mutating func timedOut(_ id: TransactionHandle, at now: Instant, into out: inout UserAgentOutbox) {
    guard let entry = pending.removeValue(forKey: id) else { return }
    switch entry.purpose {
    case .register, .publish:
      // On a live flow the server would have answered.
      fail(.silent, flowIsOpen: true, at: now, into: &out)
    case .unregister: finishLeaving(flowIsOpen: true, at: now, into: &out)
    case .invite(let handle): endCall(handle, .timedOut, into: &out)
    case .reinvite(let handle):
      // RFC 3261 §12.2.1.2: no answer at all is the end of the dialog.
      guard let call = calls[handle] else { return }
      sayGoodbye(handle, at: now, into: &out)
      if !call.isGivenUp { out.events.append(.callEnded(handle, .timedOut)) }
    case .bye, .info, .unsubscribe: break
    case .message(let handle): out.events.append(.messageAnswered(handle, nil))
    case .subscribe(let handle): subscribeTimedOut(handle, at: now, into: &out)
    }
  }

  /// The flow is gone, and every transaction on it.
  mutating func abandonTransactions(into out: inout UserAgentOutbox) {
    transactions.drop(flow, into: &wire)
    wire.removeAll()
    var unheard: [MessageHandle] = []
    for entry in pending.values { if case .message(let handle) = entry.purpose { unheard.append(handle) } }
    unheard.sort { $0.number < $1.number }
    for handle in unheard { out.events.append(.messageAnswered(handle, nil)) }
    pending.removeAll()
    unanswered.removeAll()
    registration.isSending = false
    registration.refreshAt = nil
    publication?.isSending = false
    publication?.refreshAt = nil
    recentInvites.removeAll()
    suspendSubscriptions()
    suspendCalls(into: &out)
  }
}
