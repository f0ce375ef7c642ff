import LinuxIO
import PeerSession
import SecureTransport
import TURN
import Uplink

/// The relay the server offers with a viewer's request.
extension Node {
  /// Asks for a relayed address for `session`; what comes of it is trickled.
  func findRelay(_ offers: [String], for session: ViewerSession) {
    session.relay = relay(offers, for: session.peer, viewer: session.viewer)
  }

  func findRelay(_ offers: [String], for session: TunnelSession) {
    session.relay = relay(offers, for: session.peer, viewer: session.viewer)
  }

  private func relay(_ offers: [String], for peer: PeerSession, viewer: String) -> RelayFinder? {
    let offers = offers.compactMap { RelayOffer($0) }
    guard !offers.isEmpty else { return nil }
    var tls: RelayFinder.TLS?
    if offers.contains(where: { $0.transport == .tls }), let context = try? TLSContext.client(material.uplink.trust) {
      tls = RelayFinder.TLS(context: context, serverName: material.uplink.host)
    }
    let finder = RelayFinder(offers, for: peer, reactor: reactor, tls: tls)
    finder.onFailed = { [log] why in log.warning("relay.failed", ("viewer", viewer), ("reason", why)) }
    finder.start()
    return finder
  }
}
