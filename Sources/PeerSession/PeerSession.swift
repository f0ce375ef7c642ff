public import EdgeCore
public import ICE
public import LinuxIO
public import SCTPTransport
public import SDP
internal import STUN
public import SecureTransport

/// One session with one peer, straight from machine to machine: ICE finds a path, DTLS proves who is at the other end,
/// SCTP carries data channels (RFC 8445, RFC 8827, RFC 8831). A stock browser can be the peer.
///
///     offerer                                       answerer
///     offer { description in ...signalling... } ──▶ answer(offer) { description in
///     accept(description)                        ◀──  ...signalling... }
///     onOpen                                         onOpen
///
/// The offerer is ICE's controlling side and opens DTLS, at once when a first pair of addresses works, and
/// both open SCTP, which saves a round trip each. Nothing but a checked address is ever sent anything but checks.
///
/// Set the handlers right after making it. ``onClosed`` is called once, whoever ends the session; after it no handler
/// is called and all are let go. The reactor keeps a session alive from `offer` or `answer` until then.
public final class PeerSession {
  enum Phase { case fresh, gathering, described, closed }

  public let configuration: PeerConfiguration
  /// DTLS and SCTP stand: messages flow. Channels may be opened and written to before.
  public var onOpen: (() -> Void)?
  /// The peer opened a channel.
  public var onChannel: ((PeerChannel) -> Void)?
  /// A candidate found after the description was handed out (RFC 8838).
  public var onLocalCandidate: ((SDPCandidate) -> Void)?
  /// No more of them will come.
  public var onLocalCandidatesEnded: (() -> Void)?
  /// The path in use is another one now.
  public var onPathChanged: ((PeerPath) -> Void)?
  /// What was sent is not acknowledged, and the path is asked whether it lives.
  public var onSilence: (() -> Void)?
  /// `true`: two checks in a row went unanswered; `false`: answers are back.
  public var onPathDoubtful: ((Bool) -> Void)?
  public var onClosed: ((PeerCloseReason) -> Void)?
  /// Asks the router for the session's port, where set before `offer` or `answer`.
  public var portMapper: PortMapper?

  /// UDP payload bytes, checks included.
  public internal(set) var sentBytes: UInt64 = 0
  public internal(set) var receivedBytes: UInt64 = 0
  public internal(set) var sentDatagrams: UInt64 = 0
  public internal(set) var receivedDatagrams: UInt64 = 0
  /// When data last came over a checked path; the start before that.
  var lastReceivedAt: Instant
  /// DTLS datagrams sent since one last came, the first of them.
  var unanswered: [[UInt8]] = []
  /// Something waits for its acknowledgement, and should have it by then.
  var doubtAt: Instant?
  /// That time has passed, and nothing came.
  var isSilent = false
  public internal(set) var trace = PeerTrace()
  /// The peer's `max-message-size` (RFC 8841 §6), and 256 KiB at most.
  public internal(set) var maximumSendSize = 65_536
  public internal(set) var isOpen = false

  let reactor: Reactor
  let identity: Identity
  var phase = Phase.fresh
  /// ``trace`` counts from here.
  public internal(set) var startedAt: Instant
  var agent: ICEAgent<SystemRandom>?
  var sockets: [UDPSocket] = []
  var relays: [any RelayTransport] = []
  /// Found silent, and in use until there is another path.
  var oldRelays: [any RelayTransport] = []
  var finder: RelayFinder?
  var releaseTimer: Reactor.TimerToken?
  var translation: TranslationPrefix?
  /// Data that waits for consent (RFC 7675 §5.1).
  var held: [[UInt8]] = []
  var gatherers: [Gatherer] = []
  var handOut: (() -> Void)?
  var isGathered = false
  var expectedRelays = 0
  var isAskingRouter = false
  var guess: PortGuess?
  var hasGuessed = false
  var sessionID = ""
  var remote: DataChannelDescription?
  var isOfferer = false
  var dtls: DTLSSession?
  var channels: DataChannels?
  var peerChannels: [PeerChannel] = []
  /// Asked for before the association existed.
  var wantedChannels: [(options: DataChannelOptions, made: (PeerChannel) -> Void)] = []
  /// In every description of this end.
  var negotiated: [NegotiatedChannel] = []
  var wantedNegotiated: [(id: UInt16, options: DataChannelOptions, made: (PeerChannel) -> Void)] = []
  var earlyDTLS: [EarlyDatagram] = []
  private var timer: Reactor.TimerToken?
  private var timerDeadline: Instant?
  var openTimer: Reactor.TimerToken?
  var gatherTimer: Reactor.TimerToken?

  public init(reactor: Reactor, identity: Identity, configuration: PeerConfiguration = .init()) {
    self.reactor = reactor
    self.identity = identity
    self.configuration = configuration
    startedAt = reactor.now
    lastReceivedAt = reactor.now
  }

  // MARK: What the owner may ask

  public var isClosed: Bool { phase == .closed }

  /// Since data last came over a checked path.
  public var silence: Duration { reactor.now - lastReceivedAt }

  /// Something was sent lately, so silence means something.
  public var isExpectingData: Bool { agent?.isIdle == false }

  /// `nil` until a pair works.
  public var path: PeerPath? {
    guard phase != .closed, let path = agent?.selectedPath else { return nil }
    return PeerPath(path, roundTrip: channels?.association.roundTrip)
  }

  /// Everything tried and what became of it.
  public var pairs: [PairReport] { agent?.pairs ?? [] }

  /// Bytes of all channels the network has not taken yet.
  public var bufferedAmount: Int { channels?.association.queuedBytes ?? 0 }

  /// Data that should have come did not: finds out whether the path lives. ``onPathDoubtful`` tells when it does not.
  public func doubtPath() {
    guard phase != .closed else { return }
    agent?.doubtPath(at: reactor.now)
    arm()
  }

  // MARK: Channels

  /// Opens a channel. Before the session is open it waits, and what is sent on it goes out with SCTP's handshake:
  /// then `made` is called with it when DTLS stands, else at once. Not called when no channel can be had.
  public func openChannel(_ options: DataChannelOptions, made: @escaping (PeerChannel) -> Void) {
    guard phase != .closed else { return }
    guard channels != nil else {
      wantedChannels.append((options, made))
      return
    }
    if let channel = makeChannel(options) { made(channel) }
  }

  /// Announces a channel in this end's description (RFC 8864) and opens it when DTLS stands: then `made` is called with
  /// it, before anything the peer sends on it arrives. To be called before ``offer(_:)`` or ``answer(_:_:)``.
  ///
  /// The owner looks itself whether the peer's description has the channel too.
  public func negotiate(
    _ channel: NegotiatedChannel, priority: SCTPMessage.Priority, made: @escaping (PeerChannel) -> Void
  ) {
    guard phase != .closed else { return }
    negotiated.append(channel)
    let options = DataChannelOptions(label: channel.label, priority: priority, protocolName: channel.protocolName)
    wantedNegotiated.append((channel.streamID, options, made))
  }

  /// The same for an open session.
  public func openChannel(_ options: DataChannelOptions) -> PeerChannel? {
    guard phase != .closed, channels != nil else { return nil }
    return makeChannel(options)
  }

  func makeChannel(_ options: DataChannelOptions) -> PeerChannel? {
    guard let channels else { return nil }
    var out = DataChannels.Output()
    guard let id = channels.open(options, at: reactor.now, into: &out) else { return nil }
    let channel = PeerChannel(id: id, options: options, session: self)
    peerChannels.append(channel)
    apply(out)
    return channel
  }

  func openNegotiated() {
    let wanted = wantedNegotiated
    wantedNegotiated = []
    for want in wanted {
      guard let channels, channels.openNegotiated(want.id, want.options) else { continue }
      let channel = PeerChannel(id: want.id, options: want.options, session: self)
      peerChannels.append(channel)
      want.made(channel)
    }
  }

  func send(_ bytes: [UInt8], isText: Bool, on id: UInt16) -> Bool {
    guard let channels else { return false }
    var out = DataChannels.Output()
    let isTaken = channels.send(bytes, isText: isText, on: id, at: reactor.now, into: &out)
    apply(out)
    arm()
    return isTaken
  }

  func closeChannel(_ id: UInt16) {
    guard let channels else { return }
    var out = DataChannels.Output()
    channels.close(id, at: reactor.now, into: &out)
    apply(out)
    arm()
  }

  // MARK: Ending

  /// Ends the session and tells the peer. ``onClosed`` follows with `.local`.
  public func close() {
    guard phase != .closed else { return }
    sayGoodbye()
    end(.local)
  }

  /// Ends the session after everything queued has arrived at the peer, but not later than `limit`.
  public func closeAfterSending(within limit: Duration = .seconds(2)) {
    guard phase != .closed else { return }
    guard isOpen, let channels else {
      close()
      return
    }
    var out = DataChannels.Output()
    channels.shutDown(at: reactor.now, into: &out)
    apply(out)
    isLeaving = true
    arm()
    _ = reactor.schedule(after: limit) { [self] in close() }
  }

  /// The owner wants out: the end of the association is the end it asked for.
  var isLeaving = false

  private func sayGoodbye() {
    if let channels {
      var out = DataChannels.Output()
      channels.abort(into: &out)
      apply(out)
    }
    if let dtls {
      var out = DTLSSession.Output()
      dtls.close(into: &out)
      for datagram in out.datagrams { transmit(datagram) }
    }
  }

  func end(_ reason: PeerCloseReason) {
    guard phase != .closed else { return }
    phase = .closed
    isOpen = false
    for token in [timer, openTimer, gatherTimer] { if let token { reactor.cancel(token) } }
    timer = nil
    openTimer = nil
    gatherTimer = nil
    if let channels {
      // Whoever could be told was told before.
      var unsent = DataChannels.Output()
      channels.abort(into: &unsent)
    }
    for socket in sockets { socket.close() }
    closeRelays()
    dismissRouter()
    endGuessing()
    guess = nil
    sockets = []
    held = []
    gatherers = []
    channels = nil
    dtls = nil
    handOut = nil
    wantedChannels = []
    wantedNegotiated = []
    earlyDTLS = []
    for channel in peerChannels { _ = channel.retire() }
    peerChannels = []
    let handler = onClosed
    onOpen = nil
    onChannel = nil
    onLocalCandidate = nil
    onLocalCandidatesEnded = nil
    onPathChanged = nil
    onPathDoubtful = nil
    onSilence = nil
    onClosed = nil
    // Later: the owner may be in the middle of a call into this session.
    if let handler { reactor.enqueue(.signalling) { handler(reason) } }
  }

  // MARK: Time

  /// Sets the one timer for whatever is due first. A later deadline lets the timer run out and be set again.
  func arm() {
    guard phase != .closed else { return }
    var deadline = agent?.nextDeadline
    deadline = Instant.earliest(deadline, dtls?.nextDeadline)
    deadline = Instant.earliest(deadline, channels?.nextDeadline)
    deadline = Instant.earliest(deadline, doubtDeadline())
    for gatherer in gatherers { deadline = Instant.earliest(deadline, gatherer.nextDeadline) }
    guard let deadline else { return }
    if let timerDeadline, timer != nil, timerDeadline <= deadline { return }
    if let timer { reactor.cancel(timer) }
    timerDeadline = deadline
    timer = reactor.schedule(at: deadline) { [self] in
      timer = nil
      tick()
    }
  }

  private func tick() {
    let now = reactor.now
    doubtIfUnanswered(at: now)
    var ice = Outbox<ICEEvent>()
    agent?.tick(at: now, into: &ice)
    apply(ice)
    tickGatherers(at: now)
    if let dtls, phase != .closed {
      var out = DTLSSession.Output()
      dtls.tick(at: now, into: &out)
      apply(out)
    }
    if let channels, phase != .closed {
      var out = DataChannels.Output()
      channels.tick(at: now, into: &out)
      apply(out)
    }
    arm()
  }
}
