import EdgeCore
import STUN
import TURN
import Testing

/// RFC 8656 §5, §7.2 and §8.2.
@Suite("Relay server: allocations")
struct AllocationTests {
  @Test func `an allocation has a relayed address, a lifetime and the client's own address`() {
    let desk = RelayDesk()
    let answer = desk.allocate(on: desk.flow())
    let relayed = answer?.xorAddress(.xorRelayedAddress)
    #expect(relayed?.ip == IPAddress("203.0.113.10"))
    #expect((50_000...50_999).contains(relayed?.port ?? 0))
    #expect(answer?.uint32(.lifetime) == 600)
    #expect(answer?.xorAddress(.xorMappedAddress) == desk.flow().client)
    #expect(desk.openRelays.values.first == relayed)
  }

  @Test func `a retransmitted request gets the same answer and no second address`() {
    let desk = RelayDesk()
    let id = TransactionID(high: 5, low: 5)
    let first = desk.allocate(on: desk.flow(), id: id)
    let second = desk.allocate(on: desk.flow(), id: id)
    #expect(first?.isSuccess == true)
    #expect(first?.xorAddress(.xorRelayedAddress) == second?.xorAddress(.xorRelayedAddress))
    #expect(desk.openRelays.count == 1)
    #expect(desk.allocate(on: desk.flow())?.code == 437)
    #expect(desk.allocate(on: desk.flow(), as: desk.credentials("other"), id: id)?.code == 437)
  }

  /// Each row breaks one rule and all the later ones: the earliest decides.
  @Test func `the checks come in the order of the RFC`() {
    let desk = RelayDesk { $0.allocationsPerSession = 1 }
    let token = Attribute(.reservationToken, UInt64(1))
    let v4 = Attribute.family(.requestedAddressFamily, .v4)
    let v6 = Attribute.family(.requestedAddressFamily, .v6)
    let more = Attribute.family(.additionalAddressFamily, .v6)
    let even = Attribute(.evenPort, [0x80])
    #expect(desk.allocate(on: desk.flow(9))?.isSuccess == true)
    let rows: [(attributes: [Attribute], code: Int)] = [
      ([Attribute(.dontFragment, []), token, v4, more, even], 400),
      ([Attribute(.requestedTransport, [17]), Attribute(.dontFragment, []), token], 400),
      ([.requestedTransport(33), Attribute(.dontFragment, []), token, v4, more, even], 442),
      // RFC 6062 §5.1: TCP is to be had over a stream.
      ([.requestedTransport(6), Attribute(.dontFragment, []), token, v4, more, even], 400),
      ([.requestedTransport(17), Attribute(.dontFragment, []), token, v4, more, even], 420),
      ([.requestedTransport(17), token, v4, more, even], 400),
      ([.requestedTransport(17), token, even], 400),
      ([.requestedTransport(17), token, more], 400),
      ([.requestedTransport(17), token], 508),
      ([.requestedTransport(17), v6, more, even], 400),
      ([.requestedTransport(17), v6, even], 440),
      ([.requestedTransport(17), Attribute(.requestedAddressFamily, UInt32(3) << 24)], 440),
      ([.requestedTransport(17), more, even], 400),
      ([.requestedTransport(17), .family(.additionalAddressFamily, .v4)], 400),
      ([.requestedTransport(17), v4], 486),
    ]
    for row in rows {
      let answer = desk.ask(.allocate, row.attributes, on: desk.flow(1), as: desk.credentials())
      #expect(answer?.code == row.code, "\(row.attributes.map(\.type.rawValue))")
      // The 5-tuple in use comes before all of them.
      #expect(desk.ask(.allocate, row.attributes, on: desk.flow(9), as: desk.credentials())?.code == 437)
    }
    #expect(desk.openRelays.count == 1)
  }

  static let lifetimes: [(UInt32?, UInt32)] = [
    (nil, 600), (1, 600), (600, 600), (601, 601), (3600, 3600), (3601, 3600), (.max, 3600),
  ]

  @Test(arguments: lifetimes)
  func `a lifetime is between the default and the maximum`(wanted: UInt32?, given: UInt32) {
    let desk = RelayDesk()
    let attributes = wanted.map { [Attribute(.lifetime, $0)] } ?? []
    #expect(desk.allocate(attributes, on: desk.flow())?.uint32(.lifetime) == given)
    #expect(desk.ask(.refresh, attributes, on: desk.flow(), as: desk.credentials())?.uint32(.lifetime) == given)
    desk.advance(.seconds(Int64(given)) - .milliseconds(1))
    #expect(desk.openRelays.count == 1)
    desk.advance(.milliseconds(1))
    #expect(desk.openRelays.isEmpty)
    #expect(desk.sizes == [0, 1, 0, 0, 0, 0])
  }

  @Test func `a refresh with lifetime zero deletes, once`() {
    let desk = RelayDesk()
    #expect(desk.allocate(on: desk.flow())?.isSuccess == true)
    let zero = [Attribute(.lifetime, UInt32(0))]
    let answer = desk.ask(.refresh, zero, on: desk.flow(), as: desk.credentials())
    #expect(answer?.isSuccess == true && answer?.uint32(.lifetime) == 0)
    #expect(desk.openRelays.isEmpty)
    #expect(desk.ask(.refresh, zero, on: desk.flow(), as: desk.credentials())?.code == 437)
    // The same 5-tuple may begin anew.
    #expect(desk.allocate(on: desk.flow())?.isSuccess == true)
    #expect(desk.events.contains { if case .ended(_, _, .deleted, _) = $0 { true } else { false } })
  }

  @Test func `without an allocation requests get 437 and the rest silence`() {
    let desk = RelayDesk()
    #expect(desk.ask(.refresh, [], on: desk.flow(), as: desk.credentials())?.code == 437)
    #expect(desk.permit(["198.51.100.7"], on: desk.flow())?.code == 437)
    #expect(desk.bind(0x4000, to: "198.51.100.7:1", on: desk.flow())?.code == 437)
    #expect(desk.sendIndication([1], to: ["198.51.100.7:1"], on: desk.flow()) == .none)
    #expect(desk.receive([0x40, 0, 0, 1, 9], desk.flow()) == .none)
    #expect(desk.sent.isEmpty)
  }

  @Test func `another user on an allocation gets 441`() {
    let desk = RelayDesk()
    #expect(desk.allocate(on: desk.flow())?.isSuccess == true)
    let other = desk.credentials("s2")
    #expect(desk.ask(.refresh, [Attribute(.lifetime, UInt32(0))], on: desk.flow(), as: other)?.code == 441)
    #expect(desk.permit(["198.51.100.7"], on: desk.flow(), as: other)?.code == 441)
    #expect(desk.openRelays.count == 1)
  }

  @Test func `one session cannot take the whole range`() {
    let desk = RelayDesk { $0.allocationsPerSession = 3 }
    for number in 1...3 { #expect(desk.allocate(on: desk.flow(number))?.isSuccess == true) }
    #expect(desk.allocate(on: desk.flow(4))?.code == 486)
    #expect(desk.allocate(on: desk.flow(4), as: desk.credentials("s2"))?.isSuccess == true)
    // Another expiry is the same session.
    #expect(desk.allocate(on: desk.flow(5), as: desk.credentials(valid: 700))?.code == 486)
    desk.advance(.seconds(601))
    #expect(desk.allocate(on: desk.flow(5), as: desk.credentials(valid: 9000))?.isSuccess == true)
  }

  @Test func `when all ports are taken the answer is 508`() {
    let desk = RelayDesk { $0.ports = 50_000...50_003 }
    var ports: Set<UInt16> = []
    for number in 1...4 {
      if let address = desk.allocate(on: desk.flow(number))?.xorAddress(.xorRelayedAddress) {
        ports.insert(address.port)
      }
    }
    #expect(ports.count == 4)
    #expect(desk.allocate(on: desk.flow(5))?.code == 508)
    desk.advance(.seconds(601))
    #expect(desk.allocate(on: desk.flow(5), as: desk.credentials(valid: 9000))?.isSuccess == true)
  }

  @Test func `ports the kernel has given away are passed over, and given back`() {
    let desk = RelayDesk { $0.ports = 50_000...50_007 }
    desk.isRefused = { $0.port != 50_006 }
    let answer = desk.allocate(on: desk.flow())
    if answer?.isSuccess == true {
      #expect(answer?.xorAddress(.xorRelayedAddress)?.port == 50_006)
    } else {
      #expect(answer?.code == 508)
    }
    desk.isRefused = { _ in true }
    #expect(desk.allocate(on: desk.flow(2))?.code == 508)
    #expect(desk.openRelays.count == (answer?.isSuccess == true ? 1 : 0))
    desk.isRefused = { _ in false }
    for number in 3...9 { #expect(desk.allocate(on: desk.flow(number))?.isSuccess == true) }
  }

  @Test func `an even port is even, and the one behind it waits for the token for thirty seconds`() throws {
    let desk = RelayDesk()
    let first = desk.allocate([Attribute(.evenPort, [0x80])], on: desk.flow(1))
    let address = try #require(first?.xorAddress(.xorRelayedAddress))
    let token = try #require(first?[.reservationToken])
    #expect(address.port % 2 == 0)
    let second = desk.allocate([token], on: desk.flow(2))
    #expect(second?.xorAddress(.xorRelayedAddress) == SocketAddress(address.ip, port: address.port + 1))
    #expect(desk.allocate([token], on: desk.flow(3))?.code == 508)
    let late = try #require(desk.allocate([Attribute(.evenPort, [0x80])], on: desk.flow(4))?[.reservationToken])
    desk.advance(.seconds(30))
    #expect(desk.allocate([late], on: desk.flow(5))?.code == 508)
    #expect(desk.allocate([Attribute(.evenPort, [0])], on: desk.flow(6))?[.reservationToken] == nil)
  }

  @Test func `both families at once, or the one there is and why not the other`() {
    let desk = RelayDesk()
    let more = Attribute.family(.additionalAddressFamily, .v6)
    let partial = desk.allocate([more], on: desk.flow())
    #expect(partial?.isSuccess == true)
    #expect(partial?[.addressErrorCode]?.value == [2, 0, 4, 40])
    let both = RelayDesk { $0.relayAddresses.append(IPAddress("2001:db8::10")!) }
    let answer = both.allocate([more], on: both.flow())
    let relayed = answer?.attributes.filter { $0.type == .xorRelayedAddress } ?? []
    #expect(relayed.count == 2 && answer?[.addressErrorCode] == nil && both.openRelays.count == 2)
    // RFC 8656 §8.1: one of them can go alone.
    let zero = Attribute(.lifetime, UInt32(0))
    let v6 = Attribute.family(.requestedAddressFamily, .v6)
    #expect(both.permit(["2001:db8::7", "198.51.100.7"], on: both.flow())?.isSuccess == true)
    #expect(both.ask(.refresh, [zero, v6], on: both.flow(), as: both.credentials())?.isSuccess == true)
    #expect(both.openRelays.count == 1 && both.statistics.permissions == 1)
    #expect(both.ask(.refresh, [v6], on: both.flow(), as: both.credentials())?.code == 443)
    #expect(both.permit(["2001:db8::7"], on: both.flow())?.code == 443)
    #expect(desk.allocate([.family(.requestedAddressFamily, .v6)], on: desk.flow(2))?.code == 440)
  }

  @Test func `a stream takes its allocation with it, a revoked session all of its`() {
    let desk = RelayDesk()
    #expect(desk.allocate(on: desk.flow(1, .tcp))?.isSuccess == true)
    desk.close(desk.flow(1, .tcp))
    #expect(desk.openRelays.isEmpty)
    for number in 1...3 { #expect(desk.allocate(on: desk.flow(number))?.isSuccess == true) }
    #expect(desk.allocate(on: desk.flow(4), as: desk.credentials("s2"))?.isSuccess == true)
    desk.revoke("s1")
    #expect(desk.openRelays.count == 1 && desk.statistics.allocations == 1)
  }

  @Test func `making and deleting without end leaves nothing behind`() {
    let desk = RelayDesk()
    for round in 0..<3000 {
      let flow = desk.flow(round % 200)
      #expect(desk.allocate(on: flow, as: desk.credentials(valid: 90_000))?.isSuccess == true)
      _ = desk.ask(.refresh, [Attribute(.lifetime, UInt32(0))], on: flow, as: desk.credentials(valid: 90_000))
    }
    #expect(desk.sizes[0] == 0 && desk.sizes[1] == 1 && desk.sizes[2] <= 130 && desk.sizes[4] == 0)
    desk.advance(.seconds(3700))
    #expect(desk.sizes == [0, 1, 0, 0, 0, 0])
  }
}
