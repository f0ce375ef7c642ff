public import EdgeCore
internal import STUN

/// What stays in use while a restart looks for something better (RFC 8445 §9).
struct PreviousSession {
  var local: Credentials
  var path: SelectedPath?
}

extension ICEAgent {
  /// Begins anew with fresh credentials (RFC 8445 §9): to change the path after completion, or after
  /// failure or loss of consent.
  ///
  /// The role stays. Local candidates stay (the owner removes those that are gone and adds new ones),
  /// remote ones and the peer's credentials are forgotten: the peer answers with new ones. Data goes on
  /// over the path in use, which stays validated and under consent checks, until a new one is selected.
  public mutating func restart(at now: Instant) {
    // In a restart during a restart the path in use is the one from before both.
    if selectedPair != nil {
      previous = PreviousSession(local: local, path: selectedPath)
      previousConsent = consent
    }
    local = Self.makeCredentials(&random)
    remote = nil
    remoteCandidates.removeAll()
    localCandidates.removeAll { $0.kind == .peerReflexive }
    remoteCandidatesEnded = false
    checklist.removeAll()
    checks.removeAll()
    early.removeAll()
    phase = .running
    startedAt = nil
    peerHasBegun = false
    firstValidAt = nil
    completedAt = nil
    selectedPair = nil
    selectedPath = previous?.path
    consent = nil
  }
}
