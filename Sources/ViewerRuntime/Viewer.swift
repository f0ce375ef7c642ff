public import Config
import EdgeCore
import FrameCodec
import ICE
public import LinuxIO
import NATDiscovery
public import NodeLogic
import PeerSession
public import Picture
import SCTPTransport
import SDP
import SIP
import SecureTransport
public import StatusModel
public import Uplink
import UserAgent

/// Watches one camera by its serial: log-in, call, peer-to-peer session, pictures; and all of it
/// again when the path or the node goes away in between.
///
///     linking ──link up──▶ calling ──answer──▶ connecting ──open──▶ watching
///        ▲                    ▲                                        │
///        └── link lost ───────┴───────── path lost, node gone ◀────────┘
public final class Viewer {
  let reactor: Reactor
  let options: ViewerOptions
  let progress: Progress
  let material: AccountMaterial
  let account: AccountConfiguration
  let uplink: Uplink
  let resolver: NameResolver
  let startedAt: Instant
  /// Called once, with what the command returns and what is to be said about it.
  public var onFinished: ((ExitCode, ViewStats) -> Void)?
  /// Called with every good picture, before it is written.
  public var onPicture: ((_ picture: [UInt8], _ format: PictureFormat) -> Void)?

  var receiver = PictureReceiver()
  var sink: PictureSink?
  var player: TerminalPlayer?
  var window: ExternalPlayer?
  var page: LocalPage?
  /// What was told of a camera's settings, each as it comes.
  public var onControl: ((CameraControl) -> Void)?
  var call: CallHandle?
  var peer: PeerSession?
  /// The offer is out, and what the server offers in the answer is not known yet.
  var isAwaitingRelays = false
  var control: PeerChannel?
  var isLinkUp = false
  var offer: DataChannelDescription?
  /// The server's STUN service, at an address of each family it has.
  var stunServers: [SocketAddress] = []
  var firstFrameAt: Instant?
  var lastFrameAt: Instant?
  var longestGap: Duration?
  var framesAtLastReport: Int64 = 0
  var bytesAtLastReport: Int64 = 0
  var unwritten: Int64 = 0
  var outputAwaitsKey = false
  /// The figures of the last second.
  var statusLine = ""
  var lastPath: PeerPath?
  var milestones = Milestones()
  var trickle = TrickleQueue()
  var natProbe: NATProbe?
  var natReport: NATReport?
  /// The node's, in its own words.
  var nodeNAT: NATReport?
  var relayFailure: String?
  /// The server offered relays.
  var hasRelay = false
  var lastHeartbeatAt: Instant?
  var exchanges = 0
  /// Why there are no pictures, in the node's words.
  var cameraTrouble: String?
  var failures = 0
  var isFinishing = false
  var roaming = Roaming()
  var networkWatch: NetworkWatch?
  var watchTimer: Reactor.TimerToken?
  private var timers: [Reactor.TimerToken] = []
  var durationTimer: Reactor.TimerToken?
  var patienceTimer: Reactor.TimerToken?
  var retryTimer: Reactor.TimerToken?

  public init(
    reactor: Reactor, account: AccountConfiguration, stateDirectory: String?, options: ViewerOptions,
    progress: Progress
  ) throws(SetupProblem) {
    self.reactor = reactor
    self.account = account
    self.options = options
    self.progress = progress
    startedAt = reactor.now
    material = try AccountMaterial.load(account, stateDirectory: stateDirectory, registers: false)
    resolver = NameResolver(reactor: reactor)
    uplink = Uplink(reactor: reactor, resolver: resolver, configuration: material.uplink)
    try openOutputs()
    uplink.onEvent = { [unowned(unsafe) self] in receive($0) }
    sink?.onFailure = { [unowned(unsafe) self] text in
      // A player's window was closed.
      if window != nil {
        // Its thread has ended; it is what is calling us.
        let closed = sink
        sink = nil
        reactor.enqueue(.bulk) { closed?.close() }
        return finish(.fine, nil)
      }
      finish(.no, "the pictures cannot be written: \(text)")
    }
  }

  public func start() {
    progress.say("connecting to \(account.uri)")
    uplink.start()
    prepareOffer()
    everySecond()
    watchNetwork()
  }

  /// Ends in order: BYE, the session, the file.
  public func stop() { finish(endCode, nil) }

  /// An end that was asked for is fine if there was something to see, or no particular amount was asked for.
  var endCode: ExitCode {
    guard let frames = options.frames else { return receiver.frames > 0 || options.duration == nil ? .fine : .no }
    return receiver.frames >= Int64(frames) ? .fine : .no
  }

  // MARK: The link

  private func receive(_ event: UserAgentEvent) {
    switch event {
    case .linkUp:
      isLinkUp = true
      // TCP, and TLS on top of it.
      if failures == 0 { exchanges += account.uri.transport == .tls ? 2 : 1 }
      failures = 0
      placeCall()
      linkIsBack()
    case .linkDown(let failure, let retryIn):
      isLinkUp = false
      linkFailed(failure, retryIn)
    case .callProgress: break
    case .heartbeat: lastHeartbeatAt = reactor.now
    case .relaysOffered(let handle, let offers): if handle == call { findRelay(offers) }
    case .callAnswered(let handle, _, let body): answered(handle, body)
    case .callEnded(let handle, let end): callEnded(handle, end)
    case .info(let handle, let contentType, let body):
      guard handle == call, contentType == TrickleFragment.contentType,
        let fragment = try? TrickleFragment(parsing: body.span.bytes)
      else { return }
      peer?.receive(fragment)
    case .callReoffered(let handle, _, let body): reoffered(handle, body)
    case .reofferRefused: offerRefused()
    case .published, .publishRefused, .incomingCall, .callConfirmed, .notified, .subscriptionEnded,
      .messageAnswered, .messageReceived:
      break
    }
  }

  private func linkFailed(_ failure: LinkFailure, _ retryIn: Duration) {
    guard !isFinishing else { return }
    failures += 1
    let text: String
    if let tls = uplink.lastTLSFailure { text = tls.description } else { text = failure.text }
    if failure.isPermanent { return finish(failure == .badPassword ? .notAllowed : .no, text) }
    // A server that was never reached is an answer; one that was lost is waited for, as the session needs it not.
    guard receiver.frames > 0 || failures < 3 else { return finish(.unreachable, text) }
    progress.say("\(text); trying again in \(retryIn.wholeMilliseconds / 100 * 100) ms")
  }

  // MARK: The call

  func placeCall() {
    guard isLinkUp, call == nil, offer != nil, !isFinishing, var offer = peer?.currentOffer else { return }
    if options.task == .watch, options.wish != StreamWish() { offer.wish = options.wish.words }
    let body = Array(offer.serialized.utf8)
    trickle = TrickleQueue()
    progress.say("calling \(options.serial)")
    call = uplink.perform {
      $0.call(options.serial, contentType: "application/sdp", body: body, at: $1, into: &$2)
    }
    // The request, its challenge, and the request with its answer.
    exchanges += 2
  }

  private func answered(_ handle: CallHandle, _ body: [UInt8]) {
    guard handle == call, let peer else { return }
    relaysAreKnown()
    do throws(SDPError) {
      let answer = try DataChannelDescription(parsing: body.span.bytes)
      if peer.isOpen { return peer.acceptRestart(answer) }
      peer.accept(answer)
      sendHeldCandidates()
    } catch {
      uplink.perform { $0.hangUp(handle, at: $1, into: &$2) }
      finish(.no, "the node's answer makes no sense: \(error)")
    }
  }

  private func callEnded(_ handle: CallHandle, _ end: CallEnd) {
    guard handle == call else { return }
    call = nil
    guard !isFinishing else { return }
    switch end {
    case .refused(let status, _): refused(status)
    case .badPassword: finish(.notAllowed, "account '\(account.account)' or its password is refused by \(account.uri)")
    case .timedOut: again("the node did not answer")
    case .linkLost: closePeer(); prepareOffer()
    case .remote: again("the node ended the session")
    }
  }

  private func refused(_ status: StatusCode) {
    let serial = options.serial
    switch status.value {
    case 404: finish(.no, "no camera \(serial), or it is not yours to see: edge devices lists those you may")
    case 480:
      if receiver.frames > 0 { return again("\(serial) is offline") }
      finish(.no, "\(serial) is offline: its node is not connected to \(account.domain)")
    case 486: finish(.no, "\(serial) has too many viewers: try again later")
    case 488: finish(.no, "\(serial) is not a camera this program can watch")
    case 603: finish(.no, "\(serial) refused the session")
    case 403: finish(.notAllowed, "not allowed")
    default:
      if receiver.frames > 0 { return again("\(status.value) \(status.reason)") }
      finish(.no, "\(serial): \(status.value) \(status.reason)")
    }
  }

  // MARK: Reports and the end

  private func everySecond() {
    guard !isFinishing else { return }
    timers.append(
      reactor.schedule(after: .seconds(1)) { [unowned(unsafe) self] in
        timers.removeAll(keepingCapacity: true)
        report()
        everySecond()
      })
  }

  private func report() {
    guard firstFrameAt != nil else { return }
    let frames = receiver.frames - framesAtLastReport
    let bytes = receiver.bytes - bytesAtLastReport
    framesAtLastReport = receiver.frames
    bytesAtLastReport = receiver.bytes
    statusLine =
      "\(options.serial): \(receiver.frames) pictures, \(frames) fps, \(bytes * 8 / 100_000 / 10).\(bytes * 8 / 100_000 % 10)"
      + " Mbit/s, \(receiver.lost) lost"
      + (unwritten > 0 ? ", \(unwritten) not written: the output is too slow" : "")
    progress.tick(statusLine)
    let message = ControlMessage.report(
      .init(
        frames: UInt64(clamping: receiver.frames), lost: UInt64(clamping: receiver.lost),
        delayMilliseconds: receiver.lastDelayMicroseconds / 1000, network: receiver.networkLatency.summary,
        decode: receiver.decodeLatency.summary, total: receiver.totalLatency.summary))
    tell(message)
  }

  /// - Parameter text: what went wrong; `nil` when nothing did.
  func finish(_ code: ExitCode, _ text: String?) {
    guard !isFinishing else { return }
    let stats = stats
    isFinishing = true
    stopExplaining()
    for timer in timers + [durationTimer, patienceTimer, retryTimer, watchTimer].compactMap({ $0 }) {
      reactor.cancel(timer)
    }
    networkWatch?.close()
    networkWatch = nil
    if let text { progress.fail(text) }
    let handle = call
    call = nil
    if let handle { uplink.perform { $0.hangUp(handle, at: $1, into: &$2) } }
    let session = peer
    forgetPeer()
    session?.closeAfterSending(within: .milliseconds(500))
    player?.close()
    player = nil
    page?.close()
    page = nil
    let conclude = { [self] (code: ExitCode) in
      window?.close()
      window = nil
      sink?.close()
      sink = nil
      uplink.onStopped = { [self] in
        uplink.onEvent = nil
        let finished = onFinished
        onFinished = nil
        finished?(code, stats)
      }
      // Lets the BYE and its answer pass before the flow goes.
      _ = reactor.schedule(after: .milliseconds(handle == nil ? 0 : 100)) { [self] in uplink.stop() }
    }
    guard let sink, text == nil else { return conclude(code) }
    sink.onFinished = { conclude(code) }
    // The last picture, or one before it that is only written now. A player that was closed has seen enough.
    sink.onFailure = { [self] text in
      if window == nil { progress.fail("the pictures cannot be written: \(text)") }
      conclude(window == nil ? .no : code)
    }
    sink.finish()
  }

  /// What `--stats` says, as of now.
  public var stats: ViewStats {
    var stats = ViewStats(serial: options.serial)
    let path = peer?.path ?? lastPath
    stats.path = path.flatMap { NodeStatus.Path(rawValue: $0.kind.text) }
    stats.remote = path?.remote.description
    stats.local = path?.local.description
    stats.answered = milestones.answered
    stats.pathFound = milestones.path
    stats.opened = milestones.opened
    stats.roundTrip = path?.roundTrip
    stats.firstFrame = firstFrameAt.map { $0 - startedAt }
    stats.frames = receiver.frames
    stats.framesLost = receiver.lost
    stats.checksumErrors = receiver.checksumErrors
    stats.bytes = receiver.bytes
    stats.rawBytes = receiver.rawBytes
    stats.latency = receiver.latency
    stats.roundTripsToFirstFrame = firstFrameAt == nil ? nil : exchanges
    stats.longestGap = longestGap
    stats.pathChanges = roaming.changes
    stats.cameraTrouble = cameraTrouble
    stats.format = receiver.lastFormat?.pixelFormat.name
    stats.size = receiver.lastFormat.map { "\($0.width)x\($0.height)" }
    if let first = firstFrameAt, let last = lastFrameAt, last > first {
      stats.duration = last - first
      stats.framesPerSecondThousandths =
        (receiver.frames - 1) * 1_000_000_000_000 / (last - first).wholeNanoseconds
    }
    return stats
  }
}
