internal import EdgeCore
internal import ICE
internal import LinuxIO
internal import SCTPTransport
public import SDP
internal import SecureTransport

/// Offer and answer (RFC 3264, RFC 8839, RFC 8841, RFC 8842).
extension PeerSession {
  /// Makes the offer: gathers addresses, then hands the description out once.
  public func offer(_ completion: @escaping (DataChannelDescription) -> Void) {
    guard begin() else { return }
    isOfferer = true
    makeAgent(.controlling)
    gather { [self] in completion(describe(.actpass)) }
    arm()
  }

  /// The offer with everything gathered by now, until it is answered: for a caller that could not send it at once.
  public var currentOffer: DataChannelDescription? {
    isOfferer && phase == .described && remote == nil ? describe(.actpass) : nil
  }

  /// Takes an offer and makes the answer. Checks begin while addresses are still being gathered.
  public func answer(_ offer: DataChannelDescription, _ completion: @escaping (DataChannelDescription) -> Void) {
    guard begin() else { return }
    isOfferer = false
    // RFC 8445 §6.1.1: with a lite peer the full agent is controlling.
    makeAgent(offer.isICELite ? .controlling : .controlled)
    // RFC 8842 §5.3: the answerer chooses. Behind NATs the offerer's first check is the first to get through, and its
    // path the first to work: with the opening left to it the answerer is ready to send a round trip earlier.
    let setup: DataChannelDescription.Setup = offer.setup == .passive ? .active : .passive
    adopt(offer, isDTLSClient: setup == .active)
    gather { [self] in completion(describe(setup)) }
    arm()
  }

  /// Takes the answer to our offer. A second one is ignored.
  public func accept(_ answer: DataChannelDescription) {
    guard isOfferer, phase != .closed, remote == nil else { return }
    // RFC 8842 §5.3: an answer is never actpass; a peer that says so leaves the choice to us.
    adopt(answer, isDTLSClient: answer.setup == .passive)
    arm()
  }

  private static var maximumTrickled: Int { 64 }

  /// A candidate the peer trickled (RFC 8838).
  public func addRemoteCandidate(_ candidate: SDPCandidate) {
    guard phase != .closed else { return }
    // A relay that is ready later lets all of them in.
    if let count = remote?.candidates.count, count < Self.maximumTrickled { remote?.candidates.append(candidate) }
    for relay in relays { relay.permit(candidate.address) }
    var out = Outbox<ICEEvent>()
    addRemote(candidate, into: &out)
    apply(out)
    arm()
  }

  /// The peer has our answer (a SIP ACK says so): its checks are on their way.
  public func peerHasAnswer() {
    var out = Outbox<ICEEvent>()
    agent?.peerBegins(at: reactor.now, into: &out)
    apply(out)
    arm()
  }

  public func endOfRemoteCandidates() {
    var out = Outbox<ICEEvent>()
    agent?.endOfRemoteCandidates(at: reactor.now, into: &out)
    apply(out)
    arm()
  }

  // MARK: Inside

  private func begin() -> Bool {
    guard phase == .fresh else { return false }
    phase = .gathering
    startedAt = reactor.now
    openTimer = reactor.schedule(after: configuration.openLimit) { [self] in
      openTimer = nil
      if !isOpen { end(.timedOut) }
    }
    return true
  }

  private func makeAgent(_ role: ICERole) {
    var random = SystemRandom()
    // RFC 8829 §5.2.1: a positive 63-bit number.
    sessionID = String(random.next() >> 1)
    var ice = configuration.ice
    // Nothing better will come.
    if configuration.policy == .relayOnly { ice.relayNominationDelay = .zero }
    // Guessing begins late and takes three seconds. Data flows over the relay meanwhile.
    if configuration.guessesPorts { ice.relayNominationDelay = .seconds(5) }
    ice.allowsLoopback = ice.allowsLoopback || configuration.includesLoopback
    agent = ICEAgent(role: role, configuration: ice, hashes: .openSSL, random: random, now: reactor.now)
  }

  private func adopt(_ description: DataChannelDescription, isDTLSClient: Bool) {
    remote = description
    trace.described = reactor.now - startedAt
    let peerMaximum = description.maxMessageSize == 0 ? UInt64(Int32.max) : description.maxMessageSize
    maximumSendSize = Int(min(peerMaximum, 262_144))
    var fingerprints: [CertificateFingerprint] = []
    for item in description.fingerprints {
      if let fingerprint = CertificateFingerprint(sha256: item.bytes) { fingerprints.append(fingerprint) }
    }
    guard !fingerprints.isEmpty else {
      endLater(.setup("the other side's description has no SHA-256 fingerprint"))
      return
    }
    do throws(SecureTransportError) {
      dtls = try DTLSSession(
        role: isDTLSClient ? .client : .server, identity: identity, peerFingerprints: fingerprints,
        timing: configuration.dtls)
    } catch {
      endLater(.setup(error.description))
      return
    }
    var out = Outbox<ICEEvent>()
    agent?.setRemoteCredentials(
      ufrag: description.iceUfrag, password: description.icePassword, at: reactor.now, into: &out)
    apply(out)
    addCandidates(of: description)
    considerGuessing()
  }

  func addCandidates(of description: DataChannelDescription) {
    var out = Outbox<ICEEvent>()
    for candidate in description.candidates {
      for relay in relays { relay.permit(candidate.address) }
      addRemote(candidate, into: &out)
    }
    // RFC 8838 §14: a peer that does not know trickling has said all it will say.
    if description.endOfCandidates || !description.hasICEOption("trickle") {
      agent?.endOfRemoteCandidates(at: reactor.now, into: &out)
    }
    apply(out)
  }

  private func endLater(_ reason: PeerCloseReason) {
    reactor.enqueue(.signalling) { [self] in end(reason) }
  }

  func describe(_ setup: DataChannelDescription.Setup) -> DataChannelDescription {
    var description = DataChannelDescription(
      sessionID: sessionID, iceUfrag: agent?.localUfrag ?? "", icePassword: agent?.localPassword ?? "",
      fingerprint: Fingerprint(bytes: identity.fingerprint.bytes)!, setup: setup)
    description.maxMessageSize = UInt64(configuration.sctp.maximumMessage)
    description.sctpPort = configuration.sctp.localPort
    description.endOfCandidates = isGathered
    description.channels = negotiated
    if configuration.guessesPorts { description.iceOptions.append(Self.guessOption) }
    if let remote {
      description.mid = remote.mid
      description.isBundled = remote.isBundled
    }
    for candidate in agent?.localCandidates ?? [] where candidate.kind != .peerReflexive && isSignalled(candidate.kind)
    {
      description.candidates.append(SDPCandidate(candidate))
    }
    return description
  }

  /// With relay-only, addresses of this machine stay private.
  func isSignalled(_ kind: CandidateKind) -> Bool {
    switch configuration.policy {
    case .all: true
    case .relayOnly: kind == .relay
    case .noRelay: kind != .relay
    }
  }
}

extension Candidate {
  init(_ candidate: SDPCandidate) {
    let kind: CandidateKind =
      switch candidate.kind {
      case .host: .host
      case .serverReflexive: .serverReflexive
      case .peerReflexive: .peerReflexive
      case .relayed: .relay
      }
    self.init(
      kind: kind, address: candidate.address, priority: candidate.priority, foundation: candidate.foundation,
      relatedAddress: candidate.relatedAddress)
  }
}

extension SDPCandidate {
  init(_ candidate: Candidate) {
    let kind: Kind =
      switch candidate.kind {
      case .host: .host
      case .serverReflexive: .serverReflexive
      case .peerReflexive: .peerReflexive
      case .relay: .relayed
      }
    // The base is left out: RFC 8839 §5.1 has 0.0.0.0:0 for what is nobody's business.
    let related: SocketAddress? =
      candidate.kind == .host
      ? nil : SocketAddress(candidate.address.ip.isV4 ? .anyV4 : .anyV6, port: 0)
    self.init(
      foundation: candidate.foundation, priority: candidate.priority, address: candidate.address, kind: kind,
      relatedAddress: related)
  }
}
