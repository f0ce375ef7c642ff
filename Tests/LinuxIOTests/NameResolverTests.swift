import EdgeCore
import Foundation
import Testing

@testable import LinuxIO

/// A name server on loopback that answers from a table, over UDP and TCP.
final class FakeNameServer {
  /// `nil` says nothing.
  enum Reply {
    case records([(owner: String, type: UInt16, data: [UInt8])])
    case code(UInt8)
    case truncated
    case silence
  }

  let address: SocketAddress
  var udp: (_ name: String, _ type: UInt16) -> Reply = { _, _ in .code(3) }
  var tcp: (_ name: String, _ type: UInt16) -> Reply = { _, _ in .code(3) }
  private(set) var asked: [String] = []
  /// Changes an answer on its way.
  var tamper: (inout [UInt8]) -> Void = { _ in }

  private let socket: UDPSocket
  private let listener: TCPListener

  init(reactor: Reactor) throws {
    listener = try TCPListener(reactor: reactor, bind: SocketAddress(loopbackV4, port: 0))
    address = listener.localAddress
    socket = try UDPSocket(reactor: reactor, bind: address)
    socket.onDatagram = { [unowned self] query, from, _ in
      if let answer = answer(bytes(query), udp) { socket.send(Datagram(destination: from, bytes: answer)) }
    }
    listener.onAccept = { [unowned self] connection in
      connection.onBytes = { [unowned self] query in
        guard let answer = answer(Array(bytes(query).dropFirst(2)), tcp) else { return }
        // In two pieces, the first in the middle of the length.
        connection.send([UInt8(answer.count >> 8)])
        connection.send([UInt8(answer.count & 255)] + answer)
      }
    }
  }

  func close() {
    socket.close()
    listener.close()
  }

  var files: ResolverFiles {
    var files = ResolverFiles(hosts: "", configuration: "")
    files.servers = [address]
    files.timeout = .milliseconds(100)
    return files
  }

  private func answer(_ query: [UInt8], _ table: (String, UInt16) -> Reply) -> [UInt8]? {
    var at = 12
    var labels: [String] = []
    while query[at] != 0 {
      labels.append(String(decoding: query[at + 1..<at + 1 + Int(query[at])], as: UTF8.self))
      at += 1 + Int(query[at])
    }
    let name = labels.joined(separator: ".")
    let type = UInt16(query[at + 2])
    asked.append("\(name) \(type)")
    var answer = Array(query[..<(at + 5)])
    answer[2] = 0x81
    answer[3] = 0x80
    switch table(name, type) {
    case .silence: return nil
    case .code(let code): answer[3] |= code
    case .truncated: answer[2] |= 0x02
    case .records(let records):
      answer[7] = UInt8(records.count)
      for record in records {
        answer += record.owner == name ? [0xC0, 0x0C] : Self.name(record.owner)
        answer += [0, UInt8(record.type), 0, 1, 0, 0, 0, 60, 0, UInt8(record.data.count)] + record.data
      }
    }
    tamper(&answer)
    return answer
  }

  static func name(_ text: String) -> [UInt8] {
    text.split(separator: ".").flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } + [0]
  }
}

@Suite("Name resolver")
struct NameResolverTests {
  typealias Outcome = Result<[IPAddress], NameResolver.Failure>
  static let v4 = IPAddress("192.0.2.7")!
  static let v6 = IPAddress("2001:db8::7")!
  static let v4Data: [UInt8] = [192, 0, 2, 7]
  static let v6Data: [UInt8] = [0x20, 1, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [7]

  static func both(_ name: String, _ type: UInt16) -> FakeNameServer.Reply {
    .records([(name, type, type == 1 ? v4Data : v6Data)])
  }

  /// Asks for one name with the server's files, changed by `change`.
  func resolve(
    _ name: String, _ prepare: (FakeNameServer) -> Void, change: (inout ResolverFiles) -> Void = { _ in }
  ) throws -> (Outcome, asked: [String]) {
    let reactor = try Reactor()
    let server = try FakeNameServer(reactor: reactor)
    defer { server.close() }
    prepare(server)
    var files = server.files
    change(&files)
    let resolver = NameResolver(reactor: reactor, files: { files })
    var outcome: Outcome?
    resolver.resolve(name) { outcome = $0 }
    #expect(outcome == nil, "never before resolve returns")
    try reactor.turn(until: { outcome != nil })
    return (try #require(outcome), server.asked)
  }

  @Test(arguments: [
    ("192.0.2.7", "192.0.2.7"), ("2001:db8::7", "2001:db8::7"), ("[2001:db8::7]", "2001:db8::7"),
  ])
  func `an address is itself, and nobody is asked`(text: String, address: String) throws {
    let (outcome, asked) = try resolve(text, { _ in })
    #expect(outcome == .success([try #require(IPAddress(address))]))
    #expect(asked == [])
  }

  @Test func `a link-local address has its interface`() {
    #expect(NameResolver.numeric("fe80::1%3") == .v6(high: 0xFE80 << 48, low: 1, scope: 3))
    #expect(NameResolver.numeric("fe80::1%lo") == .v6(high: 0xFE80 << 48, low: 1, scope: if_nametoindex("lo")))
    #expect(NameResolver.numeric("fe80::1%nosuchif") == nil)
    #expect(NameResolver.numeric("2001:db8::1%3") == nil)
  }

  @Test func `both kinds of address are asked for and told`() throws {
    let (outcome, asked) = try resolve("Box.Example.org", { $0.udp = Self.both })
    #expect(outcome == .success([Self.v6, Self.v4]))
    #expect(asked == ["box.example.org 28", "box.example.org 1"])
  }

  @Test func `one kind is enough`() throws {
    let (outcome, _) = try resolve("box.example", { $0.udp = { $1 == 1 ? Self.both($0, $1) : .records([]) } })
    #expect(outcome == .success([Self.v4]))
    let (patient, asked) = try resolve("box.example", { $0.udp = { $1 == 1 ? Self.both($0, $1) : .silence } })
    #expect(patient == .success([Self.v4]))
    #expect(asked.count == 2, "no second round")
  }

  @Test func `aliases are followed, and records of other names are not taken`() throws {
    let (outcome, _) = try resolve("www.example") {
      $0.udp = { name, type in
        .records([
          ("other.example", type, type == 1 ? [6, 6, 6, 6] : Self.v6Data),
          (name, UInt16(5), FakeNameServer.name("a.example")),
          ("a.example", UInt16(5), FakeNameServer.name("b.example")),
          ("b.example", type, type == 1 ? Self.v4Data : Self.v6Data),
        ])
      }
    }
    #expect(outcome == .success([Self.v6, Self.v4]))
  }

  @Test func `an alias that leads to itself ends`() throws {
    let (outcome, _) = try resolve("loop.example") {
      $0.udp = { name, _ in .records([(name, UInt16(5), FakeNameServer.name(name))]) }
    }
    #expect(outcome == .failure(.noAddress("loop.example")))
  }

  @Test func `what does not fit a datagram is asked for by TCP`() throws {
    let (outcome, asked) = try resolve("big.example") {
      $0.udp = { _, _ in .truncated }
      $0.tcp = Self.both
    }
    #expect(outcome == .success([Self.v6, Self.v4]))
    #expect(asked.count == 4)
  }

  @Test func `a name that does not exist, has no address, or is none at all`() throws {
    #expect(try resolve("no.example", { _ in }).0 == .failure(.notFound("no.example")))
    #expect(
      try resolve("mx.example", { $0.udp = { _, _ in .records([]) } }).0 == .failure(.noAddress("mx.example")))
    for name in ["", "a..b", "a b", "ex\u{1b}ample", String(repeating: "a", count: 64), "x\n.y"] {
      #expect(try resolve(name, { _ in }).0 == .failure(.notAName(name)))
    }
    let long = Array(repeating: "abcdefgh", count: 29).joined(separator: ".")
    #expect(try resolve(long, { _ in }).0 == .failure(.notAName(long)))
  }

  @Test func `a silent server is asked again, then the next, then it is said which`() throws {
    let (outcome, asked) = try resolve("box.example", { $0.udp = { _, _ in .silence } })
    guard case .failure(.noAnswer(let name, let servers)) = outcome else {
      Issue.record("\(outcome)")
      return
    }
    #expect(name == "box.example")
    #expect(servers.count == 1)
    #expect(asked.count == 4)
    // 127.0.0.9 has nobody on that port.
    let (second, _) = try resolve("box.example", { $0.udp = Self.both }) {
      $0.servers.insert(SocketAddress(.v4(0x7F00_0009), port: $0.servers[0].port), at: 0)
    }
    #expect(second == .success([Self.v6, Self.v4]))
  }

  @Test func `a server that refuses is told apart from silence`() throws {
    let (outcome, _) = try resolve("box.example", { $0.udp = { _, _ in .code(2) } })
    guard case .failure(.refused) = outcome else {
      Issue.record("\(outcome)")
      return
    }
  }

  @Test func `a short name is tried with the search domains, an absolute one is not`() throws {
    func table(_ name: String, _ type: UInt16) -> FakeNameServer.Reply {
      name == "box.b.example" || name == "box" ? Self.both(name, type) : .code(3)
    }
    let (outcome, asked) = try resolve("box", { $0.udp = table }) { $0.search = ["a.example", "b.example"] }
    #expect(outcome == .success([Self.v6, Self.v4]))
    #expect(asked.filter { $0.hasSuffix(" 1") } == ["box.a.example 1", "box.b.example 1"])
    let (_, absolute) = try resolve("box.", { $0.udp = table }) { $0.search = ["a.example"] }
    #expect(absolute == ["box 28", "box 1"])
  }

  @Test func `answers to other questions are dropped`() throws {
    for tamper: (inout [UInt8]) -> Void in [
      { $0[0] ^= 1 }, { $0[13] ^= 1 }, { $0[2] &= 0x7F }, { $0 = Array($0.prefix(11)) }, { $0 = [] },
    ] {
      let (outcome, _) = try resolve("box.example") {
        $0.udp = Self.both
        $0.tamper = tamper
      }
      guard case .failure(.noAnswer) = outcome else {
        Issue.record("\(outcome)")
        return
      }
    }
  }

  @Test func `the hosts file comes first, localhost is never asked for`() throws {
    let reactor = try Reactor()
    let files = ResolverFiles(
      hosts: "# c\n192.0.2.1\tgate gate.lan # here\n\n2001:db8::1 GATE\nbad line\n192.0.2.1 gate\n",
      configuration: "nameserver 192.0.2.53\nnameserver fe80::1%1\nsearch a b\noptions ndots:2 timeout:1 attempts:9\n")
    #expect(
      files.servers == [
        SocketAddress(try #require(IPAddress("192.0.2.53")), port: 53),
        SocketAddress(.v6(high: 0xFE80 << 48, low: 1, scope: 1), port: 53),
      ])
    #expect(files.search == ["a", "b"])
    #expect((files.dots, files.attempts) == (2, 5))
    #expect(files.timeout == .seconds(1))
    #expect(ResolverFiles(hosts: "", configuration: "").servers == [SocketAddress(loopbackV4, port: 53)])
    let resolver = NameResolver(reactor: reactor, files: { files })
    var outcomes: [Outcome] = []
    for name in ["gate", "gate.lan.", "localhost", "a.localhost."] { resolver.resolve(name) { outcomes.append($0) } }
    try reactor.turn(until: { outcomes.count == 4 })
    #expect(
      outcomes[0] == .success([try #require(IPAddress("192.0.2.1")), try #require(IPAddress("2001:db8::1"))]))
    #expect(outcomes[1] == .success([try #require(IPAddress("192.0.2.1"))]))
    #expect(outcomes[2] == .success([loopbackV6, loopbackV4]))
    #expect(outcomes[3] == outcomes[2])
  }

  @Test func `look-ups are bounded, and a cancelled one says nothing`() throws {
    let reactor = try Reactor()
    let server = try FakeNameServer(reactor: reactor)
    defer { server.close() }
    server.udp = { _, _ in .silence }
    let files = server.files
    let resolver = NameResolver(reactor: reactor, files: { files })
    var outcomes: [Outcome] = []
    var requests: [NameResolver.Request] = []
    for number in 0...NameResolver.capacity {
      requests.append(resolver.resolve("n\(number).example") { outcomes.append($0) })
    }
    try reactor.turn(until: { !outcomes.isEmpty })
    #expect(outcomes == [.failure(.busy)])
    for request in requests { resolver.cancel(request) }
    resolver.cancel(resolver.resolve("192.0.2.1") { outcomes.append($0) })
    try reactor.turn(for: .milliseconds(500))
    #expect(outcomes.count == 1)
  }

  @Test func `no damage to an answer traps or hangs, seeds 0 to 4999`() throws {
    let labels = try #require(DNSMessage.labels("www.example"))
    var answer = DNSMessage.query(id: 7, labels: labels, type: .a)
    answer[2] = 0x81
    answer[7] = 2
    answer += [0xC0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, 0x61, 0xC0, 16]
    answer += [1, 0x61, 0xC0, 16, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]
    #expect(DNSMessage.answer(answer, id: 7, labels: labels, type: .a) == .addresses([Self.v4]))
    for length in 0..<answer.count {
      _ = DNSMessage.answer(Array(answer.prefix(length)), id: 7, labels: labels, type: .a)
    }
    for seed in UInt64(0)..<5000 {
      var random = SeededRandom(seed: seed)
      var damaged = answer
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        damaged[Int.random(in: 2..<damaged.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      _ = DNSMessage.answer(damaged, id: 7, labels: labels, type: .a)
    }
    // A pointer to itself, and two that point at each other.
    for pointers: [UInt8] in [[0xC0, 29], [0xC0, 31, 0xC0, 29]] {
      var looping = Array(answer.prefix(29)) + pointers + [UInt8](repeating: 0, count: 20)
      looping[7] = 1
      #expect(DNSMessage.answer(looping, id: 7, labels: labels, type: .a) == .addresses([]))
    }
  }
}
