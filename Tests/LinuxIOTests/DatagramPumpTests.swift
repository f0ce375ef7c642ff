import EdgeCore
import LinuxIO
import Testing

@Suite("Datagram pump")
struct DatagramPumpTests {
  /// A pump with a port that forwards to `sink` what comes, behind a header.
  private struct Relay {
    let reactor: Reactor
    let pump: DatagramPump
    let port: DatagramPort
    let out: DatagramPort
    let sink: UDPSocket
    let source: UDPSocket

    init(_ loopback: IPAddress = loopbackV4) throws {
      reactor = try Reactor()
      pump = DatagramPump(reactor: reactor)
      var options = DatagramPort.Options()
      options.receiveBufferBytes = 4 << 20
      options.sendBufferBytes = 4 << 20
      port = try DatagramPort(pump, bind: SocketAddress(loopback, port: 0), tag: 0, options: options)
      options.hasManyPeers = true
      options.reportsErrors = true
      out = try DatagramPort(pump, bind: SocketAddress(loopback, port: 0), tag: 1, options: options)
      let buffers = UDPSocket.Options(receiveBufferBytes: 4 << 20, sendBufferBytes: 4 << 20)
      sink = try UDPSocket(reactor: reactor, bind: SocketAddress(loopback, port: 0), options: buffers)
      source = try UDPSocket(reactor: reactor, bind: SocketAddress(loopback, port: 0), options: buffers)
    }

    func close() {
      for port in [port, out] { port.close() }
      for socket in [sink, source] { socket.close() }
      pump.close()
    }
  }

  @Test(arguments: [loopbackV4, loopbackV6])
  func `what is forwarded arrives whole, in order, behind its header and before its padding`(ip: IPAddress) throws {
    let relay = try Relay(ip)
    defer { relay.close() }
    var random = SeededRandom(seed: 3)
    // Runs of equal ones, shorter last ones, larger ones behind, empty ones, and some no train takes.
    var sent: [[UInt8]] = []
    for size in [100, 100, 100, 60, 100, 200, 200, 0, 0, 7, 1472, 1472, 9000, 9000, 30_000, 1] {
      sent.append(random.bytes(size))
    }
    for _ in 0..<200 { sent.append(random.bytes(500)) }
    var lane = DatagramPump.Lane()
    relay.pump.onDatagram = { port, bytes, from, to in
      #expect(port.tag == 0 && from == relay.source.localAddress && to == relay.port.localAddress)
      relay.pump.forward(
        bytes, header: [1, 2, 3, 4], padding: 2, over: relay.out, to: relay.sink.localAddress, lane: &lane)
    }
    var received: [[UInt8]] = []
    relay.sink.onDatagram = { data, from, _ in
      #expect(from == relay.out.localAddress)
      received.append(bytes(data))
    }
    for datagram in sent { relay.source.send(Datagram(destination: relay.port.localAddress, bytes: datagram)) }
    try relay.reactor.turn(until: { received.count == sent.count })
    #expect(received == sent.map { [1, 2, 3, 4] + $0 + [0, 0] })
    #expect(relay.pump.unsentDatagrams == 0)
  }

  @Test func `datagrams that came merged are told one by one`() throws {
    let relay = try Relay()
    defer { relay.close() }
    // Two stages: what the first sends in trains, the second receives, merged where the kernel does that.
    var lane = DatagramPump.Lane()
    let last = try UDPSocket(reactor: relay.reactor, bind: SocketAddress(loopbackV4, port: 0))
    defer { last.close() }
    var received: [[UInt8]] = []
    last.onDatagram = { data, _, _ in received.append(bytes(data)) }
    var merged = DatagramPump.Lane()
    relay.pump.onDatagram = { port, bytes, _, _ in
      if port.tag == 0 {
        relay.pump.forward(bytes, header: [9], padding: 0, over: relay.port, to: relay.out.localAddress, lane: &lane)
      } else {
        relay.pump.forward(bytes, header: [], padding: 0, over: relay.out, to: last.localAddress, lane: &merged)
      }
    }
    let sent = (0..<30).map { [UInt8](repeating: UInt8($0), count: $0 == 29 ? 40 : 900) }
    for datagram in sent { relay.source.send(Datagram(destination: relay.port.localAddress, bytes: datagram)) }
    try relay.reactor.turn(until: { received.count == sent.count })
    #expect(received == sent.map { [9] + $0 })
  }

  @Test func `destinations that cannot be sent to harm no other`() throws {
    let relay = try Relay()
    defer { relay.close() }
    // Broadcast without permission (EACCES) and, from a loopback address, no route (EINVAL).
    let bad = [SocketAddress("255.255.255.255:9")!, SocketAddress("198.51.100.7:9")!]
    var lanes = [DatagramPump.Lane(), DatagramPump.Lane(), DatagramPump.Lane()]
    relay.pump.onDatagram = { _, bytes, _, _ in
      for (index, address) in (bad + [relay.sink.localAddress]).enumerated() {
        relay.pump.forward(bytes, header: [], padding: 0, over: relay.out, to: address, lane: &lanes[index])
      }
    }
    var received = 0
    relay.sink.onDatagram = { _, _, _ in received += 1 }
    for _ in 0..<50 { relay.source.send(Datagram(destination: relay.port.localAddress, bytes: [1, 2, 3])) }
    try relay.reactor.turn(until: { received == 50 })
    #expect(relay.pump.unsentDatagrams >= 50)
  }

  @Test(arguments: [loopbackV4, loopbackV6])
  func `an ICMP error is told with the destination, and the next datagram leaves all the same`(ip: IPAddress) throws {
    let relay = try Relay(ip)
    defer { relay.close() }
    let closed = try UDPSocket(reactor: relay.reactor, bind: SocketAddress(ip, port: 0))
    let nobody = closed.localAddress
    closed.close()
    var errors: [DatagramPump.Unreachable] = []
    relay.pump.onUnreachable = { port, error in
      #expect(port.tag == 1)
      errors.append(error)
    }
    var received: [[UInt8]] = []
    relay.sink.onDatagram = { data, _, _ in received.append(bytes(data)) }
    relay.pump.send([1], over: relay.out, to: nobody)
    relay.pump.flush()
    relay.pump.send([2], over: relay.out, to: relay.sink.localAddress)
    relay.pump.flush()
    try relay.reactor.turn(until: { !errors.isEmpty && !received.isEmpty })
    #expect(errors.first?.destination == nobody)
    #expect(errors.first.map { [$0.type, $0.code] } == (ip.isV4 ? [3, 3] : [1, 4]))
    #expect(received == [[2]])
  }

  @Test func `more than fits into one batch is all sent`() throws {
    let relay = try Relay()
    defer { relay.close() }
    var lane = DatagramPump.Lane()
    relay.pump.onDatagram = { _, bytes, _, _ in
      // Each comes back thirty times: more than the pump holds at once.
      for _ in 0..<30 {
        relay.pump.forward(bytes, header: [], padding: 0, over: relay.out, to: relay.sink.localAddress, lane: &lane)
      }
    }
    var count = 0
    relay.sink.onDatagram = { data, _, _ in if bytes(data) == [5, 6] { count += 1 } }
    for _ in 0..<100 { relay.source.send(Datagram(destination: relay.port.localAddress, bytes: [5, 6])) }
    try relay.reactor.turn(until: { count == 3000 })
  }

  @Test func `what waits for a port that is closed is sent before`() throws {
    let relay = try Relay()
    defer { relay.close() }
    var received = 0
    relay.sink.onDatagram = { _, _, _ in received += 1 }
    relay.pump.send([1], over: relay.out, to: relay.sink.localAddress)
    relay.out.close()
    relay.pump.send([2], over: relay.out, to: relay.sink.localAddress)
    try relay.reactor.turn(until: { received == 1 })
    try relay.reactor.turn(for: .milliseconds(20))
    #expect(received == 1)
  }
}

@Suite("Limits of the process")
struct ProcessLimitTests {
  @Test func `the soft limit of descriptors becomes the hard one`() {
    let limit = ProcessFacts.raiseDescriptorLimit()
    #expect(limit >= 1024)
    #expect(ProcessFacts.raiseDescriptorLimit() == limit)
    #expect(ProcessFacts.processors >= 1)
  }
}
