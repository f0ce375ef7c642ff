import EdgeCore
import Foundation
import Testing

@testable import LinuxIO

@Suite("Byte streams")
struct StreamTests {
  /// A connected pair and the reactor it lives on.
  struct Pair {
    let reactor: Reactor
    let client: StreamSocket
    let server: StreamSocket

    enum Kind: CaseIterable { case tcpV4, tcpV6, unix }

    init(_ kind: Kind) throws {
      let reactor = try Reactor()
      self.reactor = reactor
      var accepted: StreamSocket?
      if kind == .unix {
        let directory = TemporaryDirectory()
        let listener = try UnixListener(reactor: reactor, path: directory.file("s"))
        listener.onAccept = { accepted = $0 }
        client = UnixConnection.connect(reactor: reactor, path: listener.path)
        try reactor.turn(until: { accepted != nil })
        listener.close()
      } else {
        let loopback = kind == .tcpV4 ? loopbackV4 : loopbackV6
        let listener = try TCPListener(reactor: reactor, bind: SocketAddress(loopback, port: 0))
        listener.onAccept = { accepted = $0 }
        client = TCPConnection.connect(reactor: reactor, to: listener.localAddress)
        try reactor.turn(until: { accepted != nil })
        listener.close()
      }
      server = try #require(accepted)
    }
  }

  @Test(arguments: Pair.Kind.allCases)
  func `eight megabytes each way arrive whole with back-pressure`(kind: Pair.Kind) throws {
    let pair = try Pair(kind)
    let data = pattern(8 << 20)
    var atServer: [UInt8] = []
    var atClient: [UInt8] = []
    var drains = 0
    var closed: [CloseReason] = []
    pair.server.onBytes = { atServer += bytes($0) }
    pair.client.onBytes = { atClient += bytes($0) }
    pair.client.onDrained = { drains += 1 }
    pair.client.onClosed = { closed.append($0) }
    pair.server.onClosed = { closed.append($0) }
    // In one piece, and in many.
    pair.client.send(data)
    #expect(pair.client.unsentBytes > 0)
    for start in stride(from: 0, to: data.count, by: 65536) { pair.server.send(Array(data[start..<start + 65536])) }
    try pair.reactor.turn(until: { atServer.count >= data.count && atClient.count >= data.count })
    #expect(atServer == data)
    #expect(atClient == data)
    try pair.reactor.turn(until: { drains > 0 })
    #expect(pair.client.unsentBytes == 0)
    #expect(pair.client.sentBytes == UInt64(data.count))
    #expect(pair.server.receivedBytes == UInt64(data.count))
    #expect(closed == [])
    pair.client.close()
    try pair.reactor.turn(until: { !closed.isEmpty })
    #expect(closed == [.endOfStream])
  }

  @Test(arguments: Pair.Kind.allCases)
  func `a peer that does not read ends the stream once the bound is passed`(kind: Pair.Kind) throws {
    let pair = try Pair(kind)
    var closed: [CloseReason] = []
    pair.server.setReading(false)
    pair.client.maxUnsentBytes = 1 << 20
    pair.client.onClosed = { closed.append($0) }
    for _ in 0..<64 { pair.client.send([UInt8](repeating: 1, count: 256 << 10)) }
    #expect(closed == [], "no handler inside send")
    try pair.reactor.turn(until: { !closed.isEmpty })
    #expect(closed == [.tooSlow])
    #expect(pair.client.unsentBytes == 0)
    pair.server.close()
  }

  @Test(arguments: Pair.Kind.allCases)
  func `reading can be paused, and nothing is lost by it`(kind: Pair.Kind) throws {
    let pair = try Pair(kind)
    var received: [UInt8] = []
    pair.server.onBytes = { received += bytes($0) }
    pair.server.setReading(false)
    let data = pattern(100_000)
    pair.client.send(data)
    try pair.reactor.turn(for: .milliseconds(30))
    #expect(received.isEmpty)
    pair.server.setReading(true)
    try pair.reactor.turn(until: { received.count == data.count })
    #expect(received == data)
    pair.client.close()
    pair.server.close()
  }

  @Test(arguments: Pair.Kind.allCases)
  func `each direction can end by itself`(kind: Pair.Kind) throws {
    let pair = try Pair(kind)
    let data = pattern(3 << 20)
    var question: [UInt8] = []
    var answer: [UInt8] = []
    var events: [String] = []
    pair.server.allowsHalfClose = true
    pair.client.allowsHalfClose = true
    pair.server.onBytes = { question += bytes($0) }
    pair.server.onEndOfStream = {
      events.append("server saw the end")
      pair.server.send(data)
      pair.server.finish()
    }
    pair.client.onBytes = { answer += bytes($0) }
    pair.client.onClosed = { events.append("client: \($0)") }
    pair.server.onClosed = { events.append("server: \($0)") }
    pair.client.send(data)
    pair.client.finish()
    pair.client.send([1])
    try pair.reactor.turn(until: { events.count == 3 })
    #expect(question == data)
    #expect(answer == data)
    #expect(events.first == "server saw the end")
    #expect(
      Set(events.dropFirst()) == ["client: closed by the other side", "server: closed by the other side"])
  }

  @Test(arguments: Pair.Kind.allCases)
  func `an orderly end delivers everything sent before it`(kind: Pair.Kind) throws {
    let pair = try Pair(kind)
    let data = pattern(4 << 20)
    var received: [UInt8] = []
    var closed: [String] = []
    pair.server.onBytes = { received += bytes($0) }
    pair.server.onClosed = { closed.append("server: \($0)") }
    pair.client.onClosed = { closed.append("client: \($0)") }
    pair.client.onBytes = { _ in Issue.record("a lingering stream reads for nobody") }
    // What the peer sent and nobody read would turn a plain close into a reset that destroys the answer.
    pair.server.send([1, 2, 3])
    pair.client.send(data)
    pair.client.closeAfterSending()
    try pair.reactor.turn(until: { closed.count == 2 })
    #expect(received == data)
    #expect(closed == ["server: closed by the other side", "client: closed by this side"])
  }

  @Test func `an orderly end does not wait for ever for a peer that stays`() throws {
    let pair = try Pair(.tcpV4)
    var closed: [CloseReason] = []
    pair.server.allowsHalfClose = true
    pair.client.onClosed = { closed.append($0) }
    pair.client.send([1])
    pair.client.closeAfterSending(within: .milliseconds(50))
    try pair.reactor.turn(until: { !closed.isEmpty })
    #expect(closed == [.local])
    pair.server.close()
  }

  @Test func `a reset is told from an orderly end, and what came before it is delivered`() throws {
    let pair = try Pair(.tcpV4)
    var closed: [CloseReason] = []
    var received: [UInt8] = []
    pair.server.onClosed = { closed.append($0) }
    pair.server.onBytes = { received += bytes($0) }
    pair.client.send([1, 2])
    try pair.reactor.turn(until: { received.count == 2 })
    try pair.client.reset()
    try pair.reactor.turn(until: { !closed.isEmpty })
    #expect(closed == [.reset])
  }

  @Test func `a reset while reading is paused is noticed without spinning`() throws {
    let pair = try Pair(.tcpV4)
    var closed: [CloseReason] = []
    pair.server.onClosed = { closed.append($0) }
    pair.server.setReading(false)
    try pair.client.reset()
    try pair.reactor.turn(until: { !closed.isEmpty })
    #expect(closed == [.reset])
  }

  @Test(arguments: [loopbackV4, loopbackV6])
  func `nobody listening is refused, after the handlers are set`(loopback: IPAddress) throws {
    let reactor = try Reactor()
    let listener = try TCPListener(reactor: reactor, bind: SocketAddress(loopback, port: 0))
    let gone = listener.localAddress
    listener.close()
    let connection = TCPConnection.connect(reactor: reactor, to: gone)
    var closed: [CloseReason] = []
    connection.onConnected = { Issue.record("connected to nobody") }
    connection.onClosed = { closed.append($0) }
    try reactor.turn(until: { !closed.isEmpty })
    #expect(closed == [.refused])
    #expect(connection.state == .closed)
  }

  @Test func `a full backlog times the connection out`() throws {
    let reactor = try Reactor()
    let silent = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(silent) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        #expect(bind(silent, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0)
      }
    }
    #expect(listen(silent, 0) == 0)
    let peer = try #require(SocketCall.localAddress(silent))
    var reasons: [CloseReason] = []
    let connections = (0..<4).map { _ in
      TCPConnection.connect(reactor: reactor, to: peer, options: .init(connectTimeout: .milliseconds(200)))
    }
    for connection in connections { connection.onClosed = { reasons.append($0) } }
    try reactor.turn(until: { !reasons.isEmpty })
    #expect(Set(reasons) == [.timedOut])
    for connection in connections { connection.close() }
  }

  @Test func `bytes sent while connecting arrive once connected`() throws {
    let reactor = try Reactor()
    let listener = try TCPListener(reactor: reactor, bind: SocketAddress(loopbackV4, port: 0))
    defer { listener.close() }
    var received: [UInt8] = []
    var server: TCPConnection?
    listener.onAccept = { connection in
      server = connection
      connection.onBytes = { received += bytes($0) }
    }
    let client = TCPConnection.connect(
      reactor: reactor, to: listener.localAddress, options: .init(userTimeout: .seconds(20)))
    var connected = 0
    client.onConnected = {
      connected += 1
      client.send([3])
    }
    client.send([1])
    client.send([2])
    try reactor.turn(until: { received.count == 3 })
    #expect(received.sorted() == [1, 2, 3])
    #expect(connected == 1)
    #expect(server?.peerAddress == client.localAddress)
    #expect(server?.localAddress == client.peerAddress)
    client.close()
    server?.close()
  }

  @Test func `closing inside every handler is safe`() throws {
    for handler in 0..<3 {
      let pair = try Pair(.tcpV4)
      var calls = 0
      let server = pair.server
      func closeNow() {
        calls += 1
        server.close()
      }
      switch handler {
      case 0: server.onBytes = { _ in closeNow() }
      case 1: server.onDrained = { closeNow() }
      default: server.onClosed = { _ in closeNow() }
      }
      var received = 0
      pair.client.onBytes = { received += $0.byteCount }
      server.send([UInt8](repeating: 1, count: 4 << 20))
      pair.client.send([1, 2, 3])
      if handler == 2 { pair.client.close() }
      try pair.reactor.turn(until: { calls == 1 })
      try pair.reactor.turn(for: .milliseconds(10))
      #expect(calls == 1)
      #expect(server.state == .closed)
      pair.client.close()
    }
  }

  @Test func `a dropped stream frees its descriptor and its handlers`() throws {
    final class Witness {}
    weak var witness: Witness?
    let pair = try Pair(.tcpV4)
    do {
      let strong = Witness()
      witness = strong
      pair.server.onBytes = { _ in _ = strong }
      pair.server.onClosed = { _ in _ = strong }
    }
    #expect(witness != nil)
    let before = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
    pair.server.close()
    #expect(witness == nil)
    #expect(try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count < before)
    pair.client.close()
  }
}

extension StreamSocket {
  /// Closes with a reset, as a crashed peer's kernel would.
  func reset() throws {
    var option = linger(l_onoff: 1, l_linger: 0)
    #expect(
      setsockopt(try #require(rawDescriptor), SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size)) == 0
    )
    close()
  }

  private var rawDescriptor: Int32? { descriptor?.raw }
}
