import EdgeCore
import SIP
import Testing

@testable import RendezvousLogic

@Suite("Contacts")
struct ContactTests {
  @Test func `a call and a message to an account reach its terminals when the two are contacts, and else do not exist`()
  {
    let world = World()
    let alice = Peer(world, "alice")
    let bob = Peer(world, "bob")
    bob.register()
    for method in [SIP.Method.invite, .message] {
      #expect(alice.send(alice.request(method, "bob")).last?.status == 404)
      #expect(bob.received().isEmpty)
    }
    // Asking alone opens nothing.
    world.change { $0.want("bob", by: "alice") }
    #expect(alice.send(alice.request(.invite, "bob")).last?.status == 404)
    world.change { $0.want("alice", by: "bob") }
    for method in [SIP.Method.invite, .message] {
      alice.send(alice.request(method, "bob"))
      let arrived = bob.received()
      #expect(arrived.map(\.method) == [method])
      #expect(arrived.first?.values(.other("P-Asserted-Identity")) == ["<sip:alice@\(domain)>"])
    }
    // bob may call alice as well; she is not registered.
    #expect(bob.send(bob.request(.invite, "alice")).last?.status == 480)
  }

  @Test func `a call between contacts ends when they part`() throws {
    let world = World()
    world.change {
      $0.want("bob", by: "alice")
      $0.want("alice", by: "bob")
    }
    let alice = Peer(world, "alice")
    alice.register()
    let bob = Peer(world, "bob")
    bob.register()
    alice.send(alice.request(.invite, "bob"))
    bob.answer(try #require(bob.received().last), 200)
    #expect(world.responses(alice.flow).contains(200))
    world.change { $0.part("bob", "alice") }
    #expect(alice.received().map(\.method) == [.bye])
    #expect(bob.received().map(\.method) == [.bye])
  }

  @Test func `how two accounts stand to each other is seen from both sides`() {
    var directory = Directory()
    #expect(directory.contact("bob", of: "alice") == nil)
    directory.want("bob", by: "alice")
    #expect(directory.contact("bob", of: "alice") == .requested)
    #expect(directory.contact("alice", of: "bob") == .asking)
    directory.want("alice", by: "bob")
    #expect(directory.contact("bob", of: "alice") == .confirmed)
    directory.part("alice", "bob")
    #expect(directory == Directory())
  }
}
