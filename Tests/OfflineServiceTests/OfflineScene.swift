import EdgeCore
import MSRP
import SDP
import SIP
import SecureTransport
import Testing

@testable import OfflineService
@testable import RendezvousLogic

/// The proxy, the application server and media servers as in one process, and all they say to each other, in order.
final class OfflineScene {
  let world: World
  let server: ApplicationServer
  var media: [MediaServer] = []
  var boxes: [MemoryBox] = []
  /// `alice>proxy INVITE sdp`, `ms1>as 200 INVITE sdp`, `as>ms1 CONTROL RestoreMsg`, `bob>ms1 MSRP 200`, ...
  var trace: [String] = []
  var controlBodies: [String] = []
  private var work: [() -> Void] = []
  private var isWorking = false

  /// The far ends of MSRP connections.
  final class MSRPPeer {
    let name: String
    var link: MSRPLink
    let server: Int
    var connection: UInt64
    var events: [MSRPSession.Event] = []

    init(_ name: String, _ link: MSRPLink, server: Int, connection: UInt64) {
      self.name = name
      self.link = link
      self.server = server
      self.connection = connection
    }
  }

  var peers: [MSRPPeer] = []
  /// Connections the media servers closed.
  var closed: [UInt64] = []
  private var nextConnection: UInt64 = 0

  init(weights: [Int] = [1]) {
    world = World(mailbox: MemoryBox().box, offline: true)
    server = ApplicationServer(
      .init(domain: domain, weights: weights),
      environment: .init(
        hashes: .openSSL, parseControl: { ControlDocument(parsing: $0) },
        parseRegistrations: { Registration.all(in: $0) }), random: SeededRandom(seed: 11))
    for index in weights.indices {
      let box = MemoryBox()
      boxes.append(box)
      media.append(
        MediaServer(
          .init(domain: domain, host: "media\(index + 1).example.org", securePort: 2855, plainPort: 2856),
          store: box.box,
          hashes: .openSSL, parseControl: { ControlDocument(parsing: $0) },
          random: SeededRandom(seed: UInt64(index + 5))))
    }
    run { [self] in carryOut(server.start(at: world.now)) }
    for index in weights.indices { run { [self] in carryOut(server.mediaConnected(index, at: world.now)) } }
    trace = []
  }

  // MARK: Everything in order

  private func run(_ body: @escaping () -> Void) {
    work.append(body)
    guard !isWorking else { return }
    isWorking = true
    repeat {
      while !work.isEmpty { work.removeFirst()() }
      for message in world.received(Rendezvous.serviceFlow) {
        note("proxy>as", message)
        work.append { [self] in carryOut(server.receive(message, at: world.now)) }
      }
    } while !work.isEmpty
    isWorking = false
  }

  private func carryOut(_ outputs: [ApplicationServer.Output]) {
    for output in outputs {
      switch output {
      case .toProxy(let message):
        note("as>proxy", message)
        work.append { [self] in world.deliver(message, on: Rendezvous.serviceFlow) }
      case .toMedia(let message, let index):
        note("as>ms\(index + 1)", message)
        work.append { [self] in carryOut(media[index].receive(message, at: world.now), index) }
      case .openControl(let index, _, _):
        work.append { [self] in carryOut(server.controlOpened(index, at: world.now)) }
      case .toControl(let bytes, let index):
        noteControl("as>ms\(index + 1)", bytes)
        work.append { [self] in carryOut(media[index].receiveControl(bytes, at: world.now)!, index) }
      case .log: break
      }
    }
  }

  private func carryOut(_ outputs: [MediaServer.Output], _ index: Int) {
    for output in outputs {
      switch output {
      case .toServer(let message):
        note("ms\(index + 1)>as", message)
        work.append { [self] in carryOut(server.receive(message, fromMedia: index, at: world.now)) }
      case .toControl(let bytes):
        noteControl("ms\(index + 1)>as", bytes)
        work.append { [self] in carryOut(server.receiveControl(bytes, from: index, at: world.now)!) }
      case .toPeer(let bytes, let connection):
        guard let peer = peers.first(where: { $0.server == index && $0.connection == connection }) else { continue }
        trace.append("ms\(index + 1)>\(peer.name) \(Self.msrp(bytes))")
        work.append { [self] in
          var out = MSRPSession.Output()
          let span = bytes.span
          _ = peer.link.receive(span.bytes, at: world.now, into: &out)
          carryOut(out, peer)
        }
      case .close(let connection): closed.append(connection)
      case .connect, .log: break
      }
    }
  }

  func carryOut(_ out: MSRPSession.Output, _ peer: MSRPPeer) {
    peer.events += out.events
    for bytes in out.messages {
      trace.append("\(peer.name)>ms\(peer.server + 1) \(Self.msrp(bytes))")
      run { [self] in
        carryOut(media[peer.server].received(bytes, on: peer.connection, at: world.now), peer.server)
        carryOut(media[peer.server].drained(peer.connection, at: world.now), peer.server)
      }
    }
  }

  // MARK: Saying what was said

  private func note(_ who: String, _ message: Message) {
    let body = message.mediaType == "application/sdp" ? " sdp" : ""
    if message.isRequest, let method = message.method {
      trace.append("\(who) \(method.name)\(body)")
    } else {
      trace.append("\(who) \(message.status!.value) \(message.cseq!.method.name)\(body)")
    }
  }

  private func noteControl(_ who: String, _ bytes: [UInt8]) {
    var framer = ControlFramer()
    framer.append(bytes)
    let frame = try! framer.next()!
    let document = ControlDocument(parsing: frame.body)
    if !frame.body.isEmpty { controlBodies.append(String(decoding: frame.body, as: UTF8.self)) }
    let what =
      switch frame.kind {
      case .request(let method): method
      case .response(let status): "\(status)"
      }
    trace.append("\(who) CFW \(what)" + (document.map { " \($0.kind.rawValue)" } ?? ""))
  }

  static func msrp(_ bytes: [UInt8]) -> String {
    var framer = MSRPFramer()
    framer.append(bytes)
    guard case .head(let head, _) = try? framer.next() else { return "?" }
    return "MSRP " + (head.method ?? "\(head.responseCode ?? 0)")
  }

  // MARK: What user agents do

  /// Sends a request of a peer's and runs everything that follows.
  func send(_ message: Message, by peer: Peer) {
    note("\(peer.name)>proxy", message)
    world.deliver(message, on: peer.flow)
    run {}
  }

  func answer(_ request: Message, _ status: StatusCode, by peer: Peer, sdp: String = "", contact: Bool = true) {
    var response = Message.response(to: request, status: status, tag: "tag-of-\(peer.name)")
    response.append(.contact, NameAddress(peer.contact).description)
    if !sdp.isEmpty { response.setBody(Array(sdp.utf8), type: "application/sdp") }
    note("\(peer.name)>proxy", response)
    world.deliver(response, on: peer.flow)
    run {}
  }

  /// A request inside a dialog that `response` made.
  func follow(_ method: SIP.Method, _ invite: Message, _ response: Message, by peer: Peer) {
    var dialog = Dialog(request: invite, response: response)!
    var request =
      method == .ack ? dialog.acknowledgement(ofInvite: invite.cseq!.number) : dialog.request(method)
    request.push(Via(transport: "TLS", host: "10.0.0.7", port: 5060, branch: "z9hG4bKx\(trace.count)"))
    send(request, by: peer)
  }

  func offer(_ peer: Peer, session: String = "sess-\(1)", setup: String? = "active") -> (String, MSRPURI) {
    let uri = MSRPURI(isSecure: true, host: "10.0.0.7", port: 9, sessionID: session + peer.name)
    let description = MSRPDescription(
      path: [uri], acceptTypes: ["message/cpim", "*"], setup: setup.flatMap { MSRPDescription.Setup(rawValue: $0) })
    return (description.session(id: "7").serialized, uri)
  }

  /// An INVITE with an offer of messages, and the URI it offers.
  func call(_ account: String, by peer: Peer) -> (Message, MSRPURI) {
    var invite = peer.request(.invite, account)
    let (sdp, uri) = offer(peer)
    invite.setBody(Array(sdp.utf8), type: "application/sdp")
    return (invite, uri)
  }

  /// Opens an MSRP connection to the server of an SDP.
  func connect(_ peer: Peer, to sdp: [UInt8], as uri: MSRPURI) -> MSRPPeer {
    let description = MSRPDescription(try! SessionDescription(parsing: sdp.span.bytes))!
    let index = Int(String(description.path[0].host.dropFirst("media".count).prefix(1)))! - 1
    nextConnection += 1
    let link = MSRPLink(
      .init(
        local: uri, remotePath: description.path, configuration: .init(),
        random: AnyRandom(SeededRandom(seed: nextConnection))))
    let made = MSRPPeer(peer.name, link, server: index, connection: nextConnection)
    peers.append(made)
    run { [self] in carryOut(media[index].opened(made.connection, at: world.now), index) }
    return made
  }

  /// Opens the connection and says the first word, as the active end must.
  func speak(_ peer: MSRPPeer) {
    var out = MSRPSession.Output()
    peer.link.session.sendEmpty(at: world.now, into: &out)
    carryOut(out, peer)
  }

  func send(_ text: String, id: String, over peer: MSRPPeer) {
    var out = MSRPSession.Output()
    peer.link.session.send(.init(contentType: "text/plain", body: Array(text.utf8), messageID: id), into: &out)
    while peer.link.session.pull(at: world.now, into: &out) == .sent {}
    carryOut(out, peer)
  }

  /// A storing session from INVITE to BYE.
  func leave(_ texts: [String], from peer: Peer, to account: String) {
    var invite = peer.request(.invite, account)
    let (sdp, uri) = offer(peer, session: "s\(trace.count)")
    invite.setBody(Array(sdp.utf8), type: "application/sdp")
    send(invite, by: peer)
    let answer = peer.received().last!
    follow(.ack, invite, answer, by: peer)
    let link = connect(peer, to: answer.body, as: uri)
    for (index, text) in texts.enumerated() { send(text, id: "m\(trace.count)-\(index)", over: link) }
    follow(.bye, invite, answer, by: peer)
    _ = peer.received()
  }

  /// The media server's own end of a call, for what the flows do in another order than usual.
  func deliver(_ bytes: [UInt8], on connection: UInt64, of index: Int) {
    run { [self] in carryOut(media[index].received(bytes, on: connection, at: world.now), index) }
  }

  /// Lets time pass for the media servers.
  func advance(_ duration: Duration) {
    world.now = world.now + duration
    for index in media.indices { run { [self] in carryOut(media[index].tick(at: world.now), index) } }
  }

  func lose(_ peer: MSRPPeer) {
    run { [self] in carryOut(media[peer.server].closed(peer.connection, at: world.now), peer.server) }
  }

  func reset() {
    trace = []
    controlBodies = []
  }

  /// Registers and runs what follows.
  func register(_ peer: Peer) {
    peer.register()
    run {}
  }
}
