import EdgeCore
import LinuxIO
import SecureStreams
import SecureTransport
import Testing

/// A listener, what it accepts, and a client, on one reactor.
final class Loop {
  let reactor: Reactor
  let listener: TCPListener
  var accepted: [StreamConnection] = []
  var serverReceived: [UInt8] = []
  var serverClosed: [StreamCloseReason] = []
  var received: [UInt8] = []
  var closed: [StreamCloseReason] = []
  var opened = 0

  init(security: StreamConnection.ServerSecurity, address: String = "127.0.0.1:0") throws {
    reactor = try Reactor()
    listener = try TCPListener(reactor: reactor, bind: SocketAddress(address)!)
    listener.onAccept = { [self] connection in
      let stream = StreamConnection.accept(connection, reactor: reactor, security: security)
      stream.onBytes = { [self] bytes in serverReceived += [UInt8](copying: bytes) }
      stream.onClosed = { [self] reason in serverClosed.append(reason) }
      accepted.append(stream)
    }
  }

  func connect(
    _ security: StreamConnection.ClientSecurity, to addresses: [SocketAddress]? = nil,
    options: StreamConnection.Options = .init()
  ) -> StreamConnection {
    let stream = StreamConnection.connect(
      reactor: reactor, to: addresses ?? [listener.localAddress], security: security, options: options)
    stream.onOpen = { [self] in opened += 1 }
    stream.onBytes = { [self] bytes in received += [UInt8](copying: bytes) }
    stream.onClosed = { [self] reason in closed.append(reason) }
    return stream
  }

  /// Turns the reactor until `condition` holds or five seconds have passed.
  func run(_ what: String = "", until condition: () -> Bool) throws {
    let end = reactor.now + .seconds(5)
    while !condition() {
      guard reactor.now < end else {
        Issue.record("timed out \(what)")
        return
      }
      try reactor.turn(waitingAtMost: .milliseconds(50))
    }
  }
}

@Suite("Stream connection")
struct StreamConnectionTests {
  let authority: CertificateAuthority
  let server: TLSContext
  let trust: TLSContext

  init() throws {
    authority = try CertificateAuthority(commonName: "Streams authority")
    let credential = try authority.issueServerCredential(names: ["rv.example.org"])
    server = try .server(certificatePEM: credential.certificatePEM, keyPEM: credential.keyPEM)
    trust = try .client(.authorities(pem: authority.certificatePEM))
  }

  private func securities() -> [(StreamConnection.ServerSecurity, StreamConnection.ClientSecurity)] {
    [(.plain, .plain), (.tls(server), .tls(trust, serverName: "rv.example.org"))]
  }

  @Test func `two megabytes cross both ways, plain and with TLS, over IPv4 and IPv6`() throws {
    for (serverSide, clientSide) in securities() {
      for address in ["127.0.0.1:0", "[::1]:0"] {
        let loop = try Loop(security: serverSide, address: address)
        let client = loop.connect(clientSide)
        try loop.run("opening") { loop.opened == 1 && loop.accepted.first?.isOpen == true }
        let bytes = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        client.send(bytes)
        loop.accepted[0].send(bytes)
        try loop.run("crossing") { loop.serverReceived.count == bytes.count && loop.received.count == bytes.count }
        #expect(loop.serverReceived == bytes && loop.received == bytes)
        #expect(client.peerAddress == loop.listener.localAddress)
        client.close()
      }
    }
  }

  @Test func `what is sent before the connection stands is not lost`() throws {
    for (serverSide, clientSide) in securities() {
      let loop = try Loop(security: serverSide)
      let client = loop.connect(clientSide)
      client.send([1, 2, 3])
      #expect(client.unsentBytes == 3)
      try loop.run { loop.serverReceived == [1, 2, 3] }
      client.close()
    }
  }

  @Test func `an orderly end reaches the other side after the last byte and is silent here`() throws {
    for (serverSide, clientSide) in securities() {
      let loop = try Loop(security: serverSide)
      let client = loop.connect(clientSide)
      try loop.run { loop.opened == 1 && loop.accepted.first?.isOpen == true }
      let isSecure = client.isSecure
      client.send([UInt8](repeating: 9, count: 300_000))
      client.closeAfterSending()
      try loop.run { !loop.serverClosed.isEmpty }
      #expect(loop.serverReceived.count == 300_000)
      #expect(loop.serverClosed == [isSecure ? .closedByPeer : .transport(.endOfStream)])
      #expect(loop.closed.isEmpty)
    }
  }

  @Test func `a wrong server name ends the connection before a byte of the owner leaves`() throws {
    let loop = try Loop(security: .tls(server))
    let client = loop.connect(.tls(trust, serverName: "other.example.org"))
    client.send(Array("secret".utf8))
    try loop.run { !loop.closed.isEmpty && !loop.serverClosed.isEmpty }
    guard case .tls(.nameMismatch) = loop.closed.first else {
      Issue.record("\(loop.closed)")
      return
    }
    #expect(loop.opened == 0 && loop.serverReceived.isEmpty)
    // The server is told with an alert, not by silence.
    guard case .tls(.handshake) = loop.serverClosed.first else {
      Issue.record("\(loop.serverClosed)")
      return
    }
  }

  @Test func `a clock in 1970 is named as the reason`() throws {
    let loop = try Loop(security: .tls(server))
    var options = StreamConnection.Options()
    options.wallClockSeconds = 12
    _ = loop.connect(.tls(trust, serverName: "rv.example.org"), options: options)
    try loop.run { !loop.closed.isEmpty }
    #expect("\(try #require(loop.closed.first))".contains("1970"))
  }

  @Test func `a name that is none is an error of this machine`() throws {
    let loop = try Loop(security: .tls(server))
    _ = loop.connect(.tls(trust, serverName: ""))
    try loop.run { !loop.closed.isEmpty }
    guard case .setup = loop.closed.first else {
      Issue.record("\(loop.closed)")
      return
    }
  }

  @Test func `an address that refuses is passed over for the next`() throws {
    let loop = try Loop(security: .plain)
    let unused = try TCPListener(reactor: loop.reactor, bind: SocketAddress("127.0.0.1:0")!)
    let dead = unused.localAddress
    unused.close()
    let client = loop.connect(.plain, to: [dead, loop.listener.localAddress])
    try loop.run { loop.opened == 1 }
    #expect(client.peerAddress == loop.listener.localAddress)
    let hopeless = loop.connect(.plain, to: [dead, dead])
    try loop.run { !loop.closed.isEmpty }
    #expect(loop.closed == [.transport(.refused)])
    #expect(!hopeless.isOpen)
    _ = loop.connect(.plain, to: [])
    try loop.run { loop.closed.count == 2 }
    #expect(loop.closed.last == .noAddress)
  }

  @Test func `a peer that accepts and keeps silent is given up`() throws {
    let loop = try Loop(security: .plain)
    var options = StreamConnection.Options()
    options.openTimeout = .milliseconds(200)
    _ = loop.connect(.tls(trust, serverName: "rv.example.org"), options: options)
    try loop.run { !loop.closed.isEmpty }
    #expect(loop.closed == [.handshakeTimedOut])
  }

  @Test func `plain text on a TLS port is told apart`() throws {
    let loop = try Loop(security: .tls(server))
    let client = loop.connect(.plain)
    client.send(Array("OPTIONS sip:x SIP/2.0\r\n\r\n".utf8))
    try loop.run { !loop.serverClosed.isEmpty }
    guard case .tls(.handshake) = loop.serverClosed.first else {
      Issue.record("\(loop.serverClosed)")
      return
    }
  }

  @Test func `closing inside a handler is the end of all handlers`() throws {
    let loop = try Loop(security: .tls(server))
    let client = loop.connect(.tls(trust, serverName: "rv.example.org"))
    client.onOpen = { client.close() }
    var late = 0
    client.onBytes = { _ in late += 1 }
    try loop.run { !loop.serverClosed.isEmpty }
    #expect(late == 0 && loop.closed.isEmpty && !client.isOpen)
    client.send([1])
    client.close()
    client.closeAfterSending()
  }

  @Test func `an idle secure connection is let go when its owner closes it`() throws {
    let loop = try Loop(security: .tls(server))
    weak var watched: StreamConnection?
    do {
      let client = loop.connect(.tls(trust, serverName: "rv.example.org"))
      watched = client
      try loop.run { loop.opened == 1 }
      client.close()
    }
    try loop.run { !loop.serverClosed.isEmpty }
    #expect(watched == nil)
  }
}
