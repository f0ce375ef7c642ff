import EdgeCore
import ICE
import SimNet
import Testing

/// A path nobody sends over costs next to nothing, and is as good as ever when somebody does (RFC 7675 §5.1).
@Suite("ICE: an idle session")
struct IdleTests {
  private static var configuration: ICEConfiguration {
    var configuration = ICEConfiguration()
    configuration.idleAfter = .seconds(15)
    return configuration
  }

  private func idleWorld(_ a: NATBehaviour?, _ b: NATBehaviour?, seed: UInt64, lossPercent: Int = 0) -> World {
    let world = World(a, b, seed: seed, configuration: Self.configuration)
    world.connect()
    world.runUntilSettled()
    world.run(for: .seconds(30))
    world.net.lossPercent = lossPercent
    return world
  }

  private func send(_ peer: Peer, _ world: World) -> Bool {
    let now = world.now
    let may = peer.agent.maySend(at: now, into: &peer.out)
    world.flush(peer)
    return may
  }

  @Test func `an idle session costs at most one packet in twenty seconds, both ends taken together`() {
    let world = idleWorld(.portRestricted, .portRestricted, seed: 1)
    let before = world.net.sent
    world.run(for: .seconds(3600))
    let sent = world.net.sent - before
    print("idle for an hour: \(sent) packets of both ends together, one in \(3600 / max(sent, 1)) s")
    #expect(sent <= 3600 / 20)
    for peer in world.peers {
      let isIdle = peer.agent.isIdle
      #expect(isIdle)
      #expect(!peer.events.contains(.consentDoubtful) && !peer.events.contains(.consentLost))
    }
    // NATs that keep a mapping for the two minutes of RFC 4787 still have it.
    for peer in world.peers { _ = send(peer, world) }
    world.run(for: .seconds(1))
    for peer in world.peers { #expect(send(peer, world)) }
    #expect(world.agree)
  }

  @Test(arguments: UInt64(0)..<10)
  func `lost packets neither end an idle session nor make it talk`(seed: UInt64) {
    let world = idleWorld(.portRestricted, .portRestricted, seed: seed, lossPercent: 20)
    let before = world.net.sent
    world.run(for: .seconds(1800))
    #expect(world.peers.allSatisfy { !$0.events.contains(.consentLost) }, "\(world.description)")
    #expect(world.net.sent - before < 1800 / 10)
  }

  @Test func `data waits one round trip for consent after a long silence, and not after a short one`() {
    let world = idleWorld(.portRestricted, .restrictedCone, seed: 2)
    // Both had an answer in the last half minute.
    world.run(for: .seconds(600)) { false }
    let peer = world.peers[0]
    #expect(send(peer, world) == false)
    let asked = world.now
    world.run(for: .seconds(2)) { peer.events.contains(.consentRenewed) }
    #expect(world.now - asked < .milliseconds(50))
    #expect(send(peer, world))
    // While data flows, consent is kept as it always is.
    let before = peer.sentChecks
    for _ in 0..<60 {
      #expect(send(peer, world))
      world.run(for: .seconds(1))
    }
    #expect((8...40).contains(peer.sentChecks - before))
    world.run(for: .seconds(17))
    #expect(send(peer, world), "consent of a moment ago is still good")
  }

  @Test func `a peer that went away in the silence is noticed within three seconds of wanting to send`() {
    let world = idleWorld(.portRestricted, .portRestricted, seed: 3)
    world.run(for: .seconds(300))
    world.net.lossPercent = 100
    let peer = world.peers[0]
    let doubts = peer.events.filter { $0 == .consentDoubtful }.count
    _ = send(peer, world)
    let start = world.now
    world.run(for: .seconds(10)) { peer.events.filter { $0 == .consentDoubtful }.count > doubts }
    #expect(world.now - start < .seconds(3))
    // And nothing leaves meanwhile.
    #expect(send(peer, world) == false)
    world.run(for: .seconds(40))
    #expect(peer.events.contains(.consentLost))
  }

  @Test func `data leaves over an idle path also while a restart brings nothing`() {
    let world = idleWorld(.portRestricted, .portRestricted, seed: 6)
    world.run(for: .seconds(300))
    let peer = world.peers[0]
    let now = world.now
    // The offer is lost: the peer knows of nothing.
    peer.agent.restart(at: now)
    _ = send(peer, world)
    world.run(for: .seconds(2))
    #expect(send(peer, world))
  }

  @Test func `an idle session notices by itself that the peer is gone`() {
    let world = idleWorld(.portRestricted, .portRestricted, seed: 4)
    world.net.lossPercent = 100
    let start = world.now
    world.run(for: .seconds(300)) { world.peers.allSatisfy { $0.events.contains(.consentLost) } }
    #expect(world.now - start < .seconds(90))
  }

  @Test func `a NAT that forgot an idle mapping is opened anew by the next check`() {
    let world = World(seed: 5)
    let routers = (0..<2).map { world.net.addNAT(.fullCone, outside: World.publicIP[$0]) }
    for index in 0..<2 {
      world.addPeer(
        at: World.privateIP[index], behind: routers[index], role: index == 0 ? .controlling : .controlled,
        configuration: Self.configuration)
    }
    world.connect()
    world.runUntilSettled()
    world.run(for: .seconds(100))
    world.net.rebind(routers[0])
    world.run(for: .seconds(200))
    #expect(world.agree, "\(world.description)")
    #expect(world.peers.allSatisfy { !$0.events.contains(.consentLost) })
  }
}
