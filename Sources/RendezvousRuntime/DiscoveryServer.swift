import EdgeCore
import LinuxIO
import NATDiscovery
import RendezvousLogic

/// The sockets that tell clients what kind of NAT they are behind (RFC 5780): two ports on each address.
final class DiscoveryServer {
  /// What follows the configured port.
  static func secondPort(of address: SocketAddress) -> UInt16 { address.port &+ 1 }

  private var sockets: [UDPSocket] = []
  private let places: DiscoveryPlaces
  private let rendezvous: Rendezvous
  private let reactor: Reactor

  init(_ addresses: [SocketAddress], reactor: Reactor, rendezvous: Rendezvous) {
    self.reactor = reactor
    self.rendezvous = rendezvous
    let first = addresses[0]
    places = DiscoveryPlaces(
      addresses: addresses.map(\.ip), firstPort: first.port, secondPort: Self.secondPort(of: first))
  }

  func add(_ socket: UDPSocket) {
    sockets.append(socket)
    socket.onDatagram = { [unowned self] bytes, from, to in receive(bytes, from, to) }
  }

  func close() {
    for socket in sockets { socket.close() }
    sockets = []
  }

  private func receive(_ bytes: RawSpan, _ source: SocketAddress, _ local: SocketAddress) {
    // The port above decides which of the two this is; the rate is shared with everything else strangers ask.
    guard rendezvous.allowsStranger(source.ip, at: reactor.now),
      let answer = DiscoveryResponder.answer(to: bytes, from: source, at: local, places: places),
      let origin = answer.source
    else { return }
    // With one address it is whichever the question came to; with two each has sockets of its own.
    let sender = sockets.first { $0.localAddress == origin } ?? sockets.first { $0.localAddress.port == origin.port }
    sender?.send(answer)
  }
}
