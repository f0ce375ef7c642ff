import EdgeCore
import LinuxIO
import SecureStreams
import TURN

/// The sockets of TCP allocations (RFC 6062): listeners at relayed addresses, peers' connections, and what is carried
/// between these and the clients' data connections, each side made to wait when the other does not read.
final class RelayConnections {
  private let reactor: Reactor
  private unowned let loop: RelayLoop
  private let network: RelayNetwork
  /// By ``RelayID/index``.
  private var listeners: [Int: (id: RelayID, listener: TCPListener)] = [:]
  private var pairs: [TURNServer.ConnectionID: Pair] = [:]

  /// A peer's connection, and the client's once that is bound.
  private final class Pair {
    let peer: TCPConnection
    var client: StreamConnection?

    init(_ peer: TCPConnection) { self.peer = peer }
  }

  /// So much may wait for one side before the other is no longer read.
  private static let window = 256 << 10

  init(loop: RelayLoop, network: RelayNetwork) {
    reactor = loop.reactor
    self.loop = loop
    self.network = network
  }

  func close() {
    for entry in listeners.values { entry.listener.close() }
    for id in Array(pairs.keys) { close(id) }
    listeners = [:]
  }

  // MARK: Relayed addresses

  func open(_ id: RelayID, _ address: SocketAddress) throws(SystemError) {
    let bind = SocketAddress(network.bindAddress(for: address.ip), port: address.port)
    // Another program's port must not be shared with it.
    try bind.bindable(isTCP: true)
    let listener = try TCPListener(reactor: reactor, bind: bind, sharesAddress: true)
    listeners[id.index] = (id, listener)
    listener.onAccept = { [unowned self] connection in
      // Closed at once without a permission (RFC 6062 §5.3); so the peer is not read before it is known.
      guard let pair = loop.peerAccepted(from: connection.peerAddress, on: id) else { return connection.abort() }
      keep(pair, connection)
    }
  }

  func closeRelay(_ id: RelayID) {
    guard let entry = listeners[id.index], entry.id == id else { return }
    entry.listener.close()
    listeners[id.index] = nil
  }

  // MARK: Peers

  func connect(_ id: TURNServer.ConnectionID, from relay: RelayID, to peer: SocketAddress) {
    guard let entry = listeners[relay.index], entry.id == relay else { return loop.connectionEnded(id) }
    var options = TCPConnection.Options(connectTimeout: .seconds(40))
    options.source = entry.listener.localAddress
    options.sharesSource = true
    let connection = TCPConnection.connect(reactor: reactor, to: peer, options: options)
    connection.onConnected = { [unowned self] in loop.peerConnected(id) }
    keep(id, connection)
  }

  private func keep(_ id: TURNServer.ConnectionID, _ connection: TCPConnection) {
    // RFC 6062 §5.2, §5.3: what comes before the client's data connection waits in the kernel.
    connection.setReading(false)
    connection.onClosed = { [unowned self] _ in ended(id) }
    pairs[id] = Pair(connection)
  }

  private func ended(_ id: TURNServer.ConnectionID) { loop.connectionEnded(id) }

  /// `client` is the data connection: from now on bytes go through as they are (RFC 6062 §4.5).
  func join(_ id: TURNServer.ConnectionID, _ client: StreamConnection) {
    guard let pair = pairs[id] else { return client.closeAfterSending(within: .seconds(1)) }
    pair.client = client
    client.maxUnsentBytes = 8 << 20
    client.onBytes = { [unowned self, unowned pair] bytes in
      guard loop.carried(id, toPeer: bytes.byteCount, toClient: 0) else { return ended(id) }
      pair.peer.send(bytes)
      if pair.peer.unsentBytes > Self.window { pair.client?.setReading(false) }
    }
    client.onDrained = { [unowned pair] in pair.peer.setReading(true) }
    client.onClosed = { [unowned self] _ in ended(id) }
    pair.peer.onBytes = { [unowned self, unowned pair] bytes in
      guard let client = pair.client else { return }
      guard loop.carried(id, toPeer: 0, toClient: bytes.byteCount) else { return ended(id) }
      client.send([UInt8](copying: bytes))
      if client.unsentBytes > Self.window { pair.peer.setReading(false) }
    }
    pair.peer.onDrained = { [unowned pair] in pair.client?.setReading(true) }
    pair.peer.setReading(true)
  }

  /// RFC 6062 §5.5: both ends, each once it has what was sent to it.
  func close(_ id: TURNServer.ConnectionID) {
    guard let pair = pairs.removeValue(forKey: id) else { return }
    pair.peer.closeAfterSending(within: .seconds(5))
    pair.client?.closeAfterSending(within: .seconds(5))
  }
}
