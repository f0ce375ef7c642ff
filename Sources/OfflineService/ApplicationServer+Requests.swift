import EdgeCore
import SIP

// What comes from the proxy: callers who leave messages, and the ends of calls.
extension ApplicationServer {
  func receiveRequest(_ request: Message) {
    switch request.method {
    case .invite: receiveInvite(request)
    // The caller has the answer; what it says over MSRP is between it and the media server.
    case .ack: break
    case .bye: receiveBye(request)
    case .cancel: receiveCancel(request)
    case .notify: receiveNotify(request)
    case .options: answer(request, 200)
    default: answer(request, 501)
    }
  }

  private func receiveInvite(_ request: Message) {
    // A new offer inside a storing session changes nothing that is stored.
    guard request.to?.tag == nil else { return answer(request, 488) }
    // The Request-URI may have changed on the way: who is meant stands in To.
    guard let to = request.to.flatMap({ account($0.uri.description) }),
      let from = request.from.flatMap({ account($0.uri.description) })
    else { return answer(request, 404) }
    guard !request.body.isEmpty, request.mediaType == "application/sdp" else { return answer(request, 488) }
    let tag = random.token(12)
    guard let dialog = Dialog(accepting: request, localTag: tag) else { return answer(request, 400) }
    guard mayStore(from), let server = choice.best(where: { media[$0].isReady }) else {
      return answer(request, 503)
    }
    // The caller's offer goes on as it is.
    var invite = newRequest(
      .invite, to: mediaURI(server), from: uri(from), as: mediaURI(server).description)
    invite.setBody(request.body, type: "application/sdp")
    let number = add(
      Store(invite: request, dialog: dialog, from: from, to: to, server: server, mediaInvite: invite))
    sendToMedia(invite, server, for: .store(number))
  }

  func mediaURI(_ server: Int) -> URI { URI(.sip, user: "media\(server + 1)", host: configuration.domain) }

  /// The media server's answer to the caller's offer.
  func storeAnswered(_ number: Int, _ response: Message, _ status: StatusCode) {
    guard let store = stores[number], let invite = store.mediaInvite else { return }
    guard status.isSuccess, let dialog = Dialog(request: invite, response: response) else {
      _ = remove(number)
      return answer(store.invite, status.isSuccess ? 502 : status, tag: store.dialog.id.localTag)
    }
    change(number) {
      $0.media = dialog
      $0.answer = response.body
    }
    sendToMedia(dialog.acknowledgement(ofInvite: 1), store.server, for: nil)
    var order = ControlDocument(
      .restoreMessage, from: uri(store.from), to: uri(store.to), connection: Self.connectionID(dialog))
    order.terminal = ""
    sendControl(order, store.server, for: .restore(number))
  }

  /// RFC 6230's way of naming a dialog: the tags, ours first.
  static func connectionID(_ dialog: Dialog) -> String { "\(dialog.id.localTag):\(dialog.id.remoteTag)" }

  /// The media server is ready to store: now the caller is answered for the callee.
  func restoreAnswered(_ number: Int, _ document: ControlDocument?) {
    guard let store = stores[number], !store.isAnswered else { return }
    guard document?.status == 200 else {
      forget(number)
      return answer(store.invite, 480, tag: store.dialog.id.localTag)
    }
    change(number) { $0.isAnswered = true }
    var response = Message.response(to: store.invite, status: 200, tag: store.dialog.id.localTag)
    response.append(.contact, contact.description)
    response.setBody(store.answer, type: "application/sdp")
    outputs.append(.toProxy(response))
  }

  /// The media server has stored a message.
  func messageStored(_ document: ControlDocument) {
    guard let to = account(document.to) else { return }
    log("offline-stored", ["receiver": to, "sender": account(document.from) ?? ""])
    for terminal in registrations[to] ?? [] { push(to: to, terminal) }
  }

  private func receiveBye(_ request: Message) {
    guard let id = DialogID(receivedRequest: request) else { return answer(request, 481) }
    if let number = stores.first(where: { $0.value.dialog.id == id })?.key {
      answer(request, 200)
      return forget(number)
    }
    if let number = pushes.first(where: { $0.value.user?.id == id })?.key {
      answer(request, 200)
      pushes[number]?.user = nil
      return endPush(number, isOver: true)
    }
    answer(request, 481)
  }

  /// A media server has lost sight of whom it talked to: both halves of the call end.
  func receiveRequest(_ request: Message, fromMedia server: Int) {
    let id = DialogID(receivedRequest: request)
    var status: StatusCode = request.method == .bye ? 481 : 501
    if request.method == .bye, let number = stores.first(where: { $0.value.media?.id == id })?.key {
      status = 200
      if let store = remove(number), store.isAnswered {
        var dialog = store.dialog
        sendToProxy(dialog.request(.bye), for: .goodbye)
        log("offline-caller-gone", ["sender": store.from, "receiver": store.to])
      }
    } else if request.method == .bye, let number = pushes.first(where: { $0.value.media?.id == id })?.key {
      status = 200
      pushes[number]?.media = nil
      endPush(number, isOver: true)
    }
    outputs.append(.toMedia(.response(to: request, status: status, tag: random.token(12)), server))
  }

  private func receiveCancel(_ request: Message) {
    answer(request, 200)
    guard
      let number = stores.first(where: {
        !$0.value.isAnswered && $0.value.invite.callID == request.callID
          && $0.value.invite.topVia?.branch == request.topVia?.branch
      })?.key, let store = stores[number]
    else { return }
    answer(store.invite, 487, tag: store.dialog.id.localTag)
    forget(number)
  }

  /// Ends the media server's half of a storing session.
  func forget(_ number: Int) {
    guard let store = remove(number) else { return }
    if var dialog = store.media { sendToMedia(dialog.request(.bye), store.server, for: .goodbye) }
  }

  // MARK: Responses

  func receiveResponse(_ response: Message) {
    guard let branch = response.topVia?.branch, let status = response.status, status.isFinal,
      let (request, purpose) = requests.removeValue(forKey: branch)
    else { return }
    switch purpose {
    case .subscribe: subscribed(response, to: request, status)
    case .control(let server): controlAnswered(server, response, to: request, status)
    case .store(let number): acknowledgeFailure(response, request, nil); storeAnswered(number, response, status)
    case .pushMedia(let number): pushMediaAnswered(number, response, status)
    case .pushUser(let number):
      acknowledgeFailure(response, request, number)
      pushUserAnswered(number, response, status)
    case .goodbye: break
    }
  }

  /// RFC 3261 §17.1.1.3: the ACK of a failure has the branch of its INVITE.
  private func acknowledgeFailure(_ response: Message, _ request: Message, _ push: Int?) {
    guard response.status?.isSuccess == false, let ack = Message.acknowledgement(of: response, to: request) else {
      return
    }
    if push != nil { outputs.append(.toProxy(ack)) }
  }
}
