public import EdgeCore

/// A virtual internet: hosts, NATs, latency and loss, all a function of the seed.
///
/// It moves datagrams and nothing else. The test owns the cores at its hosts and the clock: it sends
/// what a core put into its outbox, steps to ``nextArrival`` or to a core's deadline, whichever is
/// first, and hands arrivals to the core.
public struct SimNet {
  public struct Host: Hashable, Sendable { fileprivate let index: Int }
  public struct Router: Hashable, Sendable { fileprivate let index: Int }

  /// A datagram that reached a host.
  public struct Arrival: Sendable {
    public let host: Host
    public let bytes: [UInt8]
    /// As the receiver sees it.
    public let source: SocketAddress
    public let destination: SocketAddress
    public let time: Instant
  }

  private struct HostState {
    var addresses: [IPAddress]
    let router: Int?
  }

  private struct Flight {
    let due: Instant
    let serial: Int
    let bytes: [UInt8]
    let source: SocketAddress
    let destination: SocketAddress
    /// Behind which NAT the packet is now, `nil` for the open internet.
    let place: Int?
  }

  /// One way, before jitter.
  public var latency: Duration
  /// Added at random up to this.
  public var jitter: Duration
  public var lossPercent: Int
  /// Bytes changed at random in this share of the packets that arrive.
  public var corruptionPercent = 0
  /// Packets from and to these are spared that.
  public var incorruptible: Set<IPAddress> = []

  public private(set) var sent = 0
  public private(set) var lost = 0

  private var random: SeededRandom
  private var hosts: [HostState] = []
  private var nats: [NAT] = []
  /// Latest first, so that the next arrival is popped from the end.
  private var flights: [Flight] = []
  private var serial = 0

  public init(
    seed: UInt64, lossPercent: Int = 0, latency: Duration = .milliseconds(20), jitter: Duration = .milliseconds(2)
  ) {
    random = SeededRandom(seed: seed)
    self.lossPercent = lossPercent
    self.latency = latency
    self.jitter = jitter
  }

  public mutating func addNAT(_ behaviour: NATBehaviour, outside: IPAddress, behind parent: Router? = nil) -> Router {
    let firstPort = UInt16(20000 + random.next() % 40000)
    nats.append(NAT(behaviour, outside: outside, parent: parent?.index, firstPort: firstPort))
    return Router(index: nats.count - 1)
  }

  public mutating func addHost(_ addresses: IPAddress..., behind router: Router? = nil) -> Host {
    hosts.append(HostState(addresses: addresses, router: router?.index))
    return Host(index: hosts.count - 1)
  }

  /// The NAT was restarted: every mapping is gone.
  public mutating func rebind(_ router: Router) { nats[router.index].forget() }

  /// Gives a host other addresses, as a change of network does.
  public mutating func move(_ host: Host, to addresses: IPAddress...) { hosts[host.index].addresses = addresses }

  public mutating func send(_ datagram: Datagram, from host: Host, at now: Instant) {
    sent += 1
    let source = datagram.source ?? SocketAddress(hosts[host.index].addresses[0], port: 1)
    guard hosts[host.index].addresses.contains(source.ip) else { return }
    route(datagram.bytes, source, datagram.destination, behind: hosts[host.index].router, at: now)
  }

  /// The way outwards is taken at once; the way inwards when the packet arrives, with the filters of then.
  private mutating func route(
    _ bytes: [UInt8], _ source: SocketAddress, _ destination: SocketAddress, behind start: Int?, at now: Instant
  ) {
    var place = start
    var source = source
    while let nat = place {
      if isLocal(destination.ip, behind: nat) { break }
      source = nats[nat].outward(from: source, to: destination, at: now)
      if destination.ip == nats[nat].outside {
        guard nats[nat].behaviour.hairpins else { return }
        // RFC 4787 §6 REQ-9a: the packet comes back in with its outside source.
        place = nats[nat].parent
        break
      }
      place = nats[nat].parent
    }
    if Int(random.next() % 100) < lossPercent {
      lost += 1
      return
    }
    serial += 1
    let extra = jitter.wholeNanoseconds > 0 ? Int64(random.next() % UInt64(jitter.wholeNanoseconds)) : 0
    let flight = Flight(
      due: now + latency + .nanoseconds(extra), serial: serial, bytes: bytes, source: source,
      destination: destination, place: place)
    let position = flights.lastIndex { $0.due > flight.due } ?? -1
    flights.insert(flight, at: position + 1)
  }

  private func isLocal(_ address: IPAddress, behind nat: Int?) -> Bool {
    hosts.contains { $0.router == nat && $0.addresses.contains(address) }
      || nats.indices.contains { nats[$0].parent == nat && nats[$0].outside == address && nat != nil }
  }

  public var nextArrival: Instant? { flights.last?.due }

  /// The next datagram that has reached a host by `now`; what a NAT filters is gone.
  public mutating func receive(at now: Instant) -> Arrival? {
    while let flight = flights.last, flight.due <= now {
      flights.removeLast()
      if let arrival = deliver(flight) { return arrival }
    }
    return nil
  }

  private mutating func deliver(_ flight: Flight) -> Arrival? {
    var destination = flight.destination
    var place = flight.place
    while true {
      if let host = hosts.firstIndex(where: { $0.router == place && $0.addresses.contains(destination.ip) }) {
        return Arrival(
          host: Host(index: host), bytes: corrupted(flight), source: flight.source, destination: destination,
          time: flight.due)
      }
      guard let nat = nats.firstIndex(where: { $0.parent == place && $0.outside == destination.ip }),
        let inside = nats[nat].inward(to: destination.port, from: flight.source, at: flight.due)
      else { return nil }
      destination = inside
      place = nat
    }
  }

  private mutating func corrupted(_ flight: Flight) -> [UInt8] {
    let bytes = flight.bytes
    guard corruptionPercent > 0, !bytes.isEmpty, !incorruptible.contains(flight.source.ip),
      !incorruptible.contains(flight.destination.ip), Int(random.next() % 100) < corruptionPercent
    else { return bytes }
    var changed = bytes
    for _ in 0...Int(random.next() % 3) {
      changed[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
    }
    return changed
  }
}
