import EdgeCore
import SIP

// The offline service as this server's neighbour: a back-to-back user agent on a flow inside the process. It gets the
// calls with messages (m=message) that no terminal takes, learns of registrations (RFC 3680), and calls terminals.
extension Rendezvous {
  /// Bytes to and from the offline service. No peer has port 0, so none has this flow.
  public static let serviceFlow = Flow(
    .tcp, local: SocketAddress(.v4(0x7F00_0001), port: 5060), remote: SocketAddress(.anyV4, port: 0))

  static let registrationPackage = "reg"

  var hasService: Bool { environment.hasOfflineService }

  /// A call that carries messages and may be taken for the callee: not one the service makes itself.
  func canStore(_ request: Message, on flow: Flow) -> Bool {
    guard hasService, flow != Self.serviceFlow, request.method == .invite, request.to?.tag == nil,
      request.mediaType == "application/sdp"
    else { return false }
    // A line of its own; what is wrong with the description the service says.
    let wanted = Array("\nm=message ".utf8)
    var index = 0
    while index + wanted.count <= request.body.count {
      if request.body[index] == 0x0A, request.body[index..<index + wanted.count].elementsEqual(wanted) { return true }
      index += 1
    }
    return false
  }

  static let serviceDestination = Destination(flow: serviceFlow, uri: nil)

  /// What a terminal's refusal must be for the service to take the call instead: it cannot, rather than will not.
  static func isWorthStoring(_ status: StatusCode) -> Bool {
    switch status.value {
    case 406, 408, 415, 430, 480, 488, 501, 503, 606: true
    default: false
    }
  }

  /// A call of the service to one terminal, along the path its registration was told with.
  func forwardToTerminal(_ request: Message, _ key: AnswerKey, over path: Flow?) {
    let flow = Self.serviceFlow
    guard forwardingIsSane(request, on: flow), let sender = request.from?.uri.decodedUser,
      let account = request.to?.uri.decodedUser
    else { return }
    guard let binding = newestBindings(of: account).first(where: { $0.flow == path }) else {
      return answer(request, 480, on: flow)
    }
    forward(
      request, key, to: [Destination(flow: binding.flow, uri: nil)], from: flow, account: sender, mergeKey: nil,
      failure: 480)
  }

  // MARK: Registrations

  /// `Event: reg`: the service's alone.
  func subscribeToRegistrations(_ request: Message, _ key: AnswerKey) {
    let flow = Self.serviceFlow
    guard let from = request.from, let remoteTag = from.tag, let contact = request.contact, var to = request.to,
      let callID = request.callID
    else { return conclude(request, key, 400, on: flow) }
    let isNew = to.tag == nil
    to.tag = to.tag ?? tag(for: request)
    let lifetime = min(request.expires ?? configuration.maximumExpires, configuration.maximumExpires)
    let answered = to
    conclude(request, key, 200, on: flow) { response in
      response.set(.to, [answered])
      response.expires = lifetime
      response.append(.contact, NameAddress(self.ownURI(on: flow)).description)
    }
    if isNew || registrationWatch?.callID != callID {
      registrationWatch = RegistrationWatch(
        callID: callID, local: to, remote: from, remoteTag: remoteTag, target: contact.uri)
      registrationWatch?.changed = Set(locations.accounts)
    }
    registrationWatch?.expires = now + .seconds(Int64(lifetime))
    notifyRegistrations(always: isNew)
  }

  /// Accounts per NOTIFY.
  private static let registrationsPerNotification = 50

  func notifyRegistrations(always: Bool = false) {
    guard var watch = registrationWatch, !watch.isWaiting, always || !watch.changed.isEmpty else { return }
    let accounts = Array(watch.changed.sorted().prefix(Self.registrationsPerNotification))
    watch.changed.subtract(accounts)
    watch.isWaiting = true
    watch.sequence += 1
    registrationWatch = watch
    var request = Message(request: .notify, watch.target)
    request.maxForwards = 70
    request.from = watch.local
    request.to = watch.remote
    request.callID = watch.callID
    request.cseq = CSeq(watch.sequence, .notify)
    request.append(.contact, NameAddress(ownURI(on: Self.serviceFlow)).description)
    request.event = Event(Self.registrationPackage)
    request.subscriptionState = SubscriptionState(
      .active, expires: UInt32(clamping: max(0, (watch.expires - now).wholeMilliseconds) / 1000))
    request.setBody(
      Array(registrationDocument(accounts, version: watch.sequence).utf8), type: "application/reginfo+xml")
    startRequest(request, on: Self.serviceFlow, for: .registrations)
  }

  /// RFC 3680 §5.
  private func registrationDocument(_ accounts: [String], version: UInt32) -> String {
    var text =
      "<?xml version=\"1.0\"?>\r\n<reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" version=\"\(version - 1)\" state=\"partial\">"
    for account in accounts {
      let bindings = newestBindings(of: account)
      let state = bindings.isEmpty ? "terminated" : "active"
      text += "<registration aor=\"sip:\(account)@\(configuration.domain)\" id=\"\(account)\" state=\"\(state)\">"
      for (index, binding) in bindings.enumerated() {
        text += "<contact id=\"\(index)\" state=\"active\" event=\"registered\"><uri>\(Self.xml(binding.contact))</uri>"
        if !binding.instance.isEmpty {
          text += "<unknown-param name=\"+sip.instance\">\(Self.xml(binding.instance))</unknown-param>"
        }
        var path = ownURI(on: binding.flow, user: flowTokens.token(for: binding.flow))
        path.parameters["lr"] = ""
        text += "<unknown-param name=\"path\">\(Self.xml(NameAddress(path).description))</unknown-param></contact>"
      }
      text += "</registration>"
    }
    return text + "</reginfo>\r\n"
  }

  private static func xml(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": out += "&amp;"
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "\"": out += "&quot;"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }

  func registrationsNotified(_ status: StatusCode?) {
    guard status?.isSuccess == true else { return registrationWatch = nil }
    registrationWatch?.isWaiting = false
    notifyRegistrations()
  }

  /// Called at the end of every step: what the location service noted as changed goes to the watcher.
  func flushRegistrations() {
    let changed = locations.takeChanged()
    guard registrationWatch != nil, !changed.isEmpty else { return }
    registrationWatch?.changed.formUnion(changed)
    notifyRegistrations()
  }
}

/// The offline service's subscription to registrations.
struct RegistrationWatch {
  var callID: String
  /// From of our requests.
  var local: NameAddress
  var remote: NameAddress
  var remoteTag: String
  var target: URI
  var sequence: UInt32 = 0
  var isWaiting = false
  /// Accounts whose contacts changed and were not told yet.
  var changed: Set<String> = []
  var expires = Instant.zero
}
