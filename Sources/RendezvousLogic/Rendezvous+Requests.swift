import EdgeCore
import PIDF
import SIP

// Which procedure a request goes to (RFC 3261 §8.2 and §16.3), and how it is answered.
extension Rendezvous {
  static let methods = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, PUBLISH, SUBSCRIBE, NOTIFY, INFO, MESSAGE, UPDATE"
  static let knownExtensions = ["outbound", "path"]
  static let package = "presence"

  /// The event packages this server notifies of.
  var packages: String { environment.mailbox == nil ? Self.package : "\(Self.package), \(Self.messagePackage)" }

  func receiveRequest(_ received: Message, on flow: Flow) {
    var request = received
    noteSource(of: &request, flow)
    guard let method = request.method, let uri = request.requestURI else { return }
    if method == .ack { return receiveAck(request, on: flow) }
    let key = AnswerKey(request, flow)
    if let bytes = answered[key] { return send(bytes, on: replyFlow(of: request, flow)) }
    if resendAnswer(of: key) { return }
    if method == .cancel { return receiveCancel(request, key, on: flow) }
    // RFC 3261 §16.3 step 2, §8.2.2.1.
    guard uri.isSIP else { return answer(request, 416, on: flow) }
    var target = takeOwnRoutes(from: &request, on: flow)
    if target.isTampered { return answer(request, 403, on: flow) }
    if flow == Self.serviceFlow, method == .invite, request.to?.tag == nil {
      return forwardToTerminal(request, key, over: target.flows.first)
    }
    if !target.flows.isEmpty { return forwardInDialog(request, key, along: target.flows, on: flow) }
    target.remaining = request.routes
    guard target.remaining.isEmpty, isHere(request.requestURI ?? uri, on: flow) else {
      return refuseForeign(request, on: flow)
    }
    dispatch(request, key, on: flow)
  }

  private func dispatch(_ request: Message, _ key: AnswerKey, on flow: Flow) {
    let method = request.method ?? .options
    switch method {
    case .register: register(request, key, on: flow)
    case .publish where request.event?.package == Self.messagePackage: takeMessage(request, key, on: flow)
    case .publish where isForContacts(request): changeContacts(request, key, on: flow)
    case .publish: publish(request, key, on: flow)
    case .subscribe: subscribe(request, key, on: flow)
    case .message where isForBroker(request): takeMessage(request, key, on: flow)
    default:
      if request.requestURI?.user != nil { return forwardByName(request, key, on: flow) }
      guard method == .options else { return answerMethodNotAllowed(request, on: flow) }
      answerOptions(request, on: flow)
    }
  }

  private func answerOptions(_ request: Message, on flow: Flow) {
    guard acceptsExtensions(of: request, on: flow) else { return }
    respond(to: request, 200, on: flow) { response in
      response.append(.allow, Self.methods)
      response.append(.accept, Presence.contentType)
      response.append(.supported, Self.knownExtensions.joined(separator: ", "))
      response.append(.allowEvents, packages)
    }
  }

  private func answerMethodNotAllowed(_ request: Message, on flow: Flow) {
    // RFC 3261 §8.2.1: 405 for a method that is known and not for this; §21.5.2: 501 for one that is not.
    let isKnown = Self.methods.split(separator: ", ").contains { $0 == request.method?.name ?? "" }
    guard isKnown else { return answer(request, 501, on: flow) }
    guard request.to?.tag == nil else { return answer(request, 481, on: flow) }
    respond(to: request, 405, on: flow) { $0.append(.allow, Self.methods) }
  }

  /// A request for somebody else's domain. This server relays to nobody it does not know, and tells
  /// a stranger no more than it tells of an unknown serial.
  private func refuseForeign(_ request: Message, on flow: Flow) {
    guard request.method != .register else { return answer(request, 404, on: flow) }
    guard forwardingIsSane(request, on: flow) else { return }
    guard authenticate(request, on: flow, .proxy) != nil else { return }
    answer(request, 404, on: flow)
  }

  /// RFC 3261 §8.2.2.3: "If a UAS does not understand an option-tag listed in a Require header
  /// field, it MUST respond by generating a response with status code 420".
  func acceptsExtensions(of request: Message, on flow: Flow) -> Bool {
    let unknown = request.unknownExtensions(.require, known: Self.knownExtensions)
    guard !unknown.isEmpty else { return true }
    respond(to: request, 420, on: flow) { $0.append(.unsupported, unknown.joined(separator: ", ")) }
    return false
  }

  // MARK: Routing headers

  struct Target {
    /// The flows that our own Route values name, in order.
    var flows: [Flow] = []
    var remaining: [NameAddress] = []
    /// A Route value with our name and a token we did not make.
    var isTampered = false
  }

  /// Takes this server's own values off the top of the Route set (RFC 3261 §16.4).
  func takeOwnRoutes(from request: inout Message, on flow: Flow) -> Target {
    var target = Target()
    // A strict router puts our Record-Route value into the Request-URI and its own target last.
    if let uri = request.requestURI, uri.user != nil, uri.parameters.contains("lr"), isHere(uri, on: flow),
      let last = request.routes.last
    {
      request.requestURI = last.uri
      var routes = Array(request.routes.dropLast())
      routes.insert(NameAddress(uri), at: 0)
      request.routes = routes
    }
    while let first = request.routes.first, isHere(first.uri, on: flow) {
      request.removeFirst(.route)
      guard let user = first.uri.user else { continue }
      guard let named = flowTokens.flow(of: user) else {
        target.isTampered = true
        return target
      }
      target.flows.append(named)
    }
    return target
  }

  // MARK: Answers

  /// RFC 3261 §18.2.1 and RFC 3581 §4: writes into the Via where the request really came from.
  private func noteSource(of request: inout Message, _ flow: Flow) {
    guard var via = request.topVia else { return }
    let source = "\(flow.remote.ip.unmapped)"
    if via.wantsRport {
      via.rport = flow.remote.port
      via.received = source
    } else if !ASCII.equalIgnoringCase(via.host, source) {
      via.received = source
    }
    request.topVia = via
  }

  /// Where a response to `request` goes (RFC 3261 §18.2.2): back over the connection; by UDP to the
  /// source address, at its port when the client asked for that and else at the port in its Via.
  func replyFlow(of request: Message, _ flow: Flow) -> Flow {
    guard flow.transport == .udp, let via = request.topVia, !via.wantsRport else { return flow }
    var reply = flow
    reply.remote.port = via.port ?? 5060
    return reply
  }

  func answer(_ request: Message, _ status: StatusCode, on flow: Flow) { respond(to: request, status, on: flow) }

  /// Answers at once and keeps nothing: the same request gets the same answer again.
  func respond(to request: Message, _ status: StatusCode, on flow: Flow, _ complete: (inout Message) -> Void = { _ in })
  {
    guard request.method != .ack else { return }
    var response = Message.response(to: request, status: status, tag: tag(for: request))
    complete(&response)
    send(response.serialized(), on: replyFlow(of: request, flow))
  }

  /// Answers and, where the answer may get lost, keeps it for when the request comes again: what
  /// changed something must not change it twice.
  func conclude(
    _ request: Message, _ key: AnswerKey, _ status: StatusCode, on flow: Flow,
    _ complete: (inout Message) -> Void = { _ in }
  ) {
    var response = Message.response(to: request, status: status, tag: tag(for: request))
    complete(&response)
    let bytes = response.serialized()
    if !flow.transport.isReliable { answered.keep(bytes, for: key, at: now) }
    send(bytes, on: replyFlow(of: request, flow))
  }

  /// The To tag of this server for a request: the same each time it is sent (RFC 3261 §8.2.7).
  func tag(for request: Message) -> String {
    mark([request.callID ?? "", request.from?.tag ?? "", request[.cseq] ?? "", request.topVia?.branch ?? ""])
  }
}
