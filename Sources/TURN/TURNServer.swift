public import EdgeCore
internal import STUN

/// A TURN server (RFC 8656) with time-limited credentials: relays datagrams for clients that cannot
/// reach their peers themselves. Answers Binding requests too (RFC 8489 §12).
///
///     client datagram or stream frame ─▶ receive(_:on:)         ─▶ Transmission, Outputs
///     datagram at a relayed address   ─▶ receivePeer(_:on:)     ─▶ Transmission
///     socket opened or not            ─▶ relayOpened/relayRefused
///
/// A relayed packet is never copied here: ``Transmission`` says which part of the input goes where, and the
/// header for it is written into a buffer the owner keeps. Nothing is remembered of a stranger: the nonce
/// carries its own proof, and state begins when a request's integrity is verified.
///
/// The owner calls ``tick(at:into:)`` no later than ``nextDeadline``.
public struct TURNServer: ~Copyable {
  public struct Configuration: Hashable, Sendable {
    /// Short, because every refusal carries it: with more than four characters the smallest Allocate, which has 28
    /// bytes, is answered over streams only.
    public var realm: String
    /// What credentials are made with, the newest first.
    public var secrets: [[UInt8]]
    /// What peers send to: one address of each family the server relays in.
    public var relayAddresses: [IPAddress]
    public var ports: ClosedRange<UInt16>
    public var policy: PeerPolicy
    /// Peers are limited to the addresses given with ``TURNServer/addSignalledPeers(_:session:at:)``, and relayed
    /// addresses here to those of the same session.
    public var onlySignalledPeers = false
    /// Sessions whose addresses are remembered, and addresses of one session.
    public var maximumSignalledSessions = 50_000
    public var signalledPeersPerSession = 64
    /// Channels of RFC 5766's wider range are taken too, for clients from before RFC 8656.
    public var takesOldChannels = false
    /// RFC 8656 §7.2 RECOMMENDS no more than an hour.
    public var maximumLifetime: Duration = .seconds(3600)
    /// Payload of one allocation, both ways together; then it is relayed no more. `nil`: no limit.
    public var bytesPerAllocation: UInt64?
    /// How long one allocation may be refreshed. `nil`: for ever.
    public var durationOfAllocation: Duration?
    /// RFC 8656 §5: a nonce expires at least once an hour.
    public var nonceLifetime: Duration = .seconds(3000)
    public var maximumAllocations = 20_000
    /// Of one session, reservations included.
    public var allocationsPerSession = 12
    public var permissionsPerAllocation = 64
    public var channelsPerAllocation = 32
    /// Of peers over TCP (RFC 6062).
    public var connectionsPerAllocation = 32
    /// Of one source address, over UDP: what a forged source may be sent.
    public var unauthenticatedRepliesPerSecond = 10
    public var bindingRepliesPerSecond = 40

    public init(
      realm: String = "edge", secrets: [[UInt8]], relayAddresses: [IPAddress],
      ports: ClosedRange<UInt16> = 49_152...65_535, policy: PeerPolicy = PeerPolicy()
    ) {
      precondition(realm.utf8.count < 128, "a realm has fewer than 128 characters (RFC 8489 §14.9)")
      self.realm = realm
      self.secrets = secrets
      self.relayAddresses = relayAddresses
      self.ports = ports
      self.policy = policy
    }
  }

  /// What the owner must do, in this order.
  public enum Output: Hashable, Sendable {
    case send([UInt8], to: ClientFlow)
    /// Open a socket for this relayed address, then say ``relayOpened(_:at:into:)`` or ``relayRefused(_:at:into:)``.
    case openRelay(RelayID, SocketAddress)
    case closeRelay(RelayID)
    /// Listen at this relayed address, then say the same.
    case openTCPRelay(RelayID, SocketAddress)
    /// Connect from the relayed address to a peer, then say ``peerConnected(_:at:into:)`` or
    /// ``connectionEnded(_:into:)``.
    case connect(ConnectionID, from: RelayID, to: SocketAddress)
    /// From its next byte on the stream of this flow carries what the peer's connection does.
    case join(ConnectionID, ClientFlow)
    /// Close the peer's connection, and the stream joined to it.
    case closeConnection(ConnectionID)
    case event(Event)
  }

  public enum Event: Hashable, Sendable {
    case allocated(session: String, flow: ClientFlow, relayed: SocketAddress)
    /// The flow has no allocation any more.
    case ended(session: String, flow: ClientFlow, End, Traffic)
    /// Somebody with credentials asked for a peer there is no relaying to.
    case refusedPeer(session: String, SocketAddress, PeerPolicy.Refusal)
  }

  public enum End: Hashable, Sendable {
    /// RFC 8656 §8.2: refreshed with a lifetime of zero.
    case deleted
    case expired
    /// The stream it came over is gone.
    case disconnected
    /// The owner ended the session.
    case revoked
    /// No socket could be opened.
    case noSocket
    /// It had the bytes or the time one allocation may have.
    case usedUp
  }

  /// Where a part of the datagram just handed in goes.
  public enum Transmission: Hashable, Sendable {
    case none
    /// These bytes of it, from the relayed address to the peer.
    case toPeer(RelayID, SocketAddress, payload: Range<Int>)
    /// The header buffer, then these bytes of it, then zeros.
    case toClient(ClientFlow, payload: Range<Int>, padding: Int)
    /// These bytes of it to the loop that has the relayed address `to`, for ``TURNServer/receiveSibling(byteCount:from:to:at:header:)``.
    case toLoop(Int, from: SocketAddress, to: SocketAddress, payload: Range<Int>)
  }

  /// In datagrams and payload bytes.
  public struct Traffic: Hashable, Sendable {
    public var toPeers: UInt64 = 0
    public var toPeersBytes: UInt64 = 0
    public var toClients: UInt64 = 0
    public var toClientsBytes: UInt64 = 0
  }

  public struct Statistics: Hashable, Sendable {
    public var allocations = 0
    public var permissions = 0
    public var channels = 0
    public var traffic = Traffic()
    /// Datagrams that are none of the protocol.
    public var malformed: UInt64 = 0
    /// Data without an allocation, a permission or a channel.
    public var unwanted: UInt64 = 0
    /// Data to a peer there is no relaying to.
    public var refusedPeers: UInt64 = 0
    /// Answers a stranger did not get.
    public var suppressed: UInt64 = 0
  }

  struct Slot {
    var allocation: Allocation?
    var generation: UInt32 = 0
  }

  enum Deadline {
    case relay(RelayID)
    case reservation(UInt64)
    case signalled(String)
    case connection(ConnectionID)
  }

  public let configuration: Configuration
  let hashes: Hashes
  let key: [UInt8]
  let realm: [UInt8]
  let nonces: NonceMint
  var unixOffset: Int64
  var allocations: [ClientFlow: Allocation] = [:]
  var slots: [Slot] = []
  var freeSlots: [Int] = []
  var relaysByAddress: [SocketAddress: RelayID] = [:]
  var connections: [ConnectionID: PeerConnection] = [:]
  let ledger: RelayLedger
  /// Which of the relay's loops this is.
  let loop: Int
  var deadlines = ExpiryQueue<Deadline>()
  var serial: UInt64 = 0
  /// Packets come in runs: the allocation the last one was for.
  var lastUsed: (flow: ClientFlow, allocation: Allocation)?
  var counters = Statistics()

  /// `key` is 32 random bytes: nonces, ports and tokens are derived from it. `unixTime` is in seconds since 1970.
  ///
  /// A relay of several loops has a server for each, with one configuration, key and ledger.
  public init(
    _ configuration: Configuration, key: [UInt8], hashes: Hashes, unixTime: Int64, at now: Instant,
    ledger: RelayLedger? = nil, loop: Int = 0
  ) {
    var configuration = configuration
    configuration.policy.ownAddresses = configuration.policy.ownAddresses.map { $0.canonical }
    self.configuration = configuration
    self.hashes = hashes
    self.key = key
    self.loop = loop
    self.ledger = ledger ?? RelayLedger(configuration, key: key, hashes: hashes)
    realm = Array(configuration.realm.utf8)
    nonces = NonceMint(key: key, lifetime: configuration.nonceLifetime, hashes: hashes)
    unixOffset = unixTime - now.nanoseconds / 1_000_000_000
  }

  // MARK: Time

  /// The wall clock was read: credentials expire by it. Call it now and then.
  public mutating func setUnixTime(_ seconds: Int64, at now: Instant) {
    unixOffset = seconds - now.nanoseconds / 1_000_000_000
  }

  var channelNumbers: ClosedRange<UInt16> {
    configuration.takesOldChannels ? ChannelData.oldNumbers : ChannelData.numbers
  }

  func unixTime(at now: Instant) -> Int64 { unixOffset + now.nanoseconds / 1_000_000_000 }

  /// When ``tick(at:into:)`` next has work to do; `nil` means never.
  public var nextDeadline: Instant? { deadlines.first }

  public mutating func tick(at now: Instant, into out: inout [Output]) {
    while let deadline = deadlines.popDue(at: now) {
      switch deadline {
      case .relay(let id):
        guard let (allocation, index) = find(id) else { continue }
        let expires = allocation.relays[index].expires
        if expires > now {
          deadlines.insert(deadline, at: expires)
        } else {
          remove(id, .expired, into: &out)
        }
      case .reservation(let token):
        ledger.withLock { state in
          guard let reservation = state.reservations.removeValue(forKey: token) else { return }
          Self.release(reservation.address, configuration, &state)
          state.leave(reservation.session)
        }
      case .signalled(let session):
        let next = ledger.withLock { state -> Instant? in
          guard let entry = state.signalled[session] else { return nil }
          if entry.expires > now { return entry.expires }
          let isUsed = state.usage[session] != nil
          if isUsed {
            state.signalled[session]?.expires = now + RelayTimes.signalled
          } else {
            state.signalled[session] = nil
          }
          return isUsed ? now + RelayTimes.signalled : nil
        }
        if let next { deadlines.insert(deadline, at: next) }
      case .connection(let id): connectionTimedOut(id, at: now, into: &out)
      }
    }
  }

  // MARK: What the owner commands

  /// The clients of `session` may be relayed to these peers, for ``Configuration/onlySignalledPeers``. Remembered
  /// for ten minutes, and for as long as the session has an allocation.
  public mutating func addSignalledPeers(_ addresses: [IPAddress], session: String, at now: Instant) {
    let limits = configuration
    let isNew = ledger.withLock { state -> Bool in
      let isNew = state.signalled[session] == nil
      guard !isNew || state.signalled.count < limits.maximumSignalledSessions else { return false }
      var entry = state.signalled.removeValue(forKey: session) ?? .init(addresses: [], expires: now)
      for address in addresses where entry.addresses.count < limits.signalledPeersPerSession {
        let address = address.canonical
        if !entry.addresses.contains(address) { entry.addresses.append(address) }
      }
      entry.expires = now + RelayTimes.signalled
      state.signalled[session] = entry
      return isNew
    }
    if isNew { deadlines.insert(.signalled(session), at: now + RelayTimes.signalled) }
  }

  /// Ends everything a session has on the relay.
  public mutating func revoke(session: String, into out: inout [Output]) {
    if ledger.withLock({ $0.signalled.removeValue(forKey: session) }) != nil { abandonDeadline() }
    var ids: [RelayID] = []
    for slot in slots {
      guard let allocation = slot.allocation, allocation.session == session else { continue }
      ids += allocation.relays.map { $0.id }
    }
    for id in ids { remove(id, .revoked, into: &out) }
  }

  /// The stream of a flow is gone, and with it its allocation.
  public mutating func flowClosed(_ flow: ClientFlow, into out: inout [Output]) {
    guard let allocation = allocations[flow] else { return }
    for relay in allocation.relays { remove(relay.id, .disconnected, into: &out) }
  }

  // MARK: What the owner may ask

  public var allocationCount: Int { allocations.count }

  public func hasAllocation(_ flow: ClientFlow) -> Bool { allocations[flow] != nil }

  public var statistics: Statistics {
    var result = counters
    result.allocations = allocations.count
    for slot in slots {
      guard let allocation = slot.allocation else { continue }
      result.permissions += allocation.permissions.count
      result.channels += allocation.channels.count
    }
    return result
  }

  /// Bytes of bookkeeping that grow with use: what a flood must not move.
  public var tableSizes:
    (allocations: Int, slots: Int, deadlines: Int, reservations: Int, sessions: Int, signalled: Int)
  {
    ledger.withLock {
      (allocations.count, slots.count, deadlines.count, $0.reservations.count, $0.usage.count, $0.signalled.count)
    }
  }

  // MARK: Tables

  func find(_ id: RelayID) -> (Allocation, Int)? {
    guard id.index < slots.count, slots[id.index].generation == id.generation,
      let allocation = slots[id.index].allocation,
      let index = allocation.relays.firstIndex(where: { $0.id == id })
    else { return nil }
    return (allocation, index)
  }

  /// Takes a relayed address away, and with the last one the allocation.
  mutating func remove(_ id: RelayID, _ reason: End, into out: inout [Output]) {
    guard let (allocation, index) = find(id) else { return }
    let relay = allocation.relays.remove(at: index)
    slots[id.index].allocation = nil
    slots[id.index].generation &+= 1
    freeSlots.append(id.index)
    relaysByAddress[relay.address] = nil
    let isLast = allocation.relays.isEmpty
    ledger.withLock { state in
      state.owners[relay.address] = nil
      Self.release(relay.address, configuration, &state)
      for port in relay.refusedPorts {
        Self.release(SocketAddress(relay.address.ip, port: port), configuration, &state)
      }
      guard isLast else { return }
      state.leave(allocation.session)
      state.allocations -= 1
    }
    abandonDeadline()
    out.append(.closeRelay(id))
    // RFC 8656 §8.1: what belongs to the other family stays.
    let family = relay.address.ip.family
    allocation.permissions.removeAll { $0.ip.family == family }
    allocation.channels.removeAll { $0.peer.ip.family == family }
    guard allocation.relays.isEmpty else { return }
    if allocation.isTCP { endConnections(of: allocation, into: &out) }
    allocations[allocation.flow] = nil
    lastUsed = nil
    out.append(.event(.ended(session: allocation.session, flow: allocation.flow, reason, allocation.traffic)))
  }

  static func release(_ address: SocketAddress, _ configuration: Configuration, _ state: inout RelayLedger.State) {
    guard let index = configuration.relayAddresses.firstIndex(of: address.ip) else { return }
    state.pools[index].release(address.port)
  }

  private mutating func abandonDeadline() {
    // Exclusive access: the closure looks at the tables while the queue is being changed.
    var queue = deadlines
    deadlines = ExpiryQueue()
    ledger.withLock { state in
      queue.abandonOne { deadline in
        switch deadline {
        case .relay(let id): slots[id.index].generation == id.generation && slots[id.index].allocation != nil
        case .reservation(let token): state.reservations[token] != nil
        case .signalled(let session): state.signalled[session] != nil
        case .connection(let id): connections[id] != nil
        }
      }
    }
    deadlines = queue
  }

  /// A number nobody outside can foresee.
  mutating func unforeseeable() -> UInt64 {
    serial &+= 1
    var writer = ByteWriter(reserving: 17)
    writer.write(UInt8(1))
    writer.write(serial)
    writer.write(UInt64(loop))
    return hashes.hmacSHA256(key, writer.bytes)[..<8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
  }
}
