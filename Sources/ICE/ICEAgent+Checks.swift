internal import EdgeCore
internal import STUN

// The client side of connectivity checks (RFC 8445 §7.2).
extension ICEAgent {
  /// No pair is checked more often than this, whatever the peer sends.
  static var maxChecksPerPair: Int { 12 }

  mutating func sendDueChecks(at now: Instant, into out: inout Outbox<Event>) {
    guard remote != nil, phase == .running || phase == .completed else { return }
    while pacer.nextSlot <= now, let index = checklist.next() {
      pacer.take(at: now)
      start(index, at: now, into: &out)
    }
  }

  private mutating func start(_ index: Int, at now: Instant, into out: inout Outbox<Event>) {
    guard let remote else { return }
    cancelChecks(of: checklist[index].id)
    checklist[index].checks += 1
    checklist[index].state = .inProgress
    if !checklist[index].isValid { checklist[index].reason = .awaitingAnswer }
    let pair = checklist[index]
    let nominates = pair.isBeingNominated && role == .controlling
    let id = TransactionID(using: &random)
    let bytes = bindingRequest(id, from: pair.local, nominates: nominates, to: remote)
    // A nomination repeats a check that worked: it need not wait long to be tried afresh.
    let timing =
      nominates
      ? ClientTransaction.Timing(maxSends: 5, finalWaitFactor: 4) : ClientTransaction.Timing(initialRTO: initialRTO)
    var check = Check(
      id: id, pair: pair.id, bytes: bytes, role: role, tiebreaker: tiebreaker, nominates: nominates,
      priority: pair.local.peerReflexivePriority, timing: timing, firstSent: now,
      deadline: now + timing.wait(afterSend: 1))
    check.hasOnlyOpened = openingHops(of: pair, at: now) != nil
    checks.append(check)
    resend(check, at: now, into: &out)
  }

  /// Puts one copy on the wire.
  mutating func resend(_ check: Check, at now: Instant, into out: inout Outbox<Event>) {
    guard let index = checklist.index(id: check.pair) else { return }
    let pair = checklist[index]
    out.datagrams.append(
      Datagram(
        source: pair.base, destination: pair.destination, bytes: check.bytes,
        timeToLive: openingHops(of: pair, at: now)))
  }

  /// Not `nil` for a check that is to get no further than our own routers.
  private func openingHops(of pair: Pair, at now: Instant) -> UInt8? {
    guard let hops = configuration.openingHops, !peerHasBegun, role == .controlled, phase == .running,
      pair.local.kind != .relay, pair.remote.kind == .serverReflexive, pair.remote.address.ip.isV4,
      let startedAt, now < startedAt + configuration.openingTime
    else { return nil }
    return hops
  }

  /// RFC 8445 §14.3, with the number of checks that are under way instead of its square: the first ones
  /// go out together here, so there is less to wait for.
  private var initialRTO: Duration {
    min(configuration.maxInitialRTO, max(.milliseconds(500), configuration.pace * checklist.activeCount))
  }

  /// RFC 8445 §7.1, §7.2.2.
  func bindingRequest(
    _ id: TransactionID, from candidate: Candidate, nominates: Bool, to remote: Credentials,
    as local: Credentials? = nil
  ) -> [UInt8] {
    var attributes: [Attribute] = [
      Attribute(.username, remote.ufrag + ":" + (local ?? self.local).ufrag),
      Attribute(.priority, candidate.peerReflexivePriority),
      Attribute(role == .controlling ? .iceControlling : .iceControlled, tiebreaker),
    ]
    if nominates { attributes.append(Attribute(.useCandidate, [])) }
    return STUNMessage(.request, .binding, transaction: id, attributes: attributes)
      .serialized(integrity: .sha1(key: Array(remote.password.utf8)), fingerprint: true, hashes: hashes)
  }

  mutating func retransmit(at now: Instant, into out: inout Outbox<Event>) {
    var index = 0
    while index < checks.count {
      let check = checks[index]
      guard now >= check.deadline else {
        index += 1
        continue
      }
      if check.isCancelled || check.sends >= check.timing.maxSends {
        checks.remove(at: index)
        if !check.isCancelled { fail(check, .timedOut, at: now, into: &out) }
        continue
      }
      checks[index].sends += 1
      checks[index].deadline = now + check.timing.wait(afterSend: check.sends + 1)
      let reaches = checklist.index(id: check.pair).map { openingHops(of: checklist[$0], at: now) == nil } ?? true
      if reaches { checks[index].hasOnlyOpened = false }
      resend(checks[index], at: now, into: &out)
      index += 1
    }
  }

  mutating func cancelChecks(of pair: Int) {
    for index in checks.indices where checks[index].pair == pair { checks[index].cancel() }
  }

  /// RFC 8445 §7.2.5.2.
  mutating func fail(_ check: Check, _ reason: PairReason, at now: Instant, into out: inout Outbox<Event>) {
    guard let index = checklist.index(id: check.pair) else { return }
    // A pair that is in use is given up by the consent checks, not by a check the peer provoked.
    guard !checklist[index].isNominated else {
      checklist[index].state = .succeeded
      return
    }
    checklist[index].state = .failed
    checklist[index].reason = reason
    checklist[index].isMove = false
    checklist[index].isNominatedByPeer = false
    checklist.cancelTrigger(index)
    if check.nominates && reason == .timedOut && checklist[index].checks < Self.maxChecksPerPair {
      // The peer may well have heard it, and uses the pair already: nominating another now could leave the
      // two with different ones. The path worked, so only this exchange was unlucky. One that is dead
      // is dropped when consent expires.
      checklist.trigger(index)
    } else if check.nominates || checklist[index].isBeingNominated {
      // RFC 8445 §7.2.5.3.4: out of the valid list. Another valid pair may still be nominated, since this
      // nomination was not successful.
      checklist[index].isBeingNominated = false
      checklist[index].validLocal = nil
      updateSelection(at: now, into: &out)
    } else if checklist[index].isValid {
      checklist[index].state = .succeeded
      checklist[index].reason = .answered
    }
  }

  /// Whether the response was to a check of this agent.
  mutating func receiveResponse(
    _ received: ReceivedMessage, from source: SocketAddress, to localAddress: SocketAddress, at now: Instant,
    into out: inout Outbox<Event>
  ) -> Bool {
    let message = received.message
    if receiveConsentResponse(received, from: source, to: localAddress, at: now, into: &out) { return true }
    guard let place = checks.firstIndex(where: { $0.id == message.transaction }), let remote else { return false }
    // RFC 8489 §9.1.4: a response that fails the integrity check is as if it had never been received.
    guard received.verify(key: Array(remote.password.utf8), hashes: hashes) else { return true }
    let check = checks[place]
    guard let index = checklist.index(id: check.pair) else {
      checks.remove(at: place)
      return true
    }
    // RFC 8445 §7.2.5.2.1: where it came from and where it arrived must mirror the request.
    guard source.unscoped == checklist[index].remote.address, localAddress == checklist[index].base else {
      checks.remove(at: place)
      if !check.isCancelled { fail(check, .nonSymmetric, at: now, into: &out) }
      pump(at: now, into: &out)
      return true
    }
    switch message.type.messageClass {
    case .success:
      // RFC 8489 §6.3.3: unknown comprehension-required attributes make it useless.
      guard let mapped = message.xorAddress(.xorMappedAddress),
        message.unknownRequired(known: { $0.isKnownToICE }).isEmpty
      else { return true }
      checks.remove(at: place)
      succeed(check, index, mapped: mapped, at: now, into: &out)
    default:
      guard let code = message.errorCode else { return true }
      checks.remove(at: place)
      if code == .roleConflict {
        repairRole(after: check, index)
      } else if !check.isCancelled {
        fail(check, .refused(code.rawValue), at: now, into: &out)
      }
    }
    pump(at: now, into: &out)
    return true
  }

  /// RFC 8445 §7.2.5.1.
  private mutating func repairRole(after check: Check, _ index: Int) {
    // A 487 to a request from before the last change of role says nothing about the role of now.
    if check.role == role && check.tiebreaker == tiebreaker {
      switchRole()
      // RFC 8445 §7.2.5.1: "The agent MUST change the tiebreaker value."
      tiebreaker = random.next()
    }
    guard let index = checklist.index(id: check.pair) else { return }
    if checklist[index].checks < Self.maxChecksPerPair && !checklist[index].isValid { checklist.trigger(index) }
  }

  mutating func switchRole() {
    role = role.other
    for index in checklist.pairs.indices {
      checklist[index].isBeingNominated = false
      checklist[index].isNominatedByPeer = false
    }
    checklist.sort(role: role)
  }

  /// RFC 8445 §7.2.5.3.
  private mutating func succeed(
    _ check: Check, _ index: Int, mapped: SocketAddress, at now: Instant, into out: inout Outbox<Event>
  ) {
    checklist[index].validLocal = localCandidate(mapped: mapped, pair: checklist[index], priority: check.priority)
    checklist[index].state = .succeeded
    checklist[index].reason = .answered
    if check.roundTripIsKnown { checklist[index].roundTrip = now - check.firstSent }
    if firstValidAt == nil { firstValidAt = now }
    if !checklist[index].isBeingNominated || check.nominates {
      checklist.cancelTrigger(index)
      cancelChecks(of: check.pair)
    }
    checklist.unfreeze(foundationOf: index)
    if check.nominates && role == .controlling || checklist[index].isNominatedByPeer && role == .controlled {
      markNominated(index)
    }
    if checklist[index].isMove { adoptMove(index) }
    updateSelection(at: now, into: &out)
  }
}
