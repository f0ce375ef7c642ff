public import EdgeCore

/// Asks the router in front of this machine to let one UDP port or several be reached from outside, over PCP (RFC 6887),
/// or NAT-PMP (RFC 6886) where the router speaks no better.
///
/// One client, one router. The owner sends the datagrams of the outbox from its own address to the router's, hands in
/// what comes from there and nothing else, and calls ``tick(at:into:)`` no later than ``nextDeadline``.
///
///     unknown ──answer of PCP──▶ pcp        every port: asking ──▶ mapped ──half its life──▶ asking …
///        │  └──"version 0"─────▶ natPMP                    └────▶ refused ──in a while─────▶ asking …
///        └──no answer──────────▶ silent (asked again when something is wanted, and a while has passed)
///
/// A router that has restarted has forgotten its mappings; its clock (RFC 6887 §8.5) tells, and all are asked for again.
public struct PortMapClient<Random: RandomNumberGenerator>: ~Copyable {
  public struct Configuration: Hashable, Sendable {
    public var router: IPAddress
    /// This machine's address on the way to it.
    public var client: IPAddress
    /// What is asked for, in seconds. Short, so that what a crash leaves behind is soon gone.
    public var lifetime: UInt32 = 900
    /// The first wait for an answer; each is twice the one before. RFC 6886 §3.1 has 250 ms; RFC 6887 §8.1.1 has 3 s
    /// for routers that may be far away, which one that answers at all to a home is not.
    public var firstWait: Duration = .milliseconds(250)
    public var sends = 4
    /// After silence or a refusal, at the least.
    public var retry: Duration = .seconds(300)
    public var maximumPorts = 64

    public init(router: IPAddress, client: IPAddress) {
      self.router = router
      self.client = client
    }
  }

  public enum Event: Hashable, Sendable {
    /// Whoever sends to `external` reaches `port` here. Comes again when it has changed.
    case mapped(port: UInt16, external: SocketAddress)
    /// There is no mapping, or none any more. `nil`: the router does not answer.
    case unmapped(port: UInt16, PortMapRefusal?)
  }

  public enum Dialect: Hashable, Sendable { case unknown, pcp, natPMP, silent }

  struct Mapping {
    let port: UInt16
    /// RFC 6887 §11.2: the same for as long as the mapping is wanted.
    let nonce: [UInt8]
    var external: SocketAddress?
    var suggested: SocketAddress?
    var expires: Instant?
    /// When it is asked for next, and how often it was without an answer.
    var due: Instant
    var sends = 0
    var isBeingDeleted = false
  }

  public let configuration: Configuration
  /// What the router speaks, as far as known.
  public private(set) var dialect = Dialect.unknown

  private var random: Random
  private var mappings: [Mapping] = []
  /// NAT-PMP: the router's own address.
  private var address: IPAddress?
  private var silentUntil = Instant.zero
  /// RFC 6887 §8.5: the router's clock and ours, at its last answer.
  private var epoch: (router: UInt32, here: Instant)?

  public init(_ configuration: Configuration, random: Random) {
    self.configuration = configuration
    self.random = random
  }

  // MARK: Commands

  /// Wants `port` mapped until ``unmap(port:at:into:)``. One that is mapped already is told of again.
  public mutating func map(port: UInt16, at now: Instant, into out: inout Outbox<Event>) {
    if let index = mappings.firstIndex(where: { $0.port == port && !$0.isBeingDeleted }) {
      if let external = mappings[index].external { out.events.append(.mapped(port: port, external: external)) }
      return
    }
    mappings.removeAll { $0.port == port }
    guard port != 0, mappings.count < configuration.maximumPorts else {
      out.events.append(.unmapped(port: port, .noResources))
      return
    }
    if dialect == .silent {
      guard now >= silentUntil else {
        out.events.append(.unmapped(port: port, nil))
        return
      }
      dialect = .unknown
    }
    mappings.append(Mapping(port: port, nonce: random.bytes(12), due: now))
    tick(at: now, into: &out)
  }

  /// Gives the mapping back.
  public mutating func unmap(port: UInt16, at now: Instant, into out: inout Outbox<Event>) {
    guard let index = mappings.firstIndex(where: { $0.port == port && !$0.isBeingDeleted }) else { return }
    guard mappings[index].external != nil || mappings[index].sends > 0 else {
      mappings.remove(at: index)
      return
    }
    mappings[index].isBeingDeleted = true
    mappings[index].sends = 0
    mappings[index].due = now
    tick(at: now, into: &out)
  }

  // MARK: Network and time

  /// Takes a datagram that came from the router.
  public mutating func receive(
    _ bytes: RawSpan, from source: SocketAddress, at now: Instant, into out: inout Outbox<Event>
  ) {
    guard source == SocketAddress(configuration.router, port: PortMapMessage.port) else { return }
    let answer: PortMapMessage.Answer?
    if dialect == .natPMP {
      answer = PortMapMessage.parsePMP(bytes)
    } else {
      let known = mappings
      answer = PortMapMessage.parsePCP(bytes) { port in known.first { $0.port == port }?.nonce }
    }
    switch answer {
    case .olderProtocol:
      guard dialect == .unknown else { return }
      dialect = .natPMP
      for index in mappings.indices {
        mappings[index].sends = 0
        mappings[index].due = now
      }
    case .mapped(let port, let external, let lifetime, let routerClock):
      dialect = .pcp
      noteEpoch(routerClock, at: now)
      settle(port, external, lifetime, at: now, into: &out)
    case .address(let ip, let routerClock):
      noteEpoch(routerClock, at: now)
      address = ip
    case .mappedPort(let port, let externalPort, let lifetime, let routerClock):
      noteEpoch(routerClock, at: now)
      // Without the address yet the port is asked for again, a moment later.
      guard let address else { return }
      settle(port, SocketAddress(address, port: externalPort), lifetime, at: now, into: &out)
    case .refused(let why, let port, let lifetime):
      if dialect == .unknown { dialect = .pcp }
      for mapping in mappings where port == nil || mapping.port == port {
        refuse(mapping.port, why, lifetime, at: now, into: &out)
      }
    case nil: return
    }
    tick(at: now, into: &out)
  }

  public mutating func tick(at now: Instant, into out: inout Outbox<Event>) {
    var isAddressAsked = false
    var index = 0
    while index < mappings.count {
      if let expires = mappings[index].expires, now >= expires {
        mappings[index].expires = nil
        mappings[index].external = nil
        out.events.append(.unmapped(port: mappings[index].port, nil))
      }
      guard now >= mappings[index].due else {
        index += 1
        continue
      }
      if mappings[index].sends >= configuration.sends {
        if giveUp(index, at: now, into: &out) { continue }
      } else {
        if dialect == .natPMP, address == nil, !isAddressAsked {
          isAddressAsked = true
          send(PortMapMessage.pmpAddress, into: &out)
        }
        ask(index, at: now, into: &out)
      }
      index += 1
    }
  }

  /// When ``tick(at:into:)`` next has work to do; `nil` means never.
  public var nextDeadline: Instant? {
    var deadline: Instant?
    for mapping in mappings {
      deadline = Instant.earliest(deadline, mapping.due)
      deadline = Instant.earliest(deadline, mapping.expires)
    }
    return deadline
  }

  public func external(of port: UInt16) -> SocketAddress? {
    mappings.first { $0.port == port && !$0.isBeingDeleted }?.external
  }

  // MARK: Inside

  private func send(_ bytes: [UInt8], into out: inout Outbox<Event>) {
    out.datagrams.append(
      Datagram(
        source: SocketAddress(configuration.client, port: 0),
        destination: SocketAddress(configuration.router, port: PortMapMessage.port), bytes: bytes))
  }

  private mutating func ask(_ index: Int, at now: Instant, into out: inout Outbox<Event>) {
    let mapping = mappings[index]
    let lifetime = mapping.isBeingDeleted ? 0 : configuration.lifetime
    let suggested = mapping.external ?? mapping.suggested
    if dialect == .natPMP {
      let port = suggested?.port ?? mapping.port
      send(
        PortMapMessage.pmpMap(internalPort: mapping.port, suggestedPort: port, lifetime: lifetime), into: &out)
    } else {
      let wanted = suggested ?? SocketAddress(.anyV4, port: mapping.port)
      send(
        PortMapMessage.pcpMap(
          nonce: mapping.nonce, client: configuration.client, internalPort: mapping.port, suggested: wanted,
          lifetime: lifetime), into: &out)
    }
    mappings[index].due = now + configuration.firstWait * (1 << mapping.sends)
    mappings[index].sends += 1
  }

  /// No answer. Whether the mapping is no more; one that stands is asked for again while it lasts.
  private mutating func giveUp(_ index: Int, at now: Instant, into out: inout Outbox<Event>) -> Bool {
    if mappings[index].external != nil, !mappings[index].isBeingDeleted {
      mappings[index].sends = 0
      mappings[index].due = now + .seconds(Int64(configuration.lifetime / 8))
      return false
    }
    let mapping = mappings.remove(at: index)
    if dialect == .unknown || dialect == .silent {
      // Never heard at all: it does not speak of ports.
      dialect = .silent
      silentUntil = now + configuration.retry
    }
    if !mapping.isBeingDeleted { out.events.append(.unmapped(port: mapping.port, nil)) }
    return true
  }

  private mutating func settle(
    _ port: UInt16, _ external: SocketAddress, _ lifetime: UInt32, at now: Instant, into out: inout Outbox<Event>
  ) {
    guard let index = mappings.firstIndex(where: { $0.port == port }) else { return }
    if mappings[index].isBeingDeleted {
      // The answer to the request before it may have been under way.
      if lifetime == 0 { mappings.remove(at: index) }
      return
    }
    // A router may be broken, or somebody in its place: what no peer could send to is no mapping.
    guard lifetime > 0, external.port != 0, external.ip.isV4, !external.ip.isUnspecified, !external.ip.isLoopback,
      !external.ip.isMulticast, !external.ip.isLinkLocal
    else { return refuse(port, .failed(0), 0, at: now, into: &out) }
    // RFC 6887 §15: no longer than a day, whatever the router says.
    let life = Duration.seconds(Int64(min(lifetime, 86_400)))
    let isNews = mappings[index].external != external
    mappings[index].external = external
    mappings[index].suggested = external
    mappings[index].expires = now + life
    mappings[index].sends = 0
    // RFC 6887 §11.2.1: between a half and five eighths of the lifetime, and not more often than each four seconds.
    let eighths = life.wholeNanoseconds / 8
    let wait = Int64.random(in: (eighths * 4)...(eighths * 5), using: &random)
    mappings[index].due = now + max(.seconds(4), .nanoseconds(wait))
    if isNews { out.events.append(.mapped(port: port, external: external)) }
  }

  private mutating func refuse(
    _ port: UInt16, _ why: PortMapRefusal, _ lifetime: UInt32, at now: Instant, into out: inout Outbox<Event>
  ) {
    guard let index = mappings.firstIndex(where: { $0.port == port }) else { return }
    if mappings[index].isBeingDeleted {
      mappings.remove(at: index)
      return
    }
    mappings[index].sends = 0
    mappings[index].external = nil
    mappings[index].expires = nil
    // RFC 6887 §7.4: the lifetime of an error is how long not to ask again; half an hour of it is believed.
    mappings[index].due = now + max(configuration.retry, .seconds(Int64(min(lifetime, 1800))))
    out.events.append(.unmapped(port: port, why))
  }

  /// RFC 6887 §8.5: whether the router's clock has gone as ours has. If not it has lost its state.
  private mutating func noteEpoch(_ routerClock: UInt32, at now: Instant) {
    defer { epoch = (routerClock, now) }
    guard let epoch else { return }
    let here = (now - epoch.here).components.seconds
    let there = Int64(routerClock) - Int64(epoch.router)
    let isBehind = there < -1 || here + 2 < there - there / 16 || there + 2 < here - here / 16
    guard isBehind else { return }
    address = nil
    for index in mappings.indices where !mappings[index].isBeingDeleted {
      mappings[index].sends = 0
      mappings[index].due = now
    }
  }
}
