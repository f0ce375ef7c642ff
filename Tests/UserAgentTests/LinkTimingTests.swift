import EdgeCore
import Testing
import UserAgent

@Suite("Reconnect back-off")
struct ReconnectBackoffTests {
  @Test func `the first retry comes within a second and a long outage slows to two minutes`() {
    var random = SeededRandom(seed: 1)
    var backoff = ReconnectBackoff()
    var now = Instant.zero
    var waits: [Duration] = []
    for _ in 0..<200 {
      let wait = backoff.nextWait(at: now, using: &random)
      waits.append(wait)
      now = now + wait
    }
    #expect(waits[0] >= .milliseconds(500) && waits[0] <= .seconds(1))
    #expect(waits.allSatisfy { $0 <= .seconds(120) })
    #expect(waits.suffix(5).allSatisfy { $0 >= .seconds(60) })
    var elapsed = Duration.zero
    for wait in waits {
      if elapsed < .seconds(180) { #expect(wait <= .seconds(2)) }
      elapsed += wait
    }
  }

  @Test func `success starts over and Retry-After is honoured`() {
    var random = SeededRandom(seed: 2)
    var backoff = ReconnectBackoff()
    for second in 0..<1000 { _ = backoff.nextWait(at: .zero + .seconds(second), using: &random) }
    #expect(backoff.nextWait(at: .zero + .seconds(1001), using: &random) >= .seconds(60))
    backoff.reset()
    #expect(backoff.nextWait(at: .zero + .seconds(1002), using: &random) <= .seconds(1))
    #expect(backoff.nextWait(at: .zero + .seconds(1003), retryAfter: .seconds(30), using: &random) == .seconds(30))
    #expect(
      backoff.nextWait(at: .zero + .seconds(1003), retryAfter: .seconds(1 << 40), using: &random) == .seconds(3600))
  }
}

@Suite("Stream heartbeat")
struct KeepAliveTests {
  @Test(arguments: UInt64(0)..<50)
  func `pings are spread over the last fifth of the interval`(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var heartbeat = KeepAlive.idle
    heartbeat.start(interval: .seconds(25), at: .zero, using: &random)
    let due = heartbeat.nextDeadline!
    #expect(due >= .zero + .seconds(20) && due <= .zero + .seconds(25))
    #expect(heartbeat.tick(at: due - .milliseconds(1)) == .none)
    #expect(heartbeat.tick(at: due) == .ping)
    #expect(heartbeat.tick(at: due) == .none)
    #expect(heartbeat.receivePong(at: due + .milliseconds(40), using: &random) == .milliseconds(40))
    #expect(heartbeat.receivePong(at: due + .milliseconds(50), using: &random) == nil)
  }

  @Test func `a doubted flow is asked at once and given two seconds`() {
    var random = SeededRandom(seed: 3)
    var heartbeat = KeepAlive.idle
    #expect(heartbeat.doubt(at: .zero) == .none)
    heartbeat.start(interval: .seconds(25), at: .zero, using: &random)
    #expect(heartbeat.doubt(at: .zero + .seconds(1)) == .ping)
    #expect(heartbeat.doubt(at: .zero + .seconds(2)) == .none)
    #expect(heartbeat.tick(at: .zero + .milliseconds(2999)) == .none)
    #expect(heartbeat.tick(at: .zero + .seconds(3)) == .declareDead)
    // Also when the regular question was under way.
    heartbeat.start(interval: .seconds(25), at: .zero, using: &random)
    let due = heartbeat.nextDeadline!
    #expect(heartbeat.tick(at: due) == .ping)
    #expect(heartbeat.doubt(at: due + .seconds(1)) == .none)
    #expect(heartbeat.nextDeadline == due + .seconds(3))
  }

  @Test func `ten seconds without a pong kill the flow, once`() {
    var random = SeededRandom(seed: 3)
    var heartbeat = KeepAlive.idle
    heartbeat.start(interval: .seconds(25), at: .zero, using: &random)
    let due = heartbeat.nextDeadline!
    #expect(heartbeat.tick(at: due) == .ping)
    #expect(heartbeat.tick(at: due + .milliseconds(9999)) == .none)
    #expect(heartbeat.tick(at: due + .seconds(10)) == .declareDead)
    #expect(heartbeat.tick(at: due + .seconds(60)) == .none)
    #expect(heartbeat.nextDeadline == nil)
  }
}
