import LinuxIO
import PeerSession
import SecureTransport
import TURN
import Uplink

/// The relay the server offers with a viewer's request.
extension Node {
  /// Asks for a relayed address for `session`; what comes of it is trickled.
  func findRelay(_ offers: [String], for session: ViewerSession) {
    let offers = offers.compactMap { RelayOffer($0) }
    guard !offers.isEmpty else { return }
    var tls: RelayFinder.TLS?
    if offers.contains(where: { $0.transport == .tls }), let context = try? TLSContext.client(material.uplink.trust) {
      tls = RelayFinder.TLS(context: context, serverName: material.uplink.host)
    }
    let finder = RelayFinder(offers, for: session.peer, reactor: reactor, tls: tls)
    finder.onFailed = { [log] why in log.warning("relay.failed", ("viewer", session.viewer), ("reason", why)) }
    session.relay = finder
    finder.start()
  }
}
