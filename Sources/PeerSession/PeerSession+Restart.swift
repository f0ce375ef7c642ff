internal import EdgeCore
internal import ICE
internal import LinuxIO
public import SDP
internal import SecureTransport

/// A new path for a session that stands: an ICE restart (RFC 8445 §9, RFC 8839 §4.4.3).
///
/// For when this machine's addresses changed, when a NAT forgot the session, or when a relay died. DTLS and SCTP go
/// on as if nothing had happened (RFC 8842 §5.5: the transport changes, the association does not), so no message is
/// lost and none is doubled. Data takes the old path, as long as it works, until the new one is there.
extension PeerSession {
  /// Whether the address data leaves from is still this machine's. A relay's counts as such.
  public var hasPresentAddress: Bool {
    guard let path = agent?.selectedPath, let all = try? NetworkInterfaces.addresses() else { return true }
    guard let own = relay(at: path.base).map({ $0.ownAddress }) ?? path.base.ip else { return true }
    return all.contains { $0.address == own }
  }

  /// Looks at this machine's addresses anew, and hands out the offer to send once.
  ///
  /// May be called again when no answer came. Does nothing before the first description of the peer is known.
  public func restart(_ completion: @escaping (DataChannelDescription) -> Void) {
    guard phase != .closed, remote != nil else { return }
    forgetAddresses()
    agent?.restart(at: reactor.now)
    gatherAgain { [self] in completion(describe(.actpass)) }
    arm()
  }

  /// Takes an offer of the peer within the session, and hands out the answer once.
  public func answerRestart(
    _ offer: DataChannelDescription, _ completion: @escaping (DataChannelDescription) -> Void
  ) {
    guard phase != .closed, let remote, isSameAssociation(offer) else { return }
    guard offer.iceUfrag != remote.iceUfrag || offer.icePassword != remote.icePassword else {
      // RFC 8839 §4.4.1.1: nothing is to be done.
      let answer = describe(setup)
      reactor.enqueue(.signalling) { completion(answer) }
      return
    }
    forgetAddresses()
    adoptRestart(offer)
    gatherAgain { [self] in completion(describe(setup)) }
    arm()
  }

  /// Takes the answer to ``restart(_:)``'s offer.
  public func acceptRestart(_ answer: DataChannelDescription) {
    guard phase != .closed, let remote, isSameAssociation(answer), answer.iceUfrag != remote.iceUfrag else { return }
    adoptRestart(answer)
    arm()
  }

  // MARK: Inside

  /// RFC 8842 §5.5: other fingerprints would mean another DTLS association, which is another session here.
  private func isSameAssociation(_ description: DataChannelDescription) -> Bool {
    guard let remote else { return false }
    return description.fingerprints.contains { remote.fingerprints.contains($0) }
  }

  /// RFC 8842 §5.5: who opened DTLS stays who opened DTLS.
  private var setup: DataChannelDescription.Setup { dtls?.role == .client ? .active : .passive }

  private func adoptRestart(_ description: DataChannelDescription) {
    remote = description
    var out = Outbox<ICEEvent>()
    agent?.setRemoteCredentials(
      ufrag: description.iceUfrag, password: description.icePassword, at: reactor.now, into: &out)
    apply(out)
    addCandidates(of: description)
  }

  private func gatherAgain(_ completion: @escaping () -> Void) {
    isGathered = false
    phase = .gathering
    handOut = completion
    gatherCandidates()
  }

  /// Interfaces came and went, and what the servers said of the old ones is void too.
  private func forgetAddresses() {
    if let gatherTimer { reactor.cancel(gatherTimer) }
    gatherTimer = nil
    gatherers = []
    retireSilentRelays()
    var bases: [SocketAddress] = []
    for candidate in agent?.localCandidates ?? [] where candidate.kind != .relay { bases.append(candidate.base) }
    for base in bases { agent?.removeLocalCandidates(base: base) }
  }
}
