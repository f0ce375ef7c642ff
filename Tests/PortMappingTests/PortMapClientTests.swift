import EdgeCore
import PortMapping
import Testing

/// A router that maps ports, as RFC 6887 and RFC 6886 have it.
final class TestRouter {
  enum Speech { case pcp, natPMP, nothing }

  let speech: Speech
  var result: UInt8 = 0
  var errorLifetime: UInt32 = 0
  var external = IPAddress.v4(0xCB00_7165)
  var externalPort: UInt16 = 40_000
  var startedAt = Instant.zero
  var mappings: [UInt16: UInt32] = [:]
  var asked = 0

  init(_ speech: Speech) { self.speech = speech }

  func answer(_ bytes: [UInt8], at now: Instant) -> [UInt8]? {
    asked += 1
    let epoch = UInt32((now - startedAt).components.seconds)
    if bytes[0] == 2, speech == .natPMP { return [0, 128 | bytes[1], 0, 1] + word(epoch) }
    if bytes[0] == 2, speech == .pcp { return pcp(bytes, epoch) }
    if bytes[0] == 0, speech == .natPMP { return natPMP(bytes, epoch) }
    return nil
  }

  private func pcp(_ bytes: [UInt8], _ epoch: UInt32) -> [UInt8] {
    let lifetime = read(bytes[4..<8])
    let port = UInt16(read(bytes[40..<42]))
    mappings[port] = lifetime == 0 ? nil : lifetime
    guard case .v4(let ip) = external else { return [] }
    var answer: [UInt8] = [2, 0x81, 0, result]
    answer += word(result == 0 ? lifetime : errorLifetime)
    answer += word(epoch)
    answer += Array(repeating: 0, count: 12)
    answer += bytes[24..<36]
    answer += [17, 0, 0, 0]
    answer += bytes[40..<42]
    answer += [UInt8(externalPort >> 8), UInt8(externalPort & 255)]
    answer += Array(repeating: 0, count: 10)
    answer += [255, 255]
    answer += word(ip)
    return answer
  }

  private func natPMP(_ bytes: [UInt8], _ epoch: UInt32) -> [UInt8] {
    guard case .v4(let ip) = external else { return [] }
    if bytes[1] == 0 { return [0, 128, 0, 0] + word(epoch) + word(ip) }
    let lifetime = read(bytes[8..<12])
    let port = UInt16(read(bytes[4..<6]))
    mappings[port] = lifetime == 0 ? nil : lifetime
    var answer: [UInt8] = [0, 129, 0, result]
    answer += word(epoch)
    answer += bytes[4..<6]
    answer += lifetime == 0 ? [0, 0] : [UInt8(externalPort >> 8), UInt8(externalPort & 255)]
    answer += word(lifetime)
    return answer
  }

  private func word(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) } }

  private func read(_ bytes: ArraySlice<UInt8>) -> UInt32 { bytes.reduce(0) { $0 << 8 | UInt32($1) } }
}

/// A client and its router, with the time of both.
final class Mapping {
  typealias Client = PortMapClient<SeededRandom>

  var client: Client
  let router: TestRouter
  var now = Instant.zero
  var out = Outbox<Client.Event>()
  var events: [Client.Event] = []
  var sent: [[UInt8]] = []

  static let routerAddress = SocketAddress(.v4(0xC0A8_0101), port: 5351)

  init(_ speech: TestRouter.Speech, seed: UInt64 = 1) {
    router = TestRouter(speech)
    client = Client(.init(router: Self.routerAddress.ip, client: .v4(0xC0A8_0102)), random: SeededRandom(seed: seed))
  }

  func exchange() {
    while !out.isEmpty {
      let datagrams = out.datagrams
      events += out.events
      out.removeAll()
      for datagram in datagrams {
        #expect(datagram.destination == Self.routerAddress)
        sent.append(datagram.bytes)
        if let answer = router.answer(datagram.bytes, at: now) { receive(answer) }
      }
    }
  }

  func receive(_ bytes: [UInt8], from source: SocketAddress = Mapping.routerAddress) {
    client.receive(bytes.span.bytes, from: source, at: now, into: &out)
  }

  func map(_ port: UInt16) {
    client.map(port: port, at: now, into: &out)
    exchange()
  }

  func unmap(_ port: UInt16) {
    client.unmap(port: port, at: now, into: &out)
    exchange()
  }

  func run(for limit: Duration) {
    let end = now + limit
    var steps = 0
    while let next = client.nextDeadline, next <= end {
      steps += 1
      guard steps < 1000 else {
        Issue.record("no end")
        return
      }
      now = max(now, next)
      client.tick(at: now, into: &out)
      exchange()
    }
    now = end
  }
}

@Suite("Port mapping")
struct PortMapClientTests {
  static let external = SocketAddress(.v4(0xCB00_7165), port: 40_000)

  @Test func `a PCP request is laid out as RFC 6887 has it`() {
    let mapping = Mapping(.nothing)
    mapping.map(5000)
    let bytes = mapping.sent[0]
    #expect(bytes.count == 60)
    // Version 2, MAP, lifetime 900, the client as an IPv4-mapped address.
    #expect(
      Array(bytes[..<24]) == [2, 1, 0, 0, 0, 0, 3, 132] + Array(repeating: 0, count: 10) + [255, 255, 192, 168, 1, 2])
    // Protocol 17, port 5000 inside and wished for outside, no address wished for.
    #expect(Array(bytes[36..<44]) == [17, 0, 0, 0, 0x13, 0x88, 0x13, 0x88])
    #expect(Array(bytes[44...]) == Array(repeating: 0, count: 10) + [255, 255, 0, 0, 0, 0])
  }

  @Test(arguments: [TestRouter.Speech.pcp, .natPMP])
  func `a port is mapped, renewed before it runs out, and given back`(speech: TestRouter.Speech) {
    let mapping = Mapping(speech)
    mapping.map(5000)
    #expect(mapping.events == [.mapped(port: 5000, external: Self.external)])
    let dialect = mapping.client.dialect
    #expect(dialect == (speech == .pcp ? .pcp : .natPMP))
    #expect(mapping.router.mappings == [5000: 900])
    let before = mapping.router.asked
    mapping.run(for: .seconds(3600))
    // Between a half and five eighths of 900 s each.
    #expect((5...8).contains(mapping.router.asked - before))
    #expect(mapping.events.count == 1)
    mapping.unmap(5000)
    #expect(mapping.router.mappings.isEmpty)
    let deadline = mapping.client.nextDeadline
    #expect(deadline == nil)
  }

  @Test func `a NAT-PMP deletion asks for no port outside`() {
    let mapping = Mapping(.natPMP)
    mapping.map(5000)
    mapping.unmap(5000)
    #expect(mapping.sent.last == [0, 1, 0, 0, 0x13, 0x88, 0, 0, 0, 0, 0, 0])
  }

  @Test func `a router that does not answer is asked four times, and no more for a while`() {
    let mapping = Mapping(.nothing)
    mapping.map(5000)
    mapping.run(for: .seconds(100))
    #expect(mapping.sent.count == 4)
    #expect(mapping.events == [.unmapped(port: 5000, nil)])
    mapping.map(5001)
    #expect(mapping.sent.count == 4)
    mapping.run(for: .seconds(300))
    mapping.map(5002)
    #expect(mapping.sent.count == 5)
  }

  @Test(arguments: [
    (UInt8(2), PortMapRefusal.notAuthorized), (8, .noResources), (12, .addressMismatch), (9, .unsupported),
    (77, .failed(77)),
  ])
  func `a refusal is told and respected`(code: UInt8, why: PortMapRefusal) {
    let mapping = Mapping(.pcp)
    mapping.router.result = code
    mapping.router.errorLifetime = 1000
    mapping.map(5000)
    #expect(mapping.events == [.unmapped(port: 5000, why)])
    mapping.run(for: .seconds(999))
    #expect(mapping.sent.count == 1)
    mapping.router.result = 0
    mapping.run(for: .seconds(10))
    #expect(mapping.events.last == .mapped(port: 5000, external: Self.external))
  }

  @Test func `an error's lifetime is not believed for ever`() {
    let mapping = Mapping(.pcp)
    mapping.router.result = 8
    mapping.router.errorLifetime = .max
    mapping.map(5000)
    mapping.run(for: .seconds(1801))
    #expect(mapping.sent.count == 2)
  }

  @Test func `a router that restarted is noticed by its clock, and all ports are asked for again`() {
    for speech in [TestRouter.Speech.pcp, .natPMP] {
      let mapping = Mapping(speech)
      mapping.map(5000)
      mapping.run(for: .seconds(300))
      mapping.map(5001)
      mapping.router.startedAt = mapping.now
      mapping.router.mappings = [:]
      // The first renewal of either tells.
      mapping.run(for: .seconds(265))
      #expect(mapping.router.mappings.keys.sorted() == [5000, 5001])
    }
  }

  @Test func `another address or port outside is told`() {
    let mapping = Mapping(.pcp)
    mapping.map(5000)
    mapping.router.externalPort = 41_000
    mapping.run(for: .seconds(600))
    #expect(mapping.events.last == .mapped(port: 5000, external: SocketAddress(.v4(0xCB00_7165), port: 41_000)))
    // What it had is asked for again.
    #expect(Array(mapping.sent.last![42..<44]) == [0x9C, 0x40])
  }

  @Test func `a mapping whose renewals go unanswered ends when its time is over`() {
    let mapping = Mapping(.pcp)
    mapping.map(5000)
    mapping.runSilently(for: .seconds(901))
    #expect(mapping.events.last == .unmapped(port: 5000, nil))
    let external = mapping.client.external(of: 5000)
    #expect(external == nil)
  }

  @Test(arguments: ["0.0.0.0", "127.0.0.1", "224.0.0.1", "169.254.1.1"])
  func `an address nobody can send to is no mapping`(address: String) throws {
    let mapping = Mapping(.pcp)
    mapping.router.external = try #require(IPAddress(address))
    mapping.map(5000)
    #expect(mapping.events == [.unmapped(port: 5000, .failed(0))])
  }

  @Test func `only the router's own answers count, and only to what was asked`() {
    let mapping = Mapping(.nothing)
    mapping.map(5000)
    let honest = TestRouter(.pcp)
    let answer = honest.answer(mapping.sent[0], at: mapping.now)!
    mapping.receive(answer, from: SocketAddress(.v4(0xC0A8_0107), port: 5351))
    mapping.receive(answer, from: SocketAddress(.v4(0xC0A8_0101), port: 5350))
    for (offset, value) in [(0, UInt8(3)), (1, 0x01), (1, 0x80), (24, answer[24] ^ 1), (36, 6), (41, 1)] {
      var wrong = answer
      wrong[offset] = value
      mapping.receive(wrong)
    }
    mapping.receive(answer + [0])
    mapping.receive(Array(answer.dropLast()))
    mapping.receive(answer + Array(repeating: 0, count: 1100))
    mapping.exchange()
    #expect(mapping.events.isEmpty)
    mapping.receive(answer)
    mapping.exchange()
    #expect(mapping.events == [.mapped(port: 5000, external: Self.external)])
  }

  @Test func `whatever bytes come, nothing breaks and little is sent`() {
    var random = SeededRandom(seed: 7)
    for round in 0..<300 {
      let mapping = Mapping([TestRouter.Speech.pcp, .natPMP, .nothing][round % 3], seed: UInt64(round))
      for port in 1...3 { mapping.map(UInt16(port)) }
      let samples = mapping.sent.compactMap { TestRouter(round % 2 == 0 ? .pcp : .natPMP).answer($0, at: mapping.now) }
      for _ in 0..<40 {
        var bytes = samples.isEmpty ? random.bytes(16) : samples[Int(random.next() % UInt64(samples.count))]
        for _ in 0..<Int(random.next() % 4) where !bytes.isEmpty {
          bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
        }
        bytes = Array(bytes.prefix(Int(random.next() % 70)))
        mapping.receive(bytes)
        mapping.exchange()
        mapping.run(for: .seconds(1))
      }
      #expect(mapping.sent.count < 400)
    }
  }
}

extension Mapping {
  /// Time passes, and what the client sends reaches nobody.
  func runSilently(for limit: Duration) {
    let end = now + limit
    while let next = client.nextDeadline, next <= end {
      now = max(now, next)
      client.tick(at: now, into: &out)
      events += out.events
      sent += out.datagrams.map(\.bytes)
      out.removeAll()
    }
    now = end
  }
}
