import EdgeCore
import STUN
import TURN
import Testing

/// Several loops of one relay, and what one allocation may use.
@Suite("Relay server: loops and limits")
struct LoopTests {
  private func pair(
    _ change: (inout TURNServer.Configuration) -> Void = { _ in }
  ) -> (RelayDesk, RelayDesk) {
    let first = RelayDesk(change)
    return (first, RelayDesk(sharing: first.ledger, loop: 1, change))
  }

  @Test func `a session's limit counts on all loops`() {
    let (a, b) = pair { $0.allocationsPerSession = 3 }
    #expect(a.allocate(on: a.flow(1))?.isSuccess == true)
    #expect(b.allocate(on: b.flow(2))?.isSuccess == true)
    #expect(a.allocate(on: a.flow(3))?.isSuccess == true)
    #expect(b.allocate(on: b.flow(4))?.code == 486)
    #expect(a.allocate(on: a.flow(4))?.code == 486)
    #expect(a.ask(.refresh, [.lifetime(.zero)], on: a.flow(1), as: a.credentials())?.isSuccess == true)
    #expect(b.allocate(on: b.flow(4))?.isSuccess == true)
    #expect(b.allocate(on: b.flow(5), as: b.credentials("s2"))?.isSuccess == true)
  }

  @Test func `no port is given out by two loops`() {
    let (a, b) = pair {
      $0.ports = 50_000...50_009
      $0.allocationsPerSession = 100
    }
    for number in 1...5 {
      #expect(a.allocate(on: a.flow(number))?.isSuccess == true)
      #expect(b.allocate(on: b.flow(number))?.isSuccess == true)
    }
    let ports = Set((Array(a.openRelays.values) + Array(b.openRelays.values)).map { $0.port })
    #expect(ports.count == 10)
    #expect(b.allocate(on: b.flow(6))?.code == 508)
    a.close(a.flow(1))
    #expect(b.allocate(on: b.flow(6))?.isSuccess == true)
  }

  @Test func `a port reserved on one loop is given out on another`() throws {
    let (a, b) = pair()
    let even = Attribute(.evenPort, [0x80])
    let answer = try #require(a.allocate([even], on: a.flow(1)))
    let first = try #require(answer.xorAddress(.xorRelayedAddress))
    let token = try #require(answer.uint64(.reservationToken))
    let second = b.allocate([Attribute(.reservationToken, token)], on: b.flow(2))
    #expect(second?.xorAddress(.xorRelayedAddress)?.port == first.port + 1)
    #expect(a.allocate([Attribute(.reservationToken, token)], on: a.flow(3))?.code == 508)
  }

  @Test func `clients of two loops reach each other, within their session`() throws {
    let (a, b) = pair { $0.onlySignalledPeers = true }
    #expect(a.allocate(on: a.flow(1))?.isSuccess == true)
    let mine = try #require(a.openRelays.values.first)
    let friend = try #require(b.allocate(on: b.flow(2))?.xorAddress(.xorRelayedAddress))
    let stranger = try #require(
      b.allocate(on: b.flow(3), as: b.credentials("s2"))?.xorAddress(.xorRelayedAddress))
    #expect(a.bind(0x4000, to: "\(stranger)", on: a.flow(1))?.code == 403)
    #expect(a.bind(0x4001, to: "\(friend)", on: a.flow(1))?.isSuccess == true)
    #expect(b.permit(["\(mine)"], on: b.flow(2))?.isSuccess == true)
    let sent = a.sendChannelData(0x4001, [1, 2, 3], on: a.flow(1))
    #expect(sent == .toLoop(1, from: mine, to: friend, payload: 4..<7))
    #expect(b.siblingSends(3, from: mine, to: friend) == .toClient(b.flow(2), payload: 0..<3, padding: 1))
    // Nothing for an address nobody has, or without a permission.
    #expect(b.siblingSends(3, from: mine, to: mine) == .none)
    #expect(b.siblingSends(3, from: mine, to: stranger) == .none)
  }

  @Test func `a source address is answered as often on two loops as on one`() {
    let (a, b) = pair { $0.unauthenticatedRepliesPerSecond = 10 }
    let bare = STUNMessage(
      .request, .allocate, transaction: TransactionID(high: 1, low: 1), attributes: [.requestedTransport(17)]
    ).serialized()
    for _ in 0..<50 {
      a.receive(bare, a.flow(1))
      b.receive(bare, b.flow(1))
    }
    #expect(a.sent.count + b.sent.count == 20, "two seconds' worth at once")
  }

  // MARK: What one allocation may use

  @Test func `an allocation that has carried its bytes carries no more and is not refreshed`() throws {
    let desk = RelayDesk { $0.bytesPerAllocation = 1000 }
    let relay = try #require(desk.relay(on: desk.flow()))
    #expect(desk.bind(0x4000, to: "198.51.100.7:9", on: desk.flow())?.isSuccess == true)
    #expect(desk.sendChannelData(0x4000, Array(repeating: 1, count: 600), on: desk.flow()) != .none)
    #expect(desk.peerSends(400, from: "198.51.100.7:9", on: relay) != .none)
    #expect(desk.peerSends(1, from: "198.51.100.7:9", on: relay) == .none)
    #expect(desk.sendChannelData(0x4000, [1], on: desk.flow()) == .none)
    #expect(desk.ask(.refresh, [], on: desk.flow(), as: desk.credentials())?.code == 486)
    #expect(desk.openRelays.isEmpty)
  }

  @Test func `an allocation that has lasted its time is not refreshed beyond it`() throws {
    let desk = RelayDesk { $0.durationOfAllocation = .seconds(1000) }
    _ = try #require(desk.relay(on: desk.flow()))
    let made = desk.now
    desk.now = made + .seconds(500)
    let answer = desk.ask(.refresh, [], on: desk.flow(), as: desk.credentials())
    let left = try #require(answer?.uint32(.lifetime))
    #expect((490...500).contains(left))
    desk.now = made + .seconds(999)
    #expect(desk.ask(.refresh, [], on: desk.flow(), as: desk.credentials())?.code == 486)
    #expect(desk.openRelays.isEmpty)
  }
}
