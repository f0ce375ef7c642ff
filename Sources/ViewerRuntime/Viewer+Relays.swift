import LinuxIO
import PeerSession
import SecureTransport
import TURN
import Uplink

/// The relay the server offers while the node is being called.
extension Viewer {
  /// Asks for a relayed address for the session; what comes of it is trickled.
  func findRelay(_ offers: [String]) {
    let offers = offers.compactMap { RelayOffer($0) }
    guard let peer, relay == nil, options.route != .noRelay, !offers.isEmpty else { return }
    var tls: RelayFinder.TLS?
    if offers.contains(where: { $0.transport == .tls }), let context = try? TLSContext.client(material.uplink.trust) {
      tls = RelayFinder.TLS(context: context, serverName: material.uplink.host)
    }
    let finder = RelayFinder(offers, for: peer, reactor: reactor, tls: tls)
    finder.onFailed = { [unowned(unsafe) self] why in progress.say("no relay: \(why)") }
    relay = finder
    finder.start()
  }

  /// The answer is there, and with it whatever was offered.
  func relaysAreKnown() {
    guard isAwaitingRelays else { return }
    isAwaitingRelays = false
    peer?.relaySettled()
  }

  func forgetRelay() {
    relay?.close()
    relay = nil
    isAwaitingRelays = false
  }
}
