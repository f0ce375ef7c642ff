import EdgeCore
import SIP
import Testing

@testable import RendezvousLogic

@Suite("Rights that are withdrawn")
struct WithdrawalTests {
  @Test func `a right that is withdrawn ends the running call at both ends, and no other`() throws {
    let scene = CallScene()
    let other = scene.call()
    scene.world.change { $0.grant("CAM-2", to: "alice") }
    let invite = scene.invite("CAM-2").atNode[0]
    scene.node.answer(invite, 200, tag: "second")
    let call = (invite: invite, ok: try #require(scene.viewer.received().last))
    scene.world.deliver(scene.inside(.info, call, fromNode: true, number: 7), on: scene.node.flow)
    scene.viewer.answer(scene.viewer.received()[0], 200)
    _ = scene.node.received()
    #expect(scene.world.rendezvous.snapshot(at: scene.world.now).sessions == 2)

    let without = scene.world.directory(without: "CAM-2")
    scene.world.change { $0 = without }
    let atNode = try #require(scene.node.received().first)
    let atViewer = try #require(scene.viewer.received().first)
    #expect(atNode.method == .bye && atViewer.method == .bye)
    // Each end takes it for the other's: same dialog, a number above the last, its own contact.
    #expect(atNode.callID == call.ok.callID && atNode.requestURI == scene.node.contact)
    #expect(atNode.from == call.ok.from && atNode.to?.tag == "second")
    #expect(try #require(atNode.cseq?.number) > (try #require(invite.cseq?.number)))
    #expect(atViewer.from?.tag == "second" && atViewer.to?.tag == call.ok.from?.tag && atViewer.cseq?.number == 8)
    #expect(atViewer.requestURI == scene.viewer.contact)
    scene.node.answer(atNode, 200)
    scene.viewer.answer(atViewer, 200)
    #expect(scene.node.received().isEmpty && scene.viewer.received().isEmpty)
    #expect(scene.world.rendezvous.snapshot(at: scene.world.now).sessions == 1)
    scene.world.deliver(scene.inside(.info, other, fromNode: false, number: 9), on: scene.viewer.flow)
    #expect(scene.node.received().map(\.method) == [.info])
  }

  @Test func `an account that is removed is put out of its running calls`() {
    let scene = CallScene()
    _ = scene.call()
    let without = scene.world.directory(without: "CAM-2", account: "alice")
    scene.world.change { $0 = without }
    #expect(scene.node.received().map(\.method) == [.bye])
    #expect(scene.viewer.received().map(\.method).contains(.bye))
    #expect(scene.world.closed.contains(scene.viewer.flow) && !scene.world.closed.contains(scene.node.flow))
    #expect(scene.world.rendezvous.snapshot(at: scene.world.now).sessions == 0)
  }

  @Test func `a call that still rings is called off when the right to it is withdrawn`() {
    let scene = CallScene()
    let invite = scene.invite().atNode[0]
    scene.node.answer(invite, 180)
    _ = scene.viewer.received()
    let without = scene.world.directory(without: "CAM-1")
    scene.world.change { $0 = without }
    #expect(scene.node.received().map(\.method) == [.cancel])
    scene.node.answer(invite, 487)
    #expect(scene.viewer.received().map { $0.status?.value } == [487])
  }
}
