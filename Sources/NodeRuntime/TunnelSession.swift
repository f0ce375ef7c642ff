import EdgeCore
import LinuxIO
import NodeLogic
import PeerSession
import SCTPTransport
import StatusModel
import Tunnel
import TunnelTransport
import UserAgent

/// One viewer using one published device of this LAN: the call, the peer-to-peer session, and the connections to the
/// one address the call was for.
final class TunnelSession {
  let handle: CallHandle
  let viewer: String
  let serial: String
  let peer: PeerSession
  /// Unix seconds.
  let since: Int64
  var wantsPath = false

  private let address: SocketAddress
  private let pool: TunnelPool
  private let log: Log

  init(
    handle: CallHandle, viewer: String, serial: String, address: SocketAddress, peer: PeerSession, reactor: Reactor,
    since: Int64, log: Log
  ) {
    self.handle = handle
    self.viewer = viewer
    self.serial = serial
    self.address = address
    self.peer = peer
    self.since = since
    self.log = log
    pool = TunnelPool(reactor: reactor)
    peer.onChannel = { [unowned(unsafe) self] channel in receive(channel) }
    pool.onFault = { [unowned(unsafe) self] fault in
      self.log.info("tunnel.cut", ("viewer", self.viewer), ("serial", self.serial), ("why", fault.text))
    }
  }

  /// Lets go of everything; the peer session is closed by the owner.
  func detach() {
    peer.onChannel = nil
    pool.closeAll()
  }

  var connections: UInt64 { pool.connections }

  private func receive(_ channel: PeerChannel) {
    switch channel.label {
    case TunnelPool.label: pool.carry(channel, to: address)
    case "control":
      // A viewer that expects pictures: there are none to wait for.
      let message = ControlMessage.camera(
        state: "absent", text: "it is no camera: edge tunnel " + serial + " reaches it")
      channel.send(text: String(decoding: message.bytes, as: UTF8.self))
    default: break
    }
  }

  var status: NodeStatus.Session {
    let path = peer.path
    return NodeStatus.Session(
      viewer: viewer, serial: serial, path: path.flatMap { NodeStatus.Path(rawValue: $0.kind.text) },
      remote: path?.remote.description, roundTrip: path?.roundTrip, sentBytes: Int64(clamping: pool.sentBytes),
      framesSent: 0, framesDropped: 0, since: since)
  }
}
