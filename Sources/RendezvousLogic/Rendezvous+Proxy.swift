import EdgeCore
import SIP

// Where a request goes on to, and whether it may (RFC 3261 §16.3 to §16.5, RFC 5626 §5.3).
extension Rendezvous {
  /// Where a copy of a request is sent.
  struct Destination {
    var flow: Flow
    /// The new Request-URI; `nil` keeps the old one, as inside a dialog.
    var uri: URI?
  }

  /// What RFC 3261 §16.3 has a proxy check before anything else.
  func forwardingIsSane(_ request: Message, on flow: Flow) -> Bool {
    // Step 3. A missing Max-Forwards is put in when forwarding.
    if request.maxForwards == 0 {
      answer(request, 483, on: flow)
      return false
    }
    // Step 4: our own Via with the mark of this very request is a loop, with another it is a spiral.
    let mark = loopMark(of: request)
    for via in request.vias where ASCII.equalIgnoringCase(via.host, configuration.domain) {
      guard via.branch?.hasSuffix("-" + mark) == true else { continue }
      answer(request, 482, on: flow)
      return false
    }
    // Step 5: "If the request contains a Proxy-Require header field with one or more option-tags
    // this element does not understand, the element MUST return a 420".
    let unknown = request.unknownExtensions(.proxyRequire, known: Self.knownExtensions)
    guard unknown.isEmpty else {
      respond(to: request, 420, on: flow) { $0.append(.unsupported, unknown.joined(separator: ", ")) }
      return false
    }
    return true
  }

  /// RFC 3261 §16.6 step 8: what makes a request that comes back the same request.
  func loopMark(of request: Message) -> String {
    mark([
      request.requestURI?.description ?? "", request.from?.tag ?? "", request.to?.tag ?? "", request.callID ?? "",
      request[.cseq] ?? "", request.values(.route).joined(separator: ","), request.list(.proxyRequire).joined(),
    ])
  }

  /// A request to `sip:SERIAL@domain` or `sip:ACCOUNT@domain`.
  func forwardByName(_ request: Message, _ key: AnswerKey, on flow: Flow) {
    guard forwardingIsSane(request, on: flow), let account = authenticate(request, on: flow, .proxy) else { return }
    let mergeKey = request.to?.tag == nil ? mergeKey(of: request, account) : nil
    // RFC 3261 §8.2.2.2.
    if let mergeKey, proxy.isMerged(mergeKey, key) { return answer(request, 482, on: flow) }
    guard proxy.count < configuration.maximumPending,
      proxy.pending(of: account) < configuration.maximumPendingPerAccount
    else {
      counters.limited &+= 1
      return respond(to: request, 503, on: flow) { $0.retryAfter = 5 }
    }
    switch destinations(of: request, for: account, from: flow) {
    case .refused(let status): answer(request, status, on: flow)
    case .found(let destinations):
      forward(request, key, to: destinations, from: flow, account: account, mergeKey: mergeKey, failure: 480)
    }
  }

  private func mergeKey(of request: Message, _ account: String) -> String {
    "\(account) \(request.from?.tag ?? "") \(request.callID ?? "") \(request[.cseq] ?? "")"
  }

  private enum Lookup {
    case refused(StatusCode)
    case found([Destination])
  }

  /// The location service. "Does not exist" and "not yours to know" are one answer, 404; what one
  /// may see and is not there now is 480.
  private func destinations(of request: Message, for account: String, from flow: Flow) -> Lookup {
    guard let name = request.requestURI?.decodedUser, Directory.isName(name) else { return .refused(404) }
    if let owner = directory.owner(of: name) {
      guard directory.mayWatch(account, name) else { return .refused(404) }
      // The node tells by To which camera is wanted: what was checked is what it must read.
      if request.to?.tag == nil, request.to?.uri.decodedUser != name { return .refused(403) }
      guard let carrier = publications.carrier(of: name)?.publication,
        let binding = locations.binding(of: owner, on: carrier.flow)
      else { return .refused(480) }
      return .found([Destination(flow: binding.flow, uri: URI(binding.contact))])
    }
    // Granted, and no node has published it yet.
    if directory.accounts[name] == nil, directory.mayWatch(account, name) { return .refused(480) }
    guard directory.accounts[name] != nil, directory.mayReach(account, name) else { return .refused(404) }
    let found = newestBindings(of: name).filter { $0.flow != flow || name != account }
    guard !found.isEmpty else {
      return canStore(request, on: flow) ? .found([Self.serviceDestination]) : .refused(480)
    }
    return .found(found.map { Destination(flow: $0.flow, uri: URI($0.contact)) })
  }

  /// RFC 5626 §5.3: of several flows of one device only one is tried at a time, the newest.
  func newestBindings(of account: String) -> [Locations.Binding] {
    var chosen: [Locations.Binding] = []
    for binding in locations.bindings(of: account) {
      if binding.isOutbound, let index = chosen.firstIndex(where: { $0.isOutbound && $0.instance == binding.instance })
      {
        chosen[index] = binding
      } else {
        chosen.append(binding)
      }
    }
    return chosen
  }

  /// A request along the Record-Route of a dialog: our own flow tokens say where to.
  func forwardInDialog(_ request: Message, _ key: AnswerKey, along tokens: [Flow], on flow: Flow) {
    guard forwardingIsSane(request, on: flow), let destination = destination(request, along: tokens, on: flow) else {
      return
    }
    guard proxy.count < configuration.maximumPending else {
      counters.limited &+= 1
      return respond(to: request, 503, on: flow) { $0.retryAfter = 5 }
    }
    forward(
      request, key, to: [Destination(flow: destination)], from: flow, account: nil, mergeKey: nil, failure: 430)
  }

  /// The far end of a dialog, once the near end has shown that it belongs to it.
  func destination(_ request: Message, along tokens: [Flow], on flow: Flow) -> Flow? {
    // RFC 5626 §5.3: a token that names the flow the request came over was given to this very peer.
    // One whose flow has changed since shows who it is instead.
    let callID = request.callID ?? ""
    let isOwn =
      tokens.contains(flow) || sessions.uses(flow, callID: callID)
      || flows[flow]?.account != nil && flow.transport.isReliable
    var sender: String?
    if !isOwn {
      guard request.method != .ack else { return nil }
      sender = authenticate(request, on: flow, .proxy)
      guard sender != nil else { return nil }
    }
    guard let named = tokens.last(where: { $0 != flow }) ?? tokens.last else { return nil }
    if let left = tokens.first(where: { $0 != named }), left != flow {
      let old = sessions.follow(callID, from: left, to: flow) { $0 == sender || flows[flow]?.carries($0) == true }
      // What was asked of it there, nobody reads any more; a new offer of the other end's would keep out its own.
      if let old { failForwarding(over: old, callID: callID) }
    }
    var target = sessions.presentFlow(of: named, callID: callID)
    if flows[target] == nil, sessions[callID] == nil, request.method != .ack,
      let found = recover(request, along: tokens, to: named, on: flow, account: sender ?? flows[flow]?.account)
    {
      target = found
    }
    let isAlive =
      flows[target] != nil || target.transport == .udp && sessions.uses(target, callID: callID)
    guard isAlive else {
      // RFC 5626 §5.3.1: "the proxy SHOULD send a 430 (Flow Failed) response".
      answer(request, 430, on: flow)
      return nil
    }
    return target
  }

  /// A dialog from before a restart: its flows are gone and nothing is known of it, but its ends may have logged in again.
  /// Who could call the other end now may go on with a call to it (RFC 5626 §5.3 has no answer but 430 for that).
  private func recover(
    _ request: Message, along tokens: [Flow], to named: Flow, on flow: Flow, account: String?
  ) -> Flow? {
    guard let account, let callID = request.callID, let from = request.from, let to = request.to, to.tag != nil,
      let sequence = request.cseq?.number, let here = request.contact?.uri, let there = request.requestURI
    else { return nil }
    var initial = request
    initial.requestURI = to.uri
    guard case .found(let destinations) = destinations(of: initial, for: account, from: flow), destinations.count == 1,
      let found = destinations.first?.flow, found != Self.serviceFlow
    else { return nil }
    let session = Sessions.Session(
      account: account, called: to.uri.decodedUser ?? "",
      caller: Sessions.End(
        flow: flow, original: tokens.first { $0 != named }, account: account, address: from, target: here,
        sequence: sequence),
      callee: Sessions.End(
        flow: found, original: named, account: flows[found]?.account, address: to, target: there, sequence: 0),
      touched: now)
    sessions.begin(callID, session, limit: configuration.maximumSessions)
    log(.info, "session-recovered", ("account", account), ("called", session.called))
    return found
  }
}
