public import EdgeCore
internal import STUN

/// Permission to keep sending on one 5-tuple (RFC 7675). The checks are the NAT keepalive as well.
struct Consent {
  let base: SocketAddress
  let destination: SocketAddress
  let local: Credentials
  let remote: Credentials
  let candidate: Candidate
  /// RFC 7675 §5.1: "a response might be for a previous request", so several are kept.
  var outstanding: [(id: TransactionID, sent: Instant)] = []
  var nextCheck: Instant
  /// The last valid response. Requests received do not count.
  var lastAnswer: Instant
  var lastCheck: Instant
  var unanswered = 0
  var mode = Mode.active
  /// When data last left, or was to leave.
  var lastData: Instant
  /// When the first check that has no answer yet was sent, of an idle path or one that is to be used again.
  var askedAt: Instant?

  enum Mode {
    /// Data flows, and consent is kept fresh.
    case active
    /// Nothing is sent, so none is needed (RFC 7675 §5.1): seldom checks keep the NATs open.
    case idle
    /// Data waits until the peer has agreed again.
    case resuming
  }

  init(
    local: Credentials, remote: Credentials, candidate: Candidate, base: SocketAddress, destination: SocketAddress,
    now: Instant
  ) {
    self.local = local
    self.remote = remote
    self.candidate = candidate
    self.base = base
    self.destination = destination
    nextCheck = now
    lastAnswer = now
    lastCheck = now
    lastData = now
  }

  /// RFC 7675 §5.1: "each interval MUST be randomized from between 0.8 and 1.2 times the basic period",
  /// and never below 4 s.
  mutating func schedule(_ interval: Duration, at now: Instant, using random: inout some RandomNumberGenerator) {
    let basic = max(interval, .seconds(5)).wholeNanoseconds
    nextCheck = now + .nanoseconds(Int64.random(in: (basic / 10 * 8)...(basic / 10 * 12), using: &random))
  }

  /// `nil` while an idle path waits for no answer.
  func expires(after expiry: Duration) -> Instant? {
    mode == .active ? lastAnswer + expiry : askedAt.map { $0 + expiry }
  }

  func hasExpired(after expiry: Duration, at now: Instant) -> Bool { expires(after: expiry).map { now >= $0 } ?? false }
}

extension ICEAgent {
  /// The owner expected data and got none: asks now whether the path lives, and the peer learns our new address if a NAT
  /// gave us one. Called again while the silence lasts, it makes ``ICEEvent/consentDoubtful`` come after two answers
  /// missed instead of two intervals. RFC 7675 §5.1 spaces checks to spare the network; these replace a stream.
  public mutating func doubtPath(at now: Instant) {
    let spacing = max(.milliseconds(300), (selectedPath?.roundTrip ?? .zero) * 2)
    guard let current = consent, now - current.lastCheck >= spacing, now - current.lastAnswer >= .milliseconds(400)
    else {
      return
    }
    consent?.nextCheck = now
  }

  /// The path in use was asked, and had the time to answer.
  func isUnanswered(at now: Instant) -> Bool {
    guard let asked = consent?.outstanding.first?.sent else { return false }
    return now - asked >= max(.milliseconds(200), (selectedPath?.roundTrip ?? .zero) * 2)
  }

  /// Nothing was to be sent for long over the path in use.
  public var isIdle: Bool { consent?.mode == .idle }

  /// Data is about to leave over the path in use. `false`: not yet. A path that was idle has no consent any more, and the
  /// peer is asked first: ``ICEEvent/consentRenewed`` says when what was held back may leave, and so does
  /// ``ICEEvent/selected(_:)``.
  public mutating func maySend(at now: Instant, into out: inout Outbox<Event>) -> Bool {
    if var current = consent {
      wake(&current, at: now, into: &out)
      consent = current
      return current.mode == .active
    }
    guard selectedPath != nil else { return false }
    guard var old = previousConsent else { return true }
    wake(&old, at: now, into: &out)
    previousConsent = old
    return old.mode == .active
  }

  private mutating func wake(_ consent: inout Consent, at now: Instant, into out: inout Outbox<Event>) {
    consent.lastData = now
    guard consent.mode == .idle else { return }
    if consent.askedAt == nil, now - consent.lastAnswer < configuration.consentExpiry {
      consent.mode = .active
      consent.nextCheck = min(consent.nextCheck, max(now, consent.lastAnswer + configuration.consentInterval))
    } else {
      consent.mode = .resuming
      consent.outstanding.removeAll()
      consent.unanswered = 0
      consent.askedAt = nil
      consent.nextCheck = now
      check(&consent, at: now, into: &out)
    }
  }

  /// A check of the peer's came over the path in use, and was answered: as good as one of ours for the NATs.
  mutating func noteHeard(from source: SocketAddress, to base: SocketAddress, at now: Instant) {
    guard var current = consent, current.mode == .idle, current.askedAt == nil, base == current.base,
      source.unscoped == current.destination.unscoped
    else { return }
    rest(&current, at: now)
    consent = current
  }

  /// The next check of an idle path is far away. Whoever is asked before asks later.
  private mutating func rest(_ consent: inout Consent, at now: Instant) {
    let interval = configuration.idleInterval.wholeNanoseconds
    consent.askedAt = nil
    consent.nextCheck = now + .nanoseconds(Int64.random(in: interval...(interval / 10 * 11), using: &random))
  }

  var consentDeadline: Instant? {
    var deadline: Instant?
    for each in [consent, previousConsent] {
      guard let each else { continue }
      deadline = Instant.earliest(deadline, each.nextCheck)
      deadline = Instant.earliest(deadline, each.expires(after: configuration.consentExpiry))
    }
    return Instant.earliest(deadline, previousEnd)
  }

  mutating func tickConsent(at now: Instant, into out: inout Outbox<Event>) {
    if var current = consent {
      if current.hasExpired(after: configuration.consentExpiry, at: now) {
        loseConsent(at: now, into: &out)
      } else {
        check(&current, at: now, into: &out)
        consent = current
      }
    }
    if var old = previousConsent {
      if old.hasExpired(after: configuration.consentExpiry, at: now) {
        previous = nil
        previousConsent = nil
        selectedPath = nil
        out.events.append(.consentLost)
      } else {
        check(&old, at: now, into: &out)
        previousConsent = old
      }
    }
    if let end = previousEnd, now >= end { previous = nil }
  }

  /// When nothing of the session before a restart is wanted any more: the peer has had as long to turn
  /// to the new path as RFC 8445 §8.3.1 gives unused candidates.
  private var previousEnd: Instant? {
    guard previous != nil, let completedAt else { return nil }
    return completedAt + .seconds(3)
  }

  private mutating func check(_ consent: inout Consent, at now: Instant, into out: inout Outbox<Event>) {
    guard now >= consent.nextCheck else { return }
    if let idleAfter = configuration.idleAfter, consent.mode == .active, consent.outstanding.isEmpty,
      now - consent.lastData >= idleAfter
    {
      consent.mode = .idle
      return rest(&consent, at: consent.lastAnswer)
    }
    if !consent.outstanding.isEmpty {
      consent.unanswered += 1
      if consent.unanswered == 2 { out.events.append(.consentDoubtful) }
    }
    if consent.outstanding.count >= 8 { consent.outstanding.removeFirst() }
    let id = TransactionID(using: &random)
    consent.outstanding.append((id, now))
    consent.lastCheck = now
    if consent.mode == .active || consent.unanswered > 4 {
      consent.schedule(configuration.consentInterval, at: now, using: &random)
    } else {
      // A lost packet must not cost the NATs their mappings, nor what waits to be sent a second.
      let patience: Duration = consent.mode == .idle ? .seconds(1) : .milliseconds(400)
      consent.nextCheck = now + max(patience, (selectedPath?.roundTrip ?? .zero) * 2)
    }
    if consent.mode != .active, consent.askedAt == nil { consent.askedAt = now }
    let bytes = bindingRequest(
      id, from: consent.candidate, nominates: false, to: consent.remote, as: consent.local)
    out.datagrams.append(Datagram(source: consent.base, destination: consent.destination, bytes: bytes))
  }

  /// Whether the response was to a consent check.
  mutating func receiveConsentResponse(
    _ received: ReceivedMessage, from source: SocketAddress, to base: SocketAddress, at now: Instant,
    into out: inout Outbox<Event>
  ) -> Bool {
    if var current = consent, let sent = accept(received, &current, source, base, at: now) {
      if current.unanswered >= 2 { out.events.append(.consentRestored) }
      answered(&current, at: now, into: &out)
      consent = current
      learn(received.message, roundTrip: now - sent, at: now, into: &out)
      return true
    }
    if var old = previousConsent, accept(received, &old, source, base, at: now) != nil {
      answered(&old, at: now, into: &out)
      previousConsent = old
      return true
    }
    return false
  }

  private mutating func answered(_ consent: inout Consent, at now: Instant, into out: inout Outbox<Event>) {
    consent.unanswered = 0
    switch consent.mode {
    case .active: break
    case .idle: rest(&consent, at: now)
    case .resuming:
      consent.mode = .active
      consent.askedAt = nil
      consent.schedule(configuration.consentInterval, at: now, using: &random)
      out.events.append(.consentRenewed)
    }
  }

  private func accept(
    _ received: ReceivedMessage, _ consent: inout Consent, _ source: SocketAddress, _ base: SocketAddress,
    at now: Instant
  ) -> Instant? {
    let message = received.message
    guard let place = consent.outstanding.firstIndex(where: { $0.id == message.transaction }),
      message.type.messageClass == .success, source.unscoped == consent.destination.unscoped, base == consent.base,
      received.verify(key: Array(consent.remote.password.utf8), hashes: hashes)
    else { return nil }
    let sent = consent.outstanding[place].sent
    consent.outstanding.removeAll()
    consent.lastAnswer = now
    return sent
  }

  /// An answer also tells the round trip, and whether our own mapping has changed.
  private mutating func learn(
    _ message: STUNMessage, roundTrip: Duration, at now: Instant, into out: inout Outbox<Event>
  ) {
    let smoothed = selectedPath?.roundTrip.map { ($0 * 7 + roundTrip) / 8 } ?? roundTrip
    selectedPath?.roundTrip = smoothed
    guard let selectedPair, let index = checklist.index(id: selectedPair) else { return }
    checklist[index].roundTrip = smoothed
    guard let mapped = message.xorAddress(.xorMappedAddress),
      mapped.unscoped != checklist[index].validLocal?.address.unscoped
    else { return }
    checklist[index].validLocal = localCandidate(
      mapped: mapped, pair: checklist[index], priority: checklist[index].local.peerReflexivePriority)
    updateSelection(at: now, into: &out)
  }

  private mutating func loseConsent(at now: Instant, into out: inout Outbox<Event>) {
    consent = nil
    if let selectedPair, let index = checklist.index(id: selectedPair) {
      checklist[index].validLocal = nil
      checklist[index].isNominated = false
      checklist[index].isBeingNominated = false
      checklist[index].state = .failed
      checklist[index].reason = .consentLost
      cancelChecks(of: selectedPair)
    }
    selectedPair = nil
    selectedPath = nil
    out.events.append(.consentLost)
    if phase == .completed {
      // RFC 7675 §5.1: only a restart may obtain consent again.
      phase = .consentLost
      checks.removeAll()
    } else {
      updateSelection(at: now, into: &out)
    }
  }
}
