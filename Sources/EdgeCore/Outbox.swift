/// A UDP datagram a core wants sent.
public struct Datagram: Hashable, Sendable {
  /// The local address to send from; `nil` leaves the choice to the routing table.
  public var source: SocketAddress?
  public var destination: SocketAddress
  public var bytes: [UInt8]
  /// For what must die on the way; `nil` is the system's usual, 1...255 hops.
  public var timeToLive: UInt8?

  public init(
    source: SocketAddress? = nil, destination: SocketAddress, bytes: [UInt8], timeToLive: UInt8? = nil
  ) {
    self.source = source
    self.destination = destination
    self.bytes = bytes
    self.timeToLive = timeToLive
  }
}

/// What a datagram-based core produced: complete when the call that filled it returns.
public struct Outbox<Event> {
  public var datagrams: [Datagram] = []
  public var events: [Event] = []

  public init() {}

  public var isEmpty: Bool { datagrams.isEmpty && events.isEmpty }

  public mutating func removeAll() {
    datagrams.removeAll(keepingCapacity: true)
    events.removeAll(keepingCapacity: true)
  }
}
