import LinuxIO
import PeerSession
import SecureTransport
import Uplink

/// The relay the server offers while the node is being called, and when another path is looked for.
extension Viewer {
  func findRelay(_ offers: [String]) {
    hasRelay = hasRelay || !offers.isEmpty
    peer?.useRelays(offers) { [material] in
      material.relayTLS
    } onFailed: { [unowned(unsafe) self] why in
      relayFailure = why
      progress.say("no relay: \(why)")
    }
  }

  /// What is offered comes with the 100 that says the call is on its way.
  func awaitRelays() {
    guard !isAwaitingRelays, let peer, peer.needsRelay else { return }
    isAwaitingRelays = true
    peer.expectRelay()
  }

  /// The answer is there, and with it whatever was offered.
  func relaysAreKnown() {
    guard isAwaitingRelays else { return }
    isAwaitingRelays = false
    peer?.relaySettled()
  }
}

extension AccountMaterial {
  /// Whom a relay over TLS must be vouched for by, and its name.
  var relayTLS: RelayFinder.TLS? {
    guard let context = try? TLSContext.client(uplink.trust) else { return nil }
    return RelayFinder.TLS(context: context, serverName: uplink.host)
  }
}
