internal import EdgeCore
internal import ICE
internal import LinuxIO
internal import SDP
internal import TURN

/// The relayed addresses of a session: found, used, given back when a direct path works, and replaced when they die.
extension PeerSession {
  /// A relay that was not heard for so long, where another path is looked for, is taken to be dead.
  private static let recent = Duration.seconds(1)
  /// RFC 8445 §8.3.1 has candidates that are not used freed after three seconds; what the peer still sends there has come
  /// by then.
  private static let releaseDelay = Duration.seconds(5)

  /// Uses one of the relays the server offers: the first that answers. What comes of it is trickled. Later offers count
  /// when the relay in use has died.
  public func useRelays(
    _ texts: [String], tls: () -> RelayFinder.TLS?, onFailed: @escaping (_ why: String) -> Void
  ) {
    let offers = texts.compactMap { RelayOffer($0) }
    guard phase != .closed, configuration.policy != .noRelay, !offers.isEmpty else { return }
    if let finder { guard isOpen, !finder.isSearching, needsRelay else { return } }
    retireSilentRelays()
    learnTranslation(offers)
    let finder = RelayFinder(
      offers, for: self, reactor: reactor, tls: offers.contains { $0.transport == .tls } ? tls() : nil)
    self.finder = finder
    finder.onFailed = onFailed
    finder.start()
  }

  /// There is no relayed address that is known to work: before another path is looked for, relays should be asked for.
  public var needsRelay: Bool { configuration.policy != .noRelay && !relays.contains { isAlive($0) } }

  /// Adds a relayed address. May come at any time; late ones are trickled.
  public func addRelay(_ relay: any RelayTransport) {
    guard phase != .closed, configuration.policy != .noRelay else { return }
    relays.append(relay)
    let address = relay.relayedAddress
    relay.onDatagram = { [self] bytes, peer in receive(bytes, from: peer, to: address) }
    relay.onEnded = { [self] _ in relayEnded(address) }
    // The peer most likely has an address on the same relay: let it in before it is known, which saves a round trip.
    relay.permit(address)
    for candidate in remote?.candidates ?? [] { relay.permit(candidate.address) }
    guard agent != nil else { return }
    add(base: address, address: address, kind: .relay, server: relay.server, related: relay.mappedAddress)
    arm()
  }

  /// A relay is being asked: until ``relaySettled()`` candidates are not said to be at their end.
  public func expectRelay() { expectedRelays += 1 }

  /// It was added, or there is none.
  public func relaySettled() {
    expectedRelays = max(0, expectedRelays - 1)
    guard phase == .gathering || phase == .described else { return }
    gatherersChanged()
    arm()
  }

  // MARK: Inside

  private func isAlive(_ relay: any RelayTransport) -> Bool {
    relay.lastHeardAt.map { reactor.now - $0 < Self.recent } ?? false
  }

  /// Before another path is looked for: what may be dead is offered no more, and used only while nothing better is known.
  func retireSilentRelays() {
    for relay in relays where !isAlive(relay) { retire(relay) }
  }

  private func retire(_ relay: any RelayTransport) {
    relays.removeAll { $0 === relay }
    agent?.removeLocalCandidates(base: relay.relayedAddress)
    if agent?.selectedPath?.base == relay.relayedAddress {
      oldRelays.append(relay)
    } else {
      letGo(relay)
    }
  }

  /// Another path is in use: the relays of the one before are done with.
  func letOldRelaysGo() {
    let base = agent?.selectedPath?.base
    for relay in oldRelays where relay.relayedAddress != base { letGo(relay) }
    oldRelays.removeAll { $0.relayedAddress != base }
  }

  private func letGo(_ relay: any RelayTransport) {
    relay.onDatagram = nil
    relay.onEnded = nil
    relay.close()
  }

  /// ICE has concluded: a direct path needs no relay, and an address there costs packets and somebody else's memory.
  func releaseUnusedRelays() {
    guard !relays.isEmpty, releaseTimer == nil else { return }
    releaseTimer = reactor.schedule(after: Self.releaseDelay) { [self] in
      releaseTimer = nil
      guard phase == .described, agent?.isCompleted == true, let base = agent?.selectedPath?.base else { return }
      for relay in relays where relay.relayedAddress != base { retire(relay) }
    }
  }

  private func relayEnded(_ address: SocketAddress) {
    guard phase != .closed else { return }
    relays.removeAll { $0.relayedAddress == address }
    oldRelays.removeAll { $0.relayedAddress == address }
    agent?.removeLocalCandidates(base: address)
    if agent?.selectedPath?.base == address { onPathDoubtful?(true) }
  }

  /// The relay a datagram of ours leaves through.
  func relay(at address: SocketAddress) -> (any RelayTransport)? {
    relays.first { $0.relayedAddress == address } ?? oldRelays.first { $0.relayedAddress == address }
  }

  func closeRelays() {
    finder?.close()
    finder = nil
    if let releaseTimer { reactor.cancel(releaseTimer) }
    releaseTimer = nil
    for relay in relays + oldRelays { letGo(relay) }
    relays = []
    oldRelays = []
  }
}
