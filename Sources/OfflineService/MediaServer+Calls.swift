import EdgeCore
import MSRP
import SDP
import SIP

// What the application server says over SIP: sessions begin with its INVITE and end with its BYE.
extension MediaServer {
  func receiveRequest(_ request: Message) {
    switch request.method {
    case .invite: receiveInvite(request)
    case .ack: receiveAck(request)
    case .bye, .cancel: receiveBye(request)
    default: respond(request, 501)
    }
  }

  private func respond(_ request: Message, _ status: StatusCode, tag: String? = nil, sdp: String? = nil) {
    var response = Message.response(to: request, status: status, tag: tag ?? random.token(12))
    response.append(.contact, NameAddress(URI(.sip, user: "media", host: configuration.host)).description)
    if let sdp { response.setBody(Array(sdp.utf8), type: "application/sdp") }
    outputs.append(.toServer(response))
  }

  private func receiveInvite(_ request: Message) {
    guard request.body.isEmpty else {
      guard let offer = unsafe try? SessionDescription(parsing: request.body.span.bytes) else {
        return respond(request, 488)
      }
      if offer.media.contains(where: { $0.kind == "application" && $0.formats == ["cfw"] }) {
        return answerControl(request, offer)
      }
      return answerOffer(request, offer)
    }
    offer(request)
  }

  // MARK: The control channel

  private func answerControl(_ request: Message, _ offer: SessionDescription) {
    guard isAuthorised(request) else { return }
    guard let section = offer.media.first(where: { $0.formats == ["cfw"] }), let id = section.attribute("cfw-id") else {
      return respond(request, 488)
    }
    controlDialogID = id
    var answer = SessionDescription(origin: .init(sessionID: "1", sessionVersion: 1))
    var media = SessionDescription.Media(
      kind: "application", port: configuration.controlPort == 0 ? 9 : configuration.controlPort, transport: "TCP",
      formats: ["cfw"])
    let address = IPAddress(configuration.host)
    media.connection = .init(addressType: address?.isV4 == false ? "IP6" : "IP4", address: configuration.host)
    media.attributes = [
      .init("setup", "passive"), .init("connection", "new"), .init("cfw-id", id),
      .init("ctrl-package", ControlFrame.package),
    ]
    answer.media = [media]
    respond(request, 200, sdp: answer.serialized)
  }

  private func isAuthorised(_ request: Message) -> Bool {
    guard let ha1 else { return true }
    var isStale = false
    if let credentials = request.credentials.first(where: { $0.realm == configuration.domain }),
      credentials.username == Self.user
    {
      switch digest.judge(credentials, method: .invite, ha1: ha1, at: now) {
      case .accepted: return true
      case .stale, .replayed: isStale = true
      case .refused: log("media-wrong-secret", [:])
      }
    }
    var response = Message.response(to: request, status: 401, tag: random.token(12))
    response.append(
      .wwwAuthenticate, digest.challenge(.sha256, stale: isStale, at: now, using: &random).description)
    outputs.append(.toServer(response))
    return false
  }

  // MARK: MSRP

  private var canTakeMore: Bool { isControlReady && sessions.count < configuration.maximumSessions }

  private func localURI(_ id: String, isSecure: Bool) -> MSRPURI? {
    guard let port = isSecure ? configuration.securePort : configuration.plainPort else { return nil }
    return MSRPURI(isSecure: isSecure, host: configuration.host, port: port, sessionID: id)
  }

  private var sessionConfiguration: MSRPSession.Configuration {
    var made = MSRPSession.Configuration()
    made.delivery = .whole(maximum: configuration.maximumMessage)
    made.ownerConfirms = true
    // A message is at its destination when a terminal has it.
    made.reportsAtOnce = false
    // In order: the next message begins when the one before is confirmed.
    made.interleaves = false
    return made
  }

  private func description(_ path: [MSRPURI], _ setup: MSRPDescription.Setup?) -> MSRPDescription {
    var description = MSRPDescription(path: path, acceptTypes: ["message/cpim", "text/plain", "*"], setup: setup)
    description.acceptWrappedTypes = ["*"]
    description.maximumSize = UInt64(configuration.maximumMessage)
    return description
  }

  /// A session to store what the offerer sends.
  private func answerOffer(_ request: Message, _ offer: SessionDescription) {
    guard canTakeMore else { return respond(request, 503) }
    let id = MSRPBindings<UInt64>.newSessionID(&random)
    var answers: [SessionDescription.Media] = []
    var chosen: (peer: MSRPDescription, local: MSRPURI, setup: MSRPDescription.Setup?)?
    for section in offer.media {
      if chosen == nil, MSRPDescription.isMSRP(section), section.port != 0,
        let peer = MSRPDescription(
          attributes: section.attributes, isSecure: section.transport == "TCP/TLS/MSRP", port: section.port),
        peer.direction != .recvonly, peer.direction != .inactive, let local = localURI(id, isSecure: peer.isSecure)
      {
        let setup = MSRPDescription.answer(to: peer.setup, prefersActive: false)
        // This end connects without TLS only.
        if setup != .active || !peer.isSecure {
          chosen = (peer, local, setup)
          var answer = description([local], setup)
          answer.direction = .recvonly
          answers.append(answer.media)
          continue
        }
      }
      answers.append(.init(kind: section.kind, port: 0, transport: section.transport, formats: section.formats))
    }
    let tag = random.token(12)
    guard let chosen, let dialog = Dialog(accepting: request, localTag: tag) else { return respond(request, 488) }
    var session = Session(
      dialog: dialog, connectionID: "\(dialog.id.remoteTag):\(tag)", msrpID: id, isAloneSince: now)
    session.msrp = MSRPSession(
      local: chosen.local, remotePath: chosen.peer.path, configuration: sessionConfiguration, random: random)
    session.isActive = chosen.setup == .active
    sessions[id] = session
    bindings.expect(id)
    var answer = SessionDescription(origin: .init(sessionID: "1", sessionVersion: 1))
    answer.origin.address = configuration.host
    answer.media = answers
    respond(request, 200, tag: tag, sdp: answer.serialized)
    if session.isActive { connect(id, to: chosen.peer.path[0]) }
  }

  /// A session to send what is held: an offer with TLS and without, as this server listens.
  private func offer(_ request: Message) {
    guard canTakeMore else { return respond(request, 503) }
    let id = MSRPBindings<UInt64>.newSessionID(&random)
    let uris = [localURI(id, isSecure: true), localURI(id, isSecure: false)].compactMap { $0 }
    let tag = random.token(12)
    guard !uris.isEmpty, let dialog = Dialog(accepting: request, localTag: tag) else { return respond(request, 488) }
    var session = Session(
      dialog: dialog, connectionID: "\(dialog.id.remoteTag):\(tag)", msrpID: id, isAloneSince: now)
    session.offered = uris
    sessions[id] = session
    bindings.expect(id)
    var offer = SessionDescription(origin: .init(sessionID: "1", sessionVersion: 1))
    offer.origin.address = configuration.host
    offer.media = uris.map { uri in
      var section = description([uri], .actpass)
      section.direction = .sendonly
      return section.media
    }
    respond(request, 200, tag: tag, sdp: offer.serialized)
  }

  /// With the answer to this end's offer, when it made one.
  private func receiveAck(_ request: Message) {
    guard let id = sessions.first(where: { $0.value.dialog.id == DialogID(receivedRequest: request) })?.key,
      let offered = sessions[id]?.offered, !offered.isEmpty
    else { return }
    sessions[id]?.offered = []
    guard let answer = unsafe try? SessionDescription(parsing: request.body.span.bytes) else { return }
    for (index, section) in answer.media.enumerated() where index < offered.count && section.port != 0 {
      guard MSRPDescription.isMSRP(section),
        let peer = MSRPDescription(
          attributes: section.attributes, isSecure: section.transport == "TCP/TLS/MSRP", port: section.port)
      else { continue }
      sessions[id]?.msrp = MSRPSession(
        local: offered[index], remotePath: peer.path, configuration: sessionConfiguration, random: random)
      sessions[id]?.takesCPIM = MSRPMediaType.accepts(peer.acceptTypes, "message/cpim")
      // RFC 6135 §4.2.3, RFC 4975 §8.5: who offered connects, unless the answer says otherwise.
      sessions[id]?.isActive = peer.setup != .active
      if peer.setup != .active, !peer.isSecure { connect(id, to: peer.path[0]) }
      takeEarly(id)
      return
    }
  }

  private func receiveBye(_ request: Message) {
    guard let dialog = DialogID(receivedRequest: request),
      let id = sessions.first(where: { $0.value.dialog.id == dialog })?.key
    else { return respond(request, 481) }
    respond(request, 200)
    endSession(id)
  }

  /// Its peer is not coming back: the application server is told, and ends the other half.
  func abandon(_ id: String) {
    guard var dialog = sessions[id]?.dialog else { return }
    endSession(id)
    var goodbye = dialog.request(.bye)
    goodbye.push(
      Via(transport: "TCP", host: configuration.host, port: 5060, branch: Via.magicCookie + random.token(16)))
    outputs.append(.toServer(goodbye))
  }

  func endSession(_ id: String) {
    guard let session = sessions.removeValue(forKey: id) else { return }
    bindings.remove(id)
    arrivals = arrivals.filter { $0.value.session != id }
    guard let connection = session.connection, !sessions.contains(where: { $0.value.connection == connection }) else {
      return
    }
    peers[connection] = nil
    outputs.append(.close(connection))
  }

  private func connect(_ id: String, to uri: MSRPURI) {
    guard let port = uri.port else { return }
    nextConnection += 1
    sessions[id]?.connection = nextConnection
    sessions[id]?.isAloneSince = nil
    bindings.bind(id, to: nextConnection)
    outputs.append(.connect(nextConnection, host: uri.host, port: port))
  }
}
