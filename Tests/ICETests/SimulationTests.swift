import EdgeCore
import ICE
import SimNet
import Testing

@Suite("ICE over simulated NATs")
struct SimulationTests {
  /// A failing seed is the whole bug report: run with it again and get the same packets.
  @Test(arguments: 0..<8)
  func `each side settles once and both agree whatever is lost`(slice: Int) {
    for seed in UInt64(slice * 125)..<UInt64(slice * 125 + 125) {
      var random = SeededRandom(seed: seed)
      let types: [NATBehaviour?] = [nil] + NATBehaviour.all
      let (a, b) = (types[Int(random.next() % 10)], types[Int(random.next() % 10)])
      let world = World(a, b, seed: seed, lossPercent: 30)
      for peer in world.peers { world.addRelay(for: peer) }
      world.connect(skew: .milliseconds(Int64(random.next() % 300)))
      world.runUntilSettled()
      let completed = world.peers.allSatisfy { $0.settled == [.completed] }
      if !completed || !world.agree { Issue.record("\(world.description)") }
    }
  }

  /// 9×9 of RFC 4787: which NATs let two peers meet directly, by reasoning on the two tables and
  /// confirmed with real ones. Row and column: EIM, ADM, APDM, within each EIF, ADF, APDF.
  static let direct = [
    "DDDDDDDDD",
    "DDDDDDDDD",
    "DDDRRRRRR",
    "DDRDDRDDR",
    "DDRDRRDRR",
    "DDRRRRRRR",
    "DDRDDRRRR",
    "DDRDRRRRR",
    "DDRRRRRRR",
  ]

  /// Nine rows at once: the cells that must fail take their time.
  @Test(arguments: [0, 10])
  func `two NATs meet directly exactly where they can`(lossPercent: Int) async {
    let rows = await withTaskGroup(of: (Int, String).self) { group in
      for row in 0..<9 { group.addTask { (row, Self.row(row, lossPercent)) } }
      return await group.reduce(into: [Int: String]()) { $0[$1.0] = $1.1 }
    }
    var table =
      "SimNet, \(lossPercent) % loss: D direct, R relay\n           " + NATBehaviour.all.map { pad($0) }.joined()
    for row in 0..<9 {
      let marks = Array(rows[row] ?? "").map { String($0) }
      table += "\n" + pad(NATBehaviour.all[row]) + marks.map { $0 + String(repeating: " ", count: 10) }.joined()
      #expect(rows[row] == Self.direct[row], "\(NATBehaviour.all[row])")
    }
    print(table)
  }

  private func pad(_ behaviour: NATBehaviour) -> String {
    let name = behaviour.description
    return name + String(repeating: " ", count: max(1, 11 - name.utf8.count))
  }

  /// D where both ends settle on one direct pair, R where neither finds one and, given relays, both agree on one over a
  /// relay; anything else is `!`.
  private static func row(_ row: Int, _ lossPercent: Int) -> String {
    var marks = ""
    for column in 0..<9 {
      let (a, b) = (NATBehaviour.all[row], NATBehaviour.all[column])
      let seed = UInt64(row * 9 + column + lossPercent * 100)
      let world = World(a, b, seed: seed, lossPercent: lossPercent)
      world.connect()
      world.runUntilSettled()
      if world.peers.allSatisfy({ $0.settled == [.completed] }) && world.agree {
        marks += "D"
        continue
      }
      let isFailure = world.peers.allSatisfy { $0.isFailed && $0.selections.isEmpty }
      let relayed = World(a, b, seed: seed, lossPercent: lossPercent)
      for peer in relayed.peers { relayed.addRelay(for: peer) }
      relayed.connect()
      relayed.runUntilSettled()
      let paths = relayed.peers.compactMap { $0.agent.selectedPath }
      let isRelayed = paths.count == 2 && paths.allSatisfy { $0.local.kind == .relay || $0.remote.kind == .relay }
      marks += isFailure && isRelayed && relayed.agree ? "R" : "!"
    }
    return marks
  }

  @Test func `cells without a direct path use the relay, and say so on both ends`() {
    for (row, line) in Self.direct.enumerated() {
      for (column, cell) in line.enumerated() where cell == "R" {
        let world = World(
          NATBehaviour.all[row], NATBehaviour.all[column], seed: UInt64(row * 9 + column), lossPercent: 10)
        for peer in world.peers { world.addRelay(for: peer) }
        world.connect()
        world.runUntilSettled()
        let paths = world.peers.compactMap { $0.agent.selectedPath }
        let isRelayed = paths.count == 2 && paths.allSatisfy { $0.local.kind == .relay || $0.remote.kind == .relay }
        if !isRelayed || !world.agree { Issue.record("\(row) x \(column): \(world.description)") }
      }
    }
  }

  @Test(arguments: NATBehaviour.all)
  func `a public host meets every NAT, from either side`(behaviour: NATBehaviour) {
    for (a, b) in [(nil, behaviour), (behaviour, nil)] as [(NATBehaviour?, NATBehaviour?)] {
      let world = World(a, b, seed: 1)
      world.connect()
      world.runUntilSettled()
      #expect(world.agree, "\(world.description)")
    }
  }

  @Test func `an address-dependent NAT is met through a peer-reflexive candidate`() {
    let world = World(.restrictedCone, .symmetric, seed: 3)
    world.connect()
    world.runUntilSettled()
    #expect(world.agree)
    #expect(world.peers[0].agent.selectedPath?.remote.kind == .peerReflexive)
    #expect(world.peers[1].agent.selectedPath?.local.kind == .peerReflexive)
  }

  @Test func `hosts on one network use their own addresses`() {
    let world = World(seed: 4)
    let router = world.net.addNAT(.portRestricted, outside: World.publicIP[0])
    world.addPeer(at: .v4(0xC0A8_0102), behind: router, role: .controlling)
    world.addPeer(at: .v4(0xC0A8_0103), behind: router, role: .controlled)
    world.connect()
    world.runUntilSettled()
    #expect(world.agree)
    #expect(world.peers.allSatisfy { $0.agent.selectedPath?.local.kind == .host })
    #expect(world.peers.allSatisfy { $0.agent.selectedPath?.remote.kind == .host })
  }

  @Test(arguments: [true, false])
  func `two homes behind one carrier NAT meet only if it hairpins`(hairpins: Bool) {
    let world = World(seed: 5)
    let behaviour = NATBehaviour.fullCone
    let carrier = world.net.addNAT(hairpins ? behaviour.hairpinning() : behaviour, outside: World.publicIP[0])
    for index in 0..<2 {
      let home = world.net.addNAT(
        .portRestricted, outside: .v4(0x6440_000B + UInt32(index)), behind: carrier)
      world.addPeer(at: World.privateIP[index], behind: home, role: index == 0 ? .controlling : .controlled)
    }
    world.connect(skew: .milliseconds(300))
    world.runUntilSettled()
    #expect(world.agree == hairpins, "\(world.description)")
    #expect(world.peers.allSatisfy(\.isFailed) == !hairpins)
  }

  @Test func `a direct connection is usable within two and a half round trips of the answer`() {
    let world = World(.portRestricted, .portRestricted, seed: 6)
    world.net.jitter = .zero
    world.net.latency = .milliseconds(50)
    world.signalDelay = .milliseconds(50)
    world.connect()
    world.runUntilSettled()
    #expect(world.agree)
    for peer in world.peers {
      // The answer reaches the offerer 100 ms after the start; the answerer's address is known 100 ms
      // after it began to gather, and takes 50 ms to be signalled.
      let latest = Instant.zero + .milliseconds(100 + 250)
      if (peer.firstSelection ?? latest + .seconds(1)) > latest { Issue.record("\(world.description)") }
    }
  }

  @Test func `a relayed path carries data first and a direct one takes over`() {
    let world = World(.portRestricted, .portRestricted, seed: 7)
    for peer in world.peers { world.addRelay(for: peer) }
    world.usesSTUN = false
    world.connect()
    // The reflexive addresses come late, when the relay is already in use.
    world.after(.milliseconds(600)) {
      world.usesSTUN = true
      for peer in world.peers { world.gather(peer) }
    }
    world.runUntilSettled()
    #expect(world.agree)
    for peer in world.peers {
      #expect(peer.selections.first.map { $0.local.kind == .relay || $0.remote.kind == .relay } == true)
      #expect(peer.selections.last.map { $0.local.kind != .relay && $0.remote.kind != .relay } == true)
      #expect(peer.settled == [.completed])
    }
  }

  @Test func `mutated packets change nothing but the time it takes`() {
    for seed in UInt64(0)..<40 {
      let world = World(.portRestricted, .restrictedCone, seed: seed)
      world.net.corruptionPercent = 30
      world.connect()
      world.runUntilSettled()
      if !world.agree || !world.peers.allSatisfy({ $0.settled == [.completed] }) {
        Issue.record("\(world.description)")
      }
    }
  }

  @Test func `the same seed gives the same packets`() {
    func trace() -> [Int] {
      let world = World(.portRestricted, .symmetric, seed: 8, lossPercent: 20)
      world.connect()
      world.runUntilSettled()
      return [world.net.sent, world.net.lost, world.steps]
    }
    #expect(trace() == trace())
  }
}
