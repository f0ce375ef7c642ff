public import EdgeCore
public import LinuxIO

/// Opening a connection to a name with several addresses (RFC 8305 §5): the next address is tried when the last one
/// has failed or kept silent for a while, and the first that answers is used. A host with a broken IPv6 route costs
/// a quarter of a second, not a time-out.
extension StreamConnection {
  /// `addresses` in the order of the resolver (RFC 6724), at most eight of them are tried.
  public static func connect(
    reactor: Reactor, to addresses: [SocketAddress], security: ClientSecurity, options: Options = Options()
  ) -> StreamConnection {
    let stream = StreamConnection(reactor: reactor)
    stream.security = security
    stream.options = options
    stream.untried = Array(addresses.prefix(8))
    guard !addresses.isEmpty else {
      stream.endLater(.noAddress)
      return stream
    }
    stream.setDeadline(options.openTimeout)
    stream.attempt()
    return stream
  }

  private func attempt() {
    guard state == .opening, tcp == nil, !untried.isEmpty else { return }
    let address = untried.removeFirst()
    let connection = TCPConnection.connect(
      reactor: reactor, to: address,
      options: .init(connectTimeout: options.openTimeout, userTimeout: options.userTimeout))
    attempts.append(connection)
    // A stream lets its handlers go when it ends, and adopting it replaces them: no cycle stays.
    connection.onConnected = { [self, connection] in win(connection) }
    connection.onClosed = { [self, connection] reason in lose(connection, reason) }
    if let nextAttempt { reactor.cancel(nextAttempt) }
    nextAttempt = nil
    guard !untried.isEmpty else { return }
    nextAttempt = reactor.schedule(after: options.attemptDelay) { [self] in
      nextAttempt = nil
      attempt()
    }
  }

  private func win(_ connection: TCPConnection) {
    guard state == .opening, tcp == nil else {
      connection.close()
      return
    }
    attempts.removeAll { $0 === connection }
    stopAttempts()
    adopt(connection)
    startClient()
  }

  private func lose(_ connection: TCPConnection, _ reason: CloseReason) {
    attempts.removeAll { $0 === connection }
    // The first address is the preferred one: its failure says most.
    if firstFailure == nil { firstFailure = reason }
    if !untried.isEmpty {
      attempt()
    } else if attempts.isEmpty {
      end(.transport(firstFailure ?? reason))
    }
  }

  func stopAttempts() {
    if let nextAttempt { reactor.cancel(nextAttempt) }
    nextAttempt = nil
    untried = []
    for connection in attempts { connection.close() }
    attempts = []
  }
}
