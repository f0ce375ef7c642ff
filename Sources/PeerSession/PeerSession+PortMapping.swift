internal import EdgeCore
internal import ICE
internal import LinuxIO

/// The port of this session, mapped by the router: a candidate even a NAT that takes another port for every peer can
/// reach (RFC 8445 §5.1.1.2 counts it among the server-reflexive ones).
extension PeerSession {
  /// Does nothing where there is nobody to ask.
  func askRouter() {
    guard let portMapper, let port = mappablePort, configuration.policy != .relayOnly else { return }
    isAskingRouter = true
    portMapper.map(port) { [self] external in
      if let external, phase != .closed, let own = portMapper.ownAddress {
        add(base: SocketAddress(own, port: port), address: external, kind: .serverReflexive, server: external)
        arm()
      }
      guard isAskingRouter else { return }
      isAskingRouter = false
      gatherersChanged()
      arm()
    }
  }

  func dismissRouter() {
    if let port = mappablePort { portMapper?.unmap(port) }
    portMapper = nil
  }

  private var mappablePort: UInt16? { sockets.first { $0.localAddress.ip.isV4 }?.localAddress.port }
}
