import Config
import EdgeCore
import FrameCodec
import LinuxIO
import NATDiscovery
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
  /// Unix seconds.
  let since: Int64
  /// The call came without an offer: ours is out, and its answer comes with the ACK.
  var awaitsAnswer = false
  /// The path is lost or in doubt, and another is looked for.
  var wantsPath = false
  /// What kind of NAT this node is behind, as far as known.
  var nat: NATReport? { didSet { tellNAT() } }
  private(set) var report: ControlMessage.Report?

  private let log: Log
  private let reactor: Reactor
  private var gate = DeliveryGate(budgetBytes: 256 << 10)
  private var adapter: RateAdapter
  private var wish: StreamWish
  /// What is sent.
  private(set) var rendition: Rendition
  /// What is sent as soon as its key frame comes.
  private var nextRendition: Rendition?
  private var recentFrameBytes = 0
  /// The camera's number of the last picture sent.
  private var lastNumber: Int?
  /// Pictures left out before the first were left out for others, or while the session was made.
  private var countsHeld = false
  private var isPerforming = false
  private var queueLatency = LatencyMeter()
  /// Pictures on their way to the network: the byte they end at, and when they were encoded.
  private var queued: [(end: UInt64, encoded: Instant)] = []
  private var video: PeerChannel?
  private var control: PeerChannel?

  init(
    handle: CallHandle, viewer: String, feed: CameraFeed, peer: PeerSession, wish: StreamWish, since: Int64,
    reactor: Reactor, log: Log
  ) {
    self.handle = handle
    self.viewer = viewer
    self.feed = feed
    self.peer = peer
    self.since = since
    self.reactor = reactor
    self.log = log
    self.wish = wish
    adapter = RateAdapter(RenditionLadder(wish, of: feed.ladderSource))
    rendition = adapter.rendition
    rendition = feed.available(rendition, for: self)
    // Opened before the association exists: the opening messages and the first key frame leave with
    // SCTP's handshake, which saves a round trip.
    peer.openChannel(DataChannelOptions(label: "video", priority: .media)) { [unowned(unsafe) self] channel in
      video = channel
      channel.onBufferedAmountFell = { [unowned(unsafe) self] in
        measureQueue()
        feed.holdWhatNobodyTakes()
      }
      feed.requestKeyFrame(rendition, for: self)
      feed.holdWhatNobodyTakes()
    }
    peer.onChannel = { [unowned(unsafe) self] channel in receive(channel) }
  }

  /// Lets go of everything; the peer session is closed by the owner.
  func detach() {
    feed.remove(self)
    peer.onChannel = nil
    control?.onMessage = nil
    video?.onBufferedAmountFell = nil
    video = nil
    control = nil
  }

  // MARK: Pictures

  /// What is to be encoded for this viewer.
  var renditions: [Rendition] { nextRendition.map { [rendition, $0] } ?? [rendition] }

  func offer(_ picture: EncodedPicture) {
    guard let video else { return }
    let frame = picture.frame
    if picture.rendition == nextRendition, frame.isKey {
      changeOver(to: picture.rendition)
    }
    guard picture.rendition == rendition else { return }
    let bytes = frame.byteCount
    measure(bytes)
    if countsHeld {
      gate.held(picture.held)
      adapter.held(picture.held, recentFrameBytes: recentFrameBytes)
    }
    countsHeld = true
    let unsent = video.bufferedAmount
    let verdict = gate.admit(bytes: bytes, isKey: frame.isKey, unsentBytes: unsent)
    adapter.offered(
      bytes: bytes, isKey: frame.isKey, wasSent: verdict == .send, unsentBytes: unsent, at: reactor.now)
    guard verdict == .send else { return }
    send(picture, on: video, end: gate.bytesSent, since: picture.encoded)
    measureQueue()
  }

  /// A key frame and what was made since, instead of a wait for the next. `false` when it has seen some of that already,
  /// or has no room for it.
  func catchUp(_ missed: [EncodedPicture]) -> Bool {
    guard let video, let first = missed.first, first.rendition == rendition || first.rendition == nextRendition,
      lastNumber.map({ $0 < first.number }) ?? true
    else { return false }
    var bytes = 0
    for picture in missed { bytes += picture.frame.byteCount }
    let unsent = video.bufferedAmount
    var end = gate.bytesSent
    guard
      gate.admitBacklog(
        count: missed.count, bytes: bytes, unsentBytes: unsent, isPathKnown: adapter.capacity != nil)
    else { return false }
    if first.rendition != rendition { changeOver(to: first.rendition) }
    countsHeld = false
    for picture in missed {
      let bytes = picture.frame.byteCount
      measure(bytes)
      adapter.offered(bytes: bytes, isKey: picture.frame.isKey, wasSent: true, unsentBytes: unsent, at: reactor.now)
      end += UInt64(bytes)
      guard send(picture, on: video, end: end, since: reactor.now) else { break }
    }
    return true
  }

  private func measure(_ bytes: Int) {
    recentFrameBytes = max(bytes, recentFrameBytes - recentFrameBytes / 8)
    gate.budgetBytes = adapter.budget(recentFrameBytes: recentFrameBytes)
    gate.spareBytes = 2 * recentFrameBytes
    gate.roomBytes = adapter.room(recentFrameBytes: recentFrameBytes)
  }

  /// - Parameter end: how much was sent with it.
  @discardableResult
  private func send(_ picture: EncodedPicture, on video: PeerChannel, end: UInt64, since: Instant) -> Bool {
    for part in picture.frame.parts where !video.send(part) {
      // The channel is closing, or holds too much: what follows would be no use without this part.
      gate.requireKeyFrame()
      return false
    }
    lastNumber = picture.number
    queued.append((end: end, encoded: since))
    return true
  }

  /// Whether a picture of the rendition should be made for this viewer now.
  func takes(_ wanted: Rendition) -> Bool {
    if wanted == nextRendition { return true }
    guard wanted == rendition else { return false }
    guard let video else { return feed.isMadeAhead(rendition) }
    return gate.hasRoom(bytes: recentFrameBytes, unsentBytes: video.bufferedAmount)
  }

  /// The rendition whose key frame this viewer needs and could be sent.
  var wantedKeyFrame: Rendition? {
    guard let video else { return nil }
    if let nextRendition { return nextRendition }
    return gate.wantsKeyFrame(unsentBytes: video.bufferedAmount) ? rendition : nil
  }

  /// Ten times a second: whether the path carries what is sent.
  func adapt() {
    guard let video else { return }
    measureQueue()
    guard adapter.observe(unsentBytes: video.bufferedAmount, at: reactor.now) else { return }
    use(adapter.rendition)
  }

  /// The camera delivers another format.
  func sourceChanged() {
    adapter.use(RenditionLadder(wish, of: feed.ladderSource), at: reactor.now)
    use(adapter.rendition)
  }

  private func use(_ wanted: Rendition) {
    let wanted = feed.available(wanted, for: self)
    guard wanted != rendition else {
      if nextRendition != nil {
        nextRendition = nil
        feed.renditionsChanged()
      }
      return
    }
    log.info(
      "session.rendition", ("viewer", viewer), ("serial", feed.configuration.serial), ("rendition", wanted.description),
      ("capacity", "\(adapter.capacity ?? 0)"))
    if wanted.isCheaper(than: rendition) {
      // What is too much is not sent while waiting for less.
      changeOver(to: wanted)
      gate.requireKeyFrame()
    } else {
      nextRendition = wanted
      feed.renditionsChanged()
    }
    feed.requestKeyFrame(wanted, for: self)
  }

  private func changeOver(to next: Rendition) {
    rendition = next
    nextRendition = nil
    recentFrameBytes = 0
    feed.renditionsChanged()
  }

  private func measureQueue() {
    guard let video, !queued.isEmpty else { return }
    let taken = gate.bytesSent &- UInt64(video.bufferedAmount)
    var count = 0
    while count < queued.count, queued[count].end <= taken {
      queueLatency.note(max(.zero, MonotonicClock.now - queued[count].encoded))
      count += 1
    }
    queued.removeFirst(count)
  }

  /// The node's stages, and the viewer's as it last reported them.
  private var latency: LatencyTrace {
    var trace = feed.latency
    trace.queue = queueLatency.summary
    trace.network = report?.network
    trace.decode = report?.decode
    trace.total = report?.total
    return trace
  }

  // MARK: Control

  private func receive(_ channel: PeerChannel) {
    guard channel.label == "control", control == nil else { return }
    control = channel
    channel.onMessage = { [unowned(unsafe) self] bytes, _ in receive(bytes) }
    if let trouble = feed.trouble { tell(trouble) }
    tellNAT()
  }

  private func tellNAT() {
    guard let nat else { return }
    tell(.nat(mapping: nat.hasUDP ? nat.mapping.rawValue : "no-udp", filtering: nat.filtering.rawValue))
  }

  private func receive(_ bytes: [UInt8]) {
    switch ControlMessage(bytes) {
    case .keyFrame:
      gate.requireKeyFrame()
      feed.requestKeyFrame(rendition, for: self)
    case .want(let wish):
      self.wish = wish
      sourceChanged()
    case .report(let report):
      self.report = report
      adapter.reported(delayMilliseconds: report.delayMilliseconds)
      tell(.latency(latency))
    case .listControls: perform(.list)
    case .setControl(let name, let value):
      log.info(
        "camera.set", ("viewer", viewer), ("serial", feed.configuration.serial), ("name", name), ("value", "\(value)"))
      perform(.set(name: name, value: value))
    case .camera, .latency, .nat, .control, .controlsEnd, nil: break
    }
  }

  /// One order at a time: a driver is not asked faster than it answers.
  private func perform(_ order: CameraControls.Order) {
    guard !isPerforming else { return }
    isPerforming = true
    // The session stays until the answer is there, which finds no channel when the viewer has left.
    feed.perform(order) { [self] controls, failure in
      isPerforming = false
      for control in controls { tell(.control(control)) }
      tell(.controlsEnd(failure: failure))
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
      local: path?.local.description, rendition: rendition.description, latency: latency)
  }
}
