import EdgeCore
import PIDF
import SIP

// Accounts as presentities (RFC 3856), and the contact list the server keeps for each: a presentity of its own,
// `sip:ACCOUNT+contacts@domain`, that the account subscribes to and changes by PUBLISH.
extension Rendezvous {
  /// No name of an account, serial or group has a `+` in it.
  static let contactsSuffix = "+contacts"

  // MARK: Whether accounts are there

  /// Whether a terminal of the account is registered, or subscribed to its messages.
  private func isOnline(_ account: String) -> Bool {
    !locations.bindings(of: account).isEmpty || subscriptions.hasTopic(account)
  }

  /// Tells the watchers of accounts that came or went in this step.
  func tellPresence() {
    let changed = locations.cameOrWent.union(subscriptions.changedTopics)
    guard !changed.isEmpty else { return }
    locations.cameOrWent = []
    subscriptions.changedTopics = []
    for account in changed.sorted() {
      let isOnline = isOnline(account)
      guard isOnline != online.contains(account) else { continue }
      if isOnline { online.insert(account) } else { online.remove(account) }
      for id in subscriptions.ids(watching: [account]) {
        guard let watcher = subscriptions[id], !isPending(watcher) else { continue }
        notify(id)
      }
      let contacts = directory.contactList(of: account).filter { $0.value == .confirmed }
      for other in contacts.keys.sorted() { tellContacts(of: other) }
    }
  }

  private func tellContacts(of account: String) {
    for id in subscriptions.ids(of: account, to: .contacts) { notify(id) }
  }

  func presence(of account: String) -> Presence.Tuple {
    Presence.Tuple(
      serial: "", isOpen: online.contains(account), contact: "sip:\(account)@\(configuration.domain)",
      id: "a-" + account)
  }

  /// Whether `account` may subscribe to the presence of `other`: it may see it, or has asked to.
  func maySubscribe(_ account: String, _ other: String) -> Bool {
    directory.mayReach(account, other) || directory.contact(other, of: account) == .requested
  }

  /// RFC 3856 §6.6: it was asked for, and the other has not said yes yet.
  func isPending(_ subscription: Subscriptions.Subscription) -> Bool {
    guard case .account(let name) = subscription.subject else { return false }
    return !directory.mayReach(subscription.account, name)
  }

  /// A right or contact has changed: what a watcher of an account may see now.
  func reviewWatcher(_ id: Subscriptions.ID, of name: String, changedFrom old: Directory) {
    guard let watcher = subscriptions[id]?.account else { return }
    guard directory.accounts[name] != nil else { return end(id, "noresource") }
    guard maySubscribe(watcher, name) else { return end(id, "rejected") }
    if directory.mayReach(watcher, name) != old.mayReach(watcher, name) { notify(id) }
  }

  // MARK: The contact list

  func contactTuples(of account: String) -> [Presence.Tuple] {
    let list = directory.contactList(of: account)
    return list.keys.sorted().map { name in
      var tuple = presence(of: name)
      tuple.relation = list[name]?.rawValue ?? ""
      // Who has not agreed is not seen.
      if list[name] != .confirmed { tuple.isOpen = false }
      return tuple
    }
  }

  func isForContacts(_ request: Message) -> Bool {
    environment.contacts != nil && request.requestURI?.decodedUser?.hasSuffix(Self.contactsSuffix) == true
  }

  /// PUBLISH to the account's own list: one tuple, `open` for who is wanted, `closed` for who is not.
  func changeContacts(_ request: Message, _ key: AnswerKey, on flow: Flow) {
    guard acceptsExtensions(of: request, on: flow), let book = environment.contacts,
      let account = authenticate(request, on: flow, .server)
    else { return }
    guard request.requestURI?.decodedUser == account + Self.contactsSuffix else {
      return conclude(request, key, 404, on: flow)
    }
    guard request.event?.package == Self.package else { return refusePackage(request, key, on: flow) }
    guard request.mediaType == Presence.contentType else {
      return conclude(request, key, 415, on: flow) { $0.append(.accept, Presence.contentType) }
    }
    guard let tuples = environment.parsePresence(request.body)?.tuples, tuples.count == 1, let wish = tuples.first,
      let uri = wish.contact.flatMap({ URI($0) }), uri.isSIP, isHere(uri, on: flow), let other = uri.decodedUser,
      Directory.isName(other), other != account
    else { return conclude(request, key, 400, on: flow) }
    let present = directory.contact(other, of: account)
    // Who answers a request says so, and makes none when it was taken back meanwhile.
    let isAnswer = wish.relation == Directory.Contact.asking.rawValue
    let verdict: ContactBook.Verdict
    if wish.isOpen {
      if present == .confirmed { return contactsConcluded(request, key, 200, on: flow) }
      if isAnswer, present != .asking { return conclude(request, key, 404, on: flow) }
      if present == nil, !mayAsk(account, other, request, key, on: flow) { return }
      verdict = book.want(other, account)
      if verdict == .kept { directory.want(other, by: account) }
    } else {
      guard present != nil, !isAnswer || present == .asking else { return conclude(request, key, 404, on: flow) }
      verdict = book.part(account, other)
      if verdict == .kept { directory.part(account, other) }
    }
    switch verdict {
    case .missing: return conclude(request, key, 404, on: flow)
    case .unavailable: return respond(to: request, 503, on: flow) { $0.retryAfter = 10 }
    case .kept: break
    }
    let now = directory.contact(other, of: account)
    log(.info, "contact", ("account", account), ("other", other), ("state", now?.rawValue ?? "none"))
    contactsConcluded(request, key, now == .requested ? 202 : 200, on: flow)
    guard now != present else { return }
    if now == .requested, present == nil { announceRequest(of: account, to: other) }
    contactChanged(account, other)
  }

  /// RFC 3903 §6 step 6. What was published is kept for good: there is nothing to refresh.
  private func contactsConcluded(_ request: Message, _ key: AnswerKey, _ status: StatusCode, on flow: Flow) {
    conclude(request, key, status, on: flow) { response in
      response.sipETag = self.random.token(16)
      response.expires = 0
    }
  }

  /// Whether a request to a stranger is let through; else it is answered.
  private func mayAsk(
    _ account: String, _ other: String, _ request: Message, _ key: AnswerKey, on flow: Flow
  ) -> Bool {
    if let wait = contactRequests.take(account, at: now) {
      counters.limited &+= 1
      let seconds = UInt32(clamping: wait.wholeMilliseconds / 1000 + 1)
      respond(to: request, 503, on: flow) { response in
        response.retryAfter = seconds
        response.append(.warning, self.warning("too many contact requests"))
      }
      return false
    }
    guard directory.accounts[other] != nil else {
      conclude(request, key, 404, on: flow)
      return false
    }
    let limit = configuration.maximumContactsListed
    for (name, isOwn) in [(account, true), (other, false)] where directory.contactList(of: name).count >= limit {
      conclude(request, key, 403, on: flow) {
        $0.append(.warning, self.warning(isOwn ? "your contact list is full" : "the other's contact list is full"))
      }
      return false
    }
    return true
  }

  /// A request is a message too, for terminals that know nothing of contact lists. None of its words are the asker's.
  private func announceRequest(of account: String, to other: String) {
    guard let mailbox = environment.mailbox else { return }
    let text = "\(account) asks to be your contact. Answer with: edge contacts accept \(account), or refuse"
    let message = StoredMessage(
      receiver: other, sender: account, identity: "contact " + random.token(16), contentType: "text/plain",
      body: Array(text.utf8))
    if mailbox.commit([message], []) != nil { deliver(to: other) }
  }

  /// Both see it at once; what only the contact allowed ends.
  private func contactChanged(_ account: String, _ other: String) {
    if !directory.mayReach(account, other) { endSessions(changedFrom: directory) }
    for (one, two) in [(account, other), (other, account)] {
      tellContacts(of: one)
      for id in subscriptions.ids(watching: [two]) where subscriptions[id]?.account == one {
        if maySubscribe(one, two) { notify(id) } else { end(id, "rejected") }
      }
    }
  }
}
