public import EdgeCore
public import LinuxIO
public import NATDiscovery
import SecureTransport

/// Runs one ``NATDiscovery`` against two sockets. The reactor keeps it alive until the report is there.
public final class NATProbe {
  /// What follows the STUN port by convention: where an edge-rendezvous listens for these questions.
  public static let standardPort: UInt16 = 3479

  private let reactor: Reactor
  private var core: NATDiscovery<SystemRandom>
  private var mapping: UDPSocket?
  private var filtering: UDPSocket?
  private var timer: Reactor.TimerToken?
  private var completion: ((NATReport) -> Void)?

  /// Asks `server`, and `plainServer` for the address alone. `completion` is called once, in about two seconds; not
  /// after ``cancel()``.
  @discardableResult
  public static func start(
    reactor: Reactor, server: SocketAddress, plainServer: SocketAddress?, completion: @escaping (NATReport) -> Void
  ) -> NATProbe {
    let probe = NATProbe(reactor, server, plainServer, completion)
    probe.begin(server)
    return probe
  }

  private init(
    _ reactor: Reactor, _ server: SocketAddress, _ plainServer: SocketAddress?,
    _ completion: @escaping (NATReport) -> Void
  ) {
    self.reactor = reactor
    self.completion = completion
    core = NATDiscovery(.init(server: server, plainServer: plainServer), random: SystemRandom())
  }

  public func cancel() {
    completion = nil
    close()
  }

  private func begin(_ server: SocketAddress) {
    let any = SocketAddress(server.ip.isV4 ? .anyV4 : .anyV6, port: 0)
    mapping = try? UDPSocket(reactor: reactor, bind: any)
    filtering = try? UDPSocket(reactor: reactor, bind: any)
    mapping?.onDatagram = { [self] bytes, from, to in receive(bytes, from, to, .mapping) }
    filtering?.onDatagram = { [self] bytes, from, to in receive(bytes, from, to, .filtering) }
    var out = NATDiscovery<SystemRandom>.Output()
    core.start(at: reactor.now, into: &out)
    carryOut(out)
  }

  private func receive(
    _ bytes: RawSpan, _ source: SocketAddress, _ local: SocketAddress, _ lane: NATDiscovery<SystemRandom>.Lane
  ) {
    var out = NATDiscovery<SystemRandom>.Output()
    core.receive(bytes, from: source, to: local, on: lane, at: reactor.now, into: &out)
    carryOut(out)
  }

  private func carryOut(_ out: NATDiscovery<SystemRandom>.Output) {
    for send in out.sends { (send.lane == .mapping ? mapping : filtering)?.send(send.datagram) }
    if let timer { reactor.cancel(timer) }
    timer = core.nextDeadline.map { deadline in
      reactor.schedule(at: deadline) { [self] in
        timer = nil
        var out = NATDiscovery<SystemRandom>.Output()
        core.tick(at: reactor.now, into: &out)
        carryOut(out)
      }
    }
    guard let report = out.report, let completion else { return }
    self.completion = nil
    close()
    // Later: the caller has not kept the probe yet when there was no socket.
    reactor.enqueue(.bulk) { completion(report) }
  }

  private func close() {
    if let timer { reactor.cancel(timer) }
    timer = nil
    mapping?.close()
    filtering?.close()
    mapping = nil
    filtering = nil
  }
}
