import ICE
public import SDP

/// Candidates that come after offer and answer (RFC 8838), in the form SIP carries them (RFC 8840).
extension PeerSession {
  /// What to tell the peer; `nil` before there is a description it could belong to.
  public func trickleFragment(_ candidates: [SDPCandidate], isLast: Bool) -> TrickleFragment? {
    guard let credentials = localCredentials else { return nil }
    return TrickleFragment(sections: [
      TrickleFragment.Section(
        mid: mid, iceUfrag: credentials.ufrag, icePassword: credentials.password, candidates: candidates,
        endOfCandidates: isLast)
    ])
  }

  /// What the peer told. A fragment of another generation of its credentials is ignored (RFC 8838 §9).
  public func receive(_ fragment: TrickleFragment) {
    guard let section = fragment.section(mid: mid) ?? fragment.sections.first, section.iceUfrag == remote?.iceUfrag
    else { return }
    for candidate in section.candidates { addRemoteCandidate(candidate) }
    if section.endOfCandidates { endOfRemoteCandidates() }
  }

  private var mid: String { remote?.mid ?? "0" }

  private var localCredentials: (ufrag: String, password: String)? {
    guard let ufrag = agent?.localUfrag, let password = agent?.localPassword else { return nil }
    return (ufrag, password)
  }
}
