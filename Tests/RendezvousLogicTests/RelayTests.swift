import EdgeCore
import SIP
import Testing

@testable import RendezvousLogic

@Suite("Relays of a session")
struct RelayTests {
  private let world = World()
  private let node: Peer
  private let viewer: Peer

  init() {
    node = Peer(world, "gate-box", on: world.connect(from: 0xC633_6401))
    node.register()
    node.publish("CAM-1")
    viewer = Peer(world, "alice", on: world.connect(from: 0xC633_6402))
    viewer.register()
    _ = node.received()
  }

  private static func candidates(_ addresses: [String]) -> [UInt8] {
    Array(
      addresses.enumerated().map { "a=candidate:\($0) 1 UDP 2130706431 \($1) 4000 typ host\r\n" }.joined().utf8)
  }

  private func invite(_ addresses: [String]) -> Message {
    var invite = viewer.request(.invite, "CAM-1")
    invite.setBody(Array("v=0\r\n".utf8) + Self.candidates(addresses), type: "application/sdp")
    // A client has nothing to say about relays.
    invite.append(.other("X-Edge-Relay"), "<turn:198.51.100.66:3478>;username=mine;password=mine")
    return invite
  }

  private func info(in ok: Message, from peer: Peer, to: Message, _ addresses: [String]) -> Message {
    var info = peer.request(.info, "x")
    info.requestURI = node.contact
    info.callID = ok.callID
    info.cseq = CSeq(9, .info)
    (info.from, info.to) = (ok.from, ok.to)
    info.routes = ok.recordRoutes.reversed()
    info.setBody(Self.candidates(addresses), type: "application/trickle-ice-sdpfrag")
    return info
  }

  private static func relays(_ message: Message?) -> [String] { message?.values(.other("X-Edge-Relay")) ?? [] }

  @Test func `each end gets the relay with credentials of the same session: the caller while it waits and again`()
    throws
  {
    let answers = viewer.send(invite(["192.168.1.2"]))
    let atNode = try #require(node.received().first)
    node.answer(atNode, 180)
    node.answer(atNode, 200)
    let later = viewer.received()
    let (trying, ringing, ok) = (answers.first, later.first, later.last)
    #expect([trying, ringing, ok].map { $0?.status?.value } == [100, 180, 200])
    let offer = Self.relays(atNode)
    #expect(offer.count == 1 && offer[0].hasPrefix("<turn:203.0.113.1:3478>"))
    #expect(Self.relays(trying) == offer && Self.relays(ok) == offer)
    #expect(Self.relays(ringing) == [])
  }

  @Test func `a refused caller gets none with the refusal`() throws {
    _ = viewer.send(invite([]))
    node.answer(try #require(node.received().first), 603)
    #expect(Self.relays(viewer.received().last) == [])
  }

  @Test func `nobody gets credentials over a hop others can read`() throws {
    let plain = Peer(world, "alice", on: world.connect(.tcp, from: 0xC633_6403))
    plain.register()
    let answers = plain.send(plain.request(.invite, "CAM-1"))
    #expect(answers.first?.status?.value == 100 && Self.relays(answers.first) == [])
    #expect(Self.relays(node.received().first).count == 1)
  }

  @Test func `the relay is told the addresses of both ends, as they come`() throws {
    _ = viewer.send(invite(["192.168.1.2", "203.0.113.102"]))
    #expect(world.relay.signalled.count == 1)
    let session = try #require(world.relay.signalled.keys.first)
    func told() -> [String] { (world.relay.signalled[session] ?? []).map { "\($0)" } }
    #expect(told() == ["198.51.100.2", "192.168.1.2", "203.0.113.102"])
    node.answer(try #require(node.received().first), 200) {
      $0.setBody(Self.candidates(["2001:db8::5", "not-an-address", "203.0.113.101"]), type: "application/sdp")
    }
    #expect(told().suffix(3) == ["198.51.100.1", "2001:db8::5", "203.0.113.101"])
    let ok = try #require(viewer.received().last)
    _ = viewer.send(info(in: ok, from: viewer, to: ok, ["203.0.113.77"]))
    #expect(told().last == "203.0.113.77")
    #expect(world.relay.signalled.count == 1)
    #expect(Self.relays(ok)[0].contains("\"1:\(session)\""))
  }

  @Test func `whoever is no end of the session adds nothing to it`() throws {
    _ = viewer.send(invite(["203.0.113.102"]))
    node.answer(try #require(node.received().first), 200)
    let ok = try #require(viewer.received().last)
    let before = world.relay.signalled
    let other = Peer(world, "bob", on: world.connect(from: 0xC633_6409))
    other.register()
    _ = other.send(info(in: ok, from: other, to: ok, ["203.0.113.77"]))
    #expect(world.relay.signalled == before)
  }

  @Test func `a request that is not let through names no addresses`() {
    let bob = Peer(world, "bob", on: world.connect())
    bob.register()
    var call = bob.request(.invite, "CAM-1")
    call.setBody(Self.candidates(["203.0.113.102"]), type: "application/sdp")
    #expect(bob.send(call).last?.status?.value == 404)
    #expect(world.relay.signalled.isEmpty)
  }

  @Test func `one message adds a few dozen addresses at most`() {
    _ = viewer.send(invite((0..<900).map { "10.0.\($0 / 250).\($0 % 250)" }))
    #expect(world.relay.signalled.values.map(\.count) == [32])
  }
}
