import EdgeCore
import Foundation
import SCTPTransport
import Testing

@Suite("Data channels over SCTP")
struct DataChannelsTests {
  @Test func `both ends connecting at once make one association`() throws {
    let wire = try SCTPWire()
    wire.connect()
    #expect(wire.run { wire.has(.a, .connected) && wire.has(.b, .connected) })
    #expect(wire.events[0].filter { $0 == .connected }.count == 1)
    #expect(wire.events[1].filter { $0 == .connected }.count == 1)
  }

  @Test func `one end connecting is enough`() throws {
    let wire = try SCTPWire()
    wire.does(.b) { $0.connect(at: $1, into: &$2) }
    wire.does(.a) { $0.connect(at: $1, into: &$2) }
    #expect(wire.run { wire.has(.a, .connected) && wire.has(.b, .connected) })
  }

  @Test func `a channel and its first message arrive with the handshake's last packets`() throws {
    let wire = try SCTPWire()
    wire.connect()
    let options = DataChannelOptions(label: "control", priority: .signalling, protocolName: "edge")
    let id = try #require(wire.does(.a) { $0.open(options, at: $1, into: &$2) })
    #expect(wire.does(.a) { $0.send(Array("hello".utf8), isText: true, on: id, at: $1, into: &$2) })
    #expect(wire.run { wire.has(.b, .message(id, Array("hello".utf8), isText: true)) })
    #expect(wire.has(.b, .opened(id, options)))
    #expect(wire.run { wire.has(.a, .acknowledged(id)) })
    #expect(wire.packets <= 14)
  }

  @Test func `messages of every size arrive whole, both ways, text and binary apart`() throws {
    let wire = try SCTPWire()
    wire.connect()
    let id = try #require(wire.does(.a) { $0.open(.init(label: "video"), at: $1, into: &$2) })
    let sizes = [0, 1, 2, 1143, 1144, 1163, 1164, 16_384, 65_536, 262_144]
    #expect(wire.run { wire.end(.b).isOpen(id) })
    for (index, size) in sizes.enumerated() {
      let isText = index % 2 == 0
      #expect(wire.does(.a) { $0.send(SCTPWire.pattern(size), isText: isText, on: id, at: $1, into: &$2) })
      #expect(wire.does(.b) { $0.send(SCTPWire.pattern(size, 7), isText: isText, on: id, at: $1, into: &$2) })
    }
    #expect(wire.run { wire.received(.a).count == sizes.count && wire.received(.b).count == sizes.count })
    #expect(wire.received(.b) == sizes.map { SCTPWire.pattern($0) })
    #expect(wire.received(.a) == sizes.map { SCTPWire.pattern($0, 7) })
    #expect(wire.has(.b, .message(id, SCTPWire.pattern(1144), isText: true)))
    #expect(wire.has(.b, .message(id, SCTPWire.pattern(1143), isText: false)))
    #expect(wire.largest <= 1163)
    #expect(wire.has(.a, .drained))
  }

  /// The seed gives the losses; time is real, because libusrsctp's is.
  @Test(arguments: UInt64(0)..<6)
  func `everything arrives in order though one packet in twenty is lost`(seed: UInt64) throws {
    let wire = try SCTPWire(seed: seed, lossPercent: 5)
    wire.connect()
    let id = try #require(wire.does(.a) { $0.open(.init(label: "video"), at: $1, into: &$2) })
    let messages = (0..<40).map { SCTPWire.pattern(1 + $0 * 211, $0) }
    for message in messages { wire.does(.a) { _ = $0.send(message, on: id, at: $1, into: &$2) } }
    #expect(wire.run { wire.received(.b).count == messages.count }, "seed \(seed)")
    #expect(wire.received(.b) == messages, "seed \(seed)")
  }

  @Test(arguments: UInt64(0)..<4)
  func `a queue that others fill as it empties never stops, whatever is lost`(seed: UInt64) throws {
    let wire = try SCTPWire(seed: seed, lossPercent: 3)
    wire.connect()
    let message = SCTPWire.pattern(16_385)
    let ids = try (0..<4).map { _ in try #require(wire.does(.a) { $0.open(.init(label: "t"), at: $1, into: &$2) }) }
    var sent = 0
    let isDone = wire.run {
      for id in ids where sent < 160 && wire.end(.a).bufferedAmount(id) < 100_000 {
        _ = wire.does(.a) { $0.send(message, isText: false, on: id, at: $1, into: &$2) }
        sent += 1
      }
      return wire.received(.b).count == 160
    }
    #expect(isDone, "seed \(seed): \(wire.received(.b).count) of \(sent) arrived")
  }

  @Test func `unordered messages with no retransmission may be lost but never changed`() throws {
    let wire = try SCTPWire(seed: 3, lossPercent: 0)
    wire.connect()
    let id = try #require(
      wire.does(.a) {
        $0.open(.init(label: "live", isOrdered: false, reliability: .retransmissions(0)), at: $1, into: &$2)
      })
    #expect(wire.run { wire.has(.a, .acknowledged(id)) })
    #expect(wire.end(.b).options(of: id)?.isOrdered == false)
    #expect(wire.end(.b).options(of: id)?.reliability == .retransmissions(0))
    wire.lossPercent = 10
    let messages = (0..<60).map { SCTPWire.pattern(900, $0) }
    for message in messages { wire.does(.a) { _ = $0.send(message, on: id, at: $1, into: &$2) } }
    wire.run(limit: 3) { wire.end(.a).association.unacknowledgedBytes == 0 && wire.end(.a).bufferedAmount(id) == 0 }
    let received = wire.received(.b)
    #expect(received.count >= 30)
    #expect(received.count < 60)
    #expect(received.allSatisfy { messages.contains($0) })
    #expect(Set(received).count == received.count)
  }

  @Test func `what the network cannot take waits where the owner sees it`() throws {
    let wire = try SCTPWire()
    wire.connect()
    let video = try #require(wire.does(.a) { $0.open(.init(label: "video"), at: $1, into: &$2) })
    let control = try #require(
      wire.does(.a) { $0.open(.init(label: "control", priority: .signalling), at: $1, into: &$2) })
    #expect(wire.run { wire.has(.a, .acknowledged(video)) && wire.has(.a, .acknowledged(control)) })
    for salt in 0..<32 { wire.does(.a) { _ = $0.send(SCTPWire.pattern(65_536, salt), on: video, at: $1, into: &$2) } }
    let waiting = wire.end(.a).bufferedAmount(video)
    #expect(waiting > 1_500_000 && waiting < 32 * 65_536)
    wire.does(.a) { _ = $0.send([1, 2, 3], on: control, at: $1, into: &$2) }
    #expect(wire.run { wire.has(.b, .message(control, [1, 2, 3], isText: false)) })
    // The small message overtook most of the two megabytes before it.
    #expect(wire.received(.b).count < 16)
    #expect(wire.run { wire.received(.b).count == 33 })
    #expect(wire.end(.a).bufferedAmount(video) == 0)
    #expect(wire.received(.b).filter { $0.count > 3 } == (0..<32).map { SCTPWire.pattern(65_536, $0) })
  }

  @Test func `both ends open channels without taking each other's identifiers`() throws {
    let wire = try SCTPWire()
    wire.connect()
    var ids: [[UInt16]] = [[], []]
    for _ in 0..<5 {
      for side in [SCTPWire.Side.a, .b] {
        ids[side.rawValue].append(
          try #require(wire.does(side) { $0.open(.init(label: "x"), at: $1, into: &$2) }))
      }
    }
    #expect(ids == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]])
    #expect(
      wire.run {
        wire.events.allSatisfy { $0.filter { if case .opened = $0 { true } else { false } }.count == 5 }
      })
  }

  @Test func `a closed channel is closed on both ends after its last message, and its identifier is free again`() throws
  {
    let wire = try SCTPWire()
    wire.connect()
    let id = try #require(wire.does(.a) { $0.open(.init(label: "file"), at: $1, into: &$2) })
    #expect(wire.run { wire.end(.b).isOpen(id) })
    wire.does(.a) { _ = $0.send(SCTPWire.pattern(200_000), on: id, at: $1, into: &$2) }
    wire.does(.a) { $0.close(id, at: $1, into: &$2) }
    #expect(wire.does(.a) { $0.send([1], on: id, at: $1, into: &$2) } == false)
    #expect(wire.run { wire.has(.a, .closed(id)) && wire.has(.b, .closed(id)) })
    #expect(wire.received(.b) == [SCTPWire.pattern(200_000)])
    #expect(!wire.end(.a).isOpen(id) && !wire.end(.b).isOpen(id))
    #expect(wire.does(.b) { $0.send([1], on: id, at: $1, into: &$2) } == false)
  }

  @Test func `a shut down association delivers what was queued and ends on both sides`() throws {
    let wire = try SCTPWire()
    wire.connect()
    let id = try #require(wire.does(.a) { $0.open(.init(label: "x"), at: $1, into: &$2) })
    #expect(wire.run { wire.has(.a, .acknowledged(id)) })
    for _ in 0..<2 { wire.does(.a) { _ = $0.send(SCTPWire.pattern(150_000), on: id, at: $1, into: &$2) } }
    wire.does(.a) { $0.shutDown(at: $1, into: &$2) }
    #expect(wire.run { wire.has(.b, .ended(.shutDown)) && wire.has(.a, .ended(.shutDown)) })
    #expect(wire.received(.b) == [SCTPWire.pattern(150_000), SCTPWire.pattern(150_000)])
  }

  @Test func `an abort reaches the peer at once and leaves nothing to do`() throws {
    let wire = try SCTPWire()
    wire.connect()
    #expect(wire.run { wire.has(.a, .connected) && wire.has(.b, .connected) })
    wire.does(.a) { $0.abort(into: &$2) }
    #expect(wire.run { wire.has(.b, .ended(.aborted)) })
    #expect(wire.end(.a).nextDeadline == nil && wire.end(.b).nextDeadline == nil)
    wire.does(.a) { $0.tick(at: $1, into: &$2) }
    wire.does(.a) { $0.receive([1, 2, 3], at: $1, into: &$2) }
    #expect(wire.does(.a) { $0.open(.init(label: "late"), at: $1, into: &$2) } == nil)
  }

  @Test func `a message over the limit ends the association instead of filling the memory`() throws {
    var configuration = SCTPAssociation.Configuration()
    configuration.maximumMessage = 100_000
    let wire = try SCTPWire(configuration: configuration)
    wire.connect()
    let id = try #require(wire.does(.a) { $0.open(.init(label: "x"), at: $1, into: &$2) })
    wire.does(.a) { _ = $0.send(SCTPWire.pattern(100_000), on: id, at: $1, into: &$2) }
    #expect(wire.run { wire.received(.b).count == 1 })
    wire.does(.a) { _ = $0.send(SCTPWire.pattern(100_001), on: id, at: $1, into: &$2) }
    #expect(wire.run { wire.has(.b, .ended(.messageTooLarge)) && wire.has(.a, .ended(.aborted)) })
  }

  @Test func `garbage for packets and messages does no harm`() throws {
    let wire = try SCTPWire()
    wire.connect()
    let id = try #require(wire.does(.a) { $0.open(.init(label: "x"), at: $1, into: &$2) })
    #expect(wire.run { wire.has(.a, .acknowledged(id)) })
    var random = SeededRandom(seed: 5)
    for size in 0..<300 {
      let bytes = random.bytes(size)
      wire.does(.b) { $0.receive(bytes, at: $1, into: &$2) }
    }
    for ppid in [50, 51, 52, 53, 54, 56, 57, 99] as [UInt32] {
      for size in [1, 4, 12, 13, 40] {
        var bytes = random.bytes(size)
        bytes[0] = UInt8(size % 4)
        wire.does(.a) { channels, now, _ in
          var below = SCTPAssociation.Output()
          channels.association.send(.init(stream: 900, ppid: ppid, bytes: bytes), at: now, into: &below)
        }
      }
    }
    wire.does(.a) { _ = $0.send([4, 2], on: id, at: $1, into: &$2) }
    #expect(wire.run { wire.received(.b).last == [4, 2] })
  }

  /// In a process of its own: the limit is the process's.
  @Test func `associations are refused beyond the limit and come free again`() async {
    await #expect(processExitsWith: .success) {
      var kept: [SCTPAssociation] = []
      for _ in 0..<SCTPAssociation.maximumCount { kept.append(try SCTPAssociation(at: SCTPWire.now)) }
      #expect(throws: SCTPError.tooMany) { try SCTPAssociation(at: SCTPWire.now) }
      kept = []
      _ = try SCTPAssociation(at: SCTPWire.now)
    }
  }
}
