import EdgeCore
import PIDF
import SIP
import SecureTransport
import Testing

@testable import RendezvousLogic

let domain = "rv.example.org"

/// A server with a clock that only the test moves, and everything it sent, by flow.
///
/// Accounts: the nodes `gate-box` (owns CAM-1 and CAM-2) and `other-box`; the users `alice`, who may
/// watch CAM-1 and CAM-9, and `bob`, who may watch nothing; `old-phone` with MD5. Each password is
/// `secret-of-` and the name.
final class World {
  var now = Instant(nanoseconds: 1_000_000_000_000)
  var rendezvous: Rendezvous
  var directory: Directory
  var sent: [Flow: [Message]] = [:]
  var raw: [Flow: [[UInt8]]] = [:]
  var closed: [Flow] = []
  var logs: [LogEntry] = []
  let relay = Relay()
  let book = Book()
  private var lastPort: UInt16 = 40_000

  /// What the relay was told.
  final class Relay {
    var signalled: [String: [IPAddress]] = [:]
  }

  /// Where contact lists are kept.
  final class Book {
    var isBroken = false
    var verdict: ContactBook.Verdict { isBroken ? .unavailable : .kept }
  }

  init(mailbox: MessageBox? = nil, offline: Bool = false, _ change: (inout Configuration) -> Void = { _ in }) {
    var directory = Directory()
    for (name, isNode) in [("gate-box", true), ("other-box", true), ("alice", false), ("bob", false)] {
      directory.add(name, Self.account(name, isNode: isNode))
    }
    directory.add("old-phone", Self.account("old-phone", isNode: false, md5: true))
    directory.grant("CAM-1", to: "alice")
    directory.grant("CAM-9", to: "alice")
    directory.bind("CAM-1", to: "gate-box")
    directory.bind("CAM-2", to: "gate-box")
    self.directory = directory
    var configuration = Configuration(domain: domain)
    change(&configuration)
    var environment = Environment(
      hashes: .openSSL, flowKey: Array(repeating: 7, count: 32),
      claim: { serial, _ in serial == "NO-ROOM" ? .unavailable : .owned },
      parsePresence: World.parse, mailbox: mailbox)
    environment.hasOfflineService = offline
    environment.relays = { ["<turn:203.0.113.1:3478>;username=\"1:\($0)\";password=p"] }
    environment.signalled = { [relay] in relay.signalled[$0, default: []] += $1 }
    environment.contacts = ContactBook(
      want: { [book] _, _ in book.verdict }, part: { [book] _, _ in book.verdict })
    rendezvous = Rendezvous(
      configuration: configuration, directory: directory, environment: environment, random: SeededRandom(seed: 1))
  }

  static func account(_ name: String, isNode: Bool, md5: Bool = false, password: String? = nil) -> Directory.Account {
    let password = password ?? "secret-of-" + name
    func ha1(_ algorithm: DigestAlgorithm) -> String {
      algorithm.ha1(username: name, realm: domain, password: password, .openSSL)
    }
    return Directory.Account(ha1SHA256: ha1(.sha256), ha1MD5: md5 ? ha1(.md5) : nil, isNode: isNode)
  }

  /// A stand-in for the XML reader: one serial per line; `-` in front means closed. With an `@` it is a contact, and a
  /// relation may stand behind it.
  static func parse(_ body: [UInt8]) -> Presence? {
    let text = String(decoding: body, as: UTF8.self)
    guard !text.contains("<") else { return nil }
    let tuples = text.split(separator: "\n").map { line in
      let words = line.drop { $0 == "-" }.split(separator: " ")
      if words[0].contains("@") {
        return Presence.Tuple(
          serial: "", relation: words.count > 1 ? String(words[1]) : "", isOpen: !line.hasPrefix("-"),
          contact: "sip:" + words[0])
      }
      return line.hasPrefix("-")
        ? Presence.Tuple(serial: String(line.dropFirst()), isOpen: false)
        : Presence.Tuple(serial: String(line), type: "v4l2")
    }
    return Presence(entity: "", tuples: tuples)
  }

  // MARK: Flows

  func connect(_ transport: FlowTransport = .tls, from host: UInt32 = 0xC000_0201) -> Flow {
    lastPort += 1
    let flow = Flow(
      transport, local: SocketAddress(.v4(0xCB00_7101), port: transport == .tls ? 5061 : 5060),
      remote: SocketAddress(.v4(host), port: lastPort))
    if transport.isReliable { take(rendezvous.flowOpened(flow, at: now)) }
    return flow
  }

  func drop(_ flow: Flow) { take(rendezvous.flowClosed(flow, at: now)) }

  func deliver(_ bytes: [UInt8], on flow: Flow) {
    take(rendezvous.receive(bytes, on: flow, at: now))
    if let deadline = rendezvous.nextDeadline, deadline <= now { take(rendezvous.tick(at: now)) }
  }

  func deliver(_ message: Message, on flow: Flow) { deliver(message.serialized(), on: flow) }

  func change(_ edit: (inout Directory) -> Void) {
    edit(&directory)
    take(rendezvous.directoryChanged(to: directory, at: now))
  }

  /// The directory without anybody's right to `serial`, and without `account`.
  func directory(without serial: String, account: String? = nil) -> Directory {
    var copy = Directory()
    for (name, known) in directory.accounts where name != account { copy.add(name, known) }
    for camera in ["CAM-1", "CAM-2", "CAM-9"] {
      if let owner = directory.owner(of: camera), owner != account { copy.bind(camera, to: owner) }
      for name in copy.accounts.keys where camera != serial && directory.mayWatch(name, camera) {
        copy.grant(camera, to: name)
      }
    }
    return copy
  }

  /// Lets time pass, ticking at every deadline on the way.
  func advance(_ duration: Duration) {
    let end = now + duration
    var turns = 0
    while let deadline = rendezvous.nextDeadline, deadline <= end {
      now = max(now, deadline)
      take(rendezvous.tick(at: now))
      turns += 1
      precondition(turns < 100_000, "the clock stands still")
    }
    now = end
  }

  func take(_ outputs: [Output]) {
    for output in outputs {
      switch output {
      case .send(let bytes, let flow):
        if let message = try? Message(parsing: bytes, framing: flow.transport.isReliable ? .stream : .datagram) {
          sent[flow, default: []].append(message)
        } else {
          raw[flow, default: []].append(bytes)
        }
      case .close(let flow): closed.append(flow)
      case .log(let entry): logs.append(entry)
      }
    }
  }

  /// What was sent over a flow since the last call.
  func received(_ flow: Flow) -> [Message] { sent.removeValue(forKey: flow) ?? [] }

  func responses(_ flow: Flow) -> [Int] { received(flow).compactMap { $0.status?.value } }

  func has(_ event: String) -> Bool { logs.contains { $0.event == event } }
}

/// One device or viewer: makes requests as an account over a flow and answers challenges.
final class Peer {
  let world: World
  let name: String
  var flow: Flow
  var password: String
  var instance = "urn:uuid:00000000-0000-1000-8000-000000000001"
  var registrationID: UInt32 = 1
  private var digest: DigestClient
  private var sequence: UInt32 = 0
  private var random = SeededRandom(seed: 5)

  init(_ world: World, _ name: String, on flow: Flow? = nil, password: String? = nil, realm: String = domain) {
    self.world = world
    self.name = name
    self.flow = flow ?? world.connect()
    self.password = password ?? "secret-of-" + name
    digest = DigestClient(
      username: name, password: self.password, realm: realm, allowsMD5: name == "old-phone", hashes: .openSSL)
    random = SeededRandom(seed: name.utf8.reduce(UInt64(self.flow.remote.port)) { $0 &* 31 &+ UInt64($1) })
  }

  var contact: URI { URI(.sip, user: name, host: "10.0.0.7", port: 5060) }

  func request(_ method: SIP.Method, _ target: String, tag: String? = nil, toTag: String? = nil) -> Message {
    sequence += 1
    var message = Message(request: method, URI(target.hasPrefix("sip:") ? target : "sip:\(target)@\(domain)")!)
    var via = Via(
      transport: flow.transport.viaName, host: "10.0.0.7", port: 5060, branch: "z9hG4bK" + random.token(12))
    via.requestRport()
    message.push(via)
    message.maxForwards = 70
    var from = NameAddress(URI(.sip, user: name, host: domain))
    from.tag = tag ?? random.token(8)
    message.from = from
    let called = message.requestURI!
    var to = NameAddress(method == .register ? URI(.sip, user: name, host: domain) : called)
    to.tag = toTag
    message.to = to
    message.callID = random.token(16)
    message.cseq = CSeq(sequence, method)
    message.append(.contact, NameAddress(contact).description)
    return message
  }

  func registration(expires: UInt32 = 600, outbound: Bool = true) -> Message {
    var message = request(.register, "sip:\(domain)")
    var address = NameAddress(contact)
    if outbound {
      address.instance = instance
      address.registrationID = registrationID
      message.append(.supported, "outbound, path")
    }
    message.contact = address
    message.expires = expires
    return message
  }

  /// Sends a request, answers up to two challenges, and returns all that came back.
  @discardableResult
  func send(_ message: Message) -> [Message] {
    var message = message
    digest.authorize(&message, using: &random)
    world.deliver(message, on: flow)
    var answers = world.received(flow)
    for round in 0..<2 {
      guard let challenge = answers.last(where: { $0.status == 401 || $0.status == 407 }),
        digest.receive(challenge, answered: round) == .retry
      else { break }
      sequence += 1
      message.cseq = CSeq(sequence, message.method!)
      var via = message.topVia!
      via.branch = "z9hG4bK" + random.token(12)
      message.topVia = via
      digest.authorize(&message, using: &random)
      last = message
      world.deliver(message, on: flow)
      answers = world.received(flow)
    }
    last = message
    return answers
  }

  /// The last request as it went out in the end.
  private(set) var last = Message(request: .options, URI(.sip, host: "x"))

  @discardableResult
  func register(expires: UInt32 = 600, outbound: Bool = true) -> Message {
    send(registration(expires: expires, outbound: outbound)).last!
  }

  @discardableResult
  func publish(_ serials: String, match: String? = nil, expires: UInt32 = 600) -> Message {
    var message = request(.publish, name)
    message.removeAll(.contact)
    message.event = Event("presence")
    message.expires = expires
    message.sipIfMatch = match
    if !serials.isEmpty { message.setBody(Array(serials.utf8), type: "application/pidf+xml") }
    return send(message).first { !$0.isRequest }!
  }

  func subscription(_ target: String, expires: UInt32 = 600) -> Message {
    var message = request(.subscribe, target)
    message.event = Event("presence")
    message.append(.accept, "application/pidf+xml")
    message.expires = expires
    return message
  }

  /// Answers a request that came over the flow.
  func answer(
    _ request: Message, _ status: StatusCode, tag: String = "peer-tag", edit: (inout Message) -> Void = { _ in }
  ) {
    var response = Message.response(to: request, status: status, tag: tag)
    response.append(.contact, NameAddress(contact).description)
    edit(&response)
    world.deliver(response, on: flow)
  }

  func received() -> [Message] { world.received(flow) }
}

extension Message {
  var text: String { String(decoding: body, as: UTF8.self) }

  /// Which of `serials` a PIDF body shows as open.
  func open(_ serials: String...) -> [String] {
    serials.filter { text.contains("t-\($0)\"><status><basic>open") }
  }
}
