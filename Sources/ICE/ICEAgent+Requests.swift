public import EdgeCore
internal import STUN

/// A check that came before the peer's credentials were known (RFC 8445 §7.3). It has been answered;
/// the rest of its processing waits.
struct EarlyCheck {
  let base: SocketAddress
  let source: SocketAddress
  let priority: UInt32
  let nominates: Bool
  let remoteUfrag: String
}

// The server side of connectivity checks (RFC 8445 §7.3).
extension ICEAgent {
  /// A flood before the answer costs this much and no more.
  static var maxEarlyChecks: Int { 32 }

  /// Takes a datagram that arrived at `localAddress`, a base of a local candidate, from `source`.
  ///
  /// Never throws: bytes from the network are not this node's error. Returns whether the datagram was
  /// this agent's; if not it is DTLS, or STUN of somebody else on the socket (a Binding or TURN client).
  @discardableResult
  public mutating func receive(
    _ bytes: RawSpan, from source: SocketAddress, to localAddress: SocketAddress, at now: Instant,
    into out: inout Outbox<Event>
  ) -> Bool {
    guard MuxedProtocol(of: bytes) == .stun, let received = try? ReceivedMessage(parsing: bytes),
      received.message.type.method == .binding
    else { return false }
    switch received.message.type.messageClass {
    case .request: return receiveRequest(received, from: source, to: localAddress, at: now, into: &out)
    case .success, .failure: return receiveResponse(received, from: source, to: localAddress, at: now, into: &out)
    // RFC 8445 §11: a keepalive of the peer's. Asks for nothing.
    case .indication: return true
    }
  }

  private mutating func receiveRequest(
    _ received: ReceivedMessage, from source: SocketAddress, to base: SocketAddress, at now: Instant,
    into out: inout Outbox<Event>
  ) -> Bool {
    let message = received.message
    // RFC 8445 §7.2.4: "The FINGERPRINT mechanism MUST be used for connectivity checks."
    guard received.hasFingerprint, localCandidate(base: base) != nil else { return false }
    // RFC 8489 §9.1.3, in its order.
    guard received.hasIntegrity, let username = message.text(.username) else {
      reply(.failure, [.errorCode(.badRequest)], to: received, source, base, key: nil, into: &out)
      return true
    }
    let parts = username.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    // RFC 8445 §7.3: only the first half is ours to check.
    let addressee = parts.count == 2 ? String(parts[0]) : ""
    let isPrevious = previous?.local.ufrag == addressee
    let credentials = isPrevious ? previous?.local : addressee == local.ufrag ? local : nil
    guard let credentials, received.verify(key: Array(credentials.password.utf8), hashes: hashes) else {
      reply(.failure, [.errorCode(.unauthenticated)], to: received, source, base, key: nil, into: &out)
      return true
    }
    let key = Array(credentials.password.utf8)
    let unknown = message.unknownRequired { $0.isKnownToICE }
    guard unknown.isEmpty else {
      reply(
        .failure, [.errorCode(.unknownAttribute), .unknownAttributes(unknown)], to: received, source, base, key: key,
        into: &out)
      return true
    }
    guard let priority = message.uint32(.priority) else {
      reply(.failure, [.errorCode(.badRequest)], to: received, source, base, key: key, into: &out)
      return true
    }
    guard isPrevious || resolveRole(message) else {
      reply(.failure, [.errorCode(.roleConflict)], to: received, source, base, key: key, into: &out)
      return true
    }
    reply(
      .success, [.xorAddress(.xorMappedAddress, source.unscoped, transaction: message.transaction)], to: received,
      source, base, key: key, into: &out)
    guard !isPrevious else { return true }
    noteHeard(from: source, to: base, at: now)
    let check = EarlyCheck(
      base: base, source: source, priority: priority, nominates: message[.useCandidate] != nil,
      remoteUfrag: String(parts[1]))
    // Answered; and whoever checks has begun.
    peerBegins(at: now, into: &out)
    guard let remote else {
      if early.count < Self.maxEarlyChecks { early.append(check) }
      return true
    }
    // RFC 8445 §7.3.1.4: the other half tells whose check it is; of a peer in mid-restart we know no
    // password yet.
    if check.remoteUfrag == remote.ufrag { process(check, at: now, into: &out) }
    pump(at: now, into: &out)
    return true
  }

  mutating func replayEarlyChecks(at now: Instant, into out: inout Outbox<Event>) {
    let waiting = early
    early.removeAll()
    for check in waiting where check.remoteUfrag == remote?.ufrag { process(check, at: now, into: &out) }
  }

  /// RFC 8445 §7.3.1.1. False when the answer is 487.
  private mutating func resolveRole(_ message: STUNMessage) -> Bool {
    switch role {
    case .controlling:
      guard let theirs = message.uint64(.iceControlling) else { return true }
      if tiebreaker >= theirs { return false }
      switchRole()
    case .controlled:
      guard let theirs = message.uint64(.iceControlled) else { return true }
      if tiebreaker < theirs { return false }
      switchRole()
    }
    return true
  }

  private func reply(
    _ messageClass: MessageClass, _ attributes: [Attribute], to request: ReceivedMessage, _ source: SocketAddress,
    _ base: SocketAddress, key: [UInt8]?, into out: inout Outbox<Event>
  ) {
    let message = STUNMessage(
      messageClass, .binding, transaction: request.message.transaction, attributes: attributes)
    let bytes = message.serialized(
      integrity: key.map { request.integrity(forReplyWith: $0) } ?? .none, fingerprint: true, hashes: hashes)
    out.datagrams.append(Datagram(source: base, destination: source, bytes: bytes))
  }

  /// RFC 8445 §7.3.1.3 to §7.3.1.5: learn, trigger, note the nomination.
  private mutating func process(_ check: EarlyCheck, at now: Instant, into out: inout Outbox<Event>) {
    guard phase == .running || phase == .completed, let local = localCandidate(base: check.base),
      local.base.canPair(with: check.source)
    else { return }
    let isNomination = check.nominates && role == .controlled
    let known = checklist.index(base: check.base, remote: check.source)
    if phase == .completed {
      let isSelected = known.map { checklist[$0].id == selectedPair } ?? false
      guard !isSelected, isNomination || isMove(check, known, at: now) else { return }
    }
    var found = known
    if found == nil {
      guard let remote = learnRemoteCandidate(check.source, priority: check.priority),
        let id = checklist.insert(local: local, remote: remote, role: role, mayEvict: true)
      else { return }
      found = checklist.index(id: id)
    }
    guard let index = found else { return }
    if phase == .completed && !isNomination {
      guard !checklist[index].isMove else { return }
      checklist[index].isMove = true
      checklist[index].hasMoved = true
      checklist[index].checks = 0
      checklist.trigger(index)
      return
    }
    if isNomination { checklist[index].isNominatedByPeer = true }
    switch checklist[index].state {
    case .succeeded where checklist[index].isValid, .inProgress where checklist[index].isValid:
      // RFC 8445 §7.3.1.5.
      guard isNomination else { return }
      markNominated(index)
      updateSelection(at: now, into: &out)
    case .succeeded, .inProgress, .waiting, .frozen, .failed:
      guard checklist[index].checks < Self.maxChecksPerPair else { return }
      cancelChecks(of: checklist[index].id)
      checklist.trigger(index)
    }
  }

  /// Whether a check that arrives after completion means that the peer's address has changed under it
  /// (its NAT forgot the mapping, or its uplink is another one).
  ///
  /// A peer that has completed checks its selected pair only, so a check from an address never seen, once the
  /// checks still under way at completion have died down (RFC 8445 §8.3.1: 3 s), comes from where it is now.
  /// From an address seen before it may be an old check repeated. Nor need they have died down where the path in use
  /// gives no answers.
  private func isMove(_ check: EarlyCheck, _ known: Int?, at now: Instant) -> Bool {
    guard let completedAt, now >= completedAt + .seconds(3) || isUnanswered(at: now), check.base == selectedPath?.base
    else { return false }
    guard let known else { return true }
    return checklist[known].hasMoved
  }
}
