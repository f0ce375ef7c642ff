internal import EdgeCore
internal import STUN

/// Requests and their answers.
extension TURNClient {
  /// RFC 8489 §9.2.5 allows a client to follow a new nonce for ever; a server that gives nothing else is broken.
  private static var maximumChallenges: Int { 3 }

  mutating func begin(_ purpose: Purpose, at now: Instant, into out: inout Outbox<Event>) {
    guard !isUnderWay(purpose) else { return }
    let box = ExchangeBox(
      Exchange(
        purpose: purpose, id: TransactionID(using: &random), bytes: [], key: nil, transaction: .unsent(timing)))
    exchanges.append(box)
    write(box)
    dispatch(box, at: now, into: &out)
  }

  /// RFC 8489 §6.2.2: on a stream nothing is sent again, and the wait is Ti, 39.5 s.
  private var timing: ClientTransaction.Timing {
    guard configuration.isStream else { return configuration.timing }
    return ClientTransaction.Timing(initialRTO: .milliseconds(39_500), maxSends: 1, finalWaitFactor: 1)
  }

  private mutating func dispatch(_ box: ExchangeBox, at now: Instant, into out: inout Outbox<Event>) {
    if box.exchange.transaction.tick(at: now) == .send { resend(box, at: now, into: &out) }
  }

  mutating func resend(_ box: ExchangeBox, at now: Instant, into out: inout Outbox<Event>) {
    lastSent = now
    out.datagrams.append(Datagram(destination: configuration.server, bytes: box.exchange.bytes))
  }

  /// The request's bytes, with what is known of realm and nonce.
  private func write(_ box: ExchangeBox) {
    let id = box.exchange.id
    var attributes: [Attribute] = []
    let method: Method
    switch box.exchange.purpose {
    case .allocate:
      method = .allocate
      attributes.append(.requestedTransport(RequestedTransport.udp))
      if let family = configuration.family { attributes.append(.family(.requestedAddressFamily, family)) }
      if let lifetime = configuration.lifetime { attributes.append(.lifetime(lifetime)) }
    case .refresh:
      method = .refresh
      attributes.append(.lifetime(configuration.lifetime ?? RelayTimes.defaultAllocation))
    case .delete:
      method = .refresh
      attributes.append(.lifetime(.zero))
    case .permission(let ip):
      method = .createPermission
      attributes.append(.xorAddress(.xorPeerAddress, SocketAddress(ip, port: 0), transaction: id))
    case .bind(let peer, let number):
      method = .channelBind
      attributes.append(.channelNumber(number))
      attributes.append(.xorAddress(.xorPeerAddress, peer, transaction: id))
    }
    var integrity = STUNMessage.Integrity.none
    if let realm, let nonce, let key {
      attributes.append(Attribute(.username, configuration.credentials.username))
      attributes.append(Attribute(.realm, realm))
      attributes.append(Attribute(.nonce, nonce))
      integrity = .sha1(key: key)
    }
    box.exchange.key = key
    box.exchange.bytes = STUNMessage(.request, method, transaction: id, attributes: attributes)
      .serialized(integrity: integrity, fingerprint: true, hashes: hashes)
  }

  // MARK: Answers

  /// `message` answers `box`'s request.
  mutating func receiveAnswer(
    _ received: ReceivedMessage, _ box: ExchangeBox, at now: Instant, into out: inout Outbox<Event>
  ) {
    let message = received.message
    if message.type.messageClass == .failure {
      guard let code = message.errorCode else { return }
      if code == .unauthenticated || code == .staleNonce {
        return challenged(message, code, box, at: now, into: &out)
      }
    }
    // RFC 8489 §9.2.5: what is not signed is discarded, as if it had never been received.
    if let key = box.exchange.key, !received.verify(key: key, hashes: hashes) { return }
    // Without a key nothing but a challenge is to be expected: a server that needs none is none of ours.
    if box.exchange.key == nil && message.type.messageClass == .success { return }
    guard message.unknownRequired(known: { $0.isKnownToRelay }).isEmpty else { return }
    guard case .accept = box.exchange.transaction.receiveAnswer(at: now) else { return }
    exchanges.removeAll { $0 === box }
    if message.type.messageClass == .success {
      succeeded(box.exchange.purpose, message, at: now, into: &out)
    } else {
      refused(box.exchange.purpose, message, isSigned: box.exchange.key != nil, at: now, into: &out)
    }
  }

  /// RFC 8489 §9.2.5: a 401 once, for credentials; a 438 whenever a nonce has run out.
  private mutating func challenged(
    _ message: STUNMessage, _ code: ErrorCode, _ box: ExchangeBox, at now: Instant, into out: inout Outbox<Event>
  ) {
    guard let realm = message[.realm]?.value, let nonce = message[.nonce]?.value, !nonce.isEmpty, realm.count < 764,
      nonce.count < 764
    else { return }
    guard case .accept = box.exchange.transaction.receiveAnswer(at: now) else { return }
    let isFirst = box.exchange.key == nil
    // "The client MUST NOT perform this retry if it is not changing" anything: credentials were refused.
    guard isFirst || code == .staleNonce, box.exchange.challenges < Self.maximumChallenges else {
      exchanges.removeAll { $0 === box }
      return refused(box.exchange.purpose, message, isSigned: false, at: now, into: &out)
    }
    if self.realm != realm || key == nil {
      // RFC 8489 §9.2: only in answer to the realm the password is for; the first one seen is it.
      guard self.realm == nil else {
        exchanges.removeAll { $0 === box }
        return refused(box.exchange.purpose, message, isSigned: false, at: now, into: &out)
      }
      self.realm = realm
      key = RelayCredentials.key(
        username: Array(configuration.credentials.username.utf8), realm: realm,
        password: configuration.credentials.password, hashes: hashes)
    }
    self.nonce = nonce
    box.exchange.challenges += 1
    box.exchange.id = TransactionID(using: &random)
    box.exchange.transaction = .unsent(timing)
    write(box)
    dispatch(box, at: now, into: &out)
  }

  private mutating func succeeded(
    _ purpose: Purpose, _ message: STUNMessage, at now: Instant, into out: inout Outbox<Event>
  ) {
    switch purpose {
    case .allocate:
      guard let relayed = message.xorAddress(.xorRelayedAddress), let seconds = message.uint32(.lifetime), seconds > 0
      else { return end(.protocolError, into: &out) }
      phase = .allocated
      relayedAddress = relayed
      mappedAddress = message.xorAddress(.xorMappedAddress)
      setLifetime(seconds, at: now)
      out.events.append(.allocated(relayed: relayed, mapped: mappedAddress))
      for ip in peers.map({ $0.ip }) { ask(ip, at: now, into: &out) }
    case .refresh:
      guard let seconds = message.uint32(.lifetime), seconds > 0 else { return end(.expired, into: &out) }
      setLifetime(seconds, at: now)
    case .delete: end(.closed, into: &out)
    case .permission(let ip): granted(ip, at: now, into: &out)
    case .bind(let peer, let number):
      granted(peer.ip, at: now, into: &out)
      guard let index = channels.firstIndex(where: { $0.peer == peer }) else { return }
      if case .binding = channels[index].state { out.events.append(.bound(peer)) }
      // A channel also renews the permission, which is the shorter of the two.
      channels[index].state = .bound(number, renews: now + renewal, expires: now + RelayTimes.channel)
    }
  }

  /// RFC 8656 §3.2 suggests refreshing "about one minute before" the end.
  private mutating func setLifetime(_ seconds: UInt32, at now: Instant) {
    let lifetime = Duration.seconds(Int64(min(seconds, 86_400)))
    expires = now + lifetime
    refreshAt = now + (lifetime > .seconds(180) ? lifetime - .seconds(60) : lifetime / 2)
  }

  private mutating func refused(
    _ purpose: Purpose, _ message: STUNMessage, isSigned: Bool, at now: Instant, into out: inout Outbox<Event>
  ) {
    let code = message.errorCode ?? .serverError
    // RFC 8656 §5: after a 437 to anything but Allocate "the allocation no longer exists".
    if code == .allocationMismatch && purpose != .allocate {
      return end(purpose == .delete ? .closed : .forgotten, into: &out)
    }
    switch purpose {
    case .allocate:
      // RFC 8489 §10: only a server that knows our password may send us elsewhere.
      if code == .tryAlternate, isSigned, let server = message[.alternateServer]?.addressValue,
        server.ip.isV4 == configuration.server.ip.isV4, server != configuration.server
      {
        return end(.redirected(server), into: &out)
      }
      end(.refused(code), into: &out)
    case .refresh: end(.refused(code), into: &out)
    case .delete: end(.closed, into: &out)
    case .permission(let ip):
      guard let index = peers.firstIndex(where: { $0.ip == ip }) else { return }
      peers[index].isRefused = true
      peers[index].granted = nil
      out.events.append(.permissionRefused(ip, code))
    case .bind(let peer, _):
      // Sending goes on without a channel.
      guard let index = channels.firstIndex(where: { $0.peer == peer }) else { return }
      channels[index].state = .refused
    }
  }

  /// Every copy of the request went unanswered, over UDP or a stream.
  mutating func unanswered(_ box: ExchangeBox, at now: Instant, into out: inout Outbox<Event>) {
    exchanges.removeAll { $0 === box }
    switch box.exchange.purpose {
    case .allocate: end(.silent, into: &out)
    case .refresh: refreshAt = now
    case .delete: end(.closed, into: &out)
    case .permission(let ip):
      guard let index = peers.firstIndex(where: { $0.ip == ip }) else { return }
      peers[index].renews = now
      peers[index].granted = peers[index].granted ?? now - RelayTimes.permission
    case .bind(let peer, _):
      guard let index = channels.firstIndex(where: { $0.peer == peer }) else { return }
      if case .bound(let number, _, let expires) = channels[index].state {
        channels[index].state = .bound(number, renews: now, expires: expires)
      } else {
        channels[index].state = .refused
      }
    }
  }
}
