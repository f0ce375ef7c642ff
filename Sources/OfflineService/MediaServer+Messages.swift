import CPIM
import EdgeCore
import MSRP
import RendezvousLogic
import SIP

// MSRP connections and what goes over them: messages into the store and out of it.
extension MediaServer {
  func open(_ connection: UInt64) {
    peers[connection] = Peer()
    // One that was accepted has yet to name its session; one this end opened was opened for one.
    let isNamed = sessions.values.contains { $0.connection == connection }
    if !isNamed { nameless[connection] = now + Self.namelessPatience }
    for id in sessions.keys.sorted() where sessions[id]?.connection == connection {
      // RFC 4975 §7.1: who connected speaks first.
      if sessions[id]?.msrp?.isSending == false { perform(id) { $0.sendEmpty(at: self.now, into: &$1) } }
      pump(connection)
    }
  }

  func take(_ bytes: [UInt8], _ connection: UInt64) {
    guard var framer = peers[connection]?.framer else { return }
    framer.append(bytes)
    do throws(MSRPFramer.FramingError) {
      while peers[connection] != nil, let item = try framer.next() { route(item, connection) }
    } catch {
      return drop(connection)
    }
    peers[connection]?.framer = framer
    pump(connection)
  }

  private func route(_ item: MSRPFramer.Item, _ connection: UInt64) {
    if case .head(let head, _) = item {
      peers[connection]?.current = nil
      peers[connection]?.refused = nil
      let id = head.toPath[0].sessionID
      switch bindings.route(id, over: connection) {
      case .session(let id, let isFirst):
        if isFirst {
          sessions[id]?.connection = connection
          sessions[id]?.isAloneSince = nil
        }
        nameless[connection] = nil
        peers[connection]?.current = id
      case .refuse(let status):
        if head.responseCode == nil, head.method != "REPORT", head.failureReport != .no {
          peers[connection]?.refused = (head, status)
        }
      }
    }
    if let id = peers[connection]?.current {
      guard sessions[id]?.msrp != nil else {
        peers[connection]?.early.append(item)
        if peers[connection]?.early.count ?? 0 > Self.mostEarly {
          drop(connection)
        }
        return
      }
      let now = now
      perform(id) { $0.receive(item, at: now, into: &$1) }
    } else if case .end = item, let (head, status) = peers[connection]?.refused {
      outputs.append(.toPeer(head.response(status, from: head.toPath[0]).serialized(), connection))
    }
  }

  /// The session can speak now: to what was said before.
  func takeEarly(_ id: String) {
    guard let connection = sessions[id]?.connection, let items = peers[connection]?.early else { return }
    peers[connection]?.early = []
    let now = now
    for item in items { perform(id) { $0.receive(item, at: now, into: &$1) } }
    pump(connection)
  }

  func drop(_ connection: UInt64) {
    lose(connection)
    outputs.append(.close(connection))
  }

  func lose(_ connection: UInt64) {
    peers[connection] = nil
    nameless[connection] = nil
    _ = bindings.connectionLost(connection)
    for id in sessions.keys.sorted() where sessions[id]?.connection == connection {
      sessions[id]?.connection = nil
      sessions[id]?.isAloneSince = now
      // Storing goes on over another connection; what was being sent to a terminal comes again later.
      if case .push = sessions[id]?.duty { finishPush(id, status: 408) }
    }
  }

  /// Runs a session and carries out what it wants.
  func perform(_ id: String, _ body: (inout MSRPSession, inout MSRPSession.Output) -> Void) {
    guard var msrp = sessions[id]?.msrp else { return }
    sessions[id]?.msrp = nil
    var out = MSRPSession.Output()
    body(&msrp, &out)
    sessions[id]?.msrp = msrp
    carryOut(out, id)
  }

  private func carryOut(_ out: MSRPSession.Output, _ id: String) {
    if let connection = sessions[id]?.connection {
      for message in out.messages { outputs.append(.toPeer(message, connection)) }
    }
    for event in out.events {
      switch event {
      case .received(let name, let type, let body, _): keep(name, type, body, id)
      case .sent(let name):
        // Over a direct connection the response is the receiver's own.
        if sessions[id]?.msrp?.remotePath.count == 1 { given(name, id) }
      case .delivered(let name): given(name, id)
      case .failed(_, let status):
        if case .push = sessions[id]?.duty { finishPush(id, status: status) }
      case .ended(let status):
        if case .push = sessions[id]?.duty { finishPush(id, status: status) }
      case .began, .piece, .abandoned, .progress: break
      }
    }
  }

  func pump(_ connection: UInt64) {
    for id in sessions.keys.sorted() where sessions[id]?.connection == connection {
      while peers[connection].map({ $0.budget > 0 }) == true {
        var isMoving = false
        let now = now
        perform(id) { msrp, out in isMoving = msrp.pull(at: now, into: &out) == .sent }
        guard isMoving else { break }
        peers[connection]?.budget -= 1
      }
    }
  }

  // MARK: Into the store

  private func keep(_ name: String, _ type: String, _ body: [UInt8], _ id: String) {
    guard case .store(let from, let to) = sessions[id]?.duty, let sender = account(from), let receiver = account(to)
    else { return perform(id) { $0.reject(name, 403, into: &$1) } }
    var message = StoredMessage(
      receiver: receiver, sender: sender, identity: "msrp \(name)", contentType: type, body: body)
    if MSRPMediaType.essence(type) == CPIMMessage.mediaType {
      guard let content = CPIMMessage(body) else { return perform(id) { $0.reject(name, 400, into: &$1) } }
      if !content.messageID.isEmpty { message.identity = "id \(content.messageID)" }
      message.contentType = content.contentType
      message.body = content.body
    }
    switch store.commit([message], [])?.first ?? .unavailable {
    case .stored(let sequence):
      arrivals[sequence] = (id, name)
      perform(id) { $0.accept(name, into: &$1) }
      var told = ControlDocument(
        .messageRestored, from: from, to: to, connection: sessions[id]?.connectionID ?? "")
      told.status = 200
      told.count = 1
      outputs.append(.toControl(ControlFrame.control(random.token(12), told).serialized))
    case .known: perform(id) { $0.accept(name, into: &$1) }
    // RFC 4975 §10: 413 to have no more of it; 408 is a trouble that may pass.
    case .full: perform(id) { $0.reject(name, 413, into: &$1) }
    case .unavailable: perform(id) { $0.reject(name, 408, into: &$1) }
    }
  }

  // MARK: Out of the store

  /// Begins to send `push`'s messages, or goes on with the next.
  func sendNext(_ id: String) {
    guard case .push(var push) = sessions[id]?.duty, push.sequence == nil else { return }
    guard let message = store.next(push.account, push.terminal, 0), account(push.from) == message.sender else {
      return finishPush(id, status: 200)
    }
    push.sequence = message.sequence
    push.deadline = now + Self.pushPatience
    sessions[id]?.duty = .push(push)
    let name = message.identity.hasPrefix("id ") ? String(message.identity.dropFirst(3)) : "m\(message.sequence)"
    var outgoing: MSRPSession.Outgoing
    if sessions[id]?.takesCPIM == true {
      let wrapped = CPIMMessage(
        from: push.from, to: "sip:\(push.account)@\(configuration.domain)",
        dateTime: Timestamp.text(message.accepted), messageID: name, contentType: message.contentType,
        body: message.body)
      outgoing = .init(contentType: CPIMMessage.mediaType, body: wrapped.serialized)
    } else {
      outgoing = .init(contentType: message.contentType, body: message.body)
    }
    // The same each time, so that a terminal that is sent it twice can tell.
    outgoing.messageID = "s\(message.sequence)-\(Self.fingerprint(message.identity))"
    outgoing.wantsSuccessReport = (sessions[id]?.msrp?.remotePath.count ?? 1) > 1
    perform(id) { $0.send(outgoing, into: &$1) }
    if let connection = sessions[id]?.connection { pump(connection) }
  }

  /// FNV-1a.
  private static func fingerprint(_ text: String) -> String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return String(hash, radix: 16)
  }

  private func given(_ name: String, _ id: String) {
    guard case .push(var push) = sessions[id]?.duty, let sequence = push.sequence else { return }
    _ = store.commit([], [Delivery(account: push.account, terminal: push.terminal, sequence: sequence)])
    push.sequence = nil
    push.count += 1
    sessions[id]?.duty = .push(push)
    if let (session, message) = arrivals.removeValue(forKey: sequence) {
      perform(session) { $0.reportSuccess(message, into: &$1) }
    }
    sendNext(id)
  }

  /// Tells the application server that no more is sent over this session.
  func finishPush(_ id: String, status: Int) {
    guard case .push(let push) = sessions[id]?.duty else { return }
    sessions[id]?.duty = .undecided
    var told = ControlDocument(
      .messageSent, from: push.from, to: "sip:\(push.account)@\(configuration.domain)",
      connection: sessions[id]?.connectionID ?? "")
    told.terminal = push.terminal
    told.status = status
    told.count = push.count
    answer(push.order, told)
  }
}
