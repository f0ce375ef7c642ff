import EdgeCore
import Foundation
import LinuxIO
import Testing

@Suite("UDP socket")
struct UDPSocketTests {
  @Test(arguments: [loopbackV4, loopbackV6])
  func `a wildcard socket tells the local address of each datagram and answers from it`(loopback: IPAddress) throws {
    let reactor = try Reactor()
    let server = try UDPSocket(reactor: reactor, bind: SocketAddress(loopback.isV4 ? .anyV4 : .anyV6, port: 0))
    let client = try UDPSocket(reactor: reactor, bind: SocketAddress(loopback, port: 0))
    defer {
      server.close()
      client.close()
    }
    var received: [(bytes: [UInt8], from: SocketAddress, to: SocketAddress)] = []
    var answers: [SocketAddress] = []
    server.onDatagram = { data, from, to in
      received.append((bytes(data), from, to))
      server.send(Datagram(source: to, destination: from, bytes: [9]))
    }
    client.onDatagram = { _, from, _ in answers.append(from) }
    client.send(
      Datagram(destination: SocketAddress(loopback, port: server.localAddress.port), bytes: Array("hello".utf8)))
    try reactor.turn(until: { !answers.isEmpty })
    #expect(received.count == 1)
    #expect(received.first?.bytes == Array("hello".utf8))
    #expect(received.first?.from == client.localAddress)
    #expect(received.first?.to == SocketAddress(loopback, port: server.localAddress.port))
    #expect(answers == [SocketAddress(loopback, port: server.localAddress.port)])
  }

  @Test func `the source address asked for is the one the peer sees`() throws {
    let reactor = try Reactor()
    let socket = try UDPSocket(reactor: reactor, bind: SocketAddress(.anyV4, port: 0))
    let peer = try UDPSocket(reactor: reactor, bind: SocketAddress(loopbackV4, port: 0))
    defer {
      socket.close()
      peer.close()
    }
    var sources: [IPAddress] = []
    peer.onDatagram = { _, from, _ in sources.append(from.ip) }
    // All of 127.0.0.0/8 is local.
    let chosen = IPAddress.v4(0x7F01_0203)
    socket.send(Datagram(source: SocketAddress(chosen, port: 1), destination: peer.localAddress, bytes: [1]))
    socket.send(Datagram(destination: peer.localAddress, bytes: [2]))
    try reactor.turn(until: { sources.count == 2 })
    #expect(sources == [chosen, loopbackV4])
    #expect(socket.unsentDatagrams == 0)
  }

  @Test func `a thousand datagrams arrive whole and in order`() throws {
    let reactor = try Reactor()
    let receiver = try UDPSocket(
      reactor: reactor, bind: SocketAddress(loopbackV4, port: 0), options: .init(receiveBufferBytes: 4 << 20))
    let sender = try UDPSocket(reactor: reactor, bind: SocketAddress(loopbackV4, port: 0))
    defer {
      receiver.close()
      sender.close()
    }
    var sizes: [Int] = []
    receiver.onDatagram = { data, _, _ in sizes.append(data.byteCount) }
    let sent = (0..<1000).map { $0 % 1400 }
    for chunk in stride(from: 0, to: 1000, by: 50) {
      for size in sent[chunk..<chunk + 50] {
        sender.send(Datagram(destination: receiver.localAddress, bytes: [UInt8](repeating: 5, count: size)))
      }
      try reactor.turn(until: { sizes.count == chunk + 50 })
    }
    #expect(sizes == sent)
  }

  @Test func `the largest datagram arrives whole, one byte more is counted as unsent`() throws {
    let reactor = try Reactor()
    let receiver = try UDPSocket(reactor: reactor, bind: SocketAddress(loopbackV4, port: 0))
    let sender = try UDPSocket(reactor: reactor, bind: SocketAddress(loopbackV4, port: 0))
    defer {
      receiver.close()
      sender.close()
    }
    var received: [UInt8] = []
    receiver.onDatagram = { data, _, _ in received = bytes(data) }
    let largest = pattern(65507)
    sender.send(Datagram(destination: receiver.localAddress, bytes: largest))
    try reactor.turn(until: { !received.isEmpty })
    #expect(received == largest)
    sender.send(Datagram(destination: receiver.localAddress, bytes: largest + [0]))
    #expect(sender.unsentDatagrams == 1)
  }

  @Test func `nobody listening is loss, and the socket goes on working`() throws {
    let reactor = try Reactor()
    let socket = try UDPSocket(reactor: reactor, bind: SocketAddress(loopbackV4, port: 0))
    let gone = try UDPSocket(reactor: reactor, bind: SocketAddress(loopbackV4, port: 0))
    let silent = gone.localAddress
    gone.close()
    var heard = 0
    socket.onDatagram = { _, _, _ in heard += 1 }
    for _ in 0..<3 { socket.send(Datagram(destination: silent, bytes: [1])) }
    try reactor.turn(for: .milliseconds(20))
    socket.send(Datagram(destination: socket.localAddress, bytes: [2]))
    try reactor.turn(until: { heard == 1 })
    #expect(socket.isOpen)
    socket.close()
    #expect(!socket.isOpen)
  }

  @Test func `a destination of the other family, an unroutable one and a foreign source are loss`() throws {
    let reactor = try Reactor()
    let socket = try UDPSocket(reactor: reactor, bind: SocketAddress(.anyV4, port: 0))
    defer { socket.close() }
    socket.send(Datagram(destination: SocketAddress(loopbackV6, port: 9), bytes: [1]))
    #expect(socket.unsentDatagrams == 1)
    socket.send(
      Datagram(
        source: SocketAddress(.v4(0x0808_0808), port: 0), destination: SocketAddress(loopbackV4, port: 9), bytes: [1]))
    #expect(socket.unsentDatagrams == 2)
  }

  @Test func `a handler may close the socket between two datagrams of one batch`() throws {
    let reactor = try Reactor()
    let receiver = try UDPSocket(reactor: reactor, bind: SocketAddress(loopbackV4, port: 0))
    let sender = try UDPSocket(reactor: reactor, bind: SocketAddress(loopbackV4, port: 0))
    defer { sender.close() }
    var heard = 0
    receiver.onDatagram = { _, _, _ in
      heard += 1
      receiver.close()
    }
    for _ in 0..<5 { sender.send(Datagram(destination: receiver.localAddress, bytes: [1])) }
    try reactor.turn(for: .milliseconds(30))
    #expect(heard == 1)
  }

  @Test func `a time to live of one still reaches this machine`() throws {
    let reactor = try Reactor()
    for loopback in [loopbackV4, loopbackV6] {
      let receiver = try UDPSocket(reactor: reactor, bind: SocketAddress(loopback, port: 0))
      var heard = 0
      receiver.onDatagram = { _, _, _ in heard += 1 }
      receiver.send(
        Datagram(source: SocketAddress(loopback, port: 0), destination: receiver.localAddress, bytes: [1]),
        timeToLive: 1)
      try reactor.turn(until: { heard == 1 })
      receiver.close()
    }
  }

  @Test func `a port in use is refused with the address in the words`() throws {
    let reactor = try Reactor()
    let first = try UDPSocket(reactor: reactor, bind: SocketAddress(loopbackV4, port: 0))
    defer { first.close() }
    let error = #expect(throws: SystemError.self) { try UDPSocket(reactor: reactor, bind: first.localAddress) }
    #expect(error?.description == "bind \(first.localAddress): Address already in use")
  }
}
