import Config
import EdgeCore
import LinuxIO
import PeerSession
import SDP
import SIP
import TunnelTransport
import Uplink
import UserAgent

/// Calls for a published device: what arrives on their channels goes to its address, and nowhere else.
extension Node {
  func receive(_ handle: CallHandle, _ call: IncomingCall, for resource: NodeConfiguration.Resource) {
    guard hasRoom else { return refuse(handle, call, 486, "too many viewers", retryAfter: 10) }
    guard call.contentType == "application/sdp" else { return refuse(handle, call, 415, "no session description") }
    let offer: DataChannelDescription
    do throws(SDPError) {
      offer = try DataChannelDescription(parsing: call.body.span.bytes)
    } catch {
      return refuse(handle, call, 488, error.description)
    }
    let peer = makePeer()
    let session = TunnelSession(
      handle: handle, viewer: call.caller, serial: resource.serial, address: resource.address, peer: peer,
      reactor: reactor, since: reactor.wallClockSeconds, log: log)
    tunnels.append(session)
    peer.onLocalCandidate = { [unowned(unsafe) self, unowned(unsafe) peer] candidate in
      trickle(handle, peer, [candidate], isLast: false)
    }
    peer.onLocalCandidatesEnded = { [unowned(unsafe) self, unowned(unsafe) peer] in
      trickle(handle, peer, [], isLast: true)
    }
    peer.onOpen = { [unowned(unsafe) self, unowned(unsafe) session] in
      log.info(
        "tunnel.open", ("viewer", session.viewer), ("serial", session.serial),
        ("path", session.peer.path?.kind.text ?? ""), ("remote", session.peer.path?.remote.description ?? ""))
    }
    peer.onPathChanged = { [unowned(unsafe) session] _ in session.wantsPath = false }
    peer.onSilence = { [unowned(unsafe) self] in uplink.networkChanged() }
    peer.onPathDoubtful = { [unowned(unsafe) self, unowned(unsafe) session] isDoubtful in
      if isDoubtful { pathDoubtful(session) } else { session.wantsPath = false }
    }
    peer.onClosed = { [unowned(unsafe) self] reason in endTunnel(handle, hangUp: true, why: reason.description) }
    findRelay(call.relays, for: session)
    peer.answer(offer) { [unowned(unsafe) self] answer in
      uplink.perform {
        $0.accept(
          handle, contentType: "application/sdp", body: Array(answer.serialized.utf8), at: $1, into: &$2)
      }
    }
  }

  func endTunnel(_ handle: CallHandle, hangUp: Bool, why: String) {
    guard let index = tunnels.firstIndex(where: { $0.handle == handle }) else { return }
    let session = tunnels.remove(at: index)
    log.info(
      "tunnel.end", ("viewer", session.viewer), ("serial", session.serial), ("why", why),
      ("connections", "\(session.connections)"))
    session.peer.onClosed = nil
    session.peer.onOpen = nil
    session.peer.onPathChanged = nil
    session.peer.onPathDoubtful = nil
    session.peer.onSilence = nil
    session.peer.onLocalCandidate = nil
    session.peer.onLocalCandidatesEnded = nil
    session.detach()
    session.peer.close()
    if hangUp { uplink.perform { $0.hangUp(handle, at: $1, into: &$2) } }
    // Whoever is calling us may be the session itself: let it return before it goes.
    reactor.enqueue(.bulk) { _ = session }
  }
}
