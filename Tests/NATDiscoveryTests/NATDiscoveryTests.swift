import EdgeCore
import NATDiscovery
import STUN
import SimNet
import Testing

@Suite("NAT discovery")
struct NATDiscoveryTests {
  static let first = IPAddress.v4(0xCB00_710A)
  static let second = IPAddress.v4(0xCB00_710B)
  static let inside = IPAddress.v4(0xC0A8_0102)
  static let outside = IPAddress.v4(0xCB00_7165)

  /// Asks through a simulated NAT (`nil`: none, and no filter) until the report is there.
  func discover(
    _ behaviour: NATBehaviour?, twoAddresses: Bool = true, seed: UInt64 = 1, lossPercent: Int = 0, answers: Bool = true,
    plain: Bool = false
  ) -> (report: NATReport?, seconds: Duration, questions: Int) {
    var net = SimNet(seed: seed, lossPercent: lossPercent)
    let server = net.addHost(Self.first, Self.second)
    let router = behaviour.map { net.addNAT($0, outside: Self.outside) }
    let address = router == nil ? Self.outside : Self.inside
    let client = net.addHost(address, behind: router)
    let places = DiscoveryPlaces(
      addresses: twoAddresses ? [Self.first, Self.second] : [], firstPort: 3479, secondPort: 3480)
    var configuration = NATDiscovery<SeededRandom>.Configuration(server: SocketAddress(Self.first, port: 3479))
    if plain { configuration.plainServer = SocketAddress(Self.first, port: 3478) }
    var core = NATDiscovery(configuration, random: SeededRandom(seed: seed))
    var out = NATDiscovery<SeededRandom>.Output()
    var now = Instant.zero
    var questions = 0
    core.start(at: now, into: &out)
    while out.report == nil {
      for send in out.sends {
        questions += 1
        var datagram = send.datagram
        datagram.source = SocketAddress(address, port: send.lane == .mapping ? 1000 : 1001)
        net.send(datagram, from: client, at: now)
      }
      out.sends.removeAll()
      guard let next = Instant.earliest(net.nextArrival, core.nextDeadline) else {
        return (nil, now - .zero, questions)
      }
      now = max(now, next)
      while let arrival = net.receive(at: now) {
        if arrival.host == server {
          let bytes = arrival.bytes.span.bytes
          let reply: Datagram?
          if arrival.destination.port == 3478 {
            reply = BindingResponder.answer(to: bytes, from: arrival.source).map {
              Datagram(source: arrival.destination, destination: arrival.source, bytes: $0)
            }
          } else {
            reply =
              answers
              ? DiscoveryResponder.answer(to: bytes, from: arrival.source, at: arrival.destination, places: places)
              : nil
          }
          if let reply {
            #expect(reply.bytes.count * 5 <= arrival.bytes.count * 8)
            net.send(reply, from: server, at: now)
          }
        } else {
          core.receive(
            arrival.bytes.span.bytes, from: arrival.source, to: arrival.destination,
            on: arrival.destination.port == 1000 ? .mapping : .filtering, at: now, into: &out)
        }
      }
      core.tick(at: now, into: &out)
    }
    return (out.report, now - .zero, questions)
  }

  static func name(_ dependence: NATBehaviour.Dependence) -> NATBehavior {
    switch dependence {
    case .endpointIndependent: .endpointIndependent
    case .addressDependent: .addressDependent
    case .addressAndPortDependent: .addressAndPortDependent
    }
  }

  @Test(arguments: NATBehaviour.all)
  func `each of the nine types is recognised by a server with two addresses`(behaviour: NATBehaviour) throws {
    let (report, time, questions) = discover(behaviour)
    let found = try #require(report)
    #expect(found.mapping == Self.name(behaviour.mapping))
    #expect(found.filtering == Self.name(behaviour.filtering))
    #expect(found.isMappingCertain && found.isFilteringCertain && found.hasUDP)
    #expect(found.publicAddress?.ip == Self.outside)
    #expect(found.localAddress == SocketAddress(Self.inside, port: 1000))
    #expect(time <= .milliseconds(2000))
    #expect(questions <= 11)
  }

  @Test(arguments: NATBehaviour.all)
  func `a server with one address tells what depends on ports, and says that it is not sure of the rest`(
    behaviour: NATBehaviour
  ) throws {
    let report = try #require(discover(behaviour, twoAddresses: false).report)
    let isPortMapped = behaviour.mapping == .addressAndPortDependent
    #expect(report.mapping == (isPortMapped ? .addressAndPortDependent : .endpointIndependent))
    #expect(report.isMappingCertain == isPortMapped)
    let isPortFiltered = behaviour.filtering == .addressAndPortDependent
    #expect(report.filtering == (isPortFiltered ? .addressAndPortDependent : .addressDependent))
    #expect(report.isFilteringCertain == isPortFiltered)
  }

  @Test func `a machine on the open internet has neither mapping nor filter`() throws {
    let report = try #require(discover(nil).report)
    #expect(report.mapping == .none && report.filtering == .none)
    #expect(report.publicAddress == report.localAddress)
  }

  @Test func `lost packets are asked for again`() throws {
    var wrong = 0
    for seed in UInt64(0)..<200 {
      let report = try #require(discover(.portRestricted, seed: seed, lossPercent: 10).report)
      if report.mapping != .endpointIndependent || report.filtering != .addressAndPortDependent { wrong += 1 }
    }
    #expect(wrong <= 6)
  }

  @Test func `silence is told as such, and a plain server still gives the address`() throws {
    let nothing = try #require(discover(.portRestricted, answers: false).report)
    #expect(!nothing.hasUDP && nothing.publicAddress == nil && nothing.mapping == .unknown)
    let plain = try #require(discover(.portRestricted, answers: false, plain: true).report)
    #expect(plain.hasUDP && plain.publicAddress?.ip == Self.outside)
    #expect(plain.mapping == .unknown && plain.filtering == .unknown)
  }

  @Test func `a server that ignores the wish for another port does not make a strict filter look open`() {
    var core = NATDiscovery(
      .init(server: SocketAddress(Self.first, port: 3479)), random: SeededRandom(seed: 1))
    var out = NATDiscovery<SeededRandom>.Output()
    var now = Instant.zero
    core.start(at: now, into: &out)
    while out.report == nil {
      let sends = out.sends
      out.sends.removeAll()
      for send in sends where send.datagram.destination.port == 3479 {
        guard let request = try? ReceivedMessage(parsing: send.datagram.bytes.span.bytes) else { continue }
        let id = request.message.transaction
        let answer = STUNMessage(
          .success, .binding, transaction: id,
          attributes: [.xorAddress(.xorMappedAddress, SocketAddress(Self.outside, port: 7), transaction: id)]
        ).serialized()
        core.receive(
          answer.span.bytes, from: send.datagram.destination, to: SocketAddress(Self.inside, port: 1), on: send.lane,
          at: now, into: &out)
      }
      guard out.sends.isEmpty, out.report == nil else { continue }
      guard let next = core.nextDeadline else { break }
      now = next
      core.tick(at: now, into: &out)
    }
    #expect(out.report?.filtering == .addressAndPortDependent)
  }

  private func respond(to bytes: [UInt8], _ places: DiscoveryPlaces) -> Datagram? {
    DiscoveryResponder.answer(
      to: bytes.span.bytes, from: SocketAddress(Self.outside, port: 9), at: SocketAddress(Self.first, port: 3479),
      places: places)
  }

  @Test func `a question for another address is refused by a server with one, with 420`() throws {
    let request = STUNMessage(
      .request, .binding, transaction: TransactionID(high: 1, low: 2),
      attributes: [Attribute(.changeRequest, UInt32(4))]
    ).serialized(fingerprint: true)
    let local = SocketAddress(Self.first, port: 3479)
    let answer = try #require(respond(to: request, DiscoveryPlaces(firstPort: 3479, secondPort: 3480)))
    #expect(answer.source == local)
    let message = try ReceivedMessage(parsing: answer.bytes.span.bytes).message
    #expect(message.errorCode == .unknownAttribute)
    #expect(message.unknownAttributes == [.changeRequest])
  }

  @Test func `a bare request is answered with no more than 1.6 times its bytes, and a response never`() throws {
    let places = DiscoveryPlaces(addresses: [Self.first, Self.second], firstPort: 3479, secondPort: 3480)
    let bare = STUNMessage(.request, .binding, transaction: TransactionID(high: 1, low: 2)).serialized()
    let answer = try #require(respond(to: bare, places))
    #expect(answer.bytes.count == 32)
    #expect(respond(to: answer.bytes, places) == nil)
    #expect(respond(to: [1, 2, 3], places) == nil)
  }

  @Test func `who can meet whom follows from the two reports`() {
    func report(_ behaviour: NATBehaviour) -> NATReport {
      var report = NATReport()
      report.hasUDP = true
      report.mapping = Self.name(behaviour.mapping)
      report.filtering = Self.name(behaviour.filtering)
      return report
    }
    #expect(NATReport.canMeet(report(.portRestricted), report(.portRestricted)) == true)
    #expect(NATReport.canMeet(report(.portRestricted), report(.symmetric)) == false)
    #expect(NATReport.canMeet(report(.symmetric), report(.restrictedCone)) == true)
    #expect(NATReport.canMeet(report(.symmetric), NATReport()) == false)
    var unknown = NATReport()
    unknown.hasUDP = true
    #expect(NATReport.canMeet(report(.symmetric), unknown) == nil)
  }
}
