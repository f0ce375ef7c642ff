import EdgeCore
import SIP

// The registrar (RFC 3261 §10.3) with outbound (RFC 5626 §6) and Path (RFC 3327 §5.3).
extension Rendezvous {
  func register(_ request: Message, _ key: AnswerKey, on flow: Flow) {
    guard acceptsExtensions(of: request, on: flow) else { return }
    guard let account = authenticate(request, on: flow, .registrar) else { return }
    // Step 5: the address of record is the account's own, at this domain.
    guard let to = request.to?.uri, to.isSIP, isHere(to, on: flow), to.decodedUser == account else {
      return answer(request, 404, on: flow)
    }
    guard let contacts = request.contactList, let sequence = request.cseq?.number else {
      return answer(request, 400, on: flow)
    }
    let change: Registration
    switch contacts {
    case .all: change = removeAll(request, account, sequence)
    case .addresses(let addresses): change = update(request, account, addresses, sequence, flow)
    }
    switch change {
    case .refused(let status, let complete): conclude(request, key, status, on: flow, complete)
    case .accepted(let bindings, let isOutbound):
      apply(bindings, for: account, on: flow, isOutbound: isOutbound)
      counters.registrations &+= 1
      conclude(request, key, 200, on: flow) { describe(account, flow, request, isOutbound, into: &$0) }
    }
  }

  private enum Registration {
    case refused(StatusCode, (inout Message) -> Void)
    case accepted([Locations.Binding], isOutbound: Bool)
  }

  /// Step 6: "If the Contact header field is *, the REGISTER MUST have an Expires of 0."
  private func removeAll(_ request: Message, _ account: String, _ sequence: UInt32) -> Registration {
    guard request.expires == 0 else { return .refused(400) { _ in } }
    let bindings = locations.bindings(of: account)
    let isLate = bindings.contains { $0.callID == request.callID && $0.sequence >= sequence }
    return isLate ? .refused(500) { _ in } : .accepted([], isOutbound: false)
  }

  /// Step 7, on a copy: "If any of the updates fail, no binding is changed."
  private func update(
    _ request: Message, _ account: String, _ contacts: [NameAddress], _ sequence: UInt32, _ flow: Flow
  ) -> Registration {
    let supportsOutbound = request.list(.supported, contains: "outbound")
    let outbound = contacts.filter { $0.registrationID != nil && $0.instance != nil }
    if supportsOutbound, !outbound.isEmpty {
      // RFC 5626 §6: more than one contact with a reg-id is a bad request; §5.1: so is a proxy in
      // between that does not keep the flow.
      guard contacts.count == 1 else { return .refused(400) { _ in } }
      guard request.viaCount == 1 else { return .refused(439) { _ in } }
    }
    var bindings = locations.bindings(of: account)
    var isOutbound = false
    var fresh: Set<String> = []
    for contact in contacts {
      guard contact.uri.isSIP else { return .refused(400) { _ in } }
      let wanted = contact.expires ?? request.expires ?? configuration.defaultExpires
      if wanted > 0, wanted < configuration.minimumExpires {
        let minimum = configuration.minimumExpires
        return .refused(423) { $0.minExpires = minimum }
      }
      let isKept = supportsOutbound && contact.registrationID != nil && contact.instance != nil
      let binding = Locations.Binding(
        contact: contact.uri.description, instance: contact.instance ?? "",
        registrationID: isKept ? contact.registrationID ?? 0 : 0, flow: flow,
        expires: now + .seconds(Int64(min(wanted, configuration.maximumExpires))), callID: request.callID ?? "",
        sequence: sequence)
      if let index = bindings.firstIndex(where: { Self.isSame($0, binding, contact.uri) }) {
        let old = bindings[index]
        // "If the Call-ID agrees, the CSeq must be higher, or the update MUST be aborted."
        guard old.callID != binding.callID || old.sequence < sequence || fresh.contains(binding.contact) else {
          return .refused(500) { _ in }
        }
        bindings.remove(at: index)
      }
      guard wanted > 0 else { continue }
      // One request may name one contact twice; the later value counts.
      fresh.insert(binding.contact)
      bindings.append(binding)
      if isKept { isOutbound = true }
    }
    guard bindings.count <= configuration.maximumContactsPerAccount else { return .refused(403) { _ in } }
    return .accepted(bindings, isOutbound: isOutbound)
  }

  /// RFC 5626 §6: instance and reg-id name a binding; without them the Contact URI does.
  private static func isSame(_ old: Locations.Binding, _ new: Locations.Binding, _ uri: URI) -> Bool {
    if old.isOutbound || new.isOutbound {
      return old.instance == new.instance && old.registrationID == new.registrationID
    }
    return URI(old.contact).map { $0.isEquivalent(to: uri) } ?? false
  }

  /// Puts the new bindings in force and settles what hung on the old ones.
  private func apply(_ bindings: [Locations.Binding], for account: String, on flow: Flow, isOutbound: Bool) {
    let before = locations.bindings(of: account)
    if flows[flow] == nil, !flow.transport.isReliable, bindings.contains(where: { $0.flow == flow }) {
      flows[flow] = FlowState(opened: now, lastHeard: now)
    }
    locations.set(bindings, for: account)
    if bindings.contains(where: { $0.flow == flow }) { registered(account) }
    for binding in bindings { flows[binding.flow]?.contacts += 1 }
    if bindings.contains(where: { $0.flow == flow }) {
      flows[flow]?.admit(account)
      if isOutbound { flows[flow]?.isMonitored = true }
    }
    for old in before where old.flow != flow {
      // The same device over a new flow: what it published and subscribed moves with it.
      guard let new = bindings.first(where: { $0.flow == flow && Self.isSuccessor($0, of: old) }) else { continue }
      log(.info, "flow-replaced", ("account", account), ("old", "\(old.flow)"), ("new", "\(new.flow)"))
      publications.move(account: account, instance: old.instance, from: old.flow, to: new.flow)
      subscriptions.move(of: account, from: old.flow, to: new.flow)
      sessions.move(from: old.flow, to: new.flow)
    }
    contactsGone(before, of: account)
    if before.isEmpty, !bindings.isEmpty { log(.info, "registered", ("account", account), ("flow", "\(flow)")) }
    if !before.isEmpty, bindings.isEmpty { log(.info, "unregistered", ("account", account), ("flow", "\(flow)")) }
  }

  private static func isSuccessor(_ new: Locations.Binding, of old: Locations.Binding) -> Bool {
    new.isOutbound && new.instance == old.instance && new.registrationID == old.registrationID
  }

  /// Takes back what `bindings`, no longer in the table, counted for on their flows.
  func contactsGone(_ bindings: [Locations.Binding], of account: String) {
    for binding in bindings {
      flows[binding.flow]?.contacts -= 1
      guard locations.binding(of: account, on: binding.flow) == nil else { continue }
      releasePublications(of: account, on: binding.flow, instances: [binding.instance])
      guard let state = flows[binding.flow], state.contacts <= 0 else {
        flows[binding.flow]?.dismiss(account)
        continue
      }
      flows[binding.flow]?.contacts = 0
      flows[binding.flow]?.isMonitored = false
      // A UDP peer is only known by its contacts. A connection that was replaced has lost its device.
      let wasReplaced = locations.bindings(of: account).contains { Self.isSuccessor($0, of: binding) }
      if !binding.flow.transport.isReliable || wasReplaced {
        loseFlow(binding.flow, because: wasReplaced ? "replaced" : "unregistered", close: true)
      }
    }
  }

  func expireContacts(of account: String) {
    let now = now
    let gone = locations.remove(of: account) { $0.expires <= now }
    for binding in gone {
      log(.info, "contact-expired", ("account", account), ("flow", "\(binding.flow)"))
    }
    contactsGone(gone, of: account)
  }

  /// Step 8: the 200 lists every binding with the time it has left.
  private func describe(
    _ account: String, _ flow: Flow, _ request: Message, _ isOutbound: Bool, into response: inout Message
  ) {
    for binding in locations.bindings(of: account) {
      guard let uri = URI(binding.contact) else { continue }
      var contact = NameAddress(uri)
      if !binding.instance.isEmpty { contact.instance = binding.instance }
      if binding.registrationID != 0 { contact.registrationID = binding.registrationID }
      contact.expires = UInt32(clamping: max(0, (binding.expires - now).wholeMilliseconds + 999) / 1000)
      response.append(.contact, contact.description)
    }
    response.append(.supported, Self.knownExtensions.joined(separator: ", "))
    guard isOutbound else { return }
    // RFC 5626 §6: "MUST add the option tag outbound in a Require header field".
    response.append(.require, "outbound")
    response.flowTimer = configuration.flowTimer
    if request.list(.supported, contains: "path") {
      var path = ownURI(on: flow, user: flowTokens.token(for: flow))
      path.parameters["lr"] = ""
      path.parameters["ob"] = ""
      response.append(.path, NameAddress(path).description)
    }
  }
}
