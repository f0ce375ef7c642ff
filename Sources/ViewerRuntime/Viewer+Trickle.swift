import EdgeCore
import PeerSession
import SDP
import Uplink
import UserAgent

/// Addresses found after the offer went out, and before there is a dialog to send them in (RFC 8840 §4.3).
struct TrickleQueue {
  var candidates: [SDPCandidate] = []
  var isLast = false
  /// The call is answered: nothing waits any more.
  var isOpen = false
}

/// How long after the start of the program the first session that opened had come how far.
struct Milestones {
  var answered: Duration?
  var path: Duration?
  var opened: Duration?

  init() {}

  init(_ session: PeerSession, since start: Instant) {
    let begun = session.startedAt - start
    answered = session.trace.described.map { begun + $0 }
    path = session.trace.path.map { begun + $0 }
    opened = session.trace.sctp.map { begun + $0 }
  }
}

extension Viewer {
  /// Tells the node of addresses of ours that were not in the offer.
  func tell(_ candidates: [SDPCandidate], isLast: Bool) {
    guard call != nil else { return }
    trickle.candidates += candidates
    trickle.isLast = trickle.isLast || isLast
    if trickle.isOpen { send() }
  }

  func sendHeldCandidates() {
    trickle.isOpen = true
    if trickle.isLast || !trickle.candidates.isEmpty { send() }
  }

  private func send() {
    guard let call, let fragment = peer?.trickleFragment(trickle.candidates, isLast: trickle.isLast) else { return }
    trickle.candidates = []
    trickle.isLast = false
    uplink.perform {
      $0.sendInfo(
        call, package: "trickle-ice", contentType: TrickleFragment.contentType,
        body: Array(fragment.serialized.utf8), at: $1, into: &$2)
    }
  }
}
