import Config
import EdgeCore
import FrameCodec
import LinuxIO
import NATDiscovery
import NodeLogic
import PeerSession
import Picture
import SCTPTransport
import SDP
import StatusModel
import Uplink
import UserAgent

/// The half of a viewer that is about one peer-to-peer session: made, watched, lost and made anew.
extension Viewer {
  // MARK: The session

  func prepareOffer() {
    guard !isFinishing, peer == nil else { return }
    findStunServer { [unowned(unsafe) self] in makePeer() }
  }

  private func makePeer() {
    guard !isFinishing, peer == nil else { return }
    var configuration = PeerConfiguration()
    configuration.policy = options.policy
    configuration.includesLoopback = options.includesLoopback
    configuration.stunServers = stunServers
    configuration.letGuessPorts(account.guessesPorts, discoveryPort: NATProbe.standardPort)
    startExplaining()
    let session = PeerSession(reactor: reactor, identity: material.identity, configuration: configuration)
    peer = session
    if account.mapsPorts { session.portMapper = PortMapper(reactor: reactor) }
    awaitRelays()
    session.onChannel = { [unowned(unsafe) self] channel in receive(channel) }
    session.onOpen = { [unowned(unsafe) self] in opened() }
    session.onPathChanged = { [unowned(unsafe) self] path in
      pathChanged(path)
      roamed()
    }
    session.onPathDoubtful = { [unowned(unsafe) self] isDoubtful in
      if isDoubtful { roam("the node does not answer") }
    }
    session.onClosed = { [unowned(unsafe) self] reason in sessionClosed(reason) }
    session.onLocalCandidate = { [unowned(unsafe) self] candidate in tell([candidate], isLast: false) }
    session.onLocalCandidatesEnded = { [unowned(unsafe) self] in tell([], isLast: true) }
    session.openChannel(DataChannelOptions(label: "control", priority: .signalling)) { [unowned(unsafe) self] channel in
      control = channel
      channel.onMessage = { [unowned(unsafe) self] bytes, _ in receiveControl(bytes) }
      ask()
    }
    session.offer { [unowned(unsafe) self] description in
      offer = description
      placeCall()
    }
  }

  private func opened() {
    // A check and its answer; two flights of DTLS; two of SCTP.
    if firstFrameAt == nil { exchanges += 5 }
    if milestones.opened == nil, let peer { milestones = Milestones(peer, since: startedAt) }
    if let path = peer?.path { pathChanged(path) }
    waitForPicture()
  }

  private func pathChanged(_ path: PeerPath) {
    lastPath = path
    progress.say("path: \(path.kind.text) \(path.remote)")
  }

  private func receive(_ channel: PeerChannel) {
    guard channel.label == "video" else { return }
    receiver.restart()
    channel.onMessage = { [unowned(unsafe) self] bytes, _ in receivePart(bytes) }
  }

  private func receivePart(_ bytes: [UInt8]) {
    guard !isFinishing else { return }
    switch receiver.receive(bytes.span.bytes) {
    case .incomplete: break
    case .needsKeyFrame: tell(.keyFrame)
    case .tooNew(let version):
      finish(.no, "the node sends pictures of format version \(version): update this program")
    case .picture(let frame): show(frame)
    }
  }

  private func show(_ frame: DecodedFrame) {
    if let lastFrameAt { longestGap = max(longestGap ?? .zero, reactor.now - lastFrameAt) }
    lastFrameAt = reactor.now
    if firstFrameAt == nil {
      firstFrameAt = reactor.now
      // The picture's own way here.
      exchanges += 1
      let milliseconds = (reactor.now - startedAt).wholeMilliseconds
      progress.say("first picture after \(milliseconds) ms: \(frame.header.format)")
      if let duration = options.duration {
        durationTimer = reactor.schedule(after: duration) { [unowned(unsafe) self] in finish(endCode, nil) }
      }
    }
    if let patienceTimer { reactor.cancel(patienceTimer) }
    patienceTimer = nil
    onPicture?(frame.picture, frame.header.format)
    put(frame)
    if let wanted = options.frames, receiver.frames >= Int64(wanted) { finish(.fine, nil) }
  }

  private func receiveControl(_ bytes: [UInt8]) {
    switch ControlMessage(bytes) {
    case .camera("streaming", _): cameraTrouble = nil
    case .camera("ended", let text): finish(endCode, text)
    case .camera("absent", let text): finish(.no, "\(options.serial): \(text)")
    case .camera(_, let text):
      cameraTrouble = text
      progress.say("camera: \(text)")
      // A camera that was there may come back.
      if receiver.frames == 0 { waitForPicture() }
    case .latency(let trace): receiver.nodeLatency = trace
    case .nat(let mapping, let filtering): nodeNAT = Self.report(mapping, filtering)
    case .control(let control): onControl?(control)
    case .controlsEnd(let failure): if options.task != .watch { finish(failure == nil ? .fine : .no, failure) }
    case .keyFrame, .want, .report, .listControls, .setControl, nil: break
    }
  }

  private static func report(_ mapping: String, _ filtering: String) -> NATReport {
    var report = NATReport()
    report.hasUDP = mapping != "no-udp"
    report.mapping = NATBehavior(rawValue: mapping) ?? .unknown
    report.filtering = NATBehavior(rawValue: filtering) ?? .unknown
    return report
  }

  /// Says why when no picture comes.
  private func waitForPicture() {
    guard patienceTimer == nil else { return }
    patienceTimer = reactor.schedule(after: options.patience) { [unowned(unsafe) self] in
      patienceTimer = nil
      let why = cameraTrouble ?? "the session stands, but no picture comes: see edge status on the node"
      finish(.no, "\(options.serial): \(why)")
    }
  }

  private func sessionClosed(_ reason: PeerCloseReason) {
    let handle = call
    call = nil
    forgetPeer()
    if let handle { uplink.perform { $0.hangUp(handle, at: $1, into: &$2) } }
    guard !isFinishing else { return }
    // Every address of both sides was tried: the same again would fail the same way.
    if case .noPath = reason, receiver.frames == 0 { return finish(.no, reason.description) }
    again(reason.description)
  }

  /// What was there and went away is called again, a little later each time; what never was is an answer.
  func again(_ why: String) {
    closePeer()
    failures += 1
    guard receiver.frames > 0 || failures < 2 else { return finish(.no, why) }
    guard failures < 30 else { return finish(.unreachable, why) }
    let delay = Duration.milliseconds(min(10_000, 250 << min(failures - 1, 6)))
    progress.say("\(why); connecting again")
    if let retryTimer { reactor.cancel(retryTimer) }
    retryTimer = reactor.schedule(after: delay) { [unowned(unsafe) self] in
      retryTimer = nil
      prepareOffer()
    }
  }

  func closePeer() {
    let session = peer
    forgetPeer()
    session?.close()
  }

  func forgetPeer() {
    guard let session = peer else { return }
    explain(session)
    peer = nil
    isAwaitingRelays = false
    control?.onMessage = nil
    control = nil
    offer = nil
    roaming = Roaming(changes: roaming.changes)
    session.onClosed = nil
    session.onOpen = nil
    session.onChannel = nil
    session.onPathChanged = nil
    session.onPathDoubtful = nil
    session.onLocalCandidate = nil
    session.onLocalCandidatesEnded = nil
    // The session may be what is calling us: let it return before it goes.
    reactor.enqueue(.bulk) { _ = session }
  }

  // MARK: STUN

  private func findStunServer(_ found: @escaping () -> Void) {
    let wanted = account.stun ?? HostPort(host: account.uri.server.host, port: 3478)
    if let address = NameResolver.numeric(wanted.host) {
      stunServers = [SocketAddress(address, port: wanted.port)]
      found()
      return
    }
    resolver.resolve(wanted.host) { [unowned(unsafe) self] answer in
      if case .success(let addresses) = answer {
        stunServers = PeerConfiguration.stunServers(at: addresses, port: wanted.port)
      }
      found()
    }
  }
}
