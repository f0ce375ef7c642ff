import EdgeCore
import SIP

@testable import RendezvousLogic

/// A node that published CAM-1 and CAM-2, and a viewer who may see CAM-1.
struct CallScene {
  let world: World
  let node: Peer
  let viewer: Peer

  init(
    node transport: FlowTransport = .tls, viewer viewerTransport: FlowTransport = .tls, from host: UInt32 = 0xC000_0201
  ) {
    world = World()
    node = Peer(world, "gate-box", on: world.connect(transport, from: host))
    node.register()
    node.publish("CAM-1\nCAM-2")
    viewer = Peer(world, "alice", on: world.connect(viewerTransport, from: host))
    viewer.register()
    _ = node.received()
  }

  /// An INVITE up to the node's hands.
  func invite(_ serial: String = "CAM-1") -> (answers: [Message], atNode: [Message]) {
    let answers = viewer.send(viewer.request(.invite, serial))
    return (answers, node.received())
  }

  /// A dialog, with its 200 at the viewer.
  func call() -> (invite: Message, ok: Message) {
    let invite = self.invite().atNode[0]
    node.answer(invite, 200)
    return (invite, viewer.received().last!)
  }

  /// A request inside the dialog, from either end.
  func inside(_ method: SIP.Method, _ call: (invite: Message, ok: Message), fromNode: Bool, number: UInt32) -> Message {
    let peer = fromNode ? node : viewer
    var message = peer.request(method, "x")
    message.requestURI = fromNode ? viewer.contact : node.contact
    message.callID = call.ok.callID
    message.cseq = CSeq(number, method)
    message.from = fromNode ? call.ok.to : call.ok.from
    message.to = fromNode ? call.ok.from : call.ok.to
    let route = call.ok.recordRoutes
    message.routes = fromNode ? route : route.reversed()
    return message
  }
}
