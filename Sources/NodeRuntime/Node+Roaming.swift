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
  /// Heard from so recently, a session's path needs no help.
  private static let recent = Duration.milliseconds(700)

  func networkChanged() {
    uplink.networkChanged()
    for session in sessions where session.peer.isOpen && !session.peer.hasPresentAddress { roam(session) }
  }

  /// After a log-in: whatever cut the link may have cut the sessions too.
  func linkIsBack() {
    for session in sessions where session.peer.isOpen {
      if session.wantsPath || session.peer.silence > Self.recent { roam(session) }
    }
  }

  /// The path of a session lost its answers: the link to the server may have died of the same cause.
  func pathDoubtful(_ session: ViewerSession) {
    uplink.networkChanged()
    roam(session)
  }

  func roam(_ session: ViewerSession) {
    session.wantsPath = true
    let handle = session.handle
    guard uplink.inspect({ $0.canReoffer(handle) }) else { return }
    session.peer.restart { [unowned(unsafe) self] offer in
      uplink.perform {
        $0.reoffer(
          handle, contentType: "application/sdp", body: Array(offer.serialized.utf8), at: $1, into: &$2)
      }
    }
  }

  /// The viewer looks for another path.
  func reoffered(_ handle: CallHandle, _ body: [UInt8]) {
    guard let session = session(handle), let offer = try? DataChannelDescription(parsing: body.span.bytes) else {
      uplink.perform { $0.refuse(handle, 488, at: $1, into: &$2) }
      return
    }
    session.peer.answerRestart(offer) { [unowned(unsafe) self] answer in
      uplink.perform {
        $0.accept(
          handle, contentType: "application/sdp", body: Array(answer.serialized.utf8), at: $1, into: &$2)
      }
    }
  }

  func reofferAnswered(_ handle: CallHandle, _ body: [UInt8]) {
    guard let session = session(handle), let answer = try? DataChannelDescription(parsing: body.span.bytes) else {
      return
    }
    session.peer.acceptRestart(answer)
  }

  /// The viewer's own offer crossed ours (RFC 3261 §14.1): its is answered; should it bring nothing, ours comes again.
  func reofferRefused(_ handle: CallHandle) {
    _ = reactor.schedule(after: .seconds(1)) { [unowned(unsafe) self] in
      guard let session = session(handle), session.wantsPath else { return }
      roam(session)
    }
  }
}
