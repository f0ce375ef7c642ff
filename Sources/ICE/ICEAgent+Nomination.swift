internal import EdgeCore
internal import STUN

// Choosing and concluding (RFC 8445 §8).
extension ICEAgent {
  private var isNominator: Bool {
    guard phase == .running, role == .controlling else { return false }
    return !checklist.pairs.contains { $0.isBeingNominated || $0.isNominated }
  }

  /// The best valid pair by priority (RFC 8445 §7.2.5.3.2), nominated ones before others.
  private var bestValid: Int? {
    var best: Int?
    for index in checklist.pairs.indices where checklist[index].isValid {
      guard let current = best else {
        best = index
        continue
      }
      let (a, b) = (checklist[index], checklist[current])
      if a.isNominated != b.isNominated {
        if a.isNominated { best = index }
      } else if a.validPriority(role: role) > b.validPriority(role: role) {
        best = index
      }
    }
    return best
  }

  /// When the controlling side nominates the best pair it has (RFC 8445 §8.1.1: the criteria are local).
  ///
  /// At once when nothing better is still being tried. Otherwise two round trips more: a better pair that
  /// works answers in one. Relayed pairs wait longer: until a direct path has had its chance.
  var nominationDeadline: Instant? {
    guard isNominator, let firstValidAt, let index = bestValid else { return nil }
    let best = checklist[index]
    if best.isRelayed { return firstValidAt + configuration.relayNominationDelay }
    let hasRival = checklist.pairs.contains { $0.isPending && $0.priority > best.priority }
    guard hasRival else { return firstValidAt }
    let roundTrip = best.roundTrip ?? .milliseconds(100)
    return firstValidAt + min(max(roundTrip * 2, .milliseconds(100)), .milliseconds(500))
  }

  /// RFC 8445 §8.1.1: "it repeats the connectivity check that produced this valid pair ... this time with
  /// the USE-CANDIDATE attribute".
  mutating func nominateIfDue(at now: Instant) {
    guard let due = nominationDeadline, now >= due, let index = bestValid else { return }
    checklist[index].isBeingNominated = true
    checklist.trigger(index)
  }

  /// Makes the best valid pair the path for data, and concludes when it is a nominated one.
  mutating func updateSelection(at now: Instant, into out: inout Outbox<Event>) {
    guard phase == .running || phase == .completed, let index = bestValid else {
      selectedPair = nil
      selectedPath = previous?.path
      consent = nil
      return
    }
    select(index, at: now, into: &out)
    guard phase == .running, checklist[index].isNominated else { return }
    // RFC 8445 §8.1.2.
    phase = .completed
    completedAt = now
    checklist.removeOthers(than: index)
    let winner = checklist[index].id
    checks.removeAll { $0.pair != winner && $0.isCancelled }
    for place in checks.indices { checks[place].cancel() }
    checklist[index].state = .succeeded
    out.events.append(.completed)
  }

  private mutating func select(_ index: Int, at now: Instant, into out: inout Outbox<Event>) {
    let pair = checklist[index]
    guard let local = pair.validLocal, let remote else { return }
    let isSame = selectedPair == pair.id && selectedPath?.local == local && selectedPath?.remote == pair.remote
    guard !isSame else { return }
    let path = SelectedPath(
      local: local, remote: pair.remote, base: pair.base, destination: pair.destination, roundTrip: pair.roundTrip)
    if selectedPair != pair.id || consent == nil {
      consent = Consent(
        local: self.local, remote: remote, candidate: pair.local, base: pair.base, destination: pair.destination,
        now: now)
      consent?.schedule(configuration.consentInterval, at: now, using: &random)
    }
    selectedPair = pair.id
    selectedPath = path
    previousConsent = nil
    out.events.append(.selected(path))
  }

  mutating func markNominated(_ index: Int) {
    // Where the peer seemed to have moved counts less than what it says.
    for other in checklist.pairs.indices where other != index && checklist[other].hasMoved {
      checklist[other].isNominated = false
    }
    checklist[index].isNominated = true
    checklist[index].isBeingNominated = false
    checklist[index].isRemoved = false
  }

  /// The peer has moved and answered from where it is now: data follows it.
  mutating func adoptMove(_ index: Int) {
    checklist[index].isMove = false
    for other in checklist.pairs.indices where other != index {
      checklist[other].isNominated = false
      checklist[other].isRemoved = true
    }
    checklist[index].isNominated = true
  }

  /// RFC 8445 §7.2.5.4 and RFC 8863 §4: not before patience has run out.
  var failureDeadline: Instant? {
    guard phase == .running, let startedAt, !checklist.pairs.contains(where: { $0.isValid }) else { return nil }
    let isOver = remoteCandidatesEnded && !checklist.pairs.contains { $0.isPending }
    return startedAt + (isOver ? configuration.patience : max(configuration.patience, configuration.deadline))
  }

  mutating func failIfHopeless(at now: Instant, into out: inout Outbox<Event>) {
    guard let due = failureDeadline, now >= due else { return }
    phase = .failed
    checks.removeAll()
    out.events.append(.failed(checklist.pairs.isEmpty ? .noPairs : .allPairsFailed))
  }
}
