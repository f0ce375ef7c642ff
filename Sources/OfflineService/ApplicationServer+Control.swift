import EdgeCore
import SDP
import SIP

// The control channels to the media servers: set up once by offer and answer, then kept (RFC 6230 §4).
extension ApplicationServer {
  func connectControl(_ server: Int) {
    media[server].isConnected = true
    media[server].answeredChallenges = 0
    media[server].dialogID = random.token(20)
    var offer = SessionDescription(origin: .init(sessionID: "\(nextNumber + 1)", sessionVersion: 1))
    var section = SessionDescription.Media(kind: "application", port: 9, transport: "TCP", formats: ["cfw"])
    section.connection = .init(addressType: "IP4", address: "0.0.0.0")
    section.attributes = [
      .init("setup", "active"), .init("connection", "new"), .init("cfw-id", media[server].dialogID),
      .init("ctrl-package", ControlFrame.package),
    ]
    offer.media = [section]
    var invite = newRequest(
      .invite, to: mediaURI(server), from: contact.uri.description, as: mediaURI(server).description)
    invite.setBody(Array(offer.serialized.utf8), type: "application/sdp")
    sendToMedia(invite, server, for: .control(server))
  }

  func controlAnswered(_ server: Int, _ response: Message, to request: Message, _ status: StatusCode) {
    guard status.isSuccess else {
      if let ack = Message.acknowledgement(of: response, to: request) { outputs.append(.toMedia(ack, server)) }
      return answerChallenge(server, response, to: request, status)
    }
    if let dialog = Dialog(request: request, response: response) {
      sendToMedia(dialog.acknowledgement(ofInvite: request.cseq?.number ?? 1), server, for: nil)
    }
    let answer = unsafe try? SessionDescription(parsing: response.body.span.bytes)
    guard let section = answer?.media.first, section.port != 0, let connection = section.connection else {
      return log("offline-no-control", ["server": "\(server + 1)"])
    }
    outputs.append(.openControl(server, host: connection.address, port: section.port))
  }

  private func answerChallenge(_ server: Int, _ response: Message, to request: Message, _ status: StatusCode) {
    var again = request
    guard status == 401, var digest = media[server].digest,
      case .retry = digest.receive(response, answered: media[server].answeredChallenges)
    else {
      return log("offline-media-refused", ["server": "\(server + 1)", "status": "\(status.value)"])
    }
    media[server].answeredChallenges += 1
    again.removeFirst(.via)
    again.removeAll(.authorization)
    again.cseq = CSeq((request.cseq?.number ?? 1) + 1, .invite)
    digest.authorize(&again, using: &random)
    media[server].digest = digest
    sendToMedia(again, server, for: .control(server))
  }

  func synchronise(_ server: Int) {
    var sync = ControlFrame(random.token(12), .request("SYNC"))
    sync.fields = [
      ("Dialog-ID", media[server].dialogID), ("Keep-Alive", "\(Self.keepAlive)"), ("Packages", ControlFrame.package),
    ]
    media[server].framer = ControlFramer()
    controls[sync.transactionID] = .sync
    outputs.append(.toControl(sync.serialized, server))
  }

  func sendControl(_ document: ControlDocument, _ server: Int, for purpose: ControlPurpose) {
    let frame = ControlFrame.control(random.token(12), document)
    controls[frame.transactionID] = purpose
    outputs.append(.toControl(frame.serialized, server))
  }

  func takeControl(_ bytes: [UInt8], _ server: Int) -> Bool {
    media[server].framer.append(bytes)
    do throws(ControlFramer.Malformed) {
      while let frame = try media[server].framer.next() { receive(frame, server) }
      return true
    } catch {
      return false
    }
  }

  private func receive(_ frame: ControlFrame, _ server: Int) {
    switch frame.kind {
    case .request(let method):
      outputs.append(.toControl(ControlFrame(frame.transactionID, .response(200)).serialized, server))
      if method == "CONTROL", let document = environment.parseControl(frame.body), document.kind == .messageRestored {
        messageStored(document)
      }
    case .response(let status):
      guard let purpose = controls.removeValue(forKey: frame.transactionID) else { return }
      settle(purpose, server, status == 200 ? environment.parseControl(frame.body) : nil, status)
    }
  }

  private func settle(_ purpose: ControlPurpose, _ server: Int, _ document: ControlDocument?, _ status: Int) {
    switch purpose {
    case .sync:
      guard status == 200 else { return log("offline-no-control", ["server": "\(server + 1)", "status": "\(status)"]) }
      media[server].isReady = true
      if nextKeepAlive == nil { nextKeepAlive = now + .seconds(Int64(Self.keepAlive) / 2) }
      log("offline-media-ready", ["server": "\(server + 1)", "weight": "\(choice.weights[server])"])
      // It may hold what somebody who is here is waiting for.
      for (account, terminals) in registrations.sorted(by: { $0.key < $1.key }) {
        for terminal in terminals { push(to: account, terminal) }
      }
    case .restore(let number): restoreAnswered(number, document)
    case .ask(let number, let asked): askAnswered(number, asked, document)
    case .send(let number): sendAnswered(number, document)
    case .keepAlive: break
    }
  }

  func keepAlive() {
    nextKeepAlive = now + .seconds(Int64(Self.keepAlive) / 2)
    for server in media.indices where media[server].isReady {
      let frame = ControlFrame(random.token(12), .request("K-ALIVE"))
      controls[frame.transactionID] = .keepAlive
      outputs.append(.toControl(frame.serialized, server))
    }
  }

  /// What it was doing is over; what it holds comes when it is back.
  func lose(_ server: Int) {
    guard media[server].isConnected else { return }
    media[server].isConnected = false
    if media[server].isReady { log("offline-media-lost", ["server": "\(server + 1)"]) }
    media[server].isReady = false
    for (number, store) in stores.sorted(by: { $0.key < $1.key }) where store.server == server {
      _ = remove(number)
      if !store.isAnswered { answer(store.invite, 503, tag: store.dialog.id.localTag) }
    }
    for (number, push) in pushes.sorted(by: { $0.key < $1.key }) {
      if push.found?.server == server {
        pushes[number]?.media = nil
        endPush(number, isOver: true)
      } else {
        askAnswered(number, server, nil)
      }
    }
  }
}
