import EdgeCore
import STUN
import SecureTransport
import TURN
import Testing

/// RFC 6062.
@Suite("Relay server: TCP allocations")
struct TCPAllocationTests {
  private let tcp = Attribute.requestedTransport(RequestedTransport.tcp)
  private let peer = "198.51.100.7:80"

  private func desk(_ change: (inout TURNServer.Configuration) -> Void = { _ in }) throws -> (RelayDesk, RelayID) {
    let desk = RelayDesk(change)
    #expect(desk.ask(.allocate, [tcp], on: desk.flow(1, .tcp), as: desk.credentials())?.isSuccess == true)
    return (desk, try #require(desk.openRelays.keys.first))
  }

  private func connect(_ desk: RelayDesk, to peer: String) -> STUNMessage? {
    let id = TransactionID(high: 5, low: UInt64(desk.connects.count))
    return desk.ask(
      .connect, [.xorAddress(.xorPeerAddress, RelayDesk.peer(peer), transaction: id)], on: desk.flow(1, .tcp),
      as: desk.credentials(), id: id)
  }

  private func bind(_ id: UInt32, _ desk: RelayDesk, on flow: ClientFlow, as session: String = "s1") -> STUNMessage? {
    desk.ask(.connectionBind, [Attribute(.connectionID, id)], on: flow, as: desk.credentials(session))
  }

  @Test func `a TCP allocation needs a stream and nothing that is about datagrams`() {
    let desk = RelayDesk()
    let user = desk.credentials()
    #expect(desk.ask(.allocate, [tcp], on: desk.flow(1, .udp), as: user)?.code == 400)
    let token = Attribute(.reservationToken, UInt64(1))
    for extra in [Attribute(.dontFragment, [UInt8]()), Attribute(.evenPort, [0]), token] {
      #expect(desk.ask(.allocate, [tcp, extra], on: desk.flow(1, .tcp), as: user)?.code == 400)
    }
    #expect(desk.ask(.allocate, [.requestedTransport(33)], on: desk.flow(1, .tcp), as: user)?.code == 442)
    #expect(desk.ask(.allocate, [tcp], on: desk.flow(1, .tls), as: user)?.isSuccess == true)
    #expect(desk.ask(.refresh, [], on: desk.flow(1, .tls), as: user)?.isSuccess == true)
  }

  @Test func `a connection the client asked for is bound by its data connection`() throws {
    let (desk, relay) = try desk()
    #expect(connect(desk, to: peer) == nil, "the answer waits for the peer")
    let asked = try #require(desk.connects.first)
    #expect(asked.relay == relay && asked.peer == SocketAddress(peer))
    #expect(connect(desk, to: peer)?.code == 446)
    desk.peerConnected(asked.id)
    let answer = try #require(parse(desk.sent.last?.bytes ?? []))
    #expect(answer.message.type == MessageType(.success, .connect))
    #expect(answer.message.uint32(.connectionID) == asked.id)
    #expect(answer.verify(key: desk.key(desk.credentials()), hashes: .openSSL))
    desk.sent = []
    #expect(connect(desk, to: peer)?.code == 446)
    let data = desk.flow(2, .tcp)
    #expect(bind(asked.id, desk, on: data, as: "s2")?.code == 441, "somebody else's")
    #expect(bind(asked.id &+ 1, desk, on: data)?.code == 400)
    #expect(bind(asked.id, desk, on: desk.flow(3, .udp))?.code == 400)
    #expect(bind(asked.id, desk, on: data)?.isSuccess == true)
    #expect(desk.joined == [asked.id: data])
    #expect(bind(asked.id, desk, on: desk.flow(4, .tcp))?.code == 400, "it is bound already")
    // What is bound lasts as long as the allocation.
    desk.advance(.seconds(120))
    #expect(desk.closed.isEmpty)
    desk.connectionEnded(asked.id)
    #expect(desk.closed == [asked.id])
    #expect(connect(desk, to: peer) == nil && desk.connects.count == 2)
  }

  @Test func `a peer that does not answer is a 447, after thirty seconds at the latest`() throws {
    let (desk, _) = try desk()
    _ = connect(desk, to: peer)
    desk.connectionEnded(desk.connects[0].id)
    #expect(parse(desk.sent.last?.bytes ?? [])?.message.code == 447)
    desk.sent = []
    _ = connect(desk, to: peer)
    desk.advance(.seconds(29))
    #expect(desk.sent.isEmpty)
    desk.advance(.seconds(2))
    #expect(parse(desk.sent.last?.bytes ?? [])?.message.code == 447)
    #expect(desk.closed.last == desk.connects[1].id)
    // Came about too late.
    desk.peerConnected(desk.connects[1].id)
    #expect(desk.closed.filter { $0 == desk.connects[1].id }.count == 2)
  }

  @Test func `a peer without a permission is closed at once, one with is announced and waits thirty seconds`() throws {
    let (desk, relay) = try desk()
    #expect(desk.peerAccepted(peer, on: relay) == nil)
    #expect(desk.permit(["198.51.100.7"], on: desk.flow(1, .tcp))?.isSuccess == true)
    let id = try #require(desk.peerAccepted(peer, on: relay))
    let told = try #require(parse(desk.sent.last?.bytes ?? [])).message
    #expect(told.type == MessageType(.indication, .connectionAttempt))
    #expect(told.uint32(.connectionID) == id)
    #expect(told.xorAddress(.xorPeerAddress) == SocketAddress(peer))
    desk.sent = []
    desk.advance(.seconds(29))
    #expect(desk.closed.isEmpty)
    desk.advance(.seconds(1))
    #expect(desk.closed == [id])
    #expect(bind(id, desk, on: desk.flow(2, .tcp))?.code == 400)
  }

  @Test func `with the allocation go its connections`() throws {
    let (desk, relay) = try desk()
    #expect(desk.permit(["198.51.100.7"], on: desk.flow(1, .tcp))?.isSuccess == true)
    let id = try #require(desk.peerAccepted(peer, on: relay))
    desk.sent = []
    #expect(bind(id, desk, on: desk.flow(2, .tcp))?.isSuccess == true)
    desk.close(desk.flow(1, .tcp))
    #expect(desk.closed == [id])
    #expect(desk.openRelays.isEmpty)
  }

  @Test func `datagrams have no place on a TCP allocation, and Connect none on another`() throws {
    let (desk, relay) = try desk()
    #expect(desk.permit(["198.51.100.7"], on: desk.flow(1, .tcp))?.isSuccess == true)
    #expect(desk.sendIndication([1], to: [peer], on: desk.flow(1, .tcp)) == .none)
    let id = TransactionID(high: 1, low: 1)
    let bound = desk.ask(
      .channelBind,
      [.channelNumber(0x4000), .xorAddress(.xorPeerAddress, RelayDesk.peer(peer), transaction: id)],
      on: desk.flow(1, .tcp), as: desk.credentials(), id: id)
    #expect(bound?.code == 400)
    _ = relay
    #expect(desk.allocate(on: desk.flow(9))?.isSuccess == true)
    #expect(
      desk.ask(
        .connect, [.xorAddress(.xorPeerAddress, RelayDesk.peer(peer), transaction: id)], on: desk.flow(9),
        as: desk.credentials(), id: id)?.code == 437)
    #expect(desk.ask(.connect, [], on: desk.flow(1, .tcp), as: desk.credentials())?.code == 400)
    #expect(desk.ask(.connect, [], on: desk.flow(7, .tcp), as: desk.credentials())?.code == 437)
  }

  @Test func `of this relay's own addresses only those of TCP allocations are connected to`() throws {
    let (desk, mine) = try desk()
    let address = try #require(desk.openRelays[mine])
    let other = try #require(desk.allocate(on: desk.flow(5))?.xorAddress(.xorRelayedAddress))
    #expect(connect(desk, to: "\(other)")?.code == 403)
    #expect(connect(desk, to: "203.0.113.10:5060")?.code == 403)
    #expect(connect(desk, to: "\(address)") == nil && desk.connects.map { $0.peer } == [address])
  }

  @Test func `connections of one allocation have a limit`() throws {
    let (desk, _) = try desk { $0.connectionsPerAllocation = 3 }
    for port in 1...3 { #expect(connect(desk, to: "198.51.100.7:\(port)") == nil) }
    #expect(connect(desk, to: "198.51.100.7:4")?.code == 508)
  }

  @Test func `what an allocation may carry counts on its connections too`() throws {
    let (desk, _) = try desk { $0.bytesPerAllocation = 1000 }
    _ = connect(desk, to: peer)
    let id = desk.connects[0].id
    desk.peerConnected(id)
    #expect(desk.carried(id, toPeer: 600, toClient: 400))
    #expect(!desk.carried(id, toPeer: 1, toClient: 0))
  }
}
