public import EdgeCore
public import STUN

/// A client of a TURN server (RFC 8656): one allocation, kept alive, with a permission for every peer and a
/// channel for those it talks to.
///
/// One client, one server, one local socket or stream. Over a stream the owner writes the datagrams of the outbox
/// as they are, and hands in one frame at a time (``TURNStreamFramer``).
///
///     idle ──start──▶ allocating ──success──▶ allocated ──close──▶ closing ──▶ ended
///                          └─────── refused, silent, expired ──────────────────▲
///
/// A nonce that has run out is taken over from the 438 at any moment, by whichever request gets it.
public struct TURNClient<Random: RandomNumberGenerator>: ~Copyable {
  public struct Configuration: Hashable, Sendable {
    public var server: SocketAddress
    /// Over TCP or TLS: nothing is sent twice, data frames are padded.
    public var isStream: Bool
    public var credentials: RelayCredentials
    /// The family of the relayed address; `nil` is the server's default, IPv4.
    public var family: AddressFamily?
    /// RFC 8656 §7.1: `nil` takes the server's default, ten minutes.
    public var lifetime: Duration?
    public var timing: ClientTransaction.Timing
    /// Peers a permission is kept for.
    public var maximumPeers = 64
    /// RFC 8445 §11: after so long without a packet to the server one is sent, for the NAT in between. Over UDP only.
    public var keepalive: Duration = .seconds(25)
    /// Datagrams sent to a peer before a channel is bound for it; STUN does not count.
    public var channelAfter = 2

    public init(
      server: SocketAddress, isStream: Bool = false, credentials: RelayCredentials, family: AddressFamily? = nil,
      lifetime: Duration? = nil, timing: ClientTransaction.Timing = .init()
    ) {
      self.server = server
      self.isStream = isStream
      self.credentials = credentials
      self.family = family
      self.lifetime = lifetime
      self.timing = timing
    }
  }

  public enum Event: Hashable, Sendable {
    case allocated(relayed: SocketAddress, mapped: SocketAddress?)
    /// Peers at this address may send, and be sent to.
    case permitted(IPAddress)
    /// The server will not relay to this address.
    case permissionRefused(IPAddress, ErrorCode)
    /// Data to this peer goes over a channel now.
    case bound(SocketAddress)
    /// RFC 8656 §11.6.
    case peerUnreachable(SocketAddress, type: UInt8, code: UInt8)
    /// There is no allocation any more, or there never was. The last event.
    case ended(TURNFailure)
  }

  /// A piece of a datagram handed in: what a peer sent.
  public struct Inbound: Hashable, Sendable {
    public let peer: SocketAddress
    public let payload: Range<Int>
  }

  enum Phase { case idle, allocating, allocated, closing, ended }

  enum Purpose: Hashable {
    case allocate
    case refresh
    case delete
    case permission(IPAddress)
    case bind(SocketAddress, UInt16)
  }

  /// A request under way. `challenges` counts the 401 and 438 answers in a row.
  struct Exchange: ~Copyable {
    let purpose: Purpose
    var id: TransactionID
    var bytes: [UInt8]
    var key: [UInt8]?
    var transaction: ClientTransaction
    var challenges = 0
  }

  struct Peer {
    let ip: IPAddress
    /// `nil` while the server has not granted it.
    var granted: Instant?
    var isRefused = false
    var renews: Instant
  }

  struct Channel {
    enum State {
      /// So many datagrams went to the peer without one.
      case none(sent: Int)
      case binding(UInt16)
      case bound(UInt16, renews: Instant, expires: Instant)
      /// RFC 8656 §12: the peer waits five minutes before it is bound to another number.
      case resting(until: Instant)
      /// The server does not want to.
      case refused
    }

    let peer: SocketAddress
    var state: State
    var lastUsed: Instant

    /// The number data may come with: already while the request is under way.
    var number: UInt16? {
      switch state {
      case .binding(let number), .bound(let number, _, _): number
      case .none, .resting, .refused: nil
      }
    }
  }

  public let configuration: Configuration
  public internal(set) var relayedAddress: SocketAddress?
  /// Our address as the server sees it.
  public internal(set) var mappedAddress: SocketAddress?

  let hashes: Hashes
  var random: Random
  var phase = Phase.idle
  var realm: [UInt8]?
  var nonce: [UInt8]?
  var key: [UInt8]?
  /// A collection cannot hold what is not copyable, so exchanges live in objects.
  var exchanges: [ExchangeBox] = []
  var peers: [Peer] = []
  var channels: [Channel] = []
  var nextChannel = ChannelData.numbers.lowerBound
  var refreshAt: Instant?
  var expires: Instant?
  var lastSent = Instant.zero

  final class ExchangeBox {
    var exchange: Exchange
    init(_ exchange: consuming Exchange) { self.exchange = exchange }
  }

  public init(_ configuration: Configuration, hashes: Hashes, random: Random) {
    self.configuration = configuration
    self.hashes = hashes
    self.random = random
  }

  public var isAllocated: Bool { phase == .allocated }
  public var isEnded: Bool { phase == .ended }

  // MARK: Commands

  /// Asks for the allocation. Once only.
  public mutating func start(at now: Instant, into out: inout Outbox<Event>) {
    guard phase == .idle else { return }
    phase = .allocating
    begin(.allocate, at: now, into: &out)
  }

  /// Lets peers at `ip` send. What is asked for before there is an allocation is done when there is one.
  public mutating func permit(_ ip: IPAddress, at now: Instant, into out: inout Outbox<Event>) {
    guard phase == .allocating || phase == .allocated || phase == .idle else { return }
    guard !peers.contains(where: { $0.ip == ip }), peers.count < configuration.maximumPeers else { return }
    peers.append(Peer(ip: ip, granted: nil, renews: now))
    if phase == .allocated { ask(ip, at: now, into: &out) }
  }

  /// Puts data for `peer` into a frame, overwriting `frame`. `false`: there is no allocation, or the data does not fit.
  ///
  /// The peer should have been permitted; a channel is bound when enough is sent to it.
  public mutating func send(
    _ payload: RawSpan, to peer: SocketAddress, at now: Instant, frame: inout [UInt8], into out: inout Outbox<Event>
  ) -> Bool {
    guard phase == .allocated, payload.byteCount <= 65_000 else { return false }
    lastSent = now
    frame.removeAll(keepingCapacity: true)
    let padding = configuration.isStream ? -payload.byteCount & 3 : 0
    if let number = channelNumber(for: peer, isData: MuxedProtocol(of: payload) != .stun, at: now, into: &out) {
      ChannelData.writeHeader(number, count: payload.byteCount, to: &frame)
      append(payload, padding, to: &frame)
    } else {
      DataIndication.writeSendHeader(peer, count: payload.byteCount, TransactionID(using: &random), to: &frame)
      append(payload, -payload.byteCount & 3, to: &frame)
    }
    return true
  }

  /// Gives the allocation back. `ended(.closed)` follows when the server has heard of it, or does not answer.
  public mutating func close(at now: Instant, into out: inout Outbox<Event>) {
    switch phase {
    case .allocated:
      phase = .closing
      exchanges = []
      refreshAt = nil
      begin(.delete, at: now, into: &out)
    case .idle, .allocating: end(.closed, into: &out)
    case .closing, .ended: break
    }
  }

  // MARK: Time

  public mutating func tick(at now: Instant, into out: inout Outbox<Event>) {
    if let expires, now >= expires, phase == .allocated || phase == .closing {
      return end(phase == .closing ? .closed : .expired, into: &out)
    }
    for box in exchanges {
      // An earlier one's failure may have ended everything.
      guard exchanges.contains(where: { $0 === box }) else { continue }
      switch box.exchange.transaction.tick(at: now) {
      case .send: resend(box, at: now, into: &out)
      case .fail: unanswered(box, at: now, into: &out)
      case .none: break
      }
    }
    guard phase == .allocated else { return }
    if let refreshAt, now >= refreshAt {
      self.refreshAt = nil
      begin(.refresh, at: now, into: &out)
    }
    renewPeers(at: now, into: &out)
    keepAlive(at: now, into: &out)
  }

  /// When ``tick(at:into:)`` next has work to do; `nil` means never.
  public var nextDeadline: Instant? {
    guard phase != .ended else { return nil }
    var deadline = Instant.earliest(refreshAt, expires)
    for box in exchanges { deadline = Instant.earliest(deadline, box.exchange.transaction.nextDeadline) }
    guard phase == .allocated else { return deadline }
    if !configuration.isStream { deadline = Instant.earliest(deadline, lastSent + configuration.keepalive) }
    for peer in peers where isDueOnce(peer) { deadline = Instant.earliest(deadline, peer.renews) }
    for channel in channels {
      guard case .bound(let number, let renews, _) = channel.state, !isUnderWay(.bind(channel.peer, number)) else {
        continue
      }
      deadline = Instant.earliest(deadline, renews)
    }
    return deadline
  }

  // MARK: Inside

  func isUnderWay(_ purpose: Purpose) -> Bool { exchanges.contains { $0.exchange.purpose == purpose } }

  private mutating func keepAlive(at now: Instant, into out: inout Outbox<Event>) {
    guard !configuration.isStream, now - lastSent >= configuration.keepalive else { return }
    lastSent = now
    let indication = STUNMessage(.indication, .binding, transaction: TransactionID(using: &random))
    out.datagrams.append(Datagram(destination: configuration.server, bytes: indication.serialized()))
  }

  mutating func end(_ failure: TURNFailure, into out: inout Outbox<Event>) {
    guard phase != .ended else { return }
    phase = .ended
    exchanges = []
    refreshAt = nil
    expires = nil
    out.events.append(.ended(failure))
  }

  private func append(_ payload: RawSpan, _ padding: Int, to frame: inout [UInt8]) {
    unsafe payload.withUnsafeBytes { unsafe frame.append(contentsOf: $0) }
    for _ in 0..<padding { frame.append(0) }
  }
}

/// Why there is no allocation.
public enum TURNFailure: Error, Hashable, Sendable {
  /// This side gave it back.
  case closed
  /// The server does not answer.
  case silent
  /// The server says no.
  case refused(ErrorCode)
  /// RFC 8489 §10: another server should be asked, and the one that says so knows our password.
  case redirected(SocketAddress)
  /// The answer makes no sense.
  case protocolError
  /// It ran out: no refresh was answered.
  case expired
  /// The server has forgotten it (437).
  case forgotten
}

extension TURNFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .closed: "closed by this side"
    case .silent: "the relay does not answer"
    case .refused(.unauthenticated): "the relay does not accept the credentials"
    case .refused(.allocationQuotaReached): "the relay's limit for this session is reached"
    case .refused(.insufficientCapacity): "the relay is full"
    case .refused(let code): "the relay refused (\(code))"
    case .redirected(let server): "the relay sends us to \(server)"
    case .protocolError: "the relay answered what makes no sense"
    case .expired: "the relay's address ran out"
    case .forgotten: "the relay has forgotten us"
    }
  }
}
