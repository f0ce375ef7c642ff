public import EdgeCore
internal import STUN

/// TCP between client and peer (RFC 6062): the control connection's requests, the peers' connections, and the data
/// connections they are joined to. The bytes in between are the owner's: they are relayed as they are.
extension TURNServer {
  /// Names a peer's connection; also what the client shows on its data connection.
  public typealias ConnectionID = UInt32

  /// RFC 6062 §5.2: "The timeout value MUST be at least 30 seconds", and an unbound one is closed after as many.
  public static var connectionWait: Duration { .seconds(30) }

  struct PeerConnection {
    enum State {
      /// A Connect request waits for it.
      case connecting(TransactionID, usesFingerprint: Bool)
      case pending
      case bound(ClientFlow)
    }

    let allocation: Allocation
    let peer: SocketAddress
    var state: State
    /// Unless it is bound by then.
    var expires: Instant
  }

  // MARK: Requests

  /// RFC 6062 §5.2, in its order.
  mutating func receiveConnect(
    _ request: Request, _ allocation: Allocation, at now: Instant, into out: inout [Output]
  ) {
    guard allocation.isTCP, let relay = allocation.relays.first, relay.isOpen else {
      return refuse(request, .allocationMismatch, into: &out)
    }
    guard let peer = request.message.xorAddress(.xorPeerAddress) else {
      return refuse(request, .badRequest, into: &out)
    }
    guard !connections.values.contains(where: { $0.allocation === allocation && $0.peer == peer }) else {
      return refuse(request, .connectionAlreadyExists, into: &out)
    }
    if let code = objection(to: peer, allocation, withPort: true, at: now, into: &out) {
      return refuse(request, code, into: &out)
    }
    // Of the relayed addresses here only those of TCP allocations take connections, and nothing else may be there.
    if isRelayAddress(peer.ip) {
      guard let id = relaysByAddress[peer], let (other, _) = find(id), other.isTCP else {
        return refuse(request, .forbidden, into: &out)
      }
    }
    let state = PeerConnection.State.connecting(
      request.message.transaction, usesFingerprint: request.received.hasFingerprint)
    guard let id = addConnection(allocation, peer, state, at: now) else {
      return refuse(request, .insufficientCapacity, into: &out)
    }
    out.append(.connect(id, from: relay.id, to: peer))
  }

  /// RFC 6062 §5.4.
  mutating func receiveConnectionBind(_ request: Request, at now: Instant, into out: inout [Output]) {
    guard request.flow.transport.isStream, allocations[request.flow] == nil,
      let id = request.message.uint32(.connectionID), let connection = connections[id],
      case .pending = connection.state
    else { return refuse(request, .badRequest, into: &out) }
    guard connection.allocation.username == request.identity.username else {
      return refuse(request, .wrongCredentials, into: &out)
    }
    connections[id]?.state = .bound(request.flow)
    accept(request, into: &out)
    out.append(.join(id, request.flow))
  }

  private mutating func addConnection(
    _ allocation: Allocation, _ peer: SocketAddress, _ state: PeerConnection.State, at now: Instant
  ) -> ConnectionID? {
    let count = connections.values.reduce(0) { $0 + ($1.allocation === allocation ? 1 : 0) }
    guard count < configuration.connectionsPerAllocation else { return nil }
    var id = UInt32(truncatingIfNeeded: unforeseeable())
    while connections[id] != nil { id = UInt32(truncatingIfNeeded: unforeseeable()) }
    connections[id] = PeerConnection(
      allocation: allocation, peer: peer, state: state, expires: now + Self.connectionWait)
    deadlines.insert(.connection(id), at: now + Self.connectionWait)
    return id
  }

  // MARK: What the owner reports

  /// The connection of ``Output/connect(_:from:to:)`` stands.
  public mutating func peerConnected(_ id: ConnectionID, at now: Instant, into out: inout [Output]) {
    guard let connection = connections[id], case .connecting(let transaction, let fingerprint) = connection.state
    else { return out.append(.closeConnection(id)) }
    connections[id]?.state = .pending
    connections[id]?.expires = now + Self.connectionWait
    answerConnect(
      .success, [Attribute(.connectionID, id)], transaction, fingerprint, connection.allocation, into: &out)
  }

  /// A peer connected to a relayed address; `nil`: it is to be closed at once (RFC 6062 §5.3).
  public mutating func peerAccepted(
    from peer: SocketAddress, on relay: RelayID, at now: Instant, into out: inout [Output]
  ) -> ConnectionID? {
    guard let (allocation, _) = find(relay), allocation.isTCP, allocation.hasPermission(peer.ip, at: now),
      let id = addConnection(allocation, peer, .pending, at: now)
    else {
      counters.unwanted &+= 1
      return nil
    }
    serial &+= 1
    let transaction = TransactionID(high: 0x6564_6765, low: serial)
    let message = STUNMessage(
      .indication, .connectionAttempt, transaction: transaction,
      attributes: [
        Attribute(.connectionID, id), .xorAddress(.xorPeerAddress, peer, transaction: transaction),
      ])
    out.append(.send(message.serialized(), to: allocation.flow))
    return id
  }

  /// The peer's connection, or the data connection joined to it, is gone or never came about.
  public mutating func connectionEnded(_ id: ConnectionID, into out: inout [Output]) {
    guard let connection = connections.removeValue(forKey: id) else { return }
    if case .connecting(let transaction, let fingerprint) = connection.state {
      answerConnect(
        .failure, [.errorCode(.connectionTimeoutOrFailure)], transaction, fingerprint, connection.allocation,
        into: &out)
    }
    out.append(.closeConnection(id))
  }

  /// So many bytes went over a connection; `false`: it had as much as it may.
  public mutating func carried(_ id: ConnectionID, toPeer: Int, toClient: Int) -> Bool {
    guard let connection = connections[id] else { return false }
    return (toPeer == 0 || countToPeer(toPeer, connection.allocation))
      && (toClient == 0 || countToClient(toClient, connection.allocation))
  }

  private func answerConnect(
    _ messageClass: MessageClass, _ attributes: [Attribute], _ transaction: TransactionID, _ fingerprint: Bool,
    _ allocation: Allocation, into out: inout [Output]
  ) {
    let message = STUNMessage(messageClass, .connect, transaction: transaction, attributes: attributes)
    out.append(
      .send(
        message.serialized(integrity: .sha1(key: allocation.key), fingerprint: fingerprint, hashes: hashes),
        to: allocation.flow))
  }

  // MARK: Ends

  /// Nobody has bound it in time, or it does not come about.
  mutating func connectionTimedOut(_ id: ConnectionID, at now: Instant, into out: inout [Output]) {
    guard let connection = connections[id] else { return }
    if case .bound = connection.state { return }
    guard connection.expires <= now else { return deadlines.insert(.connection(id), at: connection.expires) }
    connectionEnded(id, into: &out)
  }

  mutating func endConnections(of allocation: Allocation, into out: inout [Output]) {
    for (id, connection) in connections where connection.allocation === allocation {
      connections[id] = nil
      out.append(.closeConnection(id))
    }
  }
}
