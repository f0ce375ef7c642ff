import EdgeCore
import ICE
import STUN
import SecureTransport
import SimNet
import Testing

/// What happens to a connection after it is made, and around the making of it.
@Suite("ICE session")
struct SessionTests {
  func connected(
    _ a: NATBehaviour?, _ b: NATBehaviour?, seed: UInt64, configuration: ICEConfiguration = .init()
  ) -> World {
    let world = World(a, b, seed: seed, configuration: configuration)
    world.connect()
    world.runUntilSettled()
    #expect(world.agree, "\(world.description)")
    return world
  }

  @Test(arguments: UInt64(0)..<20)
  func `two controlling or two controlled agents sort it out`(seed: UInt64) {
    for role in [ICERole.controlling, .controlled] {
      let world = World(seed: seed, lossPercent: seed < 10 ? 0 : 20)
      for index in 0..<2 { world.addPeer(at: World.publicIP[index], role: role) }
      world.connect()
      world.runUntilSettled()
      #expect(world.agree, "\(world.description)")
      let roles = [world.peers[0].agent.role, world.peers[1].agent.role]
      #expect(roles[0] != roles[1])
      #expect(world.peers.allSatisfy { $0.settled == [.completed] })
    }
  }

  @Test func `a connection stays up on consent checks alone for an hour`() {
    let world = connected(.portRestricted, .portRestricted, seed: 1)
    let before = world.peers.map(\.sentChecks)
    world.run(for: .seconds(3600))
    for (peer, earlier) in zip(world.peers, before) {
      #expect(!peer.events.contains(.consentLost))
      #expect(!peer.events.contains(.consentDoubtful))
      // One check and one answer each 5 s on average.
      #expect((1300...1600).contains(peer.sentChecks - earlier))
      #expect(peer.agent.roundTrip.map { (.milliseconds(40)...(.milliseconds(45))).contains($0) } == true)
    }
  }

  @Test func `silence is noticed in time and ends consent after thirty seconds`() {
    let world = connected(.portRestricted, .portRestricted, seed: 2)
    world.run(for: .seconds(20))
    let start = world.now
    world.net.lossPercent = 100
    world.run(for: .seconds(60)) { world.peers.allSatisfy { $0.events.contains(.consentDoubtful) } }
    #expect(world.now - start < .seconds(19))
    world.run(for: .seconds(60)) { world.peers.allSatisfy { $0.events.contains(.consentLost) } }
    #expect((.seconds(23)...(.seconds(30))).contains(world.now - start))
    for peer in world.peers {
      #expect(peer.agent.selectedPath == nil)
      for pair in peer.agent.pairs {
        let isValidated = peer.agent.isValidated(local: pair.local.base, remote: pair.remote.address)
        #expect(!isValidated)
      }
    }
    // RFC 7675 §5.1: no consent again with the same credentials.
    world.net.lossPercent = 0
    let sent = world.peers.map(\.sentChecks)
    world.run(for: .seconds(60))
    #expect(world.peers.map(\.sentChecks) == sent)
  }

  @Test func `a doubted path is judged in a second, and one that lives is not troubled`() {
    let world = connected(.portRestricted, .portRestricted, seed: 4)
    for isDead in [false, true] {
      world.net.lossPercent = isDead ? 100 : 0
      let before = world.peers[0].sentChecks
      for _ in 0..<10 {
        let now = world.now
        world.peers[0].agent.doubtPath(at: now)
        world.run(for: .milliseconds(100))
      }
      // One each 300 ms, however often it is asked for.
      #expect(world.peers[0].sentChecks - before <= 4)
      #expect(world.peers[0].events.contains(.consentDoubtful) == isDead)
    }
  }

  @Test func `answers that come back after a gap restore consent`() {
    let world = connected(nil, nil, seed: 3)
    world.net.lossPercent = 100
    world.run(for: .seconds(18))
    world.net.lossPercent = 0
    world.run(for: .seconds(30))
    for peer in world.peers {
      #expect(peer.events.contains(.consentDoubtful))
      #expect(peer.events.contains(.consentRestored))
      #expect(!peer.events.contains(.consentLost))
    }
  }

  /// A new offer and answer, as signalling carries them.
  func restart(_ world: World) {
    let (a, b) = (world.peers[0], world.peers[1])
    a.agent.restart(at: world.now)
    world.signalCredentials(from: a, to: b) {
      world.signalCredentials(from: b, to: a) {}
      world.signalCandidates(of: b)
    }
    world.signalCandidates(of: a)
  }

  @Test(arguments: [0, 30])
  func `a restart finds a path again while the old one stays in use`(lossPercent: Int) {
    let world = connected(.portRestricted, .restrictedCone, seed: 4)
    let ufrags = world.peers.map { $0.agent.localUfrag }
    let passwords = world.peers.map { $0.agent.localPassword }
    world.run(for: .seconds(10))
    world.net.lossPercent = lossPercent
    restart(world)
    for peer in world.peers {
      let path = peer.agent.selectedPath
      #expect(path.map { peer.agent.isValidated(local: $0.base, remote: $0.destination) } == true)
    }
    world.run { world.peers.allSatisfy { $0.settled.count == 2 } }
    #expect(world.agree, "\(world.description)")
    for (index, peer) in world.peers.enumerated() {
      #expect(peer.settled == [.completed, .completed])
      #expect(peer.agent.localUfrag != ufrags[index])
      #expect(peer.agent.localPassword != passwords[index])
      #expect(peer.agent.role == (index == 0 ? .controlling : .controlled))
    }
  }

  @Test func `a restart after consent was lost connects again`() {
    let world = connected(.portRestricted, .portRestricted, seed: 5)
    world.net.lossPercent = 100
    world.run(for: .seconds(40))
    world.net.lossPercent = 0
    restart(world)
    world.run { world.peers.allSatisfy { $0.settled.count == 2 } }
    #expect(world.agree, "\(world.description)")
  }

  @Test func `data follows a peer whose NAT has forgotten it`() {
    for mover in 0..<2 {
      let world = World(seed: 6)
      let routers = (0..<2).map { world.net.addNAT(.fullCone, outside: World.publicIP[$0]) }
      for index in 0..<2 {
        world.addPeer(
          at: World.privateIP[index], behind: routers[index], role: index == 0 ? .controlling : .controlled)
      }
      world.connect()
      world.runUntilSettled()
      world.run(for: .seconds(10))
      let before = world.peers[1 - mover].agent.selectedPath?.remote.address
      world.net.rebind(routers[mover])
      world.run(for: .seconds(8))
      #expect(world.agree, "\(world.description)")
      let after = world.peers[1 - mover].agent.selectedPath?.remote
      #expect(after?.kind == .peerReflexive)
      #expect(after?.address != before)
      world.run(for: .seconds(60))
      #expect(world.peers.allSatisfy { !$0.events.contains(.consentLost) })
    }
  }

  @Test func `data follows at once where both ends miss answers`() {
    for mover in 0..<2 {
      let world = World(seed: 9)
      let routers = (0..<2).map { world.net.addNAT(.fullCone, outside: World.publicIP[$0]) }
      for index in 0..<2 {
        world.addPeer(
          at: World.privateIP[index], behind: routers[index], role: index == 0 ? .controlling : .controlled)
      }
      world.connect()
      world.runUntilSettled()
      // Checks from before may still be on their way, so that an address never seen proves nothing by itself.
      world.run(for: .seconds(1))
      world.net.rebind(routers[mover])
      let before = world.peers[1 - mover].agent.selectedPath?.remote.address
      let began = world.now
      while world.peers[1 - mover].agent.selectedPath?.remote.address == before, world.now - began < .seconds(3) {
        for peer in world.peers {
          peer.agent.doubtPath(at: world.now)
          world.flush(peer)
        }
        world.run(for: .milliseconds(50))
      }
      #expect(world.now - began < .milliseconds(1200), "\(world.description)")
      #expect(world.agree, "\(world.description)")
    }
  }

  @Test func `checks that come before the answer are answered and count when it comes`() {
    let world = World(nil, nil, seed: 7)
    world.usesSTUN = false
    let (a, b) = (world.peers[0], world.peers[1])
    world.gather(a)
    world.signalCredentials(from: a, to: b) {}
    world.gather(b)
    // B knows A and checks; A knows nothing of B but its candidates.
    world.run(for: .seconds(2))
    #expect(a.settled.isEmpty && a.selections.isEmpty)
    #expect(b.selections.count == 1)
    let start = world.now
    a.agent.setRemoteCredentials(
      ufrag: b.agent.localUfrag, password: b.agent.localPassword, at: world.now, into: &a.out)
    world.flush(a)
    world.runUntilSettled()
    #expect(world.agree)
    #expect(world.now - start < .milliseconds(150))
  }

  @Test func `a peer that names nothing usable is waited for and then given up`() {
    let world = World(nil, nil, seed: 8)
    let (a, b) = (world.peers[0], world.peers[1])
    world.usesSTUN = false
    a.agent.setRemoteCredentials(ufrag: "abcd", password: b.agent.localPassword, at: world.now, into: &a.out)
    a.agent.endOfRemoteCandidates(at: world.now, into: &a.out)
    world.run(for: .seconds(39))
    #expect(a.settled.isEmpty)
    world.run(for: .seconds(1))
    #expect(a.settled == [.failed(.noPairs)])
    world.run(for: .seconds(100))
    #expect(a.settled.count == 1)
  }

  @Test func `the table tells why a pair failed`() {
    let world = World(.portRestricted, .symmetric, seed: 9)
    world.connect()
    world.runUntilSettled()
    #expect(world.peers.allSatisfy { $0.settled == [.failed(.allPairsFailed)] })
    let pairs = world.peers[0].agent.pairs
    #expect(pairs.contains { $0.remote.kind == .host && $0.reason == .timedOut && $0.checks == 1 })
    #expect(pairs.allSatisfy { !$0.isSelected && !$0.isNominated })
  }

  @Test func `IPv6 is used where there is IPv6, link-local only with link-local`() throws {
    let world = World(seed: 10)
    let addresses = ["2001:db8::1", "2001:db8::2"].compactMap { IPAddress($0) }
    for index in 0..<2 {
      world.addPeer(at: addresses[index], role: index == 0 ? .controlling : .controlled)
    }
    world.usesSTUN = false
    world.connect()
    let linkLocal = try #require(IPAddress("fe80::7"))
    for peer in world.peers {
      world.add(
        peer, address: SocketAddress(linkLocal, port: 9), base: SocketAddress(linkLocal, port: 9), .host)
    }
    world.runUntilSettled()
    #expect(world.agree, "\(world.description)")
    #expect(world.peers[0].agent.selectedPath?.remote.address.ip == addresses[1])
    for peer in world.peers {
      #expect(peer.agent.pairs.allSatisfy { $0.local.base.ip.isLinkLocal == $0.remote.address.ip.isLinkLocal })
    }
  }
}
