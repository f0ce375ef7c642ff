import EdgeCore
import LinuxIO
import STUN
import SecureTransport

/// A UDP flow to the server: SIP datagrams, and STUN Binding requests as its heartbeat on the same
/// socket (RFC 5626 §4.4.2).
final class DatagramFlow {
  var onDatagram: ((_ bytes: RawSpan) -> Void)?
  var onEvent: ((BindingClient<SystemRandom>.Event) -> Void)?
  /// Between an answer and the next request, less up to 20 % (RFC 5626 §4.4).
  var interval: Duration {
    didSet {
      if interval != oldValue, nextRequest != nil { rest() }
    }
  }

  private let reactor: Reactor
  private let server: SocketAddress
  private let socket: UDPSocket
  private var heartbeat: BindingClient<SystemRandom>
  private var outbox = Outbox<BindingClient<SystemRandom>.Event>()
  private var timer: Reactor.TimerToken?
  private var nextRequest: Reactor.TimerToken?
  private var opening: Reactor.TimerToken?
  private var isClosed = false

  init(reactor: Reactor, server: SocketAddress, interval: Duration) throws(SystemError) {
    self.reactor = reactor
    self.server = server
    self.interval = interval
    socket = try UDPSocket(
      reactor: reactor, bind: SocketAddress(server.ip.isV4 ? .anyV4 : .anyV6, port: 0))
    var timing = ClientTransaction.Timing()
    // Sent after 0, 0.5, 1.5 and 3.5 s, and dead after 10 s of silence, as on a stream (RFC 5626 §4.4.1), not
    // after RFC 8489's 39.5 s.
    timing.maxSends = 4
    timing.finalWaitFactor = 13
    heartbeat = BindingClient(.init(server: server, timing: timing), random: SystemRandom())
    socket.onDatagram = { [self] bytes, source, _ in receive(bytes, source) }
  }

  /// `limit`: how long the first answer may take.
  func start(within limit: Duration) {
    opening = reactor.schedule(after: limit) { [self] in
      opening = nil
      heartbeat.stop()
      onEvent?(.failed(.silent))
    }
    heartbeat.start(at: reactor.now, into: &outbox)
    carryOut()
  }

  /// Asks now whether the server still answers, and still sees the same address.
  func doubt() {
    guard let waiting = nextRequest else { return }
    reactor.cancel(waiting)
    nextRequest = nil
    heartbeat.start(at: reactor.now, into: &outbox)
    carryOut()
  }

  func send(_ bytes: [UInt8]) { socket.send(Datagram(destination: server, bytes: bytes)) }

  func close() {
    isClosed = true
    for token in [timer, nextRequest, opening] {
      if let token { reactor.cancel(token) }
    }
    timer = nil
    nextRequest = nil
    opening = nil
    onDatagram = nil
    onEvent = nil
    socket.onDatagram = nil
    socket.close()
  }

  private func receive(_ bytes: RawSpan, _ source: SocketAddress) {
    // Only the server speaks on this flow.
    guard source == server else { return }
    if heartbeat.receive(bytes, from: source, at: reactor.now, into: &outbox) {
      carryOut()
    } else {
      onDatagram?(bytes)
    }
  }

  private func rest() {
    if let nextRequest { reactor.cancel(nextRequest) }
    var random = SystemRandom()
    let whole = max(interval, .seconds(1)).wholeNanoseconds
    let wait = Duration.nanoseconds(Int64.random(in: whole / 5 * 4...whole, using: &random))
    nextRequest = reactor.schedule(after: wait) { [self] in
      nextRequest = nil
      heartbeat.start(at: reactor.now, into: &outbox)
      carryOut()
    }
  }

  private func carryOut() {
    for datagram in outbox.datagrams { socket.send(datagram) }
    let events = outbox.events
    outbox.removeAll()
    if let timer { reactor.cancel(timer) }
    timer = heartbeat.nextDeadline.map { deadline in
      reactor.schedule(at: deadline) { [self] in
        timer = nil
        heartbeat.tick(at: reactor.now, into: &outbox)
        carryOut()
      }
    }
    for event in events {
      if let opening { reactor.cancel(opening) }
      opening = nil
      switch event {
      case .mapped, .alive: rest()
      case .changed, .failed: break
      }
      onEvent?(event)
      // Whoever heard of it may have closed the flow.
      if isClosed { return }
    }
  }
}
