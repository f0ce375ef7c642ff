import EdgeCore
import SIP
import Testing
import UserAgent

/// A server that is unreachable for a while. A connect made meanwhile hangs as the kernel's does: a SYN after 0, 1
/// and 3 s, and no more in the four seconds the attempt may take (Linux, RFC 6298).
private struct Outage {
  let world: World
  let roundTrip: Duration
  let from: Instant
  let until: Instant
  let refuses: Bool

  func isCut(_ at: Instant) -> Bool { at >= from && at < until }

  /// Runs until the agent is up after the outage; returns when that was.
  func run() -> Instant? {
    var connects = world.connects
    var attemptBegan: Instant?
    var pings = world.pings
    var mail: [(at: Instant, bytes: [UInt8])] = []
    var opensAt: Instant?
    let end = until + .seconds(60)
    while world.now < end {
      if world.now >= until, world.agent.isUp, (world.agent.since ?? .zero) > from { return world.agent.since }
      var next = world.now + .milliseconds(50)
      for at in [world.agent.nextDeadline, mail.map(\.at).min(), opensAt] {
        if let at, at > world.now { next = min(next, at) }
      }
      world.now = next
      world.do { $0.tick(at: $1, into: &$2) }
      if world.connects > connects {
        connects = world.connects
        attemptBegan = world.now
        mail = []
        opensAt = nil
        for second in [0, 1, 3] where opensAt == nil && !isCut(world.now + .seconds(second)) {
          // TCP and TLS take three round trips.
          opensAt = world.now + .seconds(second) + roundTrip * 3
        }
      }
      if let began = attemptBegan, refuses, isCut(world.now) {
        attemptBegan = nil
        opensAt = nil
        _ = began
        world.close("refused")
      } else if let began = attemptBegan, world.now - began >= ReconnectBackoff.attemptTimeout {
        attemptBegan = nil
        opensAt = nil
        world.close("timed out")
      } else if let at = opensAt, world.now >= at {
        attemptBegan = nil
        opensAt = nil
        world.open()
      }
      for message in world.sent where message.isRequest && !isCut(world.now) {
        var response = Message.response(to: message, status: 200, tag: "server")
        if message.method == .register, message.credentials.first?.nonce != "after", world.now >= until {
          // A server that restarted has a new key: the old nonce costs a round trip more.
          response = .response(to: message, status: 401, tag: "server")
          var challenge = DigestChallenge(realm: World.domain, nonce: "after", algorithm: .sha256)
          challenge.isStale = true
          response.append(.wwwAuthenticate, challenge.description)
        }
        mail.append((world.now + roundTrip, response.serialized()))
      }
      world.sent.removeAll()
      while pings < world.pings {
        pings += 1
        if !isCut(world.now) { mail.append((world.now + roundTrip, [0x0D, 0x0A])) }
      }
      let due = mail.filter { $0.at <= world.now && !isCut($0.at) }
      mail.removeAll { $0.at <= world.now }
      for letter in due { world.deliver(letter.bytes) }
    }
    return nil
  }
}

@Suite("Recovery")
struct RecoveryTests {
  @Test(arguments: UInt64(0)..<200)
  func `an uplink cut for a minute is logged in again within five seconds of its return`(seed: UInt64) throws {
    let world = World(seed: seed)
    world.logIn()
    var random = SeededRandom(seed: seed)
    let from = world.now + .milliseconds(Int.random(in: 0...25_000, using: &random))
    let outage = Outage(
      world: world, roundTrip: .milliseconds(200), from: from,
      until: from + .seconds(60) + .milliseconds(Int.random(in: 0...6000, using: &random)), refuses: false)
    let up = try #require(outage.run(), "seed \(seed)")
    #expect(up - outage.until <= .seconds(5), "seed \(seed): \(up - outage.until)")
  }

  @Test(arguments: UInt64(0)..<100)
  func `a server killed for up to two minutes is logged in to again within five seconds`(seed: UInt64) throws {
    let world = World(seed: seed)
    world.logIn()
    var random = SeededRandom(seed: seed)
    world.close("reset")
    let outage = Outage(
      world: world, roundTrip: .milliseconds(200), from: world.now,
      until: world.now + .milliseconds(Int.random(in: 100...120_000, using: &random)), refuses: true)
    let up = try #require(outage.run(), "seed \(seed)")
    #expect(up - outage.until <= .seconds(5), "seed \(seed): \(up - outage.until)")
  }
}
