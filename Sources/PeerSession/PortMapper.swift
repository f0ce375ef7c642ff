public import EdgeCore
public import LinuxIO
internal import PortMapping
internal import SecureTransport

/// Lets ports of this machine be reached from outside, where the router in front of it maps ports on request: one for
/// all sessions of a process. A machine with a public address, or without a router, asks nobody.
public final class PortMapper {
  private let reactor: Reactor
  private var client: PortMapClient<SystemRandom>?
  private var route: DefaultRoute?
  private var socket: UDPSocket?
  private var timer: (at: Instant, token: Reactor.TimerToken)?
  private var handlers: [(port: UInt16, tell: (SocketAddress?) -> Void)] = []

  /// When everything is given back, how long the router has to hear of it.
  private static let closeLimit = Duration.seconds(1)

  public init(reactor: Reactor) { self.reactor = reactor }

  /// The way to the router that was last asked.
  public var ownAddress: IPAddress? { route?.ownAddress }

  /// Wants `port` mapped until ``unmap(_:)``. `tell` is called when it is, when that changes, and with `nil` when it
  /// cannot be had or is had no longer; never before this returns.
  func map(_ port: UInt16, tell: @escaping (SocketAddress?) -> Void) {
    handlers.removeAll { $0.port == port }
    handlers.append((port, tell))
    guard open() else {
      reactor.enqueue(.signalling) { tell(nil) }
      return
    }
    reactor.enqueue(.signalling) { [self] in
      guard handlers.contains(where: { $0.port == port }) else { return }
      perform { $0.map(port: port, at: $1, into: &$2) }
    }
  }

  /// Gives the mapping back.
  func unmap(_ port: UInt16) {
    guard handlers.contains(where: { $0.port == port }) else { return }
    handlers.removeAll { $0.port == port }
    perform { $0.unmap(port: port, at: $1, into: &$2) }
    guard handlers.isEmpty else { return }
    _ = reactor.schedule(after: Self.closeLimit) { [self] in if handlers.isEmpty { close() } }
  }

  // MARK: Inside

  /// Another network has another router, which knows of nothing.
  private func open() -> Bool {
    let now = DefaultRoute.current()
    if let now, now == route, socket != nil { return true }
    close()
    guard let now, now.ownAddress.isPrivate,
      let socket = try? UDPSocket(reactor: reactor, bind: SocketAddress(now.ownAddress, port: 0))
    else { return false }
    route = now
    self.socket = socket
    client = PortMapClient(
      .init(router: now.router, client: now.ownAddress), random: SystemRandom())
    socket.onDatagram = { [self] bytes, source, _ in
      var out = Outbox<PortMapClient<SystemRandom>.Event>()
      client?.receive(bytes, from: source, at: reactor.now, into: &out)
      apply(out)
    }
    return true
  }

  private func close() {
    if let timer { reactor.cancel(timer.token) }
    timer = nil
    socket?.close()
    socket = nil
    client = nil
    route = nil
  }

  private func perform(
    _ body: (
      inout PortMapClient<SystemRandom>, Instant, inout Outbox<PortMapClient<SystemRandom>.Event>
    ) -> Void
  ) {
    guard client != nil else { return }
    var out = Outbox<PortMapClient<SystemRandom>.Event>()
    body(&client!, reactor.now, &out)
    apply(out)
  }

  private func apply(_ out: Outbox<PortMapClient<SystemRandom>.Event>) {
    for datagram in out.datagrams {
      socket?.send(Datagram(destination: datagram.destination, bytes: datagram.bytes))
    }
    for event in out.events {
      switch event {
      case .mapped(let port, let external): handlers.first { $0.port == port }?.tell(external)
      case .unmapped(let port, _): handlers.first { $0.port == port }?.tell(nil)
      }
    }
    arm()
  }

  private func arm() {
    guard let deadline = client?.nextDeadline else { return }
    if let timer {
      guard deadline < timer.at else { return }
      reactor.cancel(timer.token)
    }
    let token = reactor.schedule(at: deadline) { [self] in
      timer = nil
      perform { $0.tick(at: $1, into: &$2) }
    }
    timer = (deadline, token)
  }
}
