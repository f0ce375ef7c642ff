import EdgeCore
import Foundation
import SIP
import Testing

@testable import RendezvousLogic

private let directory = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .appending(path: "Vectors/rfc4475")

private func torture(_ name: String) throws -> [UInt8] {
  [UInt8](try Data(contentsOf: directory.appending(path: name + ".dat")))
}

private func tortureNames() throws -> [String] {
  try FileManager.default.contentsOfDirectory(atPath: directory.path).filter { $0.hasSuffix(".dat") }
    .map { String($0.dropLast(4)) }.sorted()
}

/// A server that thinks itself responsible for the domains of RFC 4475.
private func tortured() -> World {
  World {
    $0.aliases = [
      "example.com", "company.com", "biloxi.example.com", "atlanta.example.com", "vivekg.chennai.example.com",
    ]
  }
}

/// What each request must be answered with by a server for whom its sender is a stranger. A challenge
/// is right for whatever is well formed; responses and what is not SIP are answered with silence.
private let expected: [String: Int] = [
  "TC_BADASPEC_I": 400, "TC_BADBRANCH_V": 400, "TC_BADDATE_V": 407, "TC_BADDN_I": 400, "TC_BADINV01_I": 400,
  "TC_BADVERS_V": 505, "TC_BEXT01_V": 420, "TC_CLERR_I": 400, "TC_CPARAM01_V": 401, "TC_CPARAM02_V": 401,
  "TC_DBLREQ": 401, "TC_ESC01_V": 407, "TC_ESC02_V": 407, "TC_ESCNULL_V": 401, "TC_ESCRURI_V": 400,
  "TC_INSUF_I": 400, "TC_INTMETH": 407, "TC_INV2543_I": 407, "TC_INVUT_V": 407, "TC_LONGREQ_V": 407,
  "TC_LTGTRURI_I": 400, "TC_LWSDISP_V": 407, "TC_LWSRURI_I": 400, "TC_LWSSTART_V": 400, "TC_MCL01_I": 400,
  "TC_MISMATCH01_V": 400, "TC_MISMATCH02_V": 400, "TC_MPART01": 407, "TC_MULTI01_I": 400, "TC_NCL_I": 400,
  "TC_NOVELSC_V": 416, "TC_QUOTBAL_I": 400, "TC_REGAUT01_V": 401, "TC_REGBADCT_I": 400, "TC_REGESCRT_V": 401,
  "TC_SCALAR02_V": 400, "TC_SDP01_V": 407, "TC_SEMIURI_V": 407, "TC_TRANSPORTS_V": 407, "TC_TRWS_I": 400,
  "TC_UNKSCM_V": 416, "TC_UNKSM2_V": 401, "TC_WSINV": 407, "TC_ZEROMF_V": 483,
]

@Suite("RFC 4475 messages at the server")
struct TortureTests {
  @Test func `each is answered as the RFC has it, or not at all`() throws {
    let names = try tortureNames()
    #expect(names.count == 50)
    for name in names {
      let world = tortured()
      world.deliver(try torture(name), on: world.connect(.udp))
      // An answer may carry a header field that is malformed in the request, so it need not parse.
      let sent = world.sent.values.flatMap { $0 }.map { $0.serialized() } + world.raw.values.flatMap { $0 }
      let statuses = sent.map { Int(String(decoding: $0.dropFirst(8).prefix(3), as: UTF8.self)) ?? -1 }
      #expect(statuses == (expected[name].map { [$0] } ?? []), "\(name)")
    }
  }

  @Test func `a known device may send any of them over its connection and stays what it was`() throws {
    for name in try tortureNames() {
      let world = tortured()
      let node = Peer(world, "gate-box")
      node.register()
      node.publish("CAM-1")
      world.deliver(try torture(name), on: node.flow)
      let other = Peer(world, "alice")
      #expect(other.register().status == 200, "\(name)")
      #expect(world.rendezvous.snapshot(at: world.now).contacts <= 2)
    }
  }
}

@Suite("Hostile input")
struct HostileTests {
  @Test(arguments: UInt64(0)..<20)
  func `any change of any byte leaves a server that serves`(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let world = World()
    let node = Peer(world, "gate-box")
    node.register()
    node.publish("CAM-1")
    let viewer = Peer(world, "alice", on: world.connect(.udp))
    viewer.register()
    let samples = [
      viewer.registration(), viewer.request(.invite, "CAM-1"), viewer.subscription("CAM-1"),
      viewer.request(.cancel, "CAM-1"), viewer.request(.bye, "CAM-1", toTag: "t"), viewer.request(.ack, "CAM-1"),
    ].map { $0.serialized() }
    for _ in 0..<300 {
      var bytes = samples[Int.random(in: 0..<samples.count, using: &random)]
      for _ in 0..<Int.random(in: 1...6, using: &random) {
        let index = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.remove(at: index)
        default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: index)
        }
      }
      world.deliver(bytes, on: viewer.flow)
      if Int.random(in: 0..<20, using: &random) == 0 {
        let stream = world.connect(.tcp)
        world.deliver(bytes, on: stream)
        if Bool.random(using: &random) { world.drop(stream) }
      }
      world.advance(.milliseconds(Int.random(in: 0..<200, using: &random)))
      world.deliver([0x0D, 0x0A, 0x0D, 0x0A], on: node.flow)
    }
    #expect(Peer(world, "bob").register().status == 200, "seed \(seed)")
    #expect(world.rendezvous.publications.serials == ["CAM-1"], "seed \(seed)")
  }

  @Test func `a flood from forged addresses leaves nothing behind`() {
    let world = World()
    let registration = Peer(world, "alice", on: world.connect(.udp)).registration().serialized()
    let invite = Peer(world, "alice", on: world.connect(.udp)).request(.invite, "CAM-1").serialized()
    for index in 0..<2_000 {
      let flow = Flow(
        .udp, local: SocketAddress(.v4(0xCB00_7101), port: 5060),
        remote: SocketAddress(.v4(0x0B00_0000 &+ UInt32(index)), port: 5060))
      _ = world.rendezvous.receive(index % 2 == 0 ? registration : invite, on: flow, at: world.now)
    }
    let rendezvous = world.rendezvous
    #expect(rendezvous.flows.isEmpty && rendezvous.proxy.count == 0 && rendezvous.answered.isEmpty)
    #expect(rendezvous.connectionsByAddress.isEmpty && rendezvous.nextDeadline == nil)
  }

  @Test func `one address gets only its share of answers, and the others theirs`() {
    let world = World()
    let message = Peer(world, "alice", on: world.connect(.udp)).registration().serialized()
    let flooder = world.connect(.udp, from: 0x0B00_0001)
    var answers = 0
    for _ in 0..<5_000 { answers += world.rendezvous.receive(message, on: flooder, at: world.now).count }
    #expect(answers == 200)
    #expect(world.rendezvous.snapshot(at: world.now).counters.limited == 4_800)
    #expect(Peer(world, "bob", on: world.connect(.udp)).register().status == 200)
    var binding = 0
    let source = SocketAddress(.v4(0x0B00_0002), port: 1)
    let request: [UInt8] = [0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42] + Array(1...12)
    for _ in 0..<5_000 where world.rendezvous.answerBinding(request, from: source, at: world.now) != nil {
      binding += 1
    }
    #expect(binding == 200)
  }

  @Test func `calls that are begun and cut leave nothing behind`() {
    let world = World()
    let node = Peer(world, "gate-box")
    node.register()
    node.publish("CAM-1")
    for _ in 0..<200 {
      let viewer = Peer(world, "alice")
      viewer.register()
      viewer.send(viewer.request(.invite, "CAM-1"))
      world.drop(viewer.flow)
    }
    _ = node.received()
    world.advance(.seconds(35))
    world.deliver([0x0D, 0x0A, 0x0D, 0x0A], on: node.flow)
    let rendezvous = world.rendezvous
    #expect(rendezvous.proxy.clients.isEmpty && rendezvous.proxy.servers.isEmpty)
    #expect(rendezvous.flows.count == 1 && rendezvous.sessions.count == 0)
  }

  @Test func `an authenticated flood on one connection ends that connection`() {
    let world = World()
    let node = Peer(world, "gate-box")
    node.register()
    for _ in 0..<1_000 where world.closed.isEmpty { world.deliver([0x0D, 0x0A, 0x0D, 0x0A], on: node.flow) }
    #expect(world.closed == [node.flow])
    #expect(world.has("flow-lost"))
  }

  @Test func `a stream in pieces of one byte is the same stream`() {
    let world = World()
    let node = Peer(world, "gate-box")
    let bytes = node.registration().serialized() + [0x0D, 0x0A, 0x0D, 0x0A]
    for byte in bytes { world.deliver([byte], on: node.flow) }
    #expect(world.responses(node.flow) == [401])
    #expect(world.raw[node.flow] == [[0x0D, 0x0A]])
  }
}
