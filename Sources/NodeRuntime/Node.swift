import Capture
public import Config
import EdgeCore
import ICE
public import LinuxIO
import MSRPTransport
import NATDiscovery
import NodeLogic
import PIDF
import PeerSession
import Picture
import SDP
import SIP
import SecureTransport
import StatusModel
public import Uplink
import UserAgent

/// A camera box: logged in at its rendezvous server, publishing its resources, and streaming its
/// cameras to whoever the server lets through and it accepts itself.
public final class Node {
  /// Viewers served at once, over all cameras.
  static let maximumSessions = 64

  let reactor: Reactor
  let configuration: NodeConfiguration
  let log: Log
  let material: AccountMaterial
  let uplink: Uplink
  let resolver: NameResolver
  var feeds: [CameraFeed] = []
  var sessions: [ViewerSession] = []
  var tunnels: [TunnelSession] = []
  /// `nil` when messages cannot be kept.
  var inbox: Inbox?
  /// Takes calls that bring large messages.
  var largeMessages: MessageReceiver?
  let fileService: FileService
  /// `nil` when no camera has alarms.
  var alarmSender: AlarmSender?
  private var networkWatch: NetworkWatch?
  private var publishTimer: Reactor.TimerToken?
  private var isStopping = false
  private let includesLoopback: Bool
  private lazy var portMapper = configuration.rendezvous.mapsPorts ? PortMapper(reactor: reactor) : nil
  /// At an address of each family the server has.
  private var stunServers: [SocketAddress] = []
  private let place: TerminalPlace?
  /// What kind of NAT is in front of this machine; found out after every log-in.
  var natReport: NATReport?
  private var natProbe: NATProbe?

  /// Called with the link's ups and downs, after the node has acted on them.
  public var onLinkChanged: ((_ isUp: Bool) -> Void)?

  public init(
    reactor: Reactor, configuration: NodeConfiguration, log: Log, includesLoopback: Bool = false
  ) throws(SetupProblem) {
    self.reactor = reactor
    self.configuration = configuration
    self.log = log
    self.includesLoopback = includesLoopback
    // Keeps an inbox that is given the node's own directory out of it.
    place = try TerminalPlace.whole(configuration.node.stateDirectory)
    material = try AccountMaterial.load(
      configuration.rendezvous, stateDirectory: configuration.node.stateDirectory, registers: true)
    resolver = NameResolver(reactor: reactor)
    uplink = Uplink(reactor: reactor, resolver: resolver, configuration: material.uplink)
    fileService = FileService(
      reactor: reactor, uplink: uplink, material: material, files: configuration.files, log: log)
    do throws(SystemError) {
      for camera in configuration.cameras {
        feeds.append(try CameraFeed(configuration: camera, reactor: reactor, log: log))
      }
      networkWatch = nil
    } catch {
      throw SetupProblem("a camera's thread could not be started: \(error)")
    }
    // The node lives as long as the program, or is stopped: stop() breaks these cycles.
    uplink.onEvent = { [unowned(unsafe) self] in if !fileService.receive($0) { receive($0) } }
    fileService.onText = { [unowned(unsafe) self] in keep($0) }
    for feed in feeds {
      feed.onStateChanged = { [unowned(unsafe) self] in publishSoon() }
    }
  }

  public func start() {
    networkWatch = try? NetworkWatch(reactor: reactor) { [unowned(unsafe) self] in networkChanged() }
    log.notice(
      "node.start", ("version", Version.current), ("node", configuration.node.name),
      ("server", configuration.rendezvous.uri.description), ("cameras", "\(feeds.count)"))
    publish()
    uplink.start()
    subscribeToMessages()
    startAlarms()
  }

  /// Ends every session, takes leave of the server, and then calls `completion`.
  public func stop(_ completion: @escaping () -> Void) {
    guard !isStopping else { return }
    isStopping = true
    networkWatch?.close()
    networkWatch = nil
    natProbe?.cancel()
    natProbe = nil
    for session in sessions { end(session, hangUp: true, why: "node stopped") }
    for tunnel in tunnels { endTunnel(tunnel.handle, hangUp: true, why: "node stopped") }
    fileService.stop()
    if let publishTimer { reactor.cancel(publishTimer) }
    uplink.onStopped = { [self] in
      for feed in feeds { feed.close() }
      alarmSender?.close()
      feeds = []
      completion()
    }
    uplink.stop()
  }

  // MARK: Link events

  private func receive(_ event: UserAgentEvent) {
    switch event {
    case .linkUp:
      log.notice("link.up", ("server", uplink.serverAddress?.description ?? ""))
      findStunServer()
      linkIsBack()
      alarmSender?.pump()
      onLinkChanged?(true)
    case .linkDown(let failure, let retryIn):
      log.warning("link.down", ("reason", failure.text), ("retry_ms", "\(retryIn.wholeMilliseconds)"))
      onLinkChanged?(false)
    case .heartbeat, .published: break
    case .publishRefused(let status):
      publishRefusal = status
      log.error("publish.refused", ("status", "\(status.value)"))
    case .incomingCall(let handle, let call):
      if largeMessages?.receive(handle, call) != true { receive(handle, call) }
    case .callEnded(let handle, let end):
      if largeMessages?.ended(handle) == true { return }
      let why = end == .remote ? "viewer hung up" : "call failed"
      guard let session = session(handle) else { return endTunnel(handle, hangUp: false, why: why) }
      self.end(session, hangUp: false, why: why)
    case .info(let handle, let contentType, let body): receiveInfo(handle, contentType, body)
    case .messageReceived(let handle, let message): receive(handle, message)
    case .callReoffered(let handle, _, let body): reoffered(handle, body)
    case .callAnswered(let handle, _, let body): reofferAnswered(handle, body)
    case .reofferRefused(let handle, _): reofferRefused(handle)
    case .callConfirmed(let handle, let contentType, let body):
      session(handle)?.peer.peerHasAnswer()
      receiveAnswer(handle, contentType, body)
    case .messageAnswered(let handle, let status): alarmSender?.answered(handle, status)
    case .relaysOffered(let handle, let offers): if let call = peerCall(handle) { findRelay(offers, for: call) }
    case .callProgress, .notified, .subscriptionEnded: break
    }
  }

  /// The last answer to a PUBLISH that was no success.
  private(set) var publishRefusal: StatusCode?

  func session(_ handle: CallHandle) -> ViewerSession? { sessions.first { $0.handle == handle } }

  // MARK: Calls

  /// FLOWS of a viewer's request: decide first, gather only when the answer is yes.
  private func receive(_ handle: CallHandle, _ call: IncomingCall) {
    guard !isStopping else { return refuse(handle, call, 480, "stopping") }
    if isForFiles(handle, call) { return }
    guard let feed = feeds.first(where: { $0.configuration.serial == call.serial }) else {
      if let resource = configuration.resources.first(where: { $0.serial == call.serial }) {
        return receive(handle, call, for: resource)
      }
      return refuse(handle, call, 404, "unknown serial")
    }
    guard hasRoom else { return refuse(handle, call, 486, "too many viewers", retryAfter: 10) }
    // RFC 3261 §13.2.1: an INVITE without an offer asks for ours.
    var offer: DataChannelDescription?
    if !call.body.isEmpty {
      guard call.contentType == "application/sdp" else { return refuse(handle, call, 415, "no session description") }
      do throws(SDPError) {
        offer = try DataChannelDescription(parsing: call.body.span.bytes)
      } catch {
        return refuse(handle, call, 488, error.description)
      }
    }
    let peer = makePeer()
    let session = ViewerSession(
      handle: handle, viewer: call.caller, feed: feed, peer: peer,
      wish: offer?.wish.flatMap { StreamWish(words: $0) } ?? StreamWish(), since: reactor.wallClockSeconds,
      reactor: reactor, log: log)
    session.nat = natReport
    sessions.append(session)
    connect(session)
    feed.add(session)
    findRelay(call.relays, for: session)
    let accept = { [unowned(unsafe) self] (description: DataChannelDescription) in
      uplink.perform {
        $0.accept(
          handle, contentType: "application/sdp", body: Array(description.serialized.utf8), at: $1, into: &$2)
      }
    }
    if let offer {
      peer.answer(offer, accept)
    } else {
      session.awaitsAnswer = true
      peer.offer(accept)
    }
  }

  /// The ACK of a call brings the answer to an offer of ours.
  private func receiveAnswer(_ handle: CallHandle, _ contentType: String, _ body: [UInt8]) {
    guard let session = session(handle), session.awaitsAnswer else { return }
    session.awaitsAnswer = false
    guard contentType == "application/sdp", let answer = try? DataChannelDescription(parsing: body.span.bytes) else {
      return end(session, hangUp: true, why: "no answer to the offer")
    }
    session.peer.accept(answer)
  }

  var hasRoom: Bool { sessions.count + tunnels.count + fileService.calls.count < Self.maximumSessions }

  func makePeer() -> PeerSession {
    let peer = PeerSession(reactor: reactor, identity: material.identity, configuration: peerConfiguration)
    peer.portMapper = portMapper
    return peer
  }

  var peerConfiguration: PeerConfiguration {
    var peer = PeerConfiguration()
    peer.includesLoopback = includesLoopback
    peer.stunServers = stunServers
    if let nat = natReport, nat.mapping == .endpointIndependent, nat.preservesPort == true,
      let own = nat.localAddress?.ip, let outside = nat.publicAddress?.ip
    {
      peer.expectedMapping = PeerConfiguration.ExpectedMapping(own: own, outside: outside)
    }
    peer.letGuessPorts(configuration.rendezvous.guessesPorts, discoveryPort: NATProbe.standardPort)
    return peer
  }

  private func connect(_ session: ViewerSession) {
    let peer = session.peer
    let handle = session.handle
    peer.onLocalCandidate = { [unowned(unsafe) self, unowned(unsafe) peer] candidate in
      trickle(handle, peer, [candidate], isLast: false)
    }
    peer.onLocalCandidatesEnded = { [unowned(unsafe) self, unowned(unsafe) peer] in
      trickle(handle, peer, [], isLast: true)
    }
    peer.onOpen = { [unowned(unsafe) self, unowned(unsafe) session] in
      log.info(
        "session.open", ("viewer", session.viewer), ("serial", session.feed.configuration.serial),
        ("path", session.peer.path?.kind.text ?? ""), ("remote", session.peer.path?.remote.description ?? ""))
    }
    peer.onPathChanged = { [unowned(unsafe) self, unowned(unsafe) session] path in
      session.wantsPath = false
      log.info(
        "session.path", ("viewer", session.viewer), ("serial", session.feed.configuration.serial),
        ("path", path.kind.text), ("remote", path.remote.description))
    }
    // The link to the server may have died of the same cause.
    peer.onSilence = { [unowned(unsafe) self] in uplink.networkChanged() }
    peer.onPathDoubtful = { [unowned(unsafe) self, unowned(unsafe) session] isDoubtful in
      if isDoubtful { pathDoubtful(session) } else { session.wantsPath = false }
    }
    peer.onClosed = { [unowned(unsafe) self] reason in
      guard let session = self.session(handle) else { return }
      end(session, hangUp: true, why: reason.description)
    }
  }

  func refuse(
    _ handle: CallHandle, _ call: IncomingCall, _ status: StatusCode, _ why: String, retryAfter: UInt32? = nil
  ) {
    log.info("call.refused", ("viewer", call.caller), ("serial", call.serial), ("why", why))
    uplink.perform { $0.refuse(handle, status, retryAfter: retryAfter, at: $1, into: &$2) }
  }

  private func end(_ session: ViewerSession, hangUp: Bool, why: String) {
    guard sessions.contains(where: { $0 === session }) else { return }
    sessions.removeAll { $0 === session }
    let status = session.status
    log.info(
      "session.end", ("viewer", session.viewer), ("serial", session.feed.configuration.serial), ("why", why),
      ("frames", "\(status.framesSent)"), ("dropped", "\(status.framesDropped)"))
    session.peer.onClosed = nil
    session.peer.onOpen = nil
    session.peer.onPathChanged = nil
    session.peer.onPathDoubtful = nil
    session.peer.onSilence = nil
    session.peer.onLocalCandidate = nil
    session.peer.onLocalCandidatesEnded = nil
    session.detach()
    session.peer.close()
    if hangUp { uplink.perform { $0.hangUp(session.handle, at: $1, into: &$2) } }
    // Whoever is calling us may be the session itself: let it return before it goes.
    reactor.enqueue(.bulk) { _ = session }
    // What its queues held stays with the C library otherwise.
    _ = reactor.schedule(after: .seconds(1)) { ProcessFacts.releaseFreeMemory() }
  }

  // MARK: Trickled candidates (RFC 8840)

  func trickle(_ handle: CallHandle, _ peer: PeerSession, _ candidates: [SDPCandidate], isLast: Bool) {
    guard let fragment = peer.trickleFragment(candidates, isLast: isLast) else { return }
    uplink.perform {
      $0.sendInfo(
        handle, package: "trickle-ice", contentType: TrickleFragment.contentType,
        body: Array(fragment.serialized.utf8), at: $1, into: &$2)
    }
  }

  private func receiveInfo(_ handle: CallHandle, _ contentType: String, _ body: [UInt8]) {
    guard contentType == TrickleFragment.contentType,
      let peer = session(handle)?.peer ?? tunnels.first(where: { $0.handle == handle })?.peer,
      let fragment = try? TrickleFragment(parsing: body.span.bytes)
    else { return }
    peer.receive(fragment)
  }

  // MARK: Publishing

  private func publishSoon() {
    guard publishTimer == nil, !isStopping else { return }
    publishTimer = reactor.schedule(after: .milliseconds(500)) { [unowned(unsafe) self] in
      publishTimer = nil
      publish()
    }
  }

  private func publish() {
    let body = Array(presence.serialized.utf8)
    uplink.perform { $0.publish(body, contentType: Presence.contentType, at: $1, into: &$2) }
  }

  private var presence: Presence {
    let domain = configuration.rendezvous.domain
    var tuples: [Presence.Tuple] = []
    for feed in feeds {
      let camera = feed.configuration
      let format = feed.lastFormat?.picture.pixelFormat.name ?? camera.format
      tuples.append(
        Presence.Tuple(
          serial: camera.serial, type: feed.type, name: camera.name == camera.serial ? "" : camera.name,
          formats: format.map { [$0] } ?? [], isOpen: feed.problem == nil && !feed.isAbsent,
          contact: "sip:\(camera.serial)@\(domain)"))
    }
    for resource in configuration.resources {
      tuples.append(
        Presence.Tuple(
          serial: resource.serial, type: resource.type, ip: resource.address.ip.description,
          port: resource.address.port, name: resource.name == resource.serial ? "" : resource.name,
          contact: "sip:\(resource.serial)@\(domain)"))
    }
    return Presence(entity: "sip:\(configuration.rendezvous.account)@\(domain)", tuples: tuples)
  }

  // MARK: STUN

  /// The server's own STUN service, unless the configuration names another.
  private func findStunServer() {
    defer { probeNAT() }
    if let wanted = configuration.rendezvous.stun {
      if let address = NameResolver.numeric(wanted.host) {
        stunServers = [SocketAddress(address, port: wanted.port)]
      } else {
        resolver.resolve(wanted.host) { [unowned(unsafe) self] answer in
          if case .success(let found) = answer {
            stunServers = PeerConfiguration.stunServers(at: found, port: wanted.port)
          }
        }
      }
    } else if let server = uplink.serverAddress {
      // The address in use comes first.
      stunServers = PeerConfiguration.stunServers(at: [server.ip] + uplink.knownAddresses, port: 3478)
    }
  }

  /// The network may be another one since the last log-in.
  private func probeNAT() {
    natProbe?.cancel()
    guard let server = uplink.serverAddress else { return }
    natProbe = NATProbe.start(
      reactor: reactor, server: SocketAddress(server.ip, port: NATProbe.standardPort), plainServer: stunServers.first
    ) { [unowned(unsafe) self] report in
      natProbe = nil
      natReport = report
      for session in sessions { session.nat = report }
      log.info(
        "nat", ("mapping", report.mapping.rawValue), ("filtering", report.filtering.rawValue),
        ("address", report.publicAddress?.description ?? ""))
    }
  }
}
