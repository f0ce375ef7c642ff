import LinuxIO
import PeerSession
import SecureTransport
import Uplink
import UserAgent

/// The relay the server offers with a viewer's request, and with what follows inside the call.
extension Node {
  func findRelay(_ offers: [String], for call: any SessionCall) {
    call.peer.useRelays(offers) { [material] in
      guard let context = try? TLSContext.client(material.uplink.trust) else { return nil }
      return RelayFinder.TLS(context: context, serverName: material.uplink.host)
    } onFailed: { [log, viewer = call.viewer] why in
      log.warning("relay.failed", ("viewer", viewer), ("reason", why))
    }
  }
}

/// What pictures and tunnels have in common: a call, and the session with the peer it was for.
protocol SessionCall: AnyObject {
  var handle: CallHandle { get }
  var viewer: String { get }
  var peer: PeerSession { get }
  /// The path is lost or in doubt, and another is looked for.
  var wantsPath: Bool { get set }
}

extension ViewerSession: SessionCall {}
extension TunnelSession: SessionCall {}
