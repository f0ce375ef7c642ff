import Config
import EdgeCore
import LinuxIO
import PeerSession
import SDP
import SIP
import SecureTransport
import StatusModel
import TURN
import Uplink
import UserAgent

/// A session with the node that serves one serial: log-in, call, peer-to-peer path; all of it again when it is lost
/// after it stood once.
///
///     linking ──link up──▶ calling ──answer──▶ connecting ──open──▶ open
///        ▲                    ▲                                      │
///        └── link lost ───────┴──── path lost, node gone ◀───────────┘
final class SerialSession {
  let serial: String
  /// The session stands. The peer is good until ``onLost`` or ``onFailed``.
  var onOpen: ((PeerSession) -> Void)?
  /// The node opened a channel.
  var onChannel: ((PeerChannel) -> Void)?
  /// It stands no longer, and is being made again.
  var onLost: ((_ why: String) -> Void)?
  /// It cannot be had; called once.
  var onFailed: ((ExitCode, String) -> Void)?
  var onPathChanged: ((PeerPath) -> Void)?
  /// A peer is about to make its offer: the owner announces its channels.
  var onPrepare: ((PeerSession) -> Void)?
  /// Whether the answer is to the owner's liking; when not, the owner ends the session itself.
  var onAnswer: ((DataChannelDescription) -> Bool)?
  /// Somebody is asked at the other end.
  var onRinging: (() -> Void)?
  /// What a refusal means to the owner; `nil` leaves it to the session.
  var onRefused: ((StatusCode) -> Refusal?)?

  enum Refusal {
    case final(ExitCode, String)
    /// Another call, prepared anew, at once.
    case callAgain(String)
  }

  /// From the offer to the open session, somebody's thinking time included; `nil`: the usual.
  var openLimit: Duration?

  private let reactor: Reactor
  private let account: AccountConfiguration
  private let material: AccountMaterial
  private let policy: PeerConfiguration.Policy
  private let uplink: Uplink
  private let resolver: NameResolver
  private var call: CallHandle?
  private var isAwaitingRelays = false
  private var trickle = TrickleQueue()
  private var networkWatch: NetworkWatch?
  /// Another path is looked for.
  private var wantsPath = false
  private(set) var peer: PeerSession?
  private var offer: DataChannelDescription?
  private var stunServers: [SocketAddress] = []
  private var isLinkUp = false
  private var isOver = false
  private var hasStood = false
  private var failures = 0
  private var retryTimer: Reactor.TimerToken?

  init(
    reactor: Reactor, account: AccountConfiguration, material: AccountMaterial, serial: String,
    policy: PeerConfiguration.Policy
  ) {
    self.reactor = reactor
    self.account = account
    self.material = material
    self.serial = serial
    self.policy = policy
    resolver = NameResolver(reactor: reactor)
    uplink = Uplink(reactor: reactor, resolver: resolver, configuration: material.uplink)
    uplink.onEvent = { [unowned(unsafe) self] in receive($0) }
  }

  func start() {
    uplink.start()
    prepareOffer()
    networkWatch = try? NetworkWatch(reactor: reactor) { [unowned(unsafe) self] in
      uplink.networkChanged()
      if let peer, peer.isOpen, !peer.hasPresentAddress { roam() }
    }
  }

  /// BYE, the end of the session, leave of the server; then `completion`.
  func stop(_ completion: @escaping () -> Void) {
    isOver = true
    if let retryTimer { reactor.cancel(retryTimer) }
    retryTimer = nil
    networkWatch?.close()
    networkWatch = nil
    let handle = call
    call = nil
    if let handle { uplink.perform { $0.hangUp(handle, at: $1, into: &$2) } }
    let session = peer
    forgetPeer()
    session?.closeAfterSending(within: .milliseconds(500))
    uplink.onStopped = { [self] in
      uplink.onEvent = nil
      completion()
    }
    // Lets the BYE and its answer pass before the flow goes.
    _ = reactor.schedule(after: .milliseconds(handle == nil ? 0 : 100)) { [self] in uplink.stop() }
  }

  private func fail(_ code: ExitCode, _ why: String) {
    guard !isOver else { return }
    isOver = true
    let failed = onFailed
    onFailed = nil
    failed?(code, why)
  }

  // MARK: The link and the call

  private func receive(_ event: UserAgentEvent) {
    guard !isOver else { return }
    switch event {
    case .linkUp:
      isLinkUp = true
      failures = 0
      placeCall()
      if let peer, peer.isOpen, wantsPath || peer.isExpectingData && peer.silence > .milliseconds(700) { roam() }
    case .linkDown(let failure, _):
      isLinkUp = false
      failures += 1
      let why = uplink.lastTLSFailure?.description ?? failure.text
      if failure.isPermanent { return fail(failure == .badPassword ? .notAllowed : .no, why) }
      // A server that was never reached is an answer; one that was lost is waited for.
      if !hasStood, failures >= 3 { fail(.unreachable, why) }
    case .relaysOffered(let handle, let offers): if handle == call { findRelay(offers) }
    case .callProgress(let handle, let status): if handle == call, status == 180 { onRinging?() }
    case .callAnswered(let handle, _, let body): answered(handle, body)
    case .callEnded(let handle, let end): callEnded(handle, end)
    case .info(let handle, let contentType, let body):
      guard handle == call, contentType == TrickleFragment.contentType,
        let fragment = try? TrickleFragment(parsing: body.span.bytes)
      else { return }
      peer?.receive(fragment)
    case .callReoffered(let handle, _, let body): reoffered(handle, body)
    case .reofferRefused:
      _ = reactor.schedule(after: .seconds(1)) { [self] in if wantsPath { roam() } }
    default: break
    }
  }

  private func placeCall() {
    guard isLinkUp, call == nil, let offer, peer?.isClosed == false, !isOver else { return }
    let body = Array(offer.serialized.utf8)
    trickle = TrickleQueue()
    call = uplink.perform { $0.call(serial, contentType: "application/sdp", body: body, at: $1, into: &$2) }
  }

  private func answered(_ handle: CallHandle, _ body: [UInt8]) {
    guard handle == call, let peer else { return }
    if isAwaitingRelays {
      isAwaitingRelays = false
      peer.relaySettled()
    }
    do throws(SDPError) {
      let answer = try DataChannelDescription(parsing: body.span.bytes)
      if peer.isOpen { return peer.acceptRestart(answer) }
      if onAnswer?(answer) ?? true { peer.accept(answer) }
      trickle.isOpen = true
      tell([], isLast: false)
    } catch {
      uplink.perform { $0.hangUp(handle, at: $1, into: &$2) }
      fail(.no, "the node's answer makes no sense: \(error)")
    }
  }

  private func callEnded(_ handle: CallHandle, _ end: CallEnd) {
    guard handle == call else { return }
    call = nil
    switch end {
    case .refused(let status, _): refused(status)
    case .badPassword: fail(.notAllowed, "account '\(account.account)' or its password is refused by \(account.uri)")
    case .timedOut: again("the node did not answer")
    case .linkLost:
      closePeer()
      prepareOffer()
    case .remote: again("the node ended the session")
    }
  }

  private func refused(_ status: StatusCode) {
    switch onRefused?(status) {
    case .final(let code, let why): return fail(code, why)
    case .callAgain(let why):
      closePeer()
      onLost?(why)
      return prepareOffer()
    case nil: break
    }
    switch status.value {
    case 404: fail(.no, "no \(serial), or it is not yours to use: edge devices lists those you may")
    case 480 where !hasStood: fail(.no, "\(serial) is offline: its node is not connected to \(account.domain)")
    case 480: again("\(serial) is offline")
    case 486: fail(.no, "\(serial) has too many users: try again later")
    case 603: fail(.no, "\(serial) refused the session")
    case 403: fail(.notAllowed, "not allowed")
    default: again("\(status.value) \(status.reason)")
    }
  }

  /// Asks for a relayed address for the session; what comes of it is trickled.
  private func findRelay(_ texts: [String]) {
    peer?.useRelays(texts) { [material] in
      material.relayTLS
    } onFailed: { _ in
    }
  }

  // MARK: The session

  private func prepareOffer() {
    guard !isOver, peer == nil else { return }
    let wanted = account.stun ?? HostPort(host: account.uri.server.host, port: 3478)
    if let address = NameResolver.numeric(wanted.host) {
      stunServers = [SocketAddress(address, port: wanted.port)]
      return makePeer()
    }
    resolver.resolve(wanted.host) { [unowned(unsafe) self] answer in
      if case .success(let addresses) = answer {
        stunServers = PeerConfiguration.stunServers(at: addresses, port: wanted.port)
      }
      makePeer()
    }
  }

  private func makePeer() {
    guard !isOver, peer == nil else { return }
    var configuration = PeerConfiguration()
    configuration.policy = policy
    if let openLimit { configuration.openLimit = openLimit }
    configuration.stunServers = stunServers
    configuration.letGuessPorts(account.guessesPorts, discoveryPort: NATProbe.standardPort)
    let session = PeerSession(reactor: reactor, identity: material.identity, configuration: configuration)
    peer = session
    if account.mapsPorts { session.portMapper = PortMapper(reactor: reactor) }
    awaitRelays()
    onPrepare?(session)
    session.onChannel = { [unowned(unsafe) self] channel in onChannel?(channel) }
    session.onOpen = { [unowned(unsafe) self] in opened() }
    session.onPathChanged = { [unowned(unsafe) self] path in
      wantsPath = false
      onPathChanged?(path)
    }
    // The link to the server may have died of the same cause.
    session.onSilence = { [unowned(unsafe) self] in uplink.networkChanged() }
    session.onPathDoubtful = { [unowned(unsafe) self] isDoubtful in
      guard isDoubtful else { return }
      uplink.networkChanged()
      roam()
    }
    session.onClosed = { [unowned(unsafe) self] reason in sessionClosed(reason) }
    session.onLocalCandidate = { [unowned(unsafe) self] candidate in tell([candidate], isLast: false) }
    session.onLocalCandidatesEnded = { [unowned(unsafe) self] in tell([], isLast: true) }
    session.offer { [unowned(unsafe) self] description in
      offer = description
      placeCall()
    }
  }

  private func awaitRelays() {
    guard !isAwaitingRelays, let peer, peer.needsRelay else { return }
    isAwaitingRelays = true
    peer.expectRelay()
  }

  /// Another path for the session (RFC 8445 §9), when the link is up and no other offer is under way.
  private func roam() {
    wantsPath = true
    guard let call, let peer, peer.isOpen, !isOver, uplink.inspect({ $0.canReoffer(call) }) else { return }
    awaitRelays()
    peer.restart { [unowned(unsafe) self] offer in
      uplink.perform {
        $0.reoffer(
          call, contentType: "application/sdp", body: Array(offer.serialized.utf8), at: $1, into: &$2)
      }
    }
  }

  /// The node looks for another path.
  private func reoffered(_ handle: CallHandle, _ body: [UInt8]) {
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

  /// Tells the node of addresses that were not in the description, when there is a dialog to tell them in.
  private func tell(_ candidates: [SDPCandidate], isLast: Bool) {
    trickle.candidates += candidates
    trickle.isLast = trickle.isLast || isLast
    guard trickle.isOpen, trickle.isLast || !trickle.candidates.isEmpty, let call,
      let fragment = peer?.trickleFragment(trickle.candidates, isLast: trickle.isLast)
    else { return }
    trickle.candidates = []
    trickle.isLast = false
    uplink.perform {
      $0.sendInfo(
        call, package: "trickle-ice", contentType: TrickleFragment.contentType,
        body: Array(fragment.serialized.utf8), at: $1, into: &$2)
    }
  }

  private func opened() {
    guard let peer else { return }
    hasStood = true
    failures = 0
    onOpen?(peer)
  }

  private func sessionClosed(_ reason: PeerCloseReason) {
    let handle = call
    call = nil
    forgetPeer()
    if let handle { uplink.perform { $0.hangUp(handle, at: $1, into: &$2) } }
    again(reason.description)
  }

  /// Gives the session up for a new one.
  func renew(_ why: String) {
    guard !isOver, peer != nil else { return }
    let handle = call
    call = nil
    if let handle { uplink.perform { $0.hangUp(handle, at: $1, into: &$2) } }
    uplink.networkChanged()
    again(why)
  }

  /// What stood and went away is made again, a little later each time; what never did is an answer.
  private func again(_ why: String) {
    guard !isOver else { return }
    closePeer()
    failures += 1
    guard hasStood || failures < 2 else { return fail(.no, why) }
    onLost?(why)
    let delay = Duration.milliseconds(min(10_000, 250 << min(failures - 1, 6)))
    if let retryTimer { reactor.cancel(retryTimer) }
    retryTimer = reactor.schedule(after: delay) { [unowned(unsafe) self] in
      retryTimer = nil
      prepareOffer()
    }
  }

  private func closePeer() {
    let session = peer
    forgetPeer()
    session?.close()
  }

  private func forgetPeer() {
    isAwaitingRelays = false
    guard let session = peer else { return }
    peer = nil
    offer = nil
    wantsPath = false
    session.onClosed = nil
    session.onOpen = nil
    session.onChannel = nil
    session.onPathChanged = nil
    session.onPathDoubtful = nil
    session.onSilence = nil
    session.onLocalCandidate = nil
    session.onLocalCandidatesEnded = nil
    // The session may be what is calling us: let it return before it goes.
    reactor.enqueue(.bulk) { _ = session }
  }
}
