public import EdgeCore
public import ICE
public import SCTPTransport
public import SecureTransport

/// How a ``PeerSession`` finds and uses its path.
public struct PeerConfiguration: Hashable, Sendable {
  /// Which candidates are offered and used.
  public enum Policy: Hashable, Sendable {
    case all
    /// Only through a relay.
    case relayOnly
    /// Never through a relay.
    case noRelay
  }

  /// Asked for this machine's address as the network sees it. Each family asks the servers of its own.
  public var stunServers: [SocketAddress] = []

  /// Guesses ports, and asks the server at a second port whether this end's NAT makes that necessary.
  public mutating func letGuessPorts(_ may: Bool, discoveryPort: UInt16) {
    guessesPorts = may
    guard may, let server = stunServers.first(where: { $0.ip.isV4 }) else { return }
    stunServers.append(SocketAddress(server.ip, port: discoveryPort))
  }

  /// What this machine's IPv4 address is known to look like from outside, where the router keeps ports: the description
  /// goes out with it at once, and what the STUN servers say follows.
  public var expectedMapping: ExpectedMapping?

  public struct ExpectedMapping: Hashable, Sendable {
    public var own: IPAddress
    public var outside: IPAddress

    public init(own: IPAddress, outside: IPAddress) {
      self.own = own
      self.outside = outside
    }
  }

  /// The first address of each family: an address of ours is asked for over its own.
  public static func stunServers(at addresses: [IPAddress], port: UInt16) -> [SocketAddress] {
    var servers: [SocketAddress] = []
    for address in addresses where !servers.contains(where: { $0.ip.isV4 == address.isV4 }) {
      servers.append(SocketAddress(address, port: port))
    }
    return servers
  }

  public var policy = Policy.all
  /// Offer 127.0.0.1 and ::1 too: for everything on one machine.
  public var includesLoopback = false
  /// Guess ports where nothing else joins the two ends directly and the other end does so too (``BirthdayPunch``). The
  /// STUN servers should be two ports of one.
  public var guessesPorts = false
  /// Offer interface addresses.
  public var includesHostCandidates = true
  /// How long a description waits for STUN servers; what comes later is trickled.
  public var gatherLimit: Duration = .milliseconds(300)
  /// From `offer` or `answer` to the open session, the other person's thinking time included.
  public var openLimit: Duration = .seconds(90)
  /// The UDP port of both families; 0 lets the kernel choose.
  public var port: UInt16 = 0
  public var ice = ICEConfiguration.toPeer
  public var dtls = DTLSSession.Timing()
  /// Ports are taken from the descriptions.
  public var sctp = SCTPAssociation.Configuration()

  public init() {}
}

extension ICEConfiguration {
  /// Five hops are over a home's router and its provider's, and not at the other home's.
  fileprivate static var toPeer: Self {
    var configuration = Self()
    configuration.openingHops = 5
    configuration.idleAfter = .seconds(15)
    return configuration
  }
}

/// Why a session ended.
public enum PeerCloseReason: Hashable, Sendable {
  /// No address of the one side could reach any of the other.
  case noPath(ICEFailure)
  /// The path worked and then fell silent (RFC 7675).
  case consentLost
  /// The peer is not the one that signalling announced.
  case fingerprintMismatch(presented: CertificateFingerprint)
  /// The secure channel could not be made or broke.
  case dtls(DTLSFailure)
  /// The association broke off.
  case sctp(SCTPEnd)
  /// The peer ended the session.
  case closedByPeer
  /// This side did.
  case local
  /// The session was not open in time.
  case timedOut
  /// This machine could not begin: no sockets, no memory.
  case setup(String)
}

extension PeerCloseReason: CustomStringConvertible {
  public var description: String {
    switch self {
    case .noPath(.noPairs): "no path: neither side has an address the other could reach"
    case .noPath(.allPairsFailed): "no path: none of the addresses answered; a relay is needed between these networks"
    case .consentLost: "the other side stopped answering"
    case .fingerprintMismatch(let presented): "\(DTLSFailure.fingerprintMismatch(presented: presented))"
    case .dtls(let failure): failure.description
    case .sctp(let end): "the data channel association ended: \(end.text)"
    case .closedByPeer: "closed by the other side"
    case .local: "closed by this side"
    case .timedOut: "the session was not open in time"
    case .setup(let text): text
    }
  }
}

extension SCTPEnd {
  fileprivate var text: String {
    switch self {
    case .shutDown: "shut down"
    case .aborted: "broken off by the other side"
    case .lost: "the other side stopped answering"
    case .notEstablished: "it was never established"
    case .messageTooLarge: "the other side sent a message larger than it may"
    }
  }
}

/// The path a session's datagrams take.
public struct PeerPath: Hashable, Sendable {
  /// `relay` when either end is relayed; else how far from the plainest case: peer-reflexive, server-reflexive, host.
  public var kind: CandidateKind
  public var localKind: CandidateKind
  public var remoteKind: CandidateKind
  /// Our address as the peer sees it.
  public var local: SocketAddress
  public var remote: SocketAddress
  /// `nil` until measured.
  public var roundTrip: Duration?

  init(_ path: SelectedPath, roundTrip: Duration?) {
    localKind = path.local.kind
    remoteKind = path.remote.kind
    local = path.local.address
    remote = path.remote.address
    self.roundTrip = roundTrip ?? path.roundTrip
    let kinds = [localKind, remoteKind]
    kind =
      kinds.contains(.relay)
      ? .relay
      : kinds.contains(.peerReflexive) ? .peerReflexive : kinds.contains(.serverReflexive) ? .serverReflexive : .host
  }
}

extension CandidateKind {
  /// `host`, `srflx`, `prflx` or `relay`, as in `edge status` and RFC 8839 §5.1.
  public var text: String {
    switch self {
    case .host: "host"
    case .serverReflexive: "srflx"
    case .peerReflexive: "prflx"
    case .relay: "relay"
    }
  }
}

/// How long after its start a session had come how far; `nil` while it has not.
public struct PeerTrace: Hashable, Sendable {
  /// Our description was ready.
  public var gathered: Duration?
  /// The peer's description was there.
  public var described: Duration?
  /// A pair of addresses worked.
  public var path: Duration?
  public var dtls: Duration?
  public var sctp: Duration?
  /// The first message arrived.
  public var firstMessage: Duration?

  public init() {}
}

/// Carries datagrams to and from an address on a relay (TURN, RFC 8656). The owner makes it and keeps it alive
/// on the relay; the session uses it, and closes it when it ends itself.
public protocol RelayTransport: AnyObject {
  /// What peers send to.
  var relayedAddress: SocketAddress { get }
  /// The server, for the candidate's foundation (RFC 8445 §5.1.1.3).
  var server: SocketAddress { get }
  /// Our address as the server sees it, for the reader of the SDP.
  var mappedAddress: SocketAddress? { get }
  /// Lets `peer` send to us (RFC 8656 §9). Called for every address of the peer, also more than once.
  func permit(_ peer: SocketAddress)
  func send(_ bytes: [UInt8], to peer: SocketAddress)
  /// This machine's own address on the way to the server, when known.
  var ownAddress: IPAddress? { get }
  /// When anything last came from the server.
  var lastHeardAt: Instant? { get }
  /// Called with what arrives at the relayed address. Set by the session.
  var onDatagram: ((_ bytes: RawSpan, _ peer: SocketAddress) -> Void)? { get set }
  /// The address is no more: the server forgot it, or cannot be reached. Set by the session.
  var onEnded: ((_ why: String) -> Void)? { get set }
  func close()
}
