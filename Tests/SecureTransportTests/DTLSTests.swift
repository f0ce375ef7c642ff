import EdgeCore
import Foundation
import SecureTransport
import Testing

/// Two DTLS sessions over a wire that loses datagrams. OpenSSL's timer reads the real clock, so this does too.
final class DTLSPair {
  enum Side { case client, server }

  private struct Message: Hashable {
    var side: Side
    var kind: UInt8
    var size: Int
  }

  private struct History {
    var sent: UInt64 = 0
    var lostInARow = 0
  }

  let client: DTLSSession
  let server: DTLSSession
  var events: [Side: [DTLSSession.Event]] = [.client: [], .server: []]
  var sent = 0
  var largest = 0
  private let seed: UInt64
  private let lossPercent: Int
  private var histories: [Message: History] = [:]
  private var queue: [(to: Side, bytes: [UInt8])] = []

  init(
    client: Identity, server: Identity, expectedOfServer: CertificateFingerprint? = nil,
    expectedOfClient: CertificateFingerprint? = nil, seed: UInt64 = 1, lossPercent: Int = 0
  ) throws {
    var timing = DTLSSession.Timing()
    // Without losses nothing may be sent twice, however busy the machine is.
    timing.initial = lossPercent == 0 ? .seconds(5) : .milliseconds(60)
    timing.maximum = lossPercent == 0 ? .seconds(5) : .milliseconds(120)
    self.client = try DTLSSession(
      role: .client, identity: client, peerFingerprints: [expectedOfServer ?? server.fingerprint], timing: timing)
    self.server = try DTLSSession(
      role: .server, identity: server, peerFingerprints: [expectedOfClient ?? client.fingerprint], timing: timing)
    self.seed = seed
    self.lossPercent = lossPercent
  }

  static var now: Instant {
    Instant(nanoseconds: Int64(ProcessInfo.processInfo.systemUptime * 1_000_000_000))
  }

  func take(_ out: DTLSSession.Output, from side: Side) {
    events[side, default: []] += out.events
    for datagram in out.datagrams {
      sent += 1
      largest = max(largest, datagram.count)
      guard !loses(datagram, from: side) else { continue }
      queue.append((side == .client ? .server : .client, datagram))
    }
  }

  /// Repeated flights leave as one datagram for each message. Whether one is lost depends on the seed, on which message
  /// it is and on how often it was sent, never on what else the clock of a busy machine made the two sides send; and no
  /// message is lost more than twice in a row, so that a handshake needs fewer tries than OpenSSL makes.
  private func loses(_ datagram: [UInt8], from side: Side) -> Bool {
    let message = Message(side: side, kind: datagram[0], size: datagram.count)
    var history = histories[message] ?? History()
    defer { histories[message] = history }
    history.sent += 1
    let place = UInt64(datagram.count) << 32 | UInt64(datagram[0]) << 16 | (side == .client ? 1 << 40 : 0)
    var random = SeededRandom(seed: seed << 48 ^ place ^ history.sent)
    let isLost = lossPercent == 100 || Int.random(in: 0..<100, using: &random) < lossPercent && history.lostInARow < 2
    history.lostInARow = isLost ? history.lostInARow + 1 : 0
    return isLost
  }

  func session(_ side: Side) -> DTLSSession { side == .client ? client : server }

  func deliver() {
    while !queue.isEmpty {
      let (side, bytes) = queue.removeFirst()
      var out = DTLSSession.Output()
      session(side).receive(bytes, at: Self.now, into: &out)
      take(out, from: side)
    }
  }

  /// Runs until both are established, one is over, or `limit` seconds passed.
  func run(limit: Double = 20) {
    let end = Self.now + .milliseconds(Int64(limit * 1000))
    var out = DTLSSession.Output()
    client.start(at: Self.now, into: &out)
    take(out, from: .client)
    while Self.now < end {
      deliver()
      if client.isOver || server.isOver || (client.isEstablished && server.isEstablished) { return }
      guard let deadline = Instant.earliest(client.nextDeadline, server.nextDeadline) else { return }
      let wait = (deadline - Self.now).wholeNanoseconds
      if wait > 0 { usleep(UInt32(wait / 1000) + 1) }
      for side in [Side.client, .server] {
        var out = DTLSSession.Output()
        session(side).tick(at: Self.now, into: &out)
        take(out, from: side)
      }
    }
  }
}

@Suite("DTLS session")
struct DTLSTests {
  let alice: Identity
  let bob: Identity

  init() throws {
    alice = try Identity()
    bob = try Identity()
  }

  @Test func `two sessions that know each other's fingerprints are established in two round trips`() throws {
    let pair = try DTLSPair(client: alice, server: bob)
    pair.run()
    #expect(pair.events == [.client: [.established], .server: [.established]])
    #expect(pair.client.peerFingerprint == bob.fingerprint)
    #expect(pair.server.peerFingerprint == alice.fingerprint)
    #expect(pair.sent == 4)
    #expect(pair.largest <= DTLSSession.maximumDatagram)
    #expect(pair.client.nextDeadline == nil && pair.server.nextDeadline == nil)
  }

  @Test func `packets cross both ways and grow by no more than the stated overhead`() throws {
    let pair = try DTLSPair(client: alice, server: bob)
    pair.run()
    for size in [1, 1163, 2048] {
      let packet = (0..<size).map { UInt8(truncatingIfNeeded: $0) }
      var out = DTLSSession.Output()
      #expect(pair.client.send(packet, into: &out))
      #expect(out.datagrams.count == 1)
      #expect(out.datagrams.allSatisfy { $0.count <= size + DTLSSession.recordOverhead })
      pair.take(out, from: .client)
      pair.deliver()
      #expect(pair.events[.server]?.last == .received(packet))
    }
    var out = DTLSSession.Output()
    #expect(pair.server.send([UInt8](repeating: 1, count: 2049), into: &out) == false)
    #expect(pair.server.send([], into: &out) == false)
    #expect(pair.server.send([5], into: &out))
    pair.take(out, from: .server)
    pair.deliver()
    #expect(pair.events[.client]?.last == .received([5]))
  }

  @Test func `a server with another certificate than the announced one is refused by the client`() throws {
    let mallory = try Identity()
    let pair = try DTLSPair(client: alice, server: mallory, expectedOfServer: bob.fingerprint)
    pair.run()
    #expect(pair.events[.client] == [.failed(.fingerprintMismatch(presented: mallory.fingerprint))])
    #expect(pair.events[.server]?.contains(.established) == false)
    #expect(pair.client.peerFingerprint == nil)
    var out = DTLSSession.Output()
    #expect(pair.client.send([1], into: &out) == false)
  }

  @Test func `a client with another certificate than the announced one is refused by the server`() throws {
    let mallory = try Identity()
    let pair = try DTLSPair(client: mallory, server: bob, expectedOfClient: alice.fingerprint)
    pair.run()
    #expect(pair.events[.server] == [.failed(.fingerprintMismatch(presented: mallory.fingerprint))])
    #expect(pair.events[.client]?.contains(.established) == false)
    #expect(pair.server.peerFingerprint == nil)
  }

  @Test(arguments: UInt64(0)..<12)
  func `a handshake completes though a third of the datagrams is lost`(seed: UInt64) throws {
    let pair = try DTLSPair(client: alice, server: bob, seed: seed, lossPercent: 33)
    pair.run()
    #expect(pair.client.isEstablished, "seed \(seed) \(pair.events)")
    #expect(pair.server.isEstablished, "seed \(seed) \(pair.events)")
  }

  @Test func `a peer that never answers ends the handshake after a bounded number of flights`() throws {
    let pair = try DTLSPair(client: alice, server: bob, lossPercent: 100)
    pair.run()
    #expect(pair.events[.client] == [.failed(.timedOut)])
    #expect(pair.client.nextDeadline == nil)
    #expect((2...20).contains(pair.sent))
  }

  @Test func `the last flight can be repeated on another path and is dropped where it was known`() throws {
    let pair = try DTLSPair(client: alice, server: bob)
    var first = DTLSSession.Output()
    pair.client.start(at: DTLSPair.now, into: &first)
    var again = DTLSSession.Output()
    pair.client.repeatLastFlight(into: &again)
    #expect(first.datagrams == again.datagrams && first.datagrams.count == 1)
    pair.take(first, from: .client)
    pair.take(again, from: .client)
    pair.deliver()
    #expect(pair.client.isEstablished && pair.server.isEstablished)
    var late = DTLSSession.Output()
    pair.client.repeatLastFlight(into: &late)
    #expect(late.datagrams.isEmpty)
  }

  @Test func `forged and broken datagrams are dropped without harm`() throws {
    let pair = try DTLSPair(client: alice, server: bob)
    pair.run()
    var out = DTLSSession.Output()
    pair.client.send([1, 2, 3], into: &out)
    var forged = out.datagrams[0]
    forged[forged.count - 1] ^= 1
    var random = SeededRandom(seed: 7)
    for bytes in [forged, [], [22], Array(out.datagrams[0].prefix(9)), [UInt8](repeating: 23, count: 1500)]
      + (0..<500).map({ _ in [20 + UInt8.random(in: 0...4, using: &random), 254, 253] + random.bytes(40) })
    {
      var answer = DTLSSession.Output()
      pair.server.receive(bytes, at: DTLSPair.now, into: &answer)
      #expect(answer.events.isEmpty)
    }
    pair.take(out, from: .client)
    pair.deliver()
    #expect(pair.events[.server]?.last == .received([1, 2, 3]))
    // The same datagram again is a replay.
    let count = pair.events[.server]?.count
    pair.take(out, from: .client)
    pair.deliver()
    #expect(pair.events[.server]?.count == count)
  }

  @Test func `a goodbye reaches the peer and ends both`() throws {
    let pair = try DTLSPair(client: alice, server: bob)
    pair.run()
    var out = DTLSSession.Output()
    pair.client.close(into: &out)
    #expect(pair.client.isOver)
    pair.take(out, from: .client)
    pair.deliver()
    #expect(pair.events[.server]?.last == .closedByPeer)
    #expect(pair.server.isOver)
    var more = DTLSSession.Output()
    pair.server.receive([1], at: DTLSPair.now, into: &more)
    pair.server.tick(at: DTLSPair.now + .seconds(9), into: &more)
    pair.server.close(into: &more)
    #expect(more.datagrams.isEmpty && more.events.isEmpty)
  }
}
