import EdgeCore
import SIP

// Requests from the other side, checked in the order of RFC 3261 §8.2.
extension UserAgent {
  static var allowedMethods: String { "INVITE, ACK, CANCEL, BYE, INFO, OPTIONS, NOTIFY, MESSAGE" }

  /// What a request may require (RFC 3261 §8.2.2.3), and what ours say we support.
  static var extensions: [String] { ["outbound", "path", "trickle-ice"] }

  func joined(_ values: [String]) -> String {
    var text = ""
    for value in values { text += text.isEmpty ? value : ", " + value }
    return text
  }

  mutating func receiveRequest(
    _ request: Message, in id: TransactionHandle, cancels: TransactionHandle?, at now: Instant,
    into out: inout UserAgentOutbox
  ) {
    guard let method = request.method else { return }
    if method == .cancel {
      // RFC 3261 §9.2 comes before everything else, Require included (§8.2.2.3).
      receiveCancel(request, in: id, cancels: cancels, at: now, into: &out)
    } else if let refusal = refusal(of: request, method, at: now) {
      respond(id, refusal, at: now, into: &out)
    } else if let dialog = DialogID(receivedRequest: request) {
      receiveInDialog(request, method, dialog, in: id, at: now, into: &out)
    } else if method == .invite {
      receiveInvite(request, in: id, at: now, into: &out)
    } else if method == .message {
      receiveMessage(request, in: id, at: now, into: &out)
    } else if method == .options {
      respond(id, abilities(request), at: now, into: &out)
    } else {
      // BYE, INFO and NOTIFY mean something inside a dialog only.
      respond(id, .response(to: request, status: 481), at: now, into: &out)
    }
  }

  /// The answer to a request that is not looked at any further; `nil` for one that is fine.
  private mutating func refusal(of request: Message, _ method: Method, at now: Instant) -> Message? {
    var refusal = Message.response(to: request, status: 400)
    func answer(_ status: StatusCode) -> Message {
      refusal.startLine = .response(status, reason: status.reason)
      return refusal
    }
    // §8.2.1: known and not supported, or never heard of.
    switch method {
    case .invite, .bye, .info, .options, .notify, .message: break
    case .register, .subscribe, .publish, .prack, .update, .refer:
      refusal.append(.allow, Self.allowedMethods)
      return answer(405)
    default:
      refusal.append(.allow, Self.allowedMethods)
      return answer(501)
    }
    // §8.2.2.1
    if request.requestURI?.isSIP != true { return answer(416) }
    // §8.2.2.2
    let isOutsideDialog = request.to?.tag == nil
    if method == .invite, isOutsideDialog, !recentInvites.admit(request, at: now) { return answer(482) }
    let unknown = request.unknownExtensions(known: Self.extensions)
    if !unknown.isEmpty {
      refusal.append(.unsupported, joined(unknown))
      return answer(420)
    }
    if method == .info, let package = request[.infoPackage], !configuration.infoPackages.contains(package) {
      // RFC 6086 §4.2.2.
      refusal.append(.recvInfo, joined(configuration.infoPackages))
      return answer(469)
    }
    // §8.2.3: a body that the sender declares optional is no reason to refuse.
    guard !request.body.isEmpty, !Self.isBodyOptional(request) else { return nil }
    if let encoding = request[.contentEncoding], !ASCII.equalIgnoringCase(encoding, "identity") {
      refusal.append(.acceptEncoding, "identity")
      return answer(415)
    }
    if method == .invite, !configuration.offerTypes.contains(request.mediaType ?? "") {
      refusal.append(.accept, joined(configuration.offerTypes))
      return answer(415)
    }
    return nil
  }

  /// RFC 3261 §20.11: `handling` is "required" unless it says "optional".
  private static func isBodyOptional(_ request: Message) -> Bool {
    guard let value = request[.contentDisposition] else { return false }
    let compact = ASCII.lowercased(value).utf8.filter { $0 != 0x20 && $0 != 0x09 }
    return compact.split(separator: UInt8(ascii: ";")).dropFirst().contains {
      $0.elementsEqual("handling=optional".utf8)
    }
  }

  /// RFC 3261 §11.2.
  private func abilities(_ request: Message) -> Message {
    var response = Message.response(to: request, status: state == .ready ? 200 : 480)
    describeAbilities(&response)
    response.append(.accept, joined(configuration.offerTypes))
    response.append(.acceptEncoding, "identity")
    return response
  }

  private mutating func receiveInvite(
    _ request: Message, in id: TransactionHandle, at now: Instant, into out: inout UserAgentOutbox
  ) {
    let tag = random.token(12)
    guard state == .ready else {
      // Not logged in yet, or taking leave.
      respond(id, .response(to: request, status: 480, tag: tag), at: now, into: &out)
      return
    }
    guard calls.count < Self.capacity else {
      var busy = Message.response(to: request, status: 503, tag: tag)
      busy.retryAfter = 5
      respond(id, busy, at: now, into: &out)
      return
    }
    guard let dialog = Dialog(accepting: request, localTag: tag), let target = request.requestURI?.decodedUser,
      let wanted = request.to?.uri.decodedUser, let caller = request.from?.uri.decodedUser
    else {
      respond(id, .response(to: request, status: 400, tag: tag), at: now, into: &out)
      return
    }
    // RFC 3261 §16.6: on its way here the Request-URI became our own contact; To still names what was asked for.
    let serial = target == configuration.account ? wanted : target
    let handle = CallHandle(number: nextNumber())
    var call = Call(phase: .ringing(id, request), dialog: dialog, localTag: tag)
    call.decideBy = now + min(Call.patience, request.expires.map { .seconds(Int64($0)) } ?? Call.patience)
    calls[handle] = call
    out.events.append(
      .incomingCall(
        handle,
        IncomingCall(
          caller: caller, serial: serial, contentType: request.mediaType ?? "", body: request.body,
          relays: request.values(.other("X-Edge-Relay")))))
  }

  private mutating func receiveCancel(
    _ request: Message, in id: TransactionHandle, cancels: TransactionHandle?, at now: Instant,
    into out: inout UserAgentOutbox
  ) {
    guard let cancels else {
      respond(id, .response(to: request, status: 481), at: now, into: &out)
      return
    }
    for (handle, call) in calls {
      switch call.phase {
      case .ringing(let invite, let original) where invite == cancels,
        .reoffered(let invite, let original) where invite == cancels:
        // RFC 3261 §9.2: both answers have the same To tag.
        respond(id, .response(to: request, status: 200, tag: call.localTag), at: now, into: &out)
        respond(invite, .response(to: original, status: 487, tag: call.localTag), at: now, into: &out)
        if call.isEstablished { resume(handle) } else { endCall(handle, .remote, into: &out) }
        return
      default: continue
      }
    }
    respond(id, .response(to: request, status: 200), at: now, into: &out)
  }

  private mutating func receiveInDialog(
    _ request: Message, _ method: Method, _ dialog: DialogID, in id: TransactionHandle, at now: Instant,
    into out: inout UserAgentOutbox
  ) {
    if method == .notify {
      receiveNotify(request, dialog, in: id, at: now, into: &out)
      return
    }
    guard let handle = calls.first(where: { $0.value.dialog?.id == dialog })?.key else {
      respond(id, .response(to: request, status: 481), at: now, into: &out)
      return
    }
    guard calls[handle]?.dialog?.accepts(request) == true, let call = calls[handle] else {
      respond(id, .response(to: request, status: 500), at: now, into: &out)
      return
    }
    if method == .bye {
      respond(id, .response(to: request, status: 200), at: now, into: &out)
      // RFC 3261 §15.1.2: what is pending is answered 487.
      switch call.phase {
      case .ringing(let invite, let original), .reoffered(let invite, let original):
        respond(invite, .response(to: original, status: 487, tag: call.localTag), at: now, into: &out)
      case .calling, .answered, .established: break
      }
      endCall(handle, .remote, into: &out)
    } else if call.isGivenUp {
      // Only the goodbye is still to be said.
      respond(id, .response(to: request, status: 481), at: now, into: &out)
    } else if method == .info {
      respond(id, .response(to: request, status: 200), at: now, into: &out)
      out.events.append(.info(handle, contentType: request.mediaType ?? "", body: request.body))
    } else if method == .invite {
      guard case .established = call.phase, !call.isReoffering else {
        // RFC 3261 §14.2: another offer is under way.
        respond(id, .response(to: request, status: 491), at: now, into: &out)
        return
      }
      calls[handle]?.dialog?.refreshTarget(from: request)
      calls[handle]?.phase = .reoffered(id, request)
      calls[handle]?.decideBy = now + Call.reofferPatience
      let relays = request.values(.other("X-Edge-Relay"))
      if !relays.isEmpty { out.events.append(.relaysOffered(handle, relays)) }
      out.events.append(.callReoffered(handle, contentType: request.mediaType ?? "", body: request.body))
    } else {
      respond(id, abilities(request), at: now, into: &out)
    }
  }

  mutating func receiveAcknowledgement(_ message: Message, at now: Instant, into out: inout UserAgentOutbox) {
    guard let dialog = DialogID(receivedRequest: message),
      let handle = calls.first(where: { $0.value.dialog?.id == dialog })?.key, let call = calls[handle],
      // The ACK of an earlier INVITE of the dialog confirms nothing.
      case .answered = call.phase, call.answeredNumber == message.cseq?.number
    else { return }
    calls[handle]?.phase = .established
    calls[handle]?.answerResendAt = nil
    calls[handle]?.answerGiveUpAt = nil
    calls[handle]?.answer = []
    if call.isGivenUp {
      sayGoodbye(handle, at: now, into: &out)
    } else {
      out.events.append(.callConfirmed(handle, contentType: message.mediaType ?? "", body: message.body))
    }
  }
}
