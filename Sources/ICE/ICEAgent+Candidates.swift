public import EdgeCore
internal import STUN

/// What candidates of one foundation have in common (RFC 8445 §5.1.1.3).
struct FoundationKey: Hashable {
  var kind: CandidateKind
  var baseIP: IPAddress
  var server: IPAddress?
}

extension ICEAgent {
  /// Adds an address of ours. Returns the candidate to signal to the peer, or `nil` when there is nothing
  /// to signal: it is redundant (RFC 8445 §5.1.3), or no address to offer.
  ///
  /// - Parameters:
  ///   - base: the socket's own address for host and server-reflexive, the relayed address for relay.
  ///   - address: what the peer is to send to.
  ///   - server: the STUN or TURN server it was learned from.
  ///   - localPreference: unique per kind. By default the first candidate added of a kind is preferred to
  ///     the second and so on: add them in the order of RFC 8421 §4, address families interleaved.
  @discardableResult
  public mutating func addLocalCandidate(
    base: SocketAddress, address: SocketAddress, kind: CandidateKind, server: SocketAddress? = nil,
    relatedAddress: SocketAddress? = nil, localPreference: UInt16? = nil, at now: Instant,
    into out: inout Outbox<Event>
  ) -> Candidate? {
    guard address.isUsable(allowsLoopback: configuration.allowsLoopback),
      !localCandidates.contains(where: { $0.address == address && $0.base == base && $0.kind != .peerReflexive })
    else { return nil }
    // Learned from a check already, but the peer has not been told of it.
    localCandidates.removeAll { $0.address == address && $0.base == base }
    var count = 0
    for candidate in localCandidates where candidate.kind == kind { count += 1 }
    let preference = localPreference ?? UInt16(clamping: 65535 - count)
    let candidate = Candidate(
      kind: kind, address: address, base: base,
      priority: Candidate.priority(kind: kind, localPreference: preference),
      foundation: foundation(FoundationKey(kind: kind, baseIP: base.ip, server: server?.ip)),
      relatedAddress: kind == .host ? nil : relatedAddress ?? base)
    localCandidates.append(candidate)
    if phase == .running {
      for remote in remoteCandidates where remote.kind != .peerReflexive { form(candidate, remote) }
    }
    pump(at: now, into: &out)
    return candidate
  }

  /// Adds an address the peer signalled. What cannot be one, and what comes late or twice, is ignored.
  public mutating func addRemoteCandidate(_ signalled: Candidate, at now: Instant, into out: inout Outbox<Event>) {
    var candidate = signalled
    candidate.address = SocketAddress(signalled.address.ip.unmapped, port: signalled.address.port).unscoped
    candidate.base = candidate.address
    candidate.priority = min(max(candidate.priority, 1), UInt32(Int32.max))
    guard phase == .running, candidate.address.isUsable(allowsLoopback: configuration.allowsLoopback) else { return }
    if let known = remoteCandidates.firstIndex(where: { $0.address == candidate.address }) {
      // RFC 8445 §7.3.1.3: a later exchange "will signal the actual foundation" of one learned from a check.
      guard remoteCandidates[known].kind == .peerReflexive else { return }
      remoteCandidates[known] = candidate
      checklist.update(remote: candidate, role: role)
    } else {
      guard remoteCandidates.count < configuration.maxRemoteCandidates else { return }
      remoteCandidates.append(candidate)
    }
    for local in localCandidates where local.kind != .peerReflexive { form(local, candidate) }
    pump(at: now, into: &out)
  }

  /// Takes back an address that is gone (an interface went down): no more checks from it. A path in use
  /// on it is left to the consent checks and to a restart.
  public mutating func removeLocalCandidates(base: SocketAddress) {
    localCandidates.removeAll { $0.base == base }
    var index = 0
    while index < checklist.pairs.count {
      if checklist[index].base == base && checklist[index].id != selectedPair {
        let id = checklist[index].id
        checks.removeAll { $0.pair == id }
        checklist.remove(at: index)
      } else {
        index += 1
      }
    }
  }

  private mutating func form(_ local: Candidate, _ remote: Candidate) {
    guard local.base.canPair(with: remote.address) else { return }
    // RFC 8445 §6.1.2.4: reflexive candidates are replaced by their base; ``Checklist`` prunes by base.
    _ = checklist.insert(local: local, remote: remote, role: role, mayEvict: true)
  }

  mutating func foundation(_ key: FoundationKey) -> String {
    if let known = foundations.firstIndex(of: key) { return String(known + 1) }
    foundations.append(key)
    return String(foundations.count)
  }

  /// The local candidate whose base this is, the best one when there are several.
  func localCandidate(base: SocketAddress) -> Candidate? {
    var best: Candidate?
    for candidate in localCandidates where candidate.base == base && candidate.kind != .peerReflexive {
      if candidate.priority > best?.priority ?? 0 { best = candidate }
    }
    return best
  }

  /// RFC 8445 §7.2.5.3.1: the candidate the peer sees us at, a new peer-reflexive one if need be.
  mutating func localCandidate(mapped: SocketAddress, pair: Pair, priority: UInt32) -> Candidate {
    let address = mapped.unscoped
    if let known = localCandidates.first(where: { $0.address.unscoped == address && $0.base == pair.base }) {
      return known
    }
    // The peer's network may write a relay's address in its own way (NAT64): it is that relay's still.
    if let relay = localCandidates.first(where: { $0.base == pair.base && $0.kind == .relay }) { return relay }
    let learned = Candidate(
      kind: .peerReflexive, address: address, base: pair.base, priority: priority,
      foundation: foundation(FoundationKey(kind: .peerReflexive, baseIP: pair.base.ip, server: nil)))
    // Only for lookup; a peer that sees us at ever new addresses does not make the list grow.
    if localCandidates.count < configuration.maxRemoteCandidates { localCandidates.append(learned) }
    return learned
  }

  /// RFC 8445 §7.3.1.3: the source of a request nobody signalled.
  mutating func learnRemoteCandidate(_ source: SocketAddress, priority: UInt32) -> Candidate? {
    let address = source.unscoped
    if let known = remoteCandidates.first(where: { $0.address == address }) { return known }
    var learned = 0
    for candidate in remoteCandidates where candidate.kind == .peerReflexive { learned += 1 }
    if learned >= configuration.maxPeerReflexive {
      guard phase == .completed else { return nil }
      forgetUnusedPeerReflexive()
    }
    foundationSerial += 1
    let candidate = Candidate(
      kind: .peerReflexive, address: address, priority: priority, foundation: "prflx\(foundationSerial)")
    remoteCandidates.append(candidate)
    return candidate
  }

  /// After completion the peer may move again and again: what it has left behind is forgotten.
  private mutating func forgetUnusedPeerReflexive() {
    let inUse = selectedPath?.remote.address
    remoteCandidates.removeAll { $0.kind == .peerReflexive && $0.address != inUse }
    var index = 0
    while index < checklist.pairs.count {
      let pair = checklist[index]
      if pair.remote.kind == .peerReflexive && pair.id != selectedPair {
        checks.removeAll { $0.pair == pair.id }
        checklist.remove(at: index)
      } else {
        index += 1
      }
    }
  }
}
