import Config
import EdgeCore
import Foundation
import LinuxIO
import RendezvousLogic
import SIP
import SecureStreams
import SecureTransport
import StatusModel
import Storage
import Testing

@testable import RendezvousRuntime

/// A server on loopback ports of the kernel's choice, its files in a directory of its own, and the
/// reactor that drives it and its clients.
final class Harness {
  static let domain = "rv.example.org"
  let directory: String
  let reactor: Reactor
  var configuration: RendezvousConfiguration
  private(set) var server: Server!

  init() throws {
    directory = NSTemporaryDirectory() + "rendezvous-\(UUID().uuidString.prefix(8))"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    reactor = try Reactor()
    let any = SocketAddress(IPAddress("127.0.0.1")!, port: 0)
    configuration = RendezvousConfiguration(
      domain: Self.domain, listen: .init(sips: [any], sipTCP: [any], sipUDP: [any], stun: [any]),
      tls: .init(
        certificate: directory + "/server.pem", key: directory + "/server.key", authority: directory + "/ca.pem"),
      database: directory + "/r.sqlite", controlSocket: directory + "/c.sock")
    try start()
    for (name, isNode) in [("gate-box", true), ("alice", false), ("bob", false)] {
      _ = StoreRequest.addAccount(
        name: name, ha1SHA256: ha1(name, "secret-of-" + name), ha1MD5: nil, isNode: isNode
      ).run(on: server.store, now: 1)
    }
    _ = StoreRequest.grant(user: "alice", serial: "CAM-1").run(on: server.store, now: 1)
    server.reloadDirectory()
  }

  deinit {
    server?.close()
    try? FileManager.default.removeItem(atPath: directory)
  }

  func start() throws { server = try Server(configuration, reactor: reactor, log: .silent()) }

  func stop() {
    server.close()
    turn(for: .milliseconds(50))
    server = nil
  }

  func ha1(_ name: String, _ password: String) -> String {
    DigestAlgorithm.sha256.ha1(username: name, realm: Self.domain, password: password, .openSSL)
  }

  func address(_ name: String) -> SocketAddress {
    let text = server.listeners.first { $0.name == name }!.address
    return SocketAddress(String(text.split(separator: " ").last!))!
  }

  /// Runs the reactor until `condition`, for five seconds at most.
  @discardableResult
  func wait(_ seconds: Double = 5, for condition: () -> Bool) -> Bool {
    let end = Date().addingTimeInterval(seconds)
    while !condition() {
      guard Date() < end else { return false }
      try? reactor.turn(waitingAtMost: .milliseconds(10))
    }
    return true
  }

  func turn(for duration: Duration) {
    let end = Date().addingTimeInterval(Double(duration.wholeMilliseconds) / 1000)
    while Date() < end { try? reactor.turn(waitingAtMost: .milliseconds(5)) }
  }

  var snapshot: Snapshot { server.rendezvous.snapshot(at: reactor.now) }

  /// A command of the shell against this server, from another thread as from another process.
  func shell(_ arguments: String..., input: String? = nil) -> (code: Int32, out: String, err: String) {
    let path = directory + "/rendezvous.yaml"
    if !File.exists(path) {
      let text = """
        domain: \(Self.domain)
        tls: { certificate: server.pem, key: server.key }
        database: r.sqlite
        control-socket: \(directory)/c.sock
        """
      try! text.write(toFile: path, atomically: true, encoding: .utf8)
    }
    let box = Box()
    let all = arguments + ["--config", path]
    Foundation.Thread.detachNewThread {
      let command = RendezvousCommandLine(
        out: { box.out += $0 }, err: { box.err += $0 }, input: { input })
      box.code = command.run(all)
      box.isDone.withLock { box.done = true }
    }
    wait(15) { box.isDone.withLock { box.done } }
    return (box.code, box.out, box.err)
  }

  final class Box: @unchecked Sendable {
    let isDone = NSLock()
    var done = false
    var out = ""
    var err = ""
    var code: Int32 = -1
  }
}

/// A device or viewer on a real socket.
final class Client {
  private let harness: Harness
  let name: String
  let transport: FlowTransport
  private(set) var inbox: [Message] = []
  private(set) var raw: [UInt8] = []
  private(set) var isClosed = false
  private var stream: StreamConnection?
  private var socket: UDPSocket?
  private var framer = StreamFramer(side: .client)
  private var digest: DigestClient
  private var random = SystemRandom()
  private var sequence: UInt32 = 0

  init(_ harness: Harness, _ name: String, _ transport: FlowTransport, password: String? = nil) throws {
    self.harness = harness
    self.name = name
    self.transport = transport
    digest = DigestClient(
      username: name, password: password ?? "secret-of-" + name, realm: Harness.domain, hashes: .openSSL)
    switch transport {
    case .udp:
      let socket = try UDPSocket(reactor: harness.reactor, bind: SocketAddress(IPAddress("127.0.0.1")!, port: 0))
      socket.onDatagram = { [unowned self] bytes, _, _ in
        let bytes = [UInt8](copying: bytes)
        if let message = try? Message(parsing: bytes) { inbox.append(message) } else { raw += bytes }
      }
      self.socket = socket
    case .tcp: open(.plain, "sip-tcp")
    case .tls:
      let pem = try File.read(harness.configuration.tls.authority, maxBytes: 1 << 20)
      open(.tls(try TLSContext.client(.authorities(pem: pem)), serverName: Harness.domain), "sips")
    }
  }

  private func open(_ security: StreamConnection.ClientSecurity, _ listener: String) {
    let stream = StreamConnection.connect(
      reactor: harness.reactor, to: [harness.address(listener)], security: security)
    stream.onBytes = { [unowned self] bytes in
      raw += [UInt8](copying: bytes)
      framer.append(bytes)
      while let item = try? framer.next() { if case .message(let message) = item { inbox.append(message) } }
    }
    stream.onClosed = { [unowned self] _ in isClosed = true }
    self.stream = stream
    harness.wait { stream.isOpen || isClosed }
  }

  deinit { close() }

  func close() {
    stream?.close()
    socket?.close()
  }

  func send(_ bytes: [UInt8]) {
    stream?.send(bytes)
    socket?.send(Datagram(destination: harness.address("sip-udp"), bytes: bytes))
  }

  func request(_ method: SIP.Method, _ target: String) -> Message {
    sequence += 1
    var message = Message(request: method, URI(target)!)
    var via = Via(transport: transport.viaName, host: "10.0.0.7", port: 5060, branch: "z9hG4bK" + random.token(12))
    via.requestRport()
    message.push(via)
    message.maxForwards = 70
    var from = NameAddress(URI(.sip, user: name, host: Harness.domain))
    from.tag = random.token(8)
    message.from = from
    message.to = NameAddress(method == .register ? from.uri : message.requestURI!)
    message.callID = random.token(16)
    message.cseq = CSeq(sequence, method)
    message.contact = NameAddress(URI(.sip, user: name, host: "10.0.0.7", port: 5060))
    return message
  }

  /// Sends, answers a challenge, and returns the first final answer.
  @discardableResult
  func ask(_ message: Message) -> Message? {
    var message = message
    for round in 0..<3 {
      digest.authorize(&message, using: &random)
      inbox = []
      send(message.serialized())
      guard harness.wait(for: { inbox.contains { $0.status?.isFinal == true } || isClosed }),
        let answer = inbox.first(where: { $0.status?.isFinal == true })
      else { return nil }
      guard answer.status == 401 || answer.status == 407, digest.receive(answer, answered: round) == .retry else {
        return answer
      }
      sequence += 1
      message.cseq = CSeq(sequence, message.method!)
      message.topVia?.branch = "z9hG4bK" + random.token(12)
    }
    return nil
  }

  @discardableResult
  func register() -> Message? {
    var message = request(.register, "sip:" + Harness.domain)
    message.contact?.instance = "urn:uuid:00000000-0000-1000-8000-0000000000" + (name == "gate-box" ? "01" : "02")
    message.contact?.registrationID = 1
    message.append(.supported, "outbound, path")
    message.expires = 600
    return ask(message)
  }

  @discardableResult
  func publish(_ serial: String) -> Message? {
    var message = request(.publish, "sip:\(name)@\(Harness.domain)")
    message.event = Event("presence")
    message.expires = 600
    message.setBody(
      Array(
        """
        <?xml version="1.0"?><presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:e="urn:edge:resource:1"
         entity="sip:\(name)@\(Harness.domain)"><tuple id="t1"><status><basic>open</basic></status>
         <e:serial>\(serial)</e:serial><e:type>v4l2</e:type></tuple></presence>
        """.utf8), type: "application/pidf+xml")
    return ask(message)
  }

  func subscribe(_ target: String) -> Message? {
    var message = request(.subscribe, "sip:\(target)@\(Harness.domain)")
    message.event = Event("presence")
    message.expires = 600
    return ask(message)
  }

  /// Waits for a request from the server and answers it.
  func expect(_ method: SIP.Method, answer status: StatusCode? = 200, where matches: (Message) -> Bool = { _ in true })
    -> Message?
  {
    var found: Message?
    harness.wait {
      while let index = inbox.firstIndex(where: { $0.isRequest }) {
        let message = inbox.remove(at: index)
        if let status, message.method != .ack {
          send(Message.response(to: message, status: status, tag: "t").serialized())
        }
        if message.method == method, matches(message) {
          found = message
          return true
        }
      }
      return false
    }
    return found
  }
}

extension Message {
  var text: String { String(decoding: body, as: UTF8.self) }
}
