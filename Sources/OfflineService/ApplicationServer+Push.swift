import EdgeCore
import SIP

// Bringing a terminal what was stored for its account (RFC 3725: a call set up by a third party).
//
//     ask every media server ─▶ oldest holder: INVITE without an offer ─▶ 200 with one
//       ─▶ INVITE the terminal with that offer, From = the sender ─▶ 200 with the answer
//       ─▶ ACK to both, the answer in the media server's ─▶ SendMsg ─▶ MsgSended ─▶ BYE to both ─▶ ask again
extension ApplicationServer {
  func push(to account: String, _ terminal: Registration.Terminal) {
    let key = PushKey(account: account, terminal: terminal.name)
    if let number = pushes.first(where: { $0.value.key == key })?.key {
      pushes[number]?.isAgain = true
      pushes[number]?.terminal = terminal
      return
    }
    guard stores.count + pushes.count < Self.capacity else { return }
    let number = newNumber()
    pushes[number] = Push(key: key, terminal: terminal)
    ask(number)
  }

  private func ask(_ number: Int) {
    guard let push = pushes[number] else { return }
    pushes[number]?.isAgain = false
    let ready = media.indices.filter { media[$0].isReady }
    guard !ready.isEmpty else { return pushes[number] = nil }
    pushes[number]?.asked = Set(ready)
    pushes[number]?.found = nil
    for server in ready {
      var question = ControlDocument(.sendMessage, to: uri(push.key.account))
      question.terminal = push.key.terminal
      sendControl(question, server, for: .ask(number, server: server))
    }
  }

  /// What a media server holds for the terminal, or `nil` when it is gone.
  func askAnswered(_ number: Int, _ server: Int, _ document: ControlDocument?) {
    guard pushes[number]?.asked.remove(server) != nil else { return }
    if let document, document.status == 200, !document.from.isEmpty {
      let accepted = document.accepted ?? .max
      if pushes[number].map({ accepted < $0.found?.accepted ?? .max }) == true || pushes[number]?.found == nil {
        pushes[number]?.found = (server, document.from, accepted)
      }
    }
    guard let push = pushes[number], push.asked.isEmpty else { return }
    guard let found = push.found else { return endPush(number, isOver: true) }
    choice.opened(found.server)
    pushes[number]?.isCounted = true
    let invite = newRequest(
      .invite, to: mediaURI(found.server), from: contact.uri.description, as: mediaURI(found.server).description)
    pushes[number]?.mediaInvite = invite
    sendToMedia(invite, found.server, for: .pushMedia(number))
  }

  /// The media server's offer.
  func pushMediaAnswered(_ number: Int, _ response: Message, _ status: StatusCode) {
    guard let push = pushes[number], let invite = push.mediaInvite, let found = push.found else { return }
    guard status.isSuccess, let dialog = Dialog(request: invite, response: response),
      let target = URI(push.terminal.contact)
    else { return endPush(number, isOver: true) }
    pushes[number]?.media = dialog
    var call = newRequest(.invite, to: target, from: found.from, as: uri(push.key.account))
    call.append(.route, push.terminal.path)
    call.setBody(response.body, type: "application/sdp")
    pushes[number]?.userInvite = call
    sendToProxy(call, for: .pushUser(number))
  }

  /// The terminal's answer.
  func pushUserAnswered(_ number: Int, _ response: Message, _ status: StatusCode) {
    guard let push = pushes[number], let invite = push.userInvite, let found = push.found else { return }
    guard status.isSuccess, let dialog = Dialog(request: invite, response: response), let media = push.media else {
      log("offline-push-refused", ["receiver": push.key.account, "status": "\(status.value)"])
      // What was offered is withdrawn: the media server's 200 has its ACK all the same.
      if let media = push.media { sendToMedia(media.acknowledgement(ofInvite: 1), found.server, for: nil) }
      return endPush(number, isOver: true)
    }
    pushes[number]?.user = dialog
    sendToProxy(dialog.acknowledgement(ofInvite: 1), for: nil)
    var ack = media.acknowledgement(ofInvite: 1)
    ack.setBody(response.body, type: "application/sdp")
    sendToMedia(ack, found.server, for: nil)
    var order = ControlDocument(
      .sendMessage, from: found.from, to: uri(push.key.account), connection: Self.connectionID(media))
    order.terminal = push.key.terminal
    sendControl(order, found.server, for: .send(number))
  }

  /// All of this sender's messages are sent, or no more can be.
  func sendAnswered(_ number: Int, _ document: ControlDocument?) {
    guard let push = pushes[number] else { return }
    let count = document?.count ?? 0
    if count > 0 { log("offline-pushed", ["receiver": push.key.account, "messages": "\(count)"]) }
    endPush(number, isOver: document?.status != 200 || count == 0)
  }

  /// BYE to both halves. Unless it is over, or when something came meanwhile, the servers are asked again.
  func endPush(_ number: Int, isOver: Bool) {
    guard let push = pushes[number] else { return }
    if var user = push.user { sendToProxy(user.request(.bye), for: .goodbye) }
    if let found = push.found, push.isCounted {
      if var media = push.media { sendToMedia(media.request(.bye), found.server, for: .goodbye) }
      choice.closed(found.server)
    }
    pushes[number] = nil
    guard !isOver || push.isAgain else { return }
    let next = newNumber()
    pushes[next] = Push(key: push.key, terminal: push.terminal)
    ask(next)
  }
}
