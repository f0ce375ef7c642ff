import EdgeCore
import LinuxIO
import SecureTransport
import TURN

/// What is said to a loop of the relay from another thread.
enum RelayMessage: Sendable {
  /// A client of another loop sends to a relayed address of this one.
  case datagram([UInt8], from: SocketAddress, to: SocketAddress)
  case tellStatistics(WorkQueue<TURNServer.Statistics>)
  case stop
}

/// One loop's share of the relay: its clients' UDP sockets, their relayed addresses, and the core. Decides nothing.
///
///     client ─▶ DatagramPort ─▶ TURNServer ─▶ relayed DatagramPort ─▶ peer
///     client ◀─ the same     ◀─ TURNServer ◀─ relayed DatagramPort ◀─ peer
///
/// The kernel gives each client to one loop (SO_REUSEPORT), and what belongs to it stays there: a relayed packet meets
/// no lock. A loop is made on the thread of the process and handed to its own by ``run()``; then that one has it alone.
final class RelayLoop: @unchecked Sendable {
  let reactor: Reactor
  let number: Int
  /// What belongs to streams, on the loop that has them.
  var streams: RelayStreams?
  var connections: RelayConnections?
  /// All loops, this one included.
  var siblings: [Mailbox<RelayMessage>] = []
  private(set) var mailbox: Mailbox<RelayMessage>!
  private let log: Log
  private let network: RelayNetwork
  private let pump: DatagramPump
  private var server: TURNServer
  private var listeners: [DatagramPort] = []
  /// By ``RelayID/index``.
  private var relays: [Relay?] = []
  private var timer: (at: Instant, token: Reactor.TimerToken)?
  private var clock: Reactor.TimerToken?
  private var isClosed = false
  // Buffers of every packet: what comes in is done with before the next one is.
  private var header: [UInt8] = []
  private var outputs: [TURNServer.Output] = []

  private final class Relay {
    let id: RelayID
    let port: DatagramPort
    var toPeers = DatagramPump.Lane()
    var toClient = DatagramPump.Lane()

    init(_ id: RelayID, _ port: DatagramPort) {
      self.id = id
      self.port = port
    }
  }

  /// Datagrams between loops that wait; more are lost, as in a full queue of a router.
  private static let mailboxCapacity = 4096
  private static let bufferBytes = 4 << 20
  /// Of a relayed address: a whole picture's burst. Taken only while datagrams wait.
  private static let relayedBufferBytes = 1 << 20

  /// `coalescing` is for a loop with a thread of its own.
  init(
    _ number: Int, reactor: Reactor, server: consuming TURNServer, network: RelayNetwork, log: Log,
    coalescing: DatagramPump.Coalescing?
  ) throws(SystemError) {
    self.number = number
    self.reactor = reactor
    self.server = server
    self.network = network
    self.log = log
    pump = DatagramPump(reactor: reactor, coalescing: coalescing)
    mailbox = try Mailbox(reactor: reactor, capacity: Self.mailboxCapacity) { [unowned self] in receive($0) }
    pump.onDatagram = { [unowned self] port, bytes, from, to in
      if port.tag < 0 {
        receive(bytes, on: ClientFlow(.udp, link: port.tag, client: from, server: to), isKept: true)
      } else if let relay = relays[port.tag] {
        receivePeer(bytes, from: from, on: relay)
      }
    }
    pump.onUnreachable = { [unowned self] port, error in
      guard port.tag >= 0, let relay = relays[port.tag] else { return }
      self.server.receiveICMP(
        type: error.type, code: error.code, data: error.mtu, about: error.destination, on: relay.id, at: reactor.now,
        into: &outputs)
      carryOut()
    }
    watchClock()
  }

  var statistics: TURNServer.Statistics { server.statistics }

  /// On a thread of its own, until told to stop.
  func run() {
    do throws(SystemError) { try reactor.run() } catch { log.error("relay-loop", ("error", "\(error)")) }
    close()
  }

  func close() {
    guard !isClosed else { return }
    isClosed = true
    mailbox.close()
    for port in listeners { port.close() }
    connections?.close()
    connections = nil
    streams = nil
    for relay in relays { relay?.port.close() }
    relays = []
    pump.close()
    if let timer { reactor.cancel(timer.token) }
    if let clock { reactor.cancel(clock) }
  }

  private func watchClock() {
    clock = reactor.schedule(after: .seconds(30)) { [unowned self] in
      server.setUnixTime(reactor.wallClockSeconds, at: reactor.now)
      watchClock()
    }
  }

  func addPeers(_ addresses: [IPAddress], session: String) {
    server.addSignalledPeers(addresses, session: session, at: reactor.now)
    wake()
  }

  /// Serves a UDP address; returns it, with the port the kernel chose when 0 was asked for.
  func serve(_ address: SocketAddress, isShared: Bool) throws(SystemError) -> SocketAddress {
    var options = DatagramPort.Options()
    options.receiveBufferBytes = Self.bufferBytes
    options.sendBufferBytes = Self.bufferBytes
    options.sharesAddress = isShared
    options.hasManyPeers = true
    let port = try DatagramPort(pump, bind: address, tag: -1 - listeners.count, options: options)
    listeners.append(port)
    return port.localAddress
  }

  private func receive(_ message: RelayMessage) {
    switch message {
    case .datagram(let bytes, let from, let to):
      let transmission = server.receiveSibling(
        byteCount: bytes.count, from: from, to: to, at: reactor.now, header: &header)
      let span = bytes.span
      transmit(transmission, span.bytes, from: nil, isKept: false)
    case .tellStatistics(let queue): _ = queue.push(server.statistics)
    case .stop: reactor.stop()
    }
  }

  // MARK: Streams

  func hasAllocation(_ flow: ClientFlow) -> Bool { server.hasAllocation(flow) }

  func receive(_ frame: RawSpan, on flow: ClientFlow) { receive(frame, on: flow, isKept: false) }

  func flowClosed(_ flow: ClientFlow) {
    server.flowClosed(flow, into: &outputs)
    carryOut()
  }

  // MARK: Connections of peers

  func peerAccepted(from peer: SocketAddress, on relay: RelayID) -> TURNServer.ConnectionID? {
    let id = server.peerAccepted(from: peer, on: relay, at: reactor.now, into: &outputs)
    carryOut()
    return id
  }

  func peerConnected(_ id: TURNServer.ConnectionID) {
    server.peerConnected(id, at: reactor.now, into: &outputs)
    carryOut()
  }

  func connectionEnded(_ id: TURNServer.ConnectionID) {
    server.connectionEnded(id, into: &outputs)
    carryOut()
  }

  func carried(_ id: TURNServer.ConnectionID, toPeer: Int, toClient: Int) -> Bool {
    server.carried(id, toPeer: toPeer, toClient: toClient)
  }

  // MARK: Packets

  /// `isKept`: the bytes stay where they are until the pump has sent them.
  private func receive(_ bytes: RawSpan, on flow: ClientFlow, isKept: Bool) {
    let transmission = server.receive(bytes, on: flow, at: reactor.now, header: &header, into: &outputs)
    transmit(transmission, bytes, from: nil, isKept: isKept)
    if !outputs.isEmpty { carryOut() }
  }

  private func receivePeer(_ bytes: RawSpan, from peer: SocketAddress, on relay: Relay) {
    let transmission = server.receivePeer(
      byteCount: bytes.byteCount, from: peer, on: relay.id, at: reactor.now, header: &header)
    transmit(transmission, bytes, from: relay, isKept: true)
  }

  private func transmit(_ transmission: TURNServer.Transmission, _ bytes: RawSpan, from relay: Relay?, isKept: Bool) {
    switch transmission {
    case .none: break
    case .toPeer(let id, let peer, let payload):
      guard id.index < relays.count, let relay = relays[id.index], relay.id == id else { return }
      // Whatever keeps it from leaving is loss, and harms no other peer.
      if isKept {
        pump.forward(
          bytes.extracting(payload), header: [], padding: 0, over: relay.port, to: peer, lane: &relay.toPeers)
      } else {
        pump.send([UInt8](copying: bytes.extracting(payload)), over: relay.port, to: peer)
      }
    case .toClient(let flow, let payload, let padding):
      guard isKept, !flow.transport.isStream else {
        var frame = header
        bytes.extracting(payload).withUnsafeBytes { frame.append(contentsOf: $0) }
        for _ in 0..<padding { frame.append(0) }
        if flow.transport.isStream { streams?.deliver(frame, on: flow) } else { send(frame, on: flow) }
        return
      }
      var stray = DatagramPump.Lane()
      let port = listeners[-1 - flow.link]
      if let relay {
        pump.forward(
          bytes.extracting(payload), header: header, padding: padding, over: port, to: flow.client,
          from: flow.server.ip, lane: &relay.toClient)
      } else {
        pump.forward(
          bytes.extracting(payload), header: header, padding: padding, over: port, to: flow.client,
          from: flow.server.ip, lane: &stray)
      }
    case .toLoop(let number, let from, let to, let payload):
      guard number < siblings.count else { return }
      siblings[number].post(.datagram([UInt8](copying: bytes.extracting(payload)), from: from, to: to))
    }
  }

  private func send(_ bytes: [UInt8], on flow: ClientFlow) {
    pump.send(bytes, over: listeners[-1 - flow.link], to: flow.client, from: flow.server.ip)
  }

  // MARK: Carrying out

  private func carryOut() {
    while !outputs.isEmpty {
      let batch = outputs
      outputs.removeAll(keepingCapacity: true)
      for output in batch { carryOut(output) }
    }
    wake()
  }

  private func carryOut(_ output: TURNServer.Output) {
    switch output {
    case .send(let bytes, let flow):
      if flow.transport.isStream { streams?.send(bytes, on: flow) } else { send(bytes, on: flow) }
    case .openRelay(let id, let address): open(id, address)
    case .closeRelay(let id):
      connections?.closeRelay(id)
      guard id.index < relays.count, let relay = relays[id.index], relay.id == id else { return }
      relay.port.close()
      relays[id.index] = nil
    case .openTCPRelay(let id, let address): open(id, address, isTCP: true)
    case .connect(let id, let relay, let peer): connections?.connect(id, from: relay, to: peer)
    case .join(let id, let flow):
      guard let client = streams?.release(flow) else { return connectionEnded(id) }
      connections?.join(id, client)
    case .closeConnection(let id): connections?.close(id)
    case .event(let event): report(event)
    }
  }

  private func open(_ id: RelayID, _ address: SocketAddress, isTCP: Bool = false) {
    let bind = SocketAddress(network.bindAddress(for: address.ip), port: address.port)
    do throws(SystemError) {
      if isTCP {
        try connections?.open(id, address)
        return server.relayOpened(id, at: reactor.now, into: &outputs)
      }
      var options = DatagramPort.Options()
      options.reportsErrors = true
      options.receiveBufferBytes = Self.relayedBufferBytes
      options.sendBufferBytes = Self.relayedBufferBytes
      let port = try DatagramPort(pump, bind: bind, tag: id.index, options: options)
      while relays.count <= id.index { relays.append(nil) }
      relays[id.index] = Relay(id, port)
      server.relayOpened(id, at: reactor.now, into: &outputs)
    } catch {
      log.debug("relay-port", [("address", "\(bind)"), ("error", "\(error)")])
      server.relayRefused(id, at: reactor.now, into: &outputs)
    }
  }

  private func report(_ event: TURNServer.Event) {
    switch event {
    case .allocated(let session, let flow, let relayed):
      log.log(.info, "relay-allocated", [("session", session), ("client", "\(flow)"), ("relayed", "\(relayed)")])
    case .ended(let session, let flow, let end, let traffic):
      log.log(
        .info, "relay-ended",
        [
          ("session", session), ("client", "\(flow)"), ("because", "\(end)"),
          ("to_peers_bytes", "\(traffic.toPeersBytes)"), ("to_client_bytes", "\(traffic.toClientsBytes)"),
        ])
    case .refusedPeer(let session, let peer, let refusal):
      log.log(.warning, "relay-refused-peer", [("session", session), ("peer", "\(peer)"), ("because", "\(refusal)")])
    }
  }

  private func wake() {
    guard !isClosed, let deadline = server.nextDeadline else { return }
    if let timer {
      guard deadline < timer.at else { return }
      reactor.cancel(timer.token)
    }
    let token = reactor.schedule(at: deadline) { [unowned self] in
      timer = nil
      server.tick(at: reactor.now, into: &outputs)
      carryOut()
    }
    timer = (deadline, token)
  }
}
