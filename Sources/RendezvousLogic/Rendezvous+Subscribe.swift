import CPIM
import EdgeCore
import PIDF
import SIP

// The notifier (RFC 6665 §4.2) of presence (RFC 3856), who sees which serials and accounts come and go, and of messages.
extension Rendezvous {
  func subscribe(_ request: Message, _ key: AnswerKey, on flow: Flow) {
    guard acceptsExtensions(of: request, on: flow) else { return }
    if flow == Self.serviceFlow, request.event?.package == Self.registrationPackage {
      return subscribeToRegistrations(request, key)
    }
    let isForMessages = request.event?.package == Self.messagePackage && environment.mailbox != nil
    guard isForMessages || request.event?.package == Self.package else { return refusePackage(request, key, on: flow) }
    guard let account = authenticate(request, on: flow, .server) else { return }
    let wanted = request.expires ?? configuration.maximumExpires
    if wanted > 0, wanted < configuration.minimumExpires {
      let minimum = configuration.minimumExpires
      return conclude(request, key, 423, on: flow) { $0.minExpires = minimum }
    }
    // RFC 3856 §6.7: a watcher that lists what it takes must take PIDF.
    let accepted = request.list(.accept)
    let type = isForMessages ? CPIMMessage.mediaType : Presence.contentType
    guard accepted.isEmpty || accepted.contains(where: { Self.admits($0, type) }) else {
      return conclude(request, key, 406, on: flow) { $0.append(.accept, type) }
    }
    let lifetime = min(wanted, configuration.maximumExpires)
    if let localTag = request.to?.tag {
      return refresh(request, key, account, localTag, lifetime, on: flow)
    }
    begin(request, key, account, lifetime, on: flow)
  }

  private static func admits(_ value: String, _ type: String) -> Bool {
    let range = value.split(separator: ";").first.map { ASCII.lowercased(String($0)) } ?? ""
    let name = range.split(separator: " ").first ?? ""
    return name == type || name == "\(type.prefix { $0 != "/" })/*" || name == "*/*"
  }

  private func begin(_ request: Message, _ key: AnswerKey, _ account: String, _ lifetime: UInt32, on flow: Flow) {
    guard let subject = subject(of: request, for: account) else { return conclude(request, key, 404, on: flow) }
    guard let contact = request.contact, contact.uri.isSIP, let from = request.from, let remoteTag = from.tag,
      let to = request.to, let callID = request.callID, let cseq = request.cseq
    else { return conclude(request, key, 400, on: flow) }
    guard subscriptions.count(of: account) < configuration.maximumSubscriptionsPerAccount else {
      return conclude(request, key, 403, on: flow) { $0.append(.warning, self.warning("too many subscriptions")) }
    }
    let localTag = tag(for: request)
    var local = to
    local.tag = localTag
    let id = Subscriptions.ID(callID: callID, localTag: localTag, remoteTag: remoteTag)
    guard subscriptions[id] == nil else { return conclude(request, key, 482, on: flow) }
    subscriptions[id] = Subscriptions.Subscription(
      account: account, subject: subject, flow: flow, expires: now + .seconds(Int64(lifetime)),
      eventID: request.event?.id, local: local, remote: from, remoteTarget: contact.uri,
      routes: request.recordRoutes, sequence: 0, remoteSequence: cseq.number,
      terminal: contact.instance ?? contact.uri.description)
    accept(request, key, lifetime, on: flow)
    // Expires 0 outside a dialog asks once (RFC 6665 §4.4.3).
    if lifetime == 0 { subscriptions.update(id) { $0.ending = "timeout" } }
    notify(id)
  }

  private func refresh(
    _ request: Message, _ key: AnswerKey, _ account: String, _ localTag: String, _ lifetime: UInt32, on flow: Flow
  ) {
    guard let callID = request.callID, let remoteTag = request.from?.tag, let cseq = request.cseq else {
      return conclude(request, key, 400, on: flow)
    }
    let id = Subscriptions.ID(callID: callID, localTag: localTag, remoteTag: remoteTag)
    guard let known = subscriptions[id], known.account == account, known.ending == nil else {
      return conclude(request, key, 481, on: flow)
    }
    // RFC 3261 §12.2.2: a sequence number that does not rise is answered with 500.
    guard cseq.number > known.remoteSequence else { return conclude(request, key, 500, on: flow) }
    let expires = now + .seconds(Int64(lifetime))
    subscriptions.update(id) { subscription in
      subscription.remoteSequence = cseq.number
      subscription.flow = flow
      subscription.expires = expires
      if let contact = request.contact, contact.uri.isSIP { subscription.remoteTarget = contact.uri }
      subscription.isCaughtUp = false
      if lifetime == 0 { subscription.ending = "timeout" }
    }
    accept(request, key, lifetime, on: flow)
    notify(id)
  }

  /// `nil` for what does not exist or is not this account's to see: the two are told apart nowhere.
  private func subject(of request: Message, for account: String) -> Subscriptions.Subject? {
    if request.event?.package == Self.messagePackage {
      // The topic is in the body; without one it is the subscriber's own, and no other is anybody's.
      let topic = String(decoding: request.body, as: UTF8.self).split(whereSeparator: \.isWhitespace)
      let user = request.requestURI?.decodedUser
      return topic.allSatisfy { $0 == account } && user ?? account == account ? .topic : nil
    }
    guard let user = request.requestURI?.decodedUser else { return nil }
    if user == account { return .all }
    if user == account + Self.contactsSuffix { return .contacts }
    if directory.mayWatch(account, user) { return .serial(user) }
    return directory.accounts[user] != nil && maySubscribe(account, user) ? .account(user) : nil
  }

  private func accept(_ request: Message, _ key: AnswerKey, _ lifetime: UInt32, on flow: Flow) {
    conclude(request, key, 200, on: flow) { response in
      response.expires = lifetime
      response.append(.contact, NameAddress(self.ownURI(on: flow)).description)
    }
  }

  // MARK: Telling the watchers

  /// Tells everybody who watches one of `serials`.
  func serialsChanged(_ serials: [String]) {
    guard !serials.isEmpty else { return }
    for id in subscriptions.ids(watching: serials) { notify(id) }
    var watchers: Set<String> = []
    for serial in serials { watchers.formUnion(directory.watchers(of: serial)) }
    for id in subscriptions.idsWatchingAll(of: watchers) { notify(id) }
  }

  /// Sends the whole present state, or remembers to when a NOTIFY is still unanswered.
  ///
  /// Of messages the oldest that the terminal has not had; when all that waited at the SUBSCRIBE is given, that is told.
  func notify(_ id: Subscriptions.ID) {
    guard let known = subscriptions[id] else { return }
    guard !known.isWaiting else { return subscriptions.update(id) { $0.hasChanged = true } }
    var message: StoredMessage?
    if known.subject == .topic, known.ending == nil {
      message = nextMessage(
        for: known.account, known.terminal, takesLarge: known.flow.transport.isReliable)
      guard message != nil || !known.isCaughtUp else { return }
    }
    subscriptions.update(id) { subscription in
      subscription.isWaiting = true
      subscription.hasChanged = false
      subscription.sequence &+= 1
      subscription.message = message?.sequence
      if message == nil { subscription.isCaughtUp = true }
    }
    guard let subscription = subscriptions[id] else { return }
    counters.notifications &+= 1
    startRequest(notification(id, subscription, message), on: subscription.flow, for: .notification(id))
  }

  private func notification(
    _ id: Subscriptions.ID, _ subscription: Subscriptions.Subscription, _ message: StoredMessage?
  ) -> Message {
    var request = Message(request: .notify, subscription.remoteTarget)
    request.routes = subscription.routes
    request.maxForwards = 70
    request.from = subscription.local
    request.to = subscription.remote
    request.callID = id.callID
    request.cseq = CSeq(subscription.sequence, .notify)
    request.append(.contact, NameAddress(ownURI(on: subscription.flow)).description)
    let isForMessages = subscription.subject == .topic
    request.event = Event(isForMessages ? Self.messagePackage : Self.package, id: subscription.eventID)
    let isPending = isPending(subscription)
    if let reason = subscription.ending {
      request.subscriptionState = SubscriptionState(.terminated, reason: reason)
    } else {
      let left = max(0, (subscription.expires - now).wholeMilliseconds) / 1000
      request.subscriptionState = SubscriptionState(isPending ? .pending : .active, expires: UInt32(clamping: left))
    }
    // Who has just lost the right to see it is not told its state once more.
    guard !isPending, subscription.ending != "rejected", subscription.ending != "noresource" else { return request }
    if isForMessages {
      if let message { request.setBody(notificationBody(message), type: CPIMMessage.mediaType) }
    } else {
      request.setBody(document(for: subscription), type: Presence.contentType)
    }
    return request
  }

  private func document(for subscription: Subscriptions.Subscription) -> [UInt8] {
    let account = subscription.account
    let entity: String
    let tuples: [Presence.Tuple]
    switch subscription.subject {
    case .serial(let serial): (entity, tuples) = (serial, [tuple(of: serial)])
    case .account(let name): (entity, tuples) = (name, [presence(of: name)])
    case .contacts: (entity, tuples) = (account + Self.contactsSuffix, contactTuples(of: account))
    case .all, .topic: (entity, tuples) = (account, directory.visibleSerials(to: account).map { tuple(of: $0) })
    }
    let presence = Presence(entity: "sip:\(entity)@\(configuration.domain)", tuples: tuples)
    let (text, left) = presence.serialized(limit: Self.maximumDocument)
    if left > 0 {
      log(.warning, "presence-shortened", ("account", subscription.account), ("left-out", "\(left)"))
    }
    return Array(text.utf8)
  }

  private func tuple(of serial: String) -> Presence.Tuple {
    var tuple = publications.carrier(of: serial)?.resource ?? Presence.Tuple(serial: serial, isOpen: false)
    // One tuple per serial, whatever the node called its own.
    tuple.id = "t-" + serial
    tuple.contact = "sip:\(serial)@\(configuration.domain)"
    return tuple
  }

  /// A message may be 65 535 bytes with its head.
  private static let maximumDocument = 58_000

  /// The answer to a NOTIFY, or `nil` for silence or a lost flow.
  func notificationAnswered(_ id: Subscriptions.ID, _ status: StatusCode?, retryAfter: UInt32? = nil) {
    guard let subscription = subscriptions[id] else { return }
    if let retryAfter, status?.isSuccess == false, status != 481, subscription.ending == nil {
      let due = now + .seconds(Int64(min(max(retryAfter, 1), 3600)))
      return subscriptions.update(id) { $0.retryAt = due }
    }
    // RFC 6665 §4.2.2: an error without Retry-After, and silence, end the subscription.
    let isUnderstood = status?.isSuccess == true
    if isUnderstood, let sequence = subscription.message {
      subscriptions.update(id) { $0.message = nil }
      delivered(sequence, subscription.account, subscription.terminal)
    }
    guard isUnderstood, subscription.ending == nil || subscription.hasChanged else {
      subscriptions[id] = nil
      return
    }
    subscriptions.update(id) { $0.isWaiting = false }
    if subscription.hasChanged || subscription.message != nil { notify(id) }
  }

  func end(_ id: Subscriptions.ID, _ reason: String) {
    guard subscriptions[id]?.ending == nil else { return }
    subscriptions.update(id) { $0.ending = reason }
    notify(id)
  }

  func expireSubscriptions() {
    for id in subscriptions.dueAgain(at: now) {
      subscriptions.update(id) { subscription in
        subscription.retryAt = nil
        subscription.isWaiting = false
        // What it did not take counts as never told.
        subscription.isCaughtUp = false
      }
      notify(id)
    }
    for id in subscriptions.expired(at: now) {
      if subscriptions[id]?.ending == nil { end(id, "timeout") }
    }
  }

  // MARK: Rights that change

  func replaceDirectory(by new: Directory) {
    let old = directory
    guard new != old else { return }
    directory = new
    // First, while the flows of dismissed accounts still are.
    endSessions(changedFrom: old)
    dismissAccounts(changedFrom: old)
    var withdrawn: [String] = []
    for serial in publications.serials {
      guard let carrier = publications.carrier(of: serial)?.publication else { continue }
      // Released by the administrator, or the account is a node no longer.
      if new.owner(of: serial) != carrier.account || new.accounts[carrier.account]?.isNode != true {
        withdrawn += publications.withdraw(serial)
      }
    }
    for id in subscriptions.ids {
      guard let subscription = subscriptions[id] else { continue }
      switch subscription.subject {
      case .serial(let serial):
        if !new.mayWatch(subscription.account, serial) { end(id, "rejected") }
      case .topic: break
      case .all:
        let account = subscription.account
        if new.visibleSerials(to: account) != old.visibleSerials(to: account) { notify(id) }
      case .account(let name): reviewWatcher(id, of: name, changedFrom: old)
      case .contacts:
        let account = subscription.account
        if new.contactList(of: account) != old.contactList(of: account) { notify(id) }
      }
    }
    serialsChanged(withdrawn)
  }

  /// Accounts that are gone, or have another password, lose their contacts, flows and subscriptions.
  private func dismissAccounts(changedFrom old: Directory) {
    let dismissed = old.accounts.filter { directory.accounts[$0.key] != $0.value }.map(\.key).sorted()
    guard !dismissed.isEmpty else { return }
    for account in dismissed {
      log(.info, "account-dismissed", ("account", account))
      for id in subscriptions.ids(of: account) { end(id, "rejected") }
      let gone = locations.remove(of: account) { _ in true }
      contactsGone(gone, of: account)
    }
    let touched = flows.filter { entry in dismissed.contains { entry.value.carries($0) } }.map(\.key).sorted()
    for flow in touched {
      for account in dismissed { flows[flow]?.dismiss(account) }
      // The connection of nobody any more; who is left on a shared one stays.
      if flows[flow]?.account == nil { loseFlow(flow, because: "account-removed", close: true) }
    }
  }
}
