import CPIM
import EdgeCore
import SIP

// The message broker: every account owns a topic of its own name; what is sent to it is stored, then given to each of the
// account's terminals, by NOTIFY (Event: im) to those that subscribed and by MESSAGE (RFC 3428) to plain ones.
extension Rendezvous {
  static let messagePackage = "im"
  /// RFC 3428 §8.
  static let maximumMessage = 1300
  /// Bytes of an alarm with its picture: what a SIP message has room for beside its head.
  static let maximumPicture = 48 << 10
  /// How long a sender is kept waiting for a terminal before it is told 202.
  private static let deliveryPatience: Duration = .seconds(2)
  private static let registrationDelay: Duration = .milliseconds(800)

  /// Whether a MESSAGE is for an account or from a serial, and so the broker's.
  func isForBroker(_ request: Message) -> Bool {
    guard environment.mailbox != nil, request.to?.tag == nil, let name = request.requestURI?.decodedUser else {
      return false
    }
    guard let owner = directory.owner(of: name) else { return true }
    return request.from?.uri.decodedUser == owner
  }

  /// MESSAGE, or PUBLISH with `Event: im`, to the name of an account; or of a serial, by the node that owns it.
  func takeMessage(_ request: Message, _ key: AnswerKey, on flow: Flow) {
    guard acceptsExtensions(of: request, on: flow), forwardingIsSane(request, on: flow) else { return }
    guard environment.mailbox != nil else { return refusePackage(request, key, on: flow) }
    guard let sender = authenticate(request, on: flow, request.method == .publish ? .server : .proxy) else { return }
    guard let name = request.requestURI?.decodedUser, let receivers = receivers(of: name, from: sender) else {
      return conclude(request, key, 404, on: flow)
    }
    let isForGroup = directory.members(ofGroup: name) != nil
    guard !receivers.isEmpty || !isForGroup else {
      return conclude(request, key, 480, on: flow) { $0.append(.warning, self.warning("nobody else is in the group")) }
    }
    guard !request.body.isEmpty, let mediaType = request.mediaType else { return conclude(request, key, 400, on: flow) }
    // RFC 3261 §8.2.3. What is kept must be readable by terminals that come later, whatever they understand.
    if let encoding = request[.contentEncoding], !ASCII.equalIgnoringCase(encoding, "identity") {
      return conclude(request, key, 415, on: flow) { $0.append(.acceptEncoding, "identity") }
    }
    // A node's alarms go to those who may watch its cameras, all or some of them.
    let isAlarm = directory.owner(of: name) == sender || directory.sees(name, sender)
    // RFC 3428 §8 allows more than 1300 bytes to who knows that no hop is open to congestion: this server gives
    // what is longer to connections only.
    let limit = isAlarm && flow.transport.isReliable ? Self.maximumPicture : Self.maximumMessage
    guard request.body.count <= limit else {
      return conclude(request, key, 413, on: flow) {
        $0.append(.warning, self.warning("a message has at most \(limit) bytes"))
      }
    }
    guard let content = content(of: request, mediaType, from: sender) else {
      return conclude(request, key, 400, on: flow)
    }
    // It came again before it was written: one answer is for both.
    guard !messages.incomingKeys.contains(key) else { return }
    if request.body.count > Self.maximumMessage || directory.owner(of: name) != nil,
      !alarms.allows("\(sender) \(name)", at: now)
    {
      counters.limited &+= 1
      return conclude(request, key, 480, on: flow) { $0.append(.warning, self.warning("too many alarms")) }
    }
    // Nobody is to be told.
    guard !receivers.isEmpty else { return accepted(request, key, 200, 0, on: flow) }
    messages.incomingKeys.insert(key)
    messages.incoming.append(
      MessageTraffic.Incoming(
        messages: receivers.map { receiver in
          var message = content
          message.receiver = receiver
          if isForGroup { message.topic = name }
          return message
        }, request: request, key: key, flow: flow))
    commitSoon()
    if messages.incoming.count >= Self.largestWrite { commitMessages() }
  }

  /// Who gets what `sender` writes to `name`; `nil` when it may not: unknown and forbidden names are not told apart.
  private func receivers(of name: String, from sender: String) -> [String]? {
    if let members = directory.members(ofGroup: name) {
      return members.contains(sender) ? members.subtracting([sender]).sorted() : nil
    }
    if directory.owner(of: name) == sender { return directory.watchers(of: name).filter { $0 != sender }.sorted() }
    return directory.accounts[name] != nil && directory.mayReach(sender, name) ? [name] : nil
  }

  /// `nil` for what says that it is CPIM and is not.
  private func content(of request: Message, _ mediaType: String, from sender: String) -> StoredMessage? {
    guard mediaType == CPIMMessage.mediaType else {
      return StoredMessage(
        receiver: "", sender: sender, identity: Self.identity(of: request),
        contentType: request[.contentType] ?? mediaType, body: request.body)
    }
    guard let content = CPIMMessage(request.body) else { return nil }
    return StoredMessage(
      receiver: "", sender: sender,
      identity: content.messageID.isEmpty ? Self.identity(of: request) : "id " + content.messageID,
      contentType: content.contentType, body: content.body)
  }

  // MARK: Writing

  /// Messages of one write; more is written at once.
  private static let largestWrite = 256
  private static let commitRetry: Duration = .seconds(1)

  /// When the owner has handed over all that arrived together.
  private func commitSoon() { messages.commitDue = now }

  /// Writes what has come in since the last time, then answers the senders.
  func commitMessages() {
    messages.commitDue = nil
    let incoming = messages.incoming
    messages.incoming = []
    messages.incomingKeys = []
    let deliveries = messages.delivered.map { device, sequence in
      Delivery(account: device.account, terminal: device.name, sequence: sequence)
    }
    guard let mailbox = environment.mailbox, !incoming.isEmpty || !deliveries.isEmpty else { return }
    let all = incoming.flatMap(\.messages)
    guard let verdicts = mailbox.commit(all, deliveries), verdicts.count == all.count else {
      for each in incoming { respond(to: each.request, 503, on: each.flow) { $0.retryAfter = 10 } }
      if !deliveries.isEmpty { messages.commitDue = now + Self.commitRetry }
      return
    }
    messages.delivered = [:]
    var receivers: Set<String> = []
    var rest = verdicts[...]
    for each in incoming {
      let own = rest.prefix(each.messages.count)
      rest = rest.dropFirst(each.messages.count)
      if own.count == 1 || each.messages[0].topic != nil {
        settle(each, own, &receivers)
      } else {
        settle(each, of: own, &receivers)
      }
    }
    for receiver in receivers.sorted() { deliver(to: receiver) }
  }

  private func settle(
    _ each: MessageTraffic.Incoming, _ verdicts: ArraySlice<MessageBox.Verdict>, _ receivers: inout Set<String>
  ) {
    var fresh: [Int64] = []
    var known: Int64?
    var isFull = false
    var isAway = false
    for (copy, verdict) in zip(each.messages, verdicts) {
      switch verdict {
      case .stored(let sequence):
        fresh.append(sequence)
        if subscriptions.hasTopic(copy.receiver) || !terminals(of: copy.receiver).isEmpty {
          receivers.insert(copy.receiver)
        } else {
          isAway = true
        }
      case .known(let sequence): known = known ?? sequence
      case .full: isFull = true
      case .unavailable: return respond(to: each.request, 503, on: each.flow) { $0.retryAfter = 10 }
      }
    }
    counters.messages &+= UInt64(fresh.count)
    guard let first = fresh.first else {
      guard let known else {
        return conclude(each.request, each.key, 480, on: each.flow) {
          $0.append(.warning, self.warning("the receiver's mailbox is full"))
        }
      }
      // It came again while its answer is being found out.
      if let under = messages.awaitedUnder[known], messages.awaiting[under]?.key == each.key { return }
      return accepted(each.request, each.key, 202, known, on: each.flow)
    }
    // Who is away, or has no room, has it later or not at all: nothing that waiting would tell.
    guard !isAway, !isFull else { return accepted(each.request, each.key, 202, first, on: each.flow) }
    messages.awaiting[first] = MessageTraffic.Awaiting(
      open: Set(fresh), request: each.request, key: each.key, flow: each.flow, deadline: now + Self.deliveryPatience)
    for sequence in fresh { messages.awaitedUnder[sequence] = first }
  }

  /// An alarm to several: it is stored, and who has no room does without.
  private func settle(
    _ each: MessageTraffic.Incoming, of verdicts: ArraySlice<MessageBox.Verdict>, _ receivers: inout Set<String>
  ) {
    var last: Int64?
    for (message, verdict) in zip(each.messages, verdicts) {
      switch verdict {
      case .stored(let sequence):
        counters.messages &+= 1
        last = sequence
        receivers.insert(message.receiver)
      case .known(let sequence): last = sequence
      case .full, .unavailable: break
      }
    }
    if let last { return accepted(each.request, each.key, 202, last, on: each.flow) }
    conclude(each.request, each.key, 480, on: each.flow) {
      $0.append(.warning, self.warning("the receivers' mailboxes are full"))
    }
  }

  /// The oldest message a device has not had, counting what is not written yet.
  ///
  /// - Parameter takesLarge: whether it can be given more than ``maximumMessage``; who cannot does without.
  func nextMessage(for account: String, _ name: String, takesLarge: Bool) -> StoredMessage? {
    let device = MessageTraffic.Device(account: account, name: name)
    while true {
      guard let message = environment.mailbox?.next(account, name, messages.delivered[device] ?? 0) else { return nil }
      if takesLarge || message.body.count <= Self.maximumMessage { return message }
      messages.delivered[device] = message.sequence
      commitSoon()
    }
  }

  /// RFC 3261 §8.1.1.4 and §8.1.1.5: what does not change when a request is sent again.
  private static func identity(of request: Message) -> String {
    "call \(request.callID ?? "") \(request.from?.tag ?? "") \(request.cseq?.number ?? 0)"
  }

  /// 200: a terminal has it. 202: it is stored, and given to the terminals when they come.
  private func accepted(
    _ request: Message, _ key: AnswerKey, _ status: StatusCode, _ sequence: Int64, on flow: Flow
  ) {
    conclude(request, key, status, on: flow) { response in
      guard request.method == .publish else { return }
      // RFC 3903 §6 step 6. A message is an event and no state: there is nothing to refresh.
      response.sipETag = "m\(sequence)"
      response.expires = 0
    }
  }

  // MARK: Giving it to the terminals

  /// Registered contacts that have not subscribed to their topic over the same flow.
  private func terminals(of account: String) -> [(terminal: MessageTraffic.Terminal, contact: URI)] {
    newestBindings(of: account).compactMap { binding in
      guard let contact = URI(binding.contact), !subscriptions.hasTopic(account, on: binding.flow) else { return nil }
      let name = binding.instance.isEmpty ? binding.contact : binding.instance
      let terminal = MessageTraffic.Terminal(account: account, name: name, flow: binding.flow)
      return messages.refusing.contains(terminal) ? nil : (terminal, contact)
    }
  }

  func deliver(to account: String) {
    for id in subscriptions.ids(of: account, to: .topic) { notify(id) }
    // One that has just registered may be about to subscribe.
    guard messages.due[account] == nil else { return }
    for (terminal, contact) in terminals(of: account) { push(to: terminal, contact) }
  }

  func registered(_ account: String) {
    guard environment.mailbox != nil else { return }
    messages.due[account] = now + Self.registrationDelay
  }

  private func push(to terminal: MessageTraffic.Terminal, _ contact: URI) {
    guard messages.pushing[terminal] == nil,
      let message = nextMessage(for: terminal.account, terminal.name, takesLarge: false)
    else { return }
    messages.pushing[terminal] = message.sequence
    var request = Message(request: .message, contact)
    request.maxForwards = 70
    var from = NameAddress(URI(.sip, user: message.sender, host: configuration.domain))
    from.tag = random.token(8)
    request.from = from
    request.to = NameAddress(URI(.sip, user: message.topic ?? terminal.account, host: configuration.domain))
    // The same each time, so that a terminal that was asked twice can tell.
    request.callID = "m\(message.sequence)-\(mark([message.sender, message.identity]))@\(configuration.domain)"
    request.cseq = CSeq(1, .message)
    request.append(.other("P-Asserted-Identity"), "<sip:\(message.sender)@\(configuration.domain)>")
    request.setBody(message.body, type: message.contentType)
    startRequest(request, on: terminal.flow, for: .message(terminal))
  }

  /// The answer to a MESSAGE of ours, or `nil` for silence or a lost flow.
  func messageAnswered(_ terminal: MessageTraffic.Terminal, _ status: StatusCode?) {
    guard let sequence = messages.pushing.removeValue(forKey: terminal) else { return }
    guard let status else { return }
    if status.isSuccess {
      delivered(sequence, terminal.account, terminal.name)
      for (other, contact) in terminals(of: terminal.account) where other == terminal { push(to: other, contact) }
    } else if status == 405 || status == 415 || status == 501 {
      messages.refusing.insert(terminal)
    }
  }

  func delivered(_ sequence: Int64, _ account: String, _ terminal: String) {
    // Not written at once: after a crash the terminal is given it again, and knows it.
    messages.delivered[MessageTraffic.Device(account: account, name: terminal)] = sequence
    commitSoon()
    counters.messagesDelivered &+= 1
    guard let under = messages.awaitedUnder.removeValue(forKey: sequence) else { return }
    messages.awaiting[under]?.open.remove(sequence)
    guard messages.awaiting[under]?.open.isEmpty == true, let waiting = messages.awaiting.removeValue(forKey: under)
    else { return }
    accepted(waiting.request, waiting.key, 200, under, on: waiting.flow)
  }

  /// What a NOTIFY of the topic carries: always CPIM, as it has the sender, the time and the name of the message.
  func notificationBody(_ message: StoredMessage) -> [UInt8] {
    let id = message.identity.hasPrefix("id ") ? String(message.identity.dropFirst(3)) : "m\(message.sequence)"
    return CPIMMessage(
      from: "sip:\(message.sender)@\(configuration.domain)",
      to: "sip:\(message.topic ?? message.receiver)@\(configuration.domain)",
      dateTime: Timestamp.text(message.accepted), messageID: id, contentType: message.contentType, body: message.body
    ).serialized
  }

  // MARK: Time

  func sweepMessages() {
    for (sequence, waiting) in messages.awaiting.sorted(by: { $0.key < $1.key }) where waiting.deadline <= now {
      messages.awaiting[sequence] = nil
      for copy in waiting.open { messages.awaitedUnder[copy] = nil }
      accepted(waiting.request, waiting.key, 202, sequence, on: waiting.flow)
    }
    for account in messages.due.filter({ $0.value <= now }).map(\.key).sorted() {
      messages.due[account] = nil
      deliver(to: account)
    }
    let flows = flows
    messages.refusing = messages.refusing.filter { flows[$0.flow] != nil }
  }
}
