import EdgeCore
import SIP

// Carrying a request to its destinations and the answer back (RFC 3261 §16.6 to §16.10).
extension Rendezvous {
  func forward(
    _ request: Message, _ key: AnswerKey, to destinations: [Destination], from flow: Flow, account: String?,
    mergeKey: String?, failure: StatusCode
  ) {
    let method = request.method ?? .options
    if method == .invite { counters.invitations &+= 1 }
    if account == nil, let callID = request.callID, let number = request.cseq?.number {
      sessions.note(callID, sequence: number, from: flow, at: now)
    }
    proxy.add(
      ServerExchange(
        request: request, method: method, flow: flow, replyFlow: replyFlow(of: request, flow), account: account,
        mergeKey: mergeKey, failure: failure,
        canStore: account != nil && canStore(request, on: flow) && destinations.first?.flow != Self.serviceFlow), key)
    if method == .invite {
      // §17.2.1: 100 at once, so that the sender stops repeating itself.
      let reply = replyFlow(of: request, flow)
      var trying = Message.response(to: request, status: 100)
      // With its relay known now, the caller has an address there when the answer comes.
      offerRelays(in: &trying, of: request, on: reply)
      let bytes = trying.serialized()
      proxy.update(key) { exchange in
        exchange.lastAnswer = bytes
        return true
      }
      send(bytes, on: reply)
    }
    noteCandidates(in: request, of: request, from: flow)
    for destination in destinations {
      let copy = outgoing(request, to: destination, from: flow, account: account)
      let clientKey = startRequest(copy, on: destination.flow, for: .forwarded(key), mark: loopMark(of: request))
      proxy.update(key) { exchange in
        exchange.open.append(clientKey)
        return true
      }
    }
  }

  /// §16.6 steps 1 to 6: the copy for one destination, without its Via.
  private func outgoing(_ request: Message, to destination: Destination, from flow: Flow, account: String?) -> Message {
    var copy = request
    if let uri = destination.uri { copy.requestURI = uri }
    copy.maxForwards = (request.maxForwards ?? 71) - 1
    // The answer to our challenge is for us alone.
    copy.removeAll(.authorization)
    copy.removeAll(.proxyAuthorization)
    // RFC 3325 §5: only what this server says of an identity reaches a device.
    for name in ["P-Asserted-Identity", "P-Preferred-Identity", "P-Called-Party-ID"] { copy.removeAll(.other(name)) }
    offerRelays(in: &copy, of: request, on: destination.flow)
    if let account {
      copy.append(.other("P-Asserted-Identity"), "<sip:\(account)@\(configuration.domain)>")
      // RFC 7315 §4.2: which name was called, once the Request-URI is the device's own.
      if let called = request.requestURI { copy.append(.other("P-Called-Party-ID"), "<\(called)>") }
    }
    if request.to?.tag == nil, request.method == .invite || request.method == .subscribe {
      // RFC 5626 §5.3: each end's flow in a value of its own, so that either can be reached along it.
      for end in [flow, destination.flow] {
        var uri = ownURI(on: end, user: flowTokens.token(for: end))
        uri.parameters["lr"] = ""
        copy.prepend(.recordRoute, NameAddress(uri).description)
      }
    }
    return copy
  }

  /// Puts our Via on a request, sends it, and watches over it.
  @discardableResult
  func startRequest(
    _ request: Message, on flow: Flow, for purpose: ClientExchange.Purpose, mark: String? = nil
  ) -> ClientKey {
    let branch = Via.magicCookie + random.token(14) + (mark.map { "-" + $0 } ?? "")
    var request = request
    request.push(ownVia(on: flow, branch: branch))
    let key = ClientKey(branch: branch, method: request.method ?? .options)
    let exchange = ClientExchange(request, on: flow, for: purpose, at: now)
    proxy.add(exchange, key)
    send(exchange.bytes, on: flow)
    return key
  }

  func ownVia(on flow: Flow, branch: String) -> Via {
    var via = Via(
      transport: flow.transport.viaName, host: configuration.domain, port: flow.local.port, branch: branch)
    via.requestRport()
    return via
  }

  /// A request that came again, or its ACK's INVITE: the last answer once more.
  func resendAnswer(of key: AnswerKey) -> Bool {
    guard let exchange = proxy.servers[key] else { return false }
    if exchange.state == .proceeding || exchange.state == .completed, let bytes = exchange.lastAnswer {
      send(bytes, on: exchange.replyFlow)
    }
    return true
  }

  // MARK: Answers

  func receiveResponse(_ response: Message, on flow: Flow) {
    guard let via = response.topVia, let branch = via.branch, let method = response.cseq?.method,
      let status = response.status
    else { return }
    let key = ClientKey(branch: branch, method: method)
    guard let exchange = proxy.clients[key] else { return }
    let now = now
    if exchange.state == .done {
      repeatedAnswer(response, status, exchange)
      return
    }
    if status.isProvisional {
      proxy.update(key) { exchange in
        exchange.gotProvisional(at: now)
        return true
      }
      if exchange.wantsCancel { sendCancel(key) }
      if case .forwarded(let server) = exchange.purpose, status.value > 100, method == .invite {
        // RFC 4320 §4.1 has only a 100 for any other method, and a 100 goes no further than one hop.
        forwardProvisional(response, server)
      }
      return
    }
    if method == .invite, !status.isSuccess { sendAck(exchange.request, response, on: exchange.flow) }
    proxy.update(key) { $0.gotFinal(status, at: now) }
    switch exchange.purpose {
    case .notification(let id): notificationAnswered(id, status, retryAfter: response.retryAfter)
    case .message(let terminal): messageAnswered(terminal, status)
    case .registrations: registrationsNotified(status)
    case .cancel, .goodbye: break
    case .forwarded(let server):
      var back = response
      back.removeFirst(.via)
      if let asked = proxy.servers[server] {
        if status.isSuccess { noteCandidates(in: response, of: asked.request, from: flow) }
        offerRelays(in: &back, of: asked.request, on: asked.replyFlow)
      }
      finish(key, server, back, status)
    }
  }

  private func repeatedAnswer(_ response: Message, _ status: StatusCode, _ exchange: ClientExchange) {
    guard exchange.method == .invite else { return }
    if status.isSuccess {
      guard exchange.wasAccepted, case .forwarded(let server) = exchange.purpose,
        let reply = proxy.servers[server]?.replyFlow
      else { return }
      var back = response
      back.removeFirst(.via)
      if let request = proxy.servers[server]?.request { offerRelays(in: &back, of: request, on: reply) }
      send(back.serialized(), on: reply)
    } else if status.isFinal {
      sendAck(exchange.request, response, on: exchange.flow)
    }
  }

  private func forwardProvisional(_ response: Message, _ server: AnswerKey) {
    guard let exchange = proxy.servers[server], exchange.state == .proceeding else { return }
    var back = response
    back.removeFirst(.via)
    back.removeAll(.other(Self.relayField))
    let bytes = back.serialized()
    proxy.update(server) { exchange in
      exchange.lastAnswer = bytes
      return true
    }
    send(bytes, on: exchange.replyFlow)
  }

  /// §16.7: one destination has answered for good.
  private func finish(_ key: ClientKey, _ server: AnswerKey, _ answer: Message, _ status: StatusCode) {
    guard let exchange = proxy.servers[server] else { return }
    proxy.update(server) { exchange in
      exchange.open.removeAll { $0 == key }
      if let best = exchange.best?.status, !Self.isBetter(status, than: best) { return true }
      exchange.best = answer
      return true
    }
    guard exchange.state == .proceeding else {
      // §16.7 step 5: every 2xx to an INVITE goes back, though another destination was first.
      if status.isSuccess, exchange.method == .invite { send(answer.serialized(), on: exchange.replyFlow) }
      return
    }
    if status.isSuccess { noteSession(exchange, key, answer) }
    let others = proxy.servers[server]?.open ?? []
    // Steps 5 and 10: a 2xx or 6xx settles it, the others are called off.
    if status.isSuccess || status.value >= 600 { for other in others { cancel(other) } }
    guard status.isSuccess || others.isEmpty, let best = proxy.servers[server]?.best else { return }
    if let exchange = proxy.servers[server], exchange.canStore, let status = best.status, Self.isWorthStoring(status) {
      return storeInstead(server, exchange)
    }
    sendBack(best, server)
  }

  /// No terminal can take the call now: the offline service answers for the callee.
  private func storeInstead(_ server: AnswerKey, _ exchange: ServerExchange) {
    proxy.update(server) { exchange in
      exchange.canStore = false
      exchange.best = nil
      return true
    }
    let copy = outgoing(exchange.request, to: Self.serviceDestination, from: exchange.flow, account: exchange.account)
    let key = startRequest(
      copy, on: Self.serviceFlow, for: .forwarded(server), mark: loopMark(of: exchange.request))
    proxy.update(server) { exchange in
      exchange.open.append(key)
      return true
    }
  }

  /// §16.7 step 6: 6xx before all, then the lowest class.
  private static func isBetter(_ a: StatusCode, than b: StatusCode) -> Bool {
    if b.isSuccess { return false }
    if a.isSuccess { return true }
    if (a.value >= 600) != (b.value >= 600) { return a.value >= 600 }
    return a.value / 100 < b.value / 100
  }

  private func sendBack(_ answer: Message, _ server: AnswerKey) {
    guard let exchange = proxy.servers[server], let status = answer.status else { return }
    let bytes = answer.serialized()
    let now = now
    proxy.update(server) { exchange in
      exchange.lastAnswer = bytes
      exchange.best = nil
      return exchange.answered(status, at: now)
    }
    send(bytes, on: exchange.replyFlow)
  }

  /// An answer of our own in place of one that did not come.
  private func fail(_ key: ClientKey, _ server: AnswerKey, _ status: StatusCode) {
    guard let request = proxy.servers[server]?.request else { return }
    finish(key, server, Message.response(to: request, status: status, tag: tag(for: request)), status)
  }

  // MARK: ACK and CANCEL

  func receiveAck(_ request: Message, on flow: Flow) {
    let key = AnswerKey(request, flow, method: .invite)
    let now = now
    if let exchange = proxy.servers[key] {
      if exchange.state == .completed { proxy.update(key) { $0.acknowledged(at: now) } }
      return
    }
    // The ACK of a 2xx goes from end to end along the dialog's route, and nothing answers it.
    var copy = request
    let target = takeOwnRoutes(from: &copy, on: flow)
    guard !target.isTampered, !target.flows.isEmpty, copy.maxForwards != 0,
      let destination = destination(copy, along: target.flows, on: flow)
    else { return }
    let mark = loopMark(of: request)
    copy.maxForwards = (copy.maxForwards ?? 71) - 1
    copy.removeAll(.authorization)
    copy.removeAll(.proxyAuthorization)
    // §16.11: the same ACK gets the same branch each time.
    copy.push(ownVia(on: destination, branch: Via.magicCookie + self.mark([request.topVia?.branch ?? "", mark])))
    send(copy.serialized(), on: destination)
  }

  /// §16.10.
  func receiveCancel(_ request: Message, _ key: AnswerKey, on flow: Flow) {
    let invite = AnswerKey(request, flow, method: .invite)
    guard let exchange = proxy.servers[invite] else { return answer(request, 481, on: flow) }
    conclude(request, key, 200, on: flow)
    guard exchange.state == .proceeding else { return }
    for branch in exchange.open { cancel(branch) }
  }

  /// Calls a destination off: at once if it has shown itself, else when it does (§9.1).
  func cancel(_ key: ClientKey) {
    guard let exchange = proxy.clients[key], exchange.method == .invite, exchange.state != .done else { return }
    guard exchange.state == .calling else { return sendCancel(key) }
    proxy.update(key) { exchange in
      exchange.wantsCancel = true
      return true
    }
  }

  private func sendCancel(_ key: ClientKey) {
    guard let exchange = proxy.clients[key], !exchange.isCancelled, let request = Message.cancel(for: exchange.request)
    else { return }
    let now = now
    proxy.update(key) { exchange in
      exchange.isCancelled = true
      exchange.wantsCancel = false
      // §9.1: no final answer within 64·T1 of the CANCEL, and the INVITE counts as ended.
      exchange.deadline = now + Timers.long
      return true
    }
    let cancelling = ClientExchange(request, on: exchange.flow, for: .cancel, at: now)
    proxy.add(cancelling, ClientKey(branch: key.branch, method: .cancel))
    send(cancelling.bytes, on: exchange.flow)
  }

  /// §17.1.1.3: the ACK of a failure, made from its INVITE.
  private func sendAck(_ invite: Message, _ response: Message, on flow: Flow) {
    guard let ack = Message.acknowledgement(of: response, to: invite) else { return }
    send(ack.serialized(), on: flow)
  }

  // MARK: Time and lost flows

  func tickProxy() {
    while let timer = proxy.takeDue(at: now) {
      switch timer {
      case .client(let key): tickClient(key)
      case .server(let key): tickServer(key)
      }
    }
  }

  private func tickClient(_ key: ClientKey) {
    guard let exchange = proxy.clients[key] else { return }
    let now = now
    if exchange.deadline <= now { return expire(key, exchange) }
    guard let due = exchange.resendAt, due <= now else { return }
    proxy.update(key) { exchange in
      exchange.resent(at: now)
      return true
    }
    send(exchange.bytes, on: exchange.flow)
  }

  private func expire(_ key: ClientKey, _ exchange: ClientExchange) {
    // Timer C (§16.8): the device rang and rang; it is told to stop before the caller is answered.
    if exchange.method == .invite, exchange.state == .proceeding, !exchange.isCancelled { return sendCancel(key) }
    proxy.remove(key)
    guard exchange.state != .done else { return }
    switch exchange.purpose {
    case .cancel, .goodbye: break
    case .notification(let id): notificationAnswered(id, nil)
    case .message(let terminal): messageAnswered(terminal, nil)
    case .registrations: registrationsNotified(nil)
    case .forwarded(let server):
      // RFC 4320 §4.2: a 408 to anything but INVITE comes too late to be of use, and is not sent.
      guard exchange.method == .invite else { return proxy.remove(server) }
      fail(key, server, exchange.isCancelled || exchange.wantsCancel ? 487 : 408)
    }
  }

  private func tickServer(_ key: AnswerKey) {
    guard let exchange = proxy.servers[key] else { return }
    let now = now
    if let deadline = exchange.deadline, deadline <= now { return proxy.remove(key) }
    guard let due = exchange.resendAt, due <= now else { return }
    proxy.update(key) { exchange in
      exchange.resent(at: now)
      return true
    }
    if let bytes = exchange.lastAnswer { send(bytes, on: exchange.replyFlow) }
  }

  /// What was under way inside a dialog over a flow that one of its ends has left: RFC 5626 §5.3.1 has 430 (Flow Failed).
  func failForwarding(over flow: Flow, callID: String) {
    for key in proxy.clientKeys(on: flow) {
      guard let exchange = proxy.clients[key], exchange.request.callID == callID, exchange.state != .done,
        case .forwarded(let server) = exchange.purpose
      else { continue }
      proxy.remove(key)
      fail(key, server, 430)
    }
  }

  /// What was under way over a lost flow gets its answer now instead of after its timers.
  func failForwarding(over flow: Flow) {
    guard proxy.uses(flow) else { return }
    for key in proxy.clientKeys(on: flow) {
      guard let exchange = proxy.clients[key] else { continue }
      proxy.remove(key)
      guard exchange.state != .done else { continue }
      switch exchange.purpose {
      case .cancel, .goodbye: break
      case .notification(let id): notificationAnswered(id, nil)
      case .message(let terminal): messageAnswered(terminal, nil)
      case .registrations: registrationsNotified(nil)
      case .forwarded(let server): fail(key, server, proxy.servers[server]?.failure ?? 480)
      }
    }
    // Nobody waits for these answers any more.
    var open: [ClientKey] = []
    for key in proxy.serverKeys(on: flow) {
      open += proxy.servers[key]?.open ?? []
      proxy.remove(key)
    }
    for branch in open.sorted() { cancel(branch) }
  }
}
