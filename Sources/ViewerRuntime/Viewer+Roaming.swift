import EdgeCore
import LinuxIO
import PeerSession
import SDP
import SIP
import Uplink
import UserAgent

/// A session that outlives the network it began on: when this machine's addresses change, when pictures stop coming in
/// the middle of a stream, or when the node asks for it, ICE begins anew inside the call (RFC 8445 §9) and the stream
/// goes on where it was.
///
///     steady ──silence, doubt, new address──▶ wanted ──link is up──▶ offered ──new path──▶ steady
///                                               ▲                       │
///                                               └── refused, no answer ─┘
struct Roaming {
  /// A new path is looked for since then; `nil` when the present one is good.
  var wantedSince: Instant?
  /// When the last offer left; it is repeated when it brought nothing.
  var offeredAt: Instant?
  /// Pictures should have come, and did not.
  var isSilent = false
  /// New paths found.
  var changes: Int64 = 0

  /// An offer that brought no path in this time is made again.
  static let patience = Duration.seconds(3)
}

extension Viewer {
  /// How often silence is looked for.
  static let watchInterval = Duration.milliseconds(200)

  func watchNetwork() {
    networkWatch = try? NetworkWatch(reactor: reactor) { [unowned(unsafe) self] in
      uplink.networkChanged()
      guard let peer, peer.isOpen, !peer.hasPresentAddress else { return }
      roam("this machine's address changed")
    }
    watchPath()
  }

  private func watchPath() {
    watchTimer = reactor.schedule(after: Self.watchInterval) { [unowned(unsafe) self] in
      lookForSilence()
      watchPath()
    }
  }

  /// A stream that sent steadily and is silent now has most likely lost its path; consent checks (RFC 7675) would tell
  /// after 10 s or more.
  private func lookForSilence() {
    guard let peer, peer.isOpen, !isFinishing else { return }
    let now = reactor.now
    if roaming.wantedSince != nil {
      if let offered = roaming.offeredAt, now - offered >= Roaming.patience {
        roaming.offeredAt = nil
        offerRestart()
      }
      return
    }
    guard cameraTrouble == nil, let first = firstFrameAt, let last = lastFrameAt, receiver.frames > 10 else { return }
    let interval = (last - first) / Int(clamping: receiver.frames)
    guard peer.silence > .milliseconds(250) + interval * 3 else {
      roaming.isSilent = false
      return
    }
    peer.doubtPath()
    guard !roaming.isSilent else { return }
    roaming.isSilent = true
    // The link to the server may have died of the same cause.
    uplink.networkChanged()
  }

  func roam(_ why: String) {
    guard let peer, peer.isOpen, roaming.wantedSince == nil, !isFinishing else { return }
    progress.say("\(why): looking for another path")
    roaming.wantedSince = reactor.now
    // The link to the server may have died of the same cause.
    uplink.networkChanged()
    offerRestart()
  }

  /// Waits for the link when it is down: ``linkIsBack()`` calls again.
  func offerRestart() {
    guard roaming.wantedSince != nil, roaming.offeredAt == nil, let call, let peer, peer.isOpen,
      uplink.inspect({ $0.canReoffer(call) })
    else { return }
    roaming.offeredAt = reactor.now
    awaitRelays()
    peer.restart { [unowned(unsafe) self] offer in
      uplink.perform {
        $0.reoffer(
          call, contentType: "application/sdp", body: Array(offer.serialized.utf8), at: $1, into: &$2)
      }
    }
  }

  /// The node's own offer crossed ours (RFC 3261 §14.1): it comes again at once, and ours later, should it bring nothing.
  func offerRefused() {
    if roaming.offeredAt != nil { roaming.offeredAt = reactor.now - (Roaming.patience - .milliseconds(900)) }
  }

  func linkIsBack() {
    roaming.offeredAt = nil
    // Whatever cut the link may have cut the path too; a relay that died with its server has.
    if let peer, peer.isOpen, peer.silence > .milliseconds(700), receiver.frames > 10 {
      return roam("nothing has come since the link was lost")
    }
    offerRestart()
  }

  /// The node looks for another path.
  func reoffered(_ handle: CallHandle, _ body: [UInt8]) {
    guard handle == call, let peer, let offer = try? DataChannelDescription(parsing: body.span.bytes) else {
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

  func roamed() {
    roaming.changes += 1
    if let since = roaming.wantedSince {
      progress.say("another path after \((reactor.now - since).wholeMilliseconds) ms")
    }
    roaming.wantedSince = nil
    roaming.offeredAt = nil
  }
}
