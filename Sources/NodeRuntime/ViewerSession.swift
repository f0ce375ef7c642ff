import Config
import EdgeCore
import FrameCodec
import LinuxIO
import NodeLogic
import PeerSession
import SCTPTransport
import StatusModel
import UserAgent

/// One viewer watching one camera: the call, the peer-to-peer session, and the queue in front of it.
final class ViewerSession {
  let handle: CallHandle
  let viewer: String
  let feed: CameraFeed
  let peer: PeerSession
  /// Looks for the relayed address, where the server offers one.
  var relay: RelayFinder?
  /// Unix seconds.
  let since: Int64
  /// The call came without an offer: ours is out, and its answer comes with the ACK.
  var awaitsAnswer = false
  /// The path is lost or in doubt, and another is looked for.
  var wantsPath = false
  private(set) var report: ControlMessage.Report?

  private let log: Log
  private var gate = DeliveryGate(budgetBytes: 1 << 20)
  private var video: PeerChannel?
  private var control: PeerChannel?

  init(handle: CallHandle, viewer: String, feed: CameraFeed, peer: PeerSession, since: Int64, log: Log) {
    self.handle = handle
    self.viewer = viewer
    self.feed = feed
    self.peer = peer
    self.since = since
    self.log = log
    // Opened before the association exists: the opening messages and the first key frame leave with
    // SCTP's handshake, which saves a round trip.
    peer.openChannel(DataChannelOptions(label: "video", priority: .media)) { [unowned(unsafe) self] channel in
      video = channel
      feed.requestKeyFrame()
    }
    peer.onChannel = { [unowned(unsafe) self] channel in receive(channel) }
  }

  /// Lets go of everything; the peer session is closed by the owner.
  func detach() {
    feed.remove(self)
    peer.onChannel = nil
    control?.onMessage = nil
    video = nil
    control = nil
  }

  // MARK: Pictures

  func offer(_ frame: EncodedFrame) {
    guard let video else { return }
    // A viewer acknowledges what it gets; one that was heard moments ago may just be slow.
    if video.bufferedAmount > 0, peer.silence > .milliseconds(500) { peer.doubtPath() }
    guard gate.admit(bytes: frame.byteCount, isKey: frame.isKey, unsentBytes: video.bufferedAmount) == .send else {
      return
    }
    for part in frame.parts where !video.send(part) {
      // The channel is closing, or holds too much: what follows would be no use without this part.
      gate.requireKeyFrame()
      return
    }
  }

  var wantsKeyFrame: Bool {
    guard let video else { return false }
    return gate.wantsKeyFrame(unsentBytes: video.bufferedAmount)
  }

  // MARK: Control

  private func receive(_ channel: PeerChannel) {
    guard channel.label == "control", control == nil else { return }
    control = channel
    channel.onMessage = { [unowned(unsafe) self] bytes, _ in receive(bytes) }
    if let trouble = feed.trouble { tell(trouble) }
  }

  private func receive(_ bytes: [UInt8]) {
    switch ControlMessage(bytes) {
    case .keyFrame:
      gate.requireKeyFrame()
      feed.requestKeyFrame()
    case .report(let report): self.report = report
    case .camera, nil: break
    }
  }

  func tell(_ message: ControlMessage) { _ = control?.send(text: String(decoding: message.bytes, as: UTF8.self)) }

  // MARK: Status

  var status: NodeStatus.Session {
    let path = peer.path
    return NodeStatus.Session(
      viewer: viewer, serial: feed.configuration.serial, path: path.flatMap { NodeStatus.Path(rawValue: $0.kind.text) },
      remote: path?.remote.description, roundTrip: path?.roundTrip, sentBytes: Int64(clamping: gate.bytesSent),
      framesSent: Int64(clamping: gate.framesSent), framesDropped: Int64(clamping: gate.framesDropped), since: since,
      local: path?.local.description)
  }
}
