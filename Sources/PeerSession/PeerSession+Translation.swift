internal import EdgeCore
internal import ICE
internal import LinuxIO
internal import SDP
internal import TURN

/// Networks that have IPv6 only, and a router that translates to IPv4 (NAT64, RFC 6146), as mobile networks do.
///
/// Their name server made an IPv6 address of the server's (RFC 6147), but what is named by its IPv4 address, the relay
/// and the peer's candidates, is out of reach until it is written the same way (RFC 8305 §7.1).
extension PeerSession {
  /// The server names its relay by address. Where it was itself reached at an IPv6 address that ends in that one, the
  /// rest is the translator's prefix.
  func learnTranslation(_ offers: [RelayOffer]) {
    guard translation == nil, !hasIPv4 else { return }
    for server in configuration.stunServers {
      for offer in offers where translation == nil {
        guard let named = IPAddress(offer.host) else { continue }
        translation = TranslationPrefix(reached: server.ip, named: named)
      }
    }
    guard translation != nil else { return }
    var out = Outbox<ICEEvent>()
    for candidate in remote?.candidates ?? [] { addTranslated(candidate, into: &out) }
    apply(out)
  }

  private var hasIPv4: Bool {
    ((try? NetworkInterfaces.addresses()) ?? []).contains {
      $0.address.isV4 && !$0.isLoopback && !$0.isLinkLocal
    }
  }

  /// What this network reaches `address` at.
  func reachable(_ address: IPAddress) -> IPAddress { translation?.translated(address) ?? address }

  /// Has the agent check a candidate of the peer's, as it is and as this network reaches it.
  func addRemote(_ candidate: SDPCandidate, into out: inout Outbox<ICEEvent>) {
    guard configuration.policy != .noRelay || candidate.kind != .relayed else { return }
    agent?.addRemoteCandidate(Candidate(candidate), at: reactor.now, into: &out)
    addTranslated(candidate, into: &out)
  }

  private func addTranslated(_ candidate: SDPCandidate, into out: inout Outbox<ICEEvent>) {
    guard let translation, candidate.address.ip.isV4, configuration.policy != .noRelay || candidate.kind != .relayed
    else { return }
    var translated = candidate
    translated.address.ip = translation.translated(candidate.address.ip)
    agent?.addRemoteCandidate(Candidate(translated), at: reactor.now, into: &out)
  }
}
