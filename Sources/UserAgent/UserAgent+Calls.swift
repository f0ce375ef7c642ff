public import EdgeCore
public import SIP

// MARK: - Commands

extension UserAgent {
  /// Calls a serial or an account of the server's domain. `nil` when too many calls are under way.
  public mutating func call(
    _ user: String, contentType: String, body: [UInt8], at now: Instant, into out: inout UserAgentOutbox
  ) -> CallHandle? {
    guard calls.count < Self.capacity, state == .ready else { return nil }
    let handle = CallHandle(number: nextNumber())
    var request = newRequest(.invite, to: URI(.sip, user: user, host: configuration.domain))
    request.contact = contact
    describeAbilities(&request)
    request.setBody(body, type: contentType)
    guard let id = start(request, for: .invite(handle), at: now, into: &out) else { return nil }
    var call = Call(phase: .calling(id))
    call.decideBy = now + Call.patience
    calls[handle] = call
    return handle
  }

  /// Tells the caller that somebody is working on it (180).
  public mutating func ring(_ handle: CallHandle, at now: Instant, into out: inout UserAgentOutbox) {
    guard let call = calls[handle], case .ringing(let id, let request) = call.phase else { return }
    var ringing = Message.response(to: request, status: 180, tag: call.localTag)
    // RFC 3261 §12.1.1: what makes a dialog has a Contact.
    ringing.contact = contact
    respond(id, ringing, at: now, into: &out)
  }

  /// Answers a call, or a new offer inside it.
  public mutating func accept(
    _ handle: CallHandle, contentType: String, body: [UInt8], at now: Instant, into out: inout UserAgentOutbox
  ) {
    guard var call = calls[handle] else { return }
    switch call.phase {
    case .ringing(let id, let request), .reoffered(let id, let request):
      var response = Message.response(to: request, status: 200, tag: call.localTag)
      response.contact = contact
      describeAbilities(&response)
      response.setBody(body, type: contentType)
      call.answer = response.serialized()
      call.answeredNumber = request.cseq?.number
      call.answerInterval = .milliseconds(500)
      call.answerResendAt = now + call.answerInterval
      call.answerGiveUpAt = now + .seconds(32)
      call.phase = .answered
      call.decideBy = nil
      calls[handle] = call
      respond(id, response, at: now, into: &out)
    case .calling, .answered, .established: break
    }
  }

  /// Refuses a call, which is over then, or a new offer inside one, which goes on as before. No event follows.
  public mutating func refuse(
    _ handle: CallHandle, _ status: StatusCode, reason: String? = nil, retryAfter: UInt32? = nil, at now: Instant,
    into out: inout UserAgentOutbox
  ) {
    guard let call = calls[handle] else { return }
    switch call.phase {
    case .ringing(let id, let request), .reoffered(let id, let request):
      var response = Message.response(to: request, status: status, reason: reason, tag: call.localTag)
      response.retryAfter = retryAfter
      // RFC 3261 §21.4.13: "The server MUST return a list of acceptable formats".
      if status == 415 { response.append(.accept, joined(configuration.offerTypes)) }
      respond(id, response, at: now, into: &out)
      if case .ringing = call.phase { calls[handle] = nil } else { resume(handle) }
    case .calling, .answered, .established: break
    }
  }

  /// Ends a call in whatever state it is. No event follows, whatever the other side still says.
  ///
  /// The other side learns it as soon as the protocol allows: an INVITE of ours is cancelled, one of theirs refused
  /// with 603; a call whose answer was not acknowledged yet gets its BYE after the ACK (RFC 3261 §15), and one
  /// hung up while the link is down gets it on the next flow.
  public mutating func hangUp(_ handle: CallHandle, at now: Instant, into out: inout UserAgentOutbox) {
    guard let call = calls[handle] else { return }
    switch call.phase {
    case .calling(let id):
      // The answer may be on its way: the call stays until it came, and then is ended with a BYE.
      giveUp(handle)
      transactions.cancel(id, at: now, into: &wire)
      drainTransactions(at: now, into: &out)
    case .ringing: refuse(handle, 603, at: now, into: &out)
    case .answered: giveUp(handle)
    case .reoffered:
      // RFC 3261 §15.1.2 asks a final answer for what is pending.
      refuse(handle, 487, at: now, into: &out)
      sayGoodbye(handle, at: now, into: &out)
    case .established: sayGoodbye(handle, at: now, into: &out)
    }
  }

  /// Sends an INFO inside the call (RFC 6086; RFC 8840 carries candidates this way).
  public mutating func sendInfo(
    _ handle: CallHandle, package: String, contentType: String, body: [UInt8], at now: Instant,
    into out: inout UserAgentOutbox
  ) {
    guard state == .ready, let call = calls[handle], call.isEstablished, !call.isGivenUp,
      var info = calls[handle]?.dialog?.request(.info)
    else { return }
    info.append(.infoPackage, package)
    info.setBody(body, type: contentType)
    start(info, for: .info(handle), at: now, into: &out)
  }

  /// Whether ``reoffer(_:contentType:body:at:into:)`` would send: logged in, the call stands, and no other offer is
  /// under way.
  public func canReoffer(_ handle: CallHandle) -> Bool {
    guard state == .ready, let call = calls[handle], case .established = call.phase else { return false }
    return !call.isReoffering && !call.isGivenUp
  }

  /// Offers anew inside an established call, after an ICE restart (RFC 3261 §14.1), unless an offer of either side is
  /// under way. An answer comes as ``UserAgentEvent/callAnswered(_:contentType:body:)``; a refusal leaves the call as it is.
  public mutating func reoffer(
    _ handle: CallHandle, contentType: String, body: [UInt8], at now: Instant, into out: inout UserAgentOutbox
  ) {
    guard canReoffer(handle), var request = calls[handle]?.dialog?.request(.invite) else { return }
    request.contact = contact
    describeAbilities(&request)
    request.setBody(body, type: contentType)
    calls[handle]?.isReoffering = true
    start(request, for: .reinvite(handle), at: now, into: &out)
  }

  /// What INVITEs, answers to them and answers to OPTIONS say of us (RFC 3261 §13.2.1, §11.2; RFC 6086 §4.2.1).
  func describeAbilities(_ message: inout Message) {
    message.append(.allow, Self.allowedMethods)
    message.append(.supported, joined(Self.extensions))
    if !configuration.infoPackages.isEmpty { message.append(.recvInfo, joined(configuration.infoPackages)) }
  }
}

// MARK: - Our own INVITE

extension UserAgent {
  mutating func receiveProgress(
    _ response: Message, _ status: StatusCode, _ handle: CallHandle, into out: inout UserAgentOutbox
  ) {
    guard let call = calls[handle], !call.isGivenUp else { return }
    reportRelays(response, handle, into: &out)
    if status.value > 100 { out.events.append(.callProgress(handle, status)) }
  }

  func reportRelays(_ response: Message, _ handle: CallHandle, into out: inout UserAgentOutbox) {
    let relays = response.values(.other("X-Edge-Relay"))
    if !relays.isEmpty { out.events.append(.relaysOffered(handle, relays)) }
  }

  mutating func receiveInviteFinal(
    _ response: Message, _ status: StatusCode, to request: Message, _ handle: CallHandle, at now: Instant,
    into out: inout UserAgentOutbox
  ) {
    guard var call = calls[handle] else { return }
    guard status.isSuccess else {
      endCall(handle, .refused(status, retryAfter: response.retryAfter), into: &out)
      return
    }
    guard let dialog = Self.dialog(of: response, to: request) else {
      endCall(handle, .refused(502, retryAfter: nil), into: &out)
      return
    }
    call.dialog = dialog
    call.phase = .established
    call.decideBy = nil
    calls[handle] = call
    acknowledge(handle, request, into: &out)
    guard !call.isGivenUp else {
      sayGoodbye(handle, at: now, into: &out)
      return
    }
    reportRelays(response, handle, into: &out)
    out.events.append(.callAnswered(handle, contentType: response.mediaType ?? "", body: response.body))
  }

  mutating func receiveReinviteFinal(
    _ response: Message, _ status: StatusCode, to request: Message, _ handle: CallHandle,
    into out: inout UserAgentOutbox
  ) {
    guard let call = calls[handle] else { return }
    calls[handle]?.isReoffering = false
    if status.isSuccess {
      calls[handle]?.dialog?.refreshTarget(from: response)
      acknowledge(handle, request, into: &out)
      guard !call.isGivenUp else { return }
      reportRelays(response, handle, into: &out)
      out.events.append(.callAnswered(handle, contentType: response.mediaType ?? "", body: response.body))
    } else if status == 481 || status == 408 {
      endCall(handle, .remote, into: &out)
    } else if !call.isGivenUp {
      out.events.append(.reofferRefused(handle, status))
    }
  }

  /// `nil` for an answer that does not repeat what it answers, or does not say where requests go.
  private static func dialog(of response: Message, to request: Message) -> Dialog? {
    guard response.contact != nil, response.callID == request.callID, response.from?.tag == request.from?.tag else {
      return nil
    }
    return Dialog(request: request, response: response)
  }

  /// The ACK of a 2xx is a request of its own, and no transaction (RFC 3261 §13.2.2.4).
  private mutating func acknowledge(_ handle: CallHandle, _ request: Message, into out: inout UserAgentOutbox) {
    guard let number = request.cseq?.number, var ack = calls[handle]?.dialog?.acknowledgement(ofInvite: number)
    else { return }
    ack.push(via())
    calls[handle]?.acknowledgement = ack
    send(ack, into: &out)
  }

  /// A 2xx that came again: its ACK was lost. `request` is our INVITE, when its transaction still lives.
  mutating func receiveRepeatedAnswer(
    _ response: Message, to request: Message?, at now: Instant, into out: inout UserAgentOutbox
  ) {
    guard response.status?.isSuccess == true, response.cseq?.method == .invite,
      let id = DialogID(receivedResponse: response)
    else { return }
    for call in calls.values where call.dialog?.id == id {
      if let ack = call.acknowledgement, ack.cseq?.number == response.cseq?.number { send(ack, into: &out) }
      return
    }
    // Another branch of a forked INVITE answered too, or a call that is over: RFC 3261 §13.2.2.4 has it
    // acknowledged and then ended.
    guard let request, let number = request.cseq?.number, var dialog = Self.dialog(of: response, to: request) else {
      return
    }
    var ack = dialog.acknowledgement(ofInvite: number)
    ack.push(via())
    send(ack, into: &out)
    if state == .ready { start(dialog.request(.bye), for: .bye, at: now, into: &out) }
  }
}

// MARK: - Time and endings

extension UserAgent {
  mutating func tickCalls(at now: Instant, into out: inout UserAgentOutbox) {
    for handle in sortedCalls {
      if let due = calls[handle]?.decideBy, now >= due {
        calls[handle]?.decideBy = nil
        decisionMissing(handle, at: now, into: &out)
      }
      guard var call = calls[handle], let due = call.answerResendAt, now >= due else { continue }
      if let giveUp = call.answerGiveUpAt, now >= giveUp {
        // RFC 3261 §13.3.1.4: no ACK in 64·T1: the session is ended with a BYE.
        let isGivenUp = call.isGivenUp
        sayGoodbye(handle, at: now, into: &out)
        if !isGivenUp { out.events.append(.callEnded(handle, .timedOut)) }
        continue
      }
      call.answerInterval = min(call.answerInterval * 2, .seconds(4))
      call.answerResendAt = now + call.answerInterval
      calls[handle] = call
      out.actions.append(.send(call.answer))
    }
  }

  private mutating func decisionMissing(_ handle: CallHandle, at now: Instant, into out: inout UserAgentOutbox) {
    guard let call = calls[handle] else { return }
    switch call.phase {
    case .calling:
      out.events.append(.callEnded(handle, .timedOut))
      hangUp(handle, at: now, into: &out)
    case .ringing(_, let request):
      // RFC 3261 §13.3.1: 487 when the caller's own limit passed.
      refuse(handle, request.expires == nil ? 480 : 487, at: now, into: &out)
      out.events.append(.callEnded(handle, .timedOut))
    case .reoffered: refuse(handle, 480, at: now, into: &out)
    case .answered, .established: break
    }
  }

  /// After a reconnect: answers whose ACK is still missing go out again at once, and so do goodbyes.
  mutating func resumeCalls(at now: Instant, into out: inout UserAgentOutbox) {
    for handle in sortedCalls {
      guard let call = calls[handle] else { continue }
      if call.answerResendAt != nil {
        calls[handle]?.answerResendAt = now
      } else if call.isGivenUp, call.isEstablished {
        sayGoodbye(handle, at: now, into: &out)
      }
    }
    tickCalls(at: now, into: &out)
  }

  /// The flow is gone: calls being set up on it end, the others wait for the next one.
  mutating func suspendCalls(into out: inout UserAgentOutbox) {
    for handle in sortedCalls {
      guard let call = calls[handle] else { continue }
      switch call.phase {
      case .calling, .ringing: endCall(handle, .linkLost, into: &out)
      case .reoffered: resume(handle)
      case .answered, .established: break
      }
      calls[handle]?.isReoffering = false
    }
  }

  /// Sends the BYE and forgets the call; without a flow it stays for the next one.
  mutating func sayGoodbye(_ handle: CallHandle, at now: Instant, into out: inout UserAgentOutbox) {
    guard state == .ready else { return giveUp(handle) }
    if let bye = calls[handle]?.dialog?.request(.bye) { start(bye, for: .bye, at: now, into: &out) }
    calls[handle] = nil
  }

  private mutating func giveUp(_ handle: CallHandle) {
    calls[handle]?.isGivenUp = true
    calls[handle]?.decideBy = nil
  }

  /// The other side's new offer is dealt with.
  mutating func resume(_ handle: CallHandle) {
    calls[handle]?.phase = .established
    calls[handle]?.decideBy = nil
  }

  mutating func endCall(_ handle: CallHandle, _ end: CallEnd, into out: inout UserAgentOutbox) {
    guard let call = calls.removeValue(forKey: handle), !call.isGivenUp else { return }
    out.events.append(.callEnded(handle, end))
  }

  /// In the order they were made, so that hash order never shows.
  var sortedCalls: [CallHandle] { calls.keys.sorted { $0.number < $1.number } }
}
