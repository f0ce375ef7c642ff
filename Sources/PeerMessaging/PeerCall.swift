import EdgeCore
public import LinuxIO
public import PeerSession
public import SDP
public import SIP
import SecureTransport
import TURN
public import Uplink
public import UserAgent

/// One call between two programs and the session it makes: signalling, trickled candidates and the relay, from either
/// side. Not made again when it breaks.
///
///     calling:   init(calling:), prepare the peer's channels, start() ──▶ onAnswer ──▶ onOpen
///     answering: init(answering:), prepare them, ring() and accept() or refuse() ──▶ onOpen
public final class PeerCall {
  public enum End {
    /// A final answer that is no success.
    case refused(StatusCode)
    /// The other side said goodbye, or took its call back.
    case remote
    /// What broke.
    case lost(String)
  }

  public let peer: PeerSession
  /// An account or a serial.
  public let name: String
  /// What the other side offered or answered.
  public private(set) var description: DataChannelDescription?
  public private(set) var isOpen = false
  /// Whether the answer is to the owner's liking.
  public var onAnswer: ((DataChannelDescription) -> Bool)?
  /// Somebody is asked at the other end.
  public var onRinging: (() -> Void)?
  public var onOpen: (() -> Void)?
  /// Called once; never after ``hangUp()``.
  public var onEnded: ((End) -> Void)?

  private let reactor: Reactor
  private let uplink: Uplink
  private let material: AccountMaterial
  private var handle: CallHandle?
  private var relay: RelayFinder?
  private var isOver = false
  private let isCaller: Bool
  private var offered: [String] = []

  /// Calls an account or a serial.
  public init(
    calling name: String, reactor: Reactor, uplink: Uplink, material: AccountMaterial, configuration: PeerConfiguration
  ) {
    self.name = name
    self.reactor = reactor
    self.uplink = uplink
    self.material = material
    isCaller = true
    peer = PeerSession(reactor: reactor, identity: material.identity, configuration: configuration)
    connect()
  }

  /// Takes a call up.
  public init(
    answering handle: CallHandle, _ call: IncomingCall, offer: DataChannelDescription, reactor: Reactor,
    uplink: Uplink, material: AccountMaterial, configuration: PeerConfiguration
  ) {
    name = call.caller
    self.reactor = reactor
    self.uplink = uplink
    self.material = material
    self.handle = handle
    description = offer
    offered = call.relays
    isCaller = false
    peer = PeerSession(reactor: reactor, identity: material.identity, configuration: configuration)
    connect()
  }

  private func connect() {
    peer.onLocalCandidate = { [unowned(unsafe) self] candidate in trickle([candidate], isLast: false) }
    peer.onLocalCandidatesEnded = { [unowned(unsafe) self] in trickle([], isLast: true) }
    peer.onOpen = { [unowned(unsafe) self] in
      isOpen = true
      onOpen?()
    }
    peer.onClosed = { [unowned(unsafe) self] reason in
      if reason == .closedByPeer { end(.remote) } else { end(.lost(reason.description)) }
    }
  }

  // MARK: Calling

  public func start() {
    peer.expectRelay()
    peer.offer { [unowned(unsafe) self] offer in
      handle = uplink.perform {
        $0.call(name, contentType: "application/sdp", body: Array(offer.serialized.utf8), at: $1, into: &$2)
      }
      if handle == nil { end(.lost("the server cannot be reached")) }
    }
  }

  // MARK: Answering

  public func ring() { if let handle { uplink.perform { $0.ring(handle, at: $1, into: &$2) } } }

  public func accept() {
    guard let offer = description, !isCaller else { return }
    findRelay(offered)
    guard let handle else { return }
    peer.answer(offer) { [uplink] answer in
      uplink.perform {
        $0.accept(handle, contentType: "application/sdp", body: Array(answer.serialized.utf8), at: $1, into: &$2)
      }
    }
  }

  /// Refuses the call; it is over then.
  public func refuse(_ status: StatusCode) {
    guard let handle, !isOver else { return }
    self.handle = nil
    uplink.perform { $0.refuse(handle, status, at: $1, into: &$2) }
    finish()
  }

  /// Ends the call in whatever state it is, after what was sent has arrived.
  public func hangUp() {
    guard !isOver else { return }
    let handle = self.handle
    self.handle = nil
    finish()
    if let handle { uplink.perform { $0.hangUp(handle, at: $1, into: &$2) } }
  }

  // MARK: From the link

  /// Whether the event was this call's.
  public func receive(_ event: UserAgentEvent) -> Bool {
    guard let handle, !isOver else { return false }
    switch event {
    case .callProgress(handle, _): onRinging?()
    case .relaysOffered(handle, let offers): findRelay(offers)
    case .callAnswered(handle, _, let body): answered(body)
    case .callConfirmed(handle, _, _): peer.peerHasAnswer()
    case .callEnded(handle, let why):
      self.handle = nil
      switch why {
      case .remote: end(.remote)
      case .refused(let status, _): end(.refused(status))
      case .linkLost: end(.lost("the link to the server broke"))
      case .timedOut: end(.lost("no answer"))
      case .badPassword: end(.refused(403))
      }
    case .info(handle, let contentType, let body):
      guard contentType == TrickleFragment.contentType, let fragment = try? TrickleFragment(parsing: body.span.bytes)
      else { return true }
      peer.receive(fragment)
    case .callReoffered(handle, _, let body):
      guard let offer = try? DataChannelDescription(parsing: body.span.bytes) else {
        uplink.perform { $0.refuse(handle, 488, at: $1, into: &$2) }
        return true
      }
      peer.answerRestart(offer) { [uplink] answer in
        uplink.perform {
          $0.accept(handle, contentType: "application/sdp", body: Array(answer.serialized.utf8), at: $1, into: &$2)
        }
      }
    default: return false
    }
    return true
  }

  private func answered(_ body: [UInt8]) {
    peer.relaySettled()
    guard let answer = try? DataChannelDescription(parsing: body.span.bytes) else {
      return end(.lost("the answer makes no sense"))
    }
    description = answer
    guard onAnswer?(answer) ?? true else { return }
    peer.accept(answer)
  }

  /// Asks for a relayed address; what comes of it is trickled.
  private func findRelay(_ texts: [String]) {
    let offers = texts.compactMap { RelayOffer($0) }
    guard !offers.isEmpty, relay == nil else { return }
    var tls: RelayFinder.TLS?
    if offers.contains(where: { $0.transport == .tls }), let context = try? TLSContext.client(material.uplink.trust) {
      tls = RelayFinder.TLS(context: context, serverName: material.uplink.host)
    }
    let finder = RelayFinder(offers, for: peer, reactor: reactor, tls: tls)
    relay = finder
    finder.start()
  }

  private func trickle(_ candidates: [SDPCandidate], isLast: Bool) {
    guard let handle, let fragment = peer.trickleFragment(candidates, isLast: isLast) else { return }
    uplink.perform {
      $0.sendInfo(
        handle, package: "trickle-ice", contentType: TrickleFragment.contentType,
        body: Array(fragment.serialized.utf8), at: $1, into: &$2)
    }
  }

  // MARK: The end

  private func end(_ why: End) {
    guard !isOver else { return }
    let handler = onEnded
    hangUp()
    handler?(why)
  }

  private func finish() {
    isOver = true
    isOpen = false
    relay?.close()
    relay = nil
    peer.onClosed = nil
    peer.onOpen = nil
    peer.onLocalCandidate = nil
    peer.onLocalCandidatesEnded = nil
    // Whoever is calling may be one of these: they outlive the call.
    let handlers = (onAnswer, onRinging, onOpen, onEnded)
    onAnswer = nil
    onRinging = nil
    onOpen = nil
    onEnded = nil
    peer.closeAfterSending()
    reactor.enqueue(.bulk) { [self] in _ = (self, handlers) }
  }
}
