import EdgeCore
import LinuxIO
import PeerSession
import SDP
import SIP
import Uplink
import UserAgent

/// Sessions that outlive the network they began on (RFC 8445 §9): this node offers a new path when its own addresses
/// changed or its link had to be made anew, and answers a viewer that does.
extension Node {
  var peerCalls: [any SessionCall] {
    var all: [any SessionCall] = []
    for session in sessions { all.append(session) }
    for tunnel in tunnels { all.append(tunnel) }
    return all
  }

  func peerCall(_ handle: CallHandle) -> (any SessionCall)? {
    if let session = session(handle) { return session }
    return tunnels.first { $0.handle == handle }
  }

  /// Heard from so recently, a session's path needs no help.
  private static let recent = Duration.milliseconds(700)

  func networkChanged() {
    uplink.networkChanged()
    for call in peerCalls where call.peer.isOpen && !call.peer.hasPresentAddress { roam(call) }
  }

  /// After a log-in: whatever cut the link may have cut the sessions too.
  func linkIsBack() {
    for call in peerCalls where call.peer.isOpen {
      if call.wantsPath || call.peer.isExpectingData && call.peer.silence > Self.recent { roam(call) }
    }
  }

  /// How long the viewer, which knows as soon as this node that the path is dead, is left to offer another: two offers
  /// would cross, and a restart by this end would undo what the peer's router and this end may just have agreed on.
  private static let courtesy = Duration.seconds(1)

  /// The path of a session lost its answers.
  func pathDoubtful(_ call: any SessionCall) {
    call.wantsPath = true
    let handle = call.handle
    _ = reactor.schedule(after: Self.courtesy) { [unowned(unsafe) self] in
      guard let call = peerCall(handle), call.wantsPath else { return }
      roam(call)
    }
  }

  func roam(_ call: any SessionCall) {
    call.wantsPath = true
    let handle = call.handle
    guard uplink.inspect({ $0.canReoffer(handle) }) else { return }
    call.peer.restart { [unowned(unsafe) self] offer in
      uplink.perform {
        $0.reoffer(
          handle, contentType: "application/sdp", body: Array(offer.serialized.utf8), at: $1, into: &$2)
      }
    }
  }

  /// The viewer looks for another path.
  func reoffered(_ handle: CallHandle, _ body: [UInt8]) {
    guard let peer = peerCall(handle)?.peer, let offer = try? DataChannelDescription(parsing: body.span.bytes) else {
      uplink.perform { $0.refuse(handle, 488, at: $1, into: &$2) }
      return
    }
    peer.answerRestart(offer) { [unowned(unsafe) self] answer in
      uplink.perform {
        $0.accept(
          handle, contentType: "application/sdp", body: Array(answer.serialized.utf8), at: $1, into: &$2)
      }
    }
  }

  func reofferAnswered(_ handle: CallHandle, _ body: [UInt8]) {
    guard let peer = peerCall(handle)?.peer, let answer = try? DataChannelDescription(parsing: body.span.bytes) else {
      return
    }
    peer.acceptRestart(answer)
  }

  /// The viewer's own offer crossed ours (RFC 3261 §14.1): its is answered; should it bring nothing, ours comes again.
  func reofferRefused(_ handle: CallHandle) {
    _ = reactor.schedule(after: .milliseconds(300)) { [unowned(unsafe) self] in
      guard let call = peerCall(handle), call.wantsPath else { return }
      roam(call)
    }
  }
}
