import Config
import EdgeCore
import LinuxIO
import SIP
import STUN
import SecureStreams
import SecureTransport
import StatusModel
import Testing
import Uplink
import UserAgent

/// A small registrar on loopback and a link to it, on one reactor.
final class LoopbackServer {
  let reactor: Reactor
  let resolver: NameResolver
  private var listener: TCPListener?
  private var socket: UDPSocket?
  var address = SocketAddress("127.0.0.1:9")!
  var streams: [StreamConnection] = []
  var framers: [StreamFramer] = []
  var requests: [Message] = []
  var bindings = 0
  /// Nothing is answered, though everything is accepted.
  var isSilent = false
  var flowTimer: UInt32 = 25

  init() throws {
    reactor = try Reactor()
    resolver = NameResolver(reactor: reactor)
  }

  func listen(_ security: StreamConnection.ServerSecurity) throws {
    let listener = try TCPListener(
      reactor: reactor, bind: self.listener == nil ? SocketAddress("127.0.0.1:0")! : address)
    address = listener.localAddress
    self.listener = listener
    listener.onAccept = { [self] connection in
      let stream = StreamConnection.accept(connection, reactor: reactor, security: security)
      let index = streams.count
      streams.append(stream)
      framers.append(StreamFramer(side: .server))
      stream.onBytes = { [self] bytes in
        framers[index].append(bytes)
        while let item = try? framers[index].next() {
          if case .message(let message) = item, let answer = answer(message) { stream.send(answer) }
          if case .ping = item, !isSilent { stream.send([0x0D, 0x0A]) }
        }
      }
      stream.onClosed = { _ in }
    }
  }

  func stopListening() {
    listener?.close()
    for stream in streams { stream.close() }
  }

  func listenUDP() throws {
    let socket = try UDPSocket(reactor: reactor, bind: SocketAddress("127.0.0.1:0")!)
    self.socket = socket
    address = socket.localAddress
    socket.onDatagram = { [self] bytes, source, _ in
      guard !isSilent else { return }
      if let answer = BindingResponder.answer(to: bytes, from: source) {
        bindings += 1
        socket.send(Datagram(destination: source, bytes: answer))
      } else if let message = try? Message(parsing: bytes), let answer = answer(message) {
        socket.send(Datagram(destination: source, bytes: answer))
      }
    }
  }

  func close() {
    stopListening()
    socket?.close()
  }

  private func answer(_ message: Message) -> [UInt8]? {
    guard message.isRequest, message.method != .ack, !isSilent else { return nil }
    requests.append(message)
    var response = Message.response(to: message, status: 200, tag: "server")
    if let contact = message.contact { response.contact = contact }
    response.expires = message.expires
    response.flowTimer = flowTimer
    return response.serialized()
  }

  func link(
    _ transport: UserAgentConfiguration.Transport, host: String = "127.0.0.1", trust: TLSContext.Trust = .system,
    registers: Bool = true
  ) -> Watched {
    let agent = UserAgentConfiguration(
      account: "box", domain: "rv.example.org", password: "secret", transport: transport,
      instance: "urn:uuid:00000000-0000-1000-8000-000a95a0e128", registers: registers)
    return Watched(
      Uplink(
        reactor: reactor, resolver: resolver,
        configuration: .init(agent: agent, host: host, port: address.port, trust: trust)))
  }

  /// Turns the reactor until `condition` holds; a failure after `limit`.
  func run(_ what: String, _ limit: Duration = .seconds(8), until condition: () -> Bool) throws {
    let end = reactor.now + limit
    while !condition() {
      guard reactor.now < end else {
        Issue.record("timed out: \(what)")
        return
      }
      try reactor.turn(waitingAtMost: .milliseconds(50))
    }
  }
}

/// A link and what it told.
final class Watched {
  let uplink: Uplink
  var events: [UserAgentEvent] = []
  var stops = 0

  init(_ uplink: Uplink) {
    self.uplink = uplink
    uplink.onEvent = { [unowned self] in events.append($0) }
    uplink.onStopped = { [unowned self] in stops += 1 }
  }

  var ups: Int { events.count { $0 == .linkUp } }
  var isUp: Bool { uplink.inspect { $0.isUp } }
}
