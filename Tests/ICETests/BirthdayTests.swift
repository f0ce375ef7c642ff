import EdgeCore
import ICE
import SimNet
import Testing

/// Guessing ports between a NAT that keeps its port and filters by port, and one that takes another for every peer.
@Suite("ICE: guessing ports")
struct BirthdayTests {
  private static var symmetric: NATBehaviour {
    var behaviour = NATBehaviour.symmetric
    behaviour.takesRandomPorts = true
    return behaviour
  }

  /// What became of one try: how long it took, and what was sent for it.
  private struct Outcome {
    var took: Duration?
    var shots = 0
    var agree = false
    var mostPerSecond = 0
  }

  private func attempt(
    _ a: NATBehaviour, _ b: NATBehaviour, seed: UInt64, lossPercent: Int = 0
  ) -> Outcome {
    var configuration = ICEConfiguration()
    configuration.relayNominationDelay = .seconds(5)
    let world = World(a, b, seed: seed, lossPercent: lossPercent, configuration: configuration)
    for peer in world.peers {
      world.addRelay(for: peer)
      peer.takesGuesses = true
    }
    world.connect()
    world.run(for: .seconds(20)) {
      world.peers.allSatisfy { peer in
        peer.agent.selectedPath != nil && peer.agent.localCandidates.contains { $0.kind == .serverReflexive }
      }
    }
    let start = world.now
    var outcome = Outcome()
    var sentAt: [Instant] = []
    var punches: [Punch] = []
    for peer in world.peers {
      let other = world.peers[1 - peer.index]
      guard let target = other.agent.localCandidates.first(where: { $0.kind == .serverReflexive })?.address else {
        Issue.record("no reflexive address, seed \(seed)")
        return outcome
      }
      let isMany = (peer.index == 0 ? a : b).mapping != .endpointIndependent
      punches.append(
        Punch(
          BirthdayPunch(
            isMany ? .sockets : .guesses, target: target, random: SeededRandom(seed: seed &* 7 &+ UInt64(peer.index)),
            now: world.now)))
    }
    let isDirect = {
      world.peers.allSatisfy { peer in
        peer.agent.selectedPath.map { $0.local.kind != .relay && $0.remote.kind != .relay } ?? false
      }
    }
    while world.now - start < .seconds(5), !isDirect() {
      for (peer, punch) in zip(world.peers, punches) {
        for shot in punch.core.shots(at: world.now) {
          let port = peer.base.port + (punch.core.part == .sockets ? 1000 + UInt16(shot.socket) : 0)
          let now = world.now
          sentAt.append(now)
          peer.agent.shoot(from: SocketAddress(peer.base.ip, port: port), to: shot.destination, into: &peer.out)
        }
        world.flush(peer)
      }
      world.run(for: .milliseconds(5), until: isDirect)
    }
    outcome.shots = sentAt.count
    if isDirect() { outcome.took = world.now - start }
    world.runUntilSettled()
    outcome.agree = world.agree
    for (first, start) in sentAt.enumerated() where first % 50 == 0 {
      let count = sentAt[first...].prefix { $0 - start < .seconds(1) }.count
      outcome.mostPerSecond = max(outcome.mostPerSecond, count)
    }
    return outcome
  }

  /// A collection cannot hold what is not copyable.
  private final class Punch {
    var core: BirthdayPunch<SeededRandom>
    init(_ core: consuming BirthdayPunch<SeededRandom>) { self.core = core }
  }

  @Test(arguments: [0, 10])
  func `at least nineteen tries of twenty succeed within three seconds`(lossPercent: Int) async {
    let tries = lossPercent == 0 ? 60 : 20
    let outcomes = await withTaskGroup(of: Outcome.self) { group in
      for seed in 0..<tries {
        let swapped = seed % 2 == 1
        group.addTask {
          attempt(
            swapped ? Self.symmetric : .portRestricted, swapped ? .portRestricted : Self.symmetric,
            seed: UInt64(seed), lossPercent: lossPercent)
        }
      }
      return await group.reduce(into: [Outcome]()) { $0.append($1) }
    }
    let times = outcomes.compactMap { $0.took }.sorted()
    let inTime = times.filter { $0 <= .seconds(3) }.count
    let shots = outcomes.map(\.shots).max() ?? 0
    print(
      "guessing ports, \(lossPercent) % loss: \(inTime) of \(tries) within 3 s, median \(times.isEmpty ? .zero : times[times.count / 2]), at most \(shots) packets of both ends"
    )
    // Of what one end loses the other's repetition makes nothing good: each port is tried once.
    #expect(inTime * 100 >= tries * (lossPercent == 0 ? 95 : 90))
    #expect(shots <= 1024 + 256)
    #expect(outcomes.allSatisfy { $0.agree })
    // Both ends together.
    #expect(outcomes.allSatisfy { $0.mostPerSecond <= 2 * 400 + 10 })
  }

  @Test func `no port is guessed twice and none outside the range`() {
    var configuration = BirthdayPunch<SeededRandom>.Configuration()
    configuration.ports = 5000...5499
    configuration.guesses = 10_000
    let target = SocketAddress(.v4(0xCB00_7166), port: 9)
    var punch = BirthdayPunch(
      .guesses, target: target, configuration: configuration, random: SeededRandom(seed: 3), now: .zero)
    var ports: [UInt16] = []
    var now = Instant.zero
    while let next = punch.nextDeadline {
      now = max(now, next)
      for shot in punch.shots(at: now) {
        #expect(shot.destination.ip == target.ip)
        ports.append(shot.destination.port)
      }
    }
    #expect(ports.sorted() == Array(5000...5499))
    #expect(now - .zero < .milliseconds(1250))
    let isOver = punch.isOver
    #expect(isOver)
  }

  @Test func `an owner that comes late sends no burst`() {
    var punch = BirthdayPunch(
      .sockets, target: SocketAddress(.v4(1), port: 1), random: SeededRandom(seed: 1), now: .zero)
    let count = punch.shots(at: .zero + .seconds(100)).count
    #expect(count == 40)
  }
}
