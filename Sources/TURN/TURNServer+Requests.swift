internal import EdgeCore
internal import STUN

/// Requests, from authentication to answer.
extension TURNServer {
  /// Who a request is from: proven by its integrity, nothing else makes one.
  struct Identity {
    let username: [UInt8]
    let session: String
    let key: [UInt8]
  }

  /// Everything an answer depends on.
  struct Request {
    let received: ReceivedMessage
    let flow: ClientFlow
    let identity: Identity

    var message: STUNMessage { received.message }
  }

  mutating func receiveRequest(
    _ bytes: RawSpan, on flow: ClientFlow, at now: Instant, into out: inout [Output]
  ) {
    guard let received = try? ReceivedMessage(parsing: bytes) else {
      counters.malformed &+= 1
      return
    }
    let method = received.message.type.method
    guard
      method == .allocate || method == .refresh || method == .createPermission || method == .channelBind
        || method == .connect || method == .connectionBind
    else {
      counters.malformed &+= 1
      return
    }
    guard let identity = authenticate(received, on: flow, at: now, into: &out) else { return }
    let request = Request(received: received, flow: flow, identity: identity)
    // RFC 8489 §6.3: unknown attributes are looked for once authentication is done.
    let unknown = received.message.unknownRequired {
      $0.isKnownToRelay || ($0 == .dontFragment && method == .allocate)
    }
    guard unknown.isEmpty else {
      refuse(request, .unknownAttribute, [.unknownAttributes(unknown)], into: &out)
      return
    }
    if method == .allocate {
      receiveAllocate(request, at: now, into: &out)
      return
    }
    // The data connection's own flow has no allocation.
    if method == .connectionBind { return receiveConnectionBind(request, at: now, into: &out) }
    // RFC 8656 §5: unknown 5-tuple 437, another user 441.
    guard let allocation = allocations[flow] else { return refuse(request, .allocationMismatch, into: &out) }
    guard allocation.username == identity.username else { return refuse(request, .wrongCredentials, into: &out) }
    switch method {
    case .refresh: receiveRefresh(request, allocation, at: now, into: &out)
    case .createPermission: receiveCreatePermission(request, allocation, at: now, into: &out)
    case .connect: receiveConnect(request, allocation, at: now, into: &out)
    default: receiveChannelBind(request, allocation, at: now, into: &out)
    }
  }

  // MARK: Authentication

  /// RFC 8489 §9.2.4, in its order. `nil`: not authenticated, and answered as far as it deserved.
  private mutating func authenticate(
    _ received: ReceivedMessage, on flow: ClientFlow, at now: Instant, into out: inout [Output]
  ) -> Identity? {
    let message = received.message
    guard received.hasIntegrity else {
      challenge(received, .unauthenticated, on: flow, at: now, into: &out)
      return nil
    }
    // Password algorithms were not offered, so naming one is no answer to our challenge.
    guard let username = message[.username]?.value, message[.realm] != nil, let nonce = message[.nonce]?.value,
      message[.passwordAlgorithm] == nil, message[.passwordAlgorithms] == nil
    else {
      answerStranger(received, [.errorCode(.badRequest)], on: flow, at: now, into: &out)
      return nil
    }
    guard let identity = verify(received, username, on: flow, at: now) else {
      challenge(received, .unauthenticated, on: flow, at: now, into: &out)
      return nil
    }
    guard nonces.isFresh(nonce, for: flow.client, at: now) else {
      let attributes = challengeAttributes(.staleNonce, .long, flow, now)
      send(.failure, received, attributes, key: nil, on: flow, into: &out)
      return nil
    }
    return identity
  }

  private func verify(
    _ received: ReceivedMessage, _ username: [UInt8], on flow: ClientFlow, at now: Instant
  ) -> Identity? {
    // Who has an allocation keeps it: credentials limit when one may be made, not how long it is used.
    var allocation = allocations[flow]
    if received.message.type.method == .connectionBind, let id = received.message.uint32(.connectionID) {
      allocation = connections[id]?.allocation
    }
    if let allocation, allocation.username == username {
      guard received.verify(key: allocation.key, hashes: hashes) else { return nil }
      return Identity(username: username, session: allocation.session, key: allocation.key)
    }
    guard let (expiry, session) = RelayCredentials.parse(username), expiry > unixTime(at: now) else { return nil }
    for secret in configuration.secrets {
      let password = RelayCredentials.password(for: username, secret: secret, hashes: hashes)
      let key = RelayCredentials.key(username: username, realm: realm, password: password, hashes: hashes)
      if received.verify(key: key, hashes: hashes) {
        return Identity(username: username, session: session, key: key)
      }
    }
    return nil
  }

  private func challengeAttributes(
    _ code: ErrorCode, _ form: NonceMint.Form, _ flow: ClientFlow, _ now: Instant
  ) -> [Attribute] {
    let nonce = nonces.mint(form, for: flow.client, at: now)
    return [.errorCode(code), Attribute(.realm, realm), Attribute(.nonce, nonce)]
  }

  /// The answer is no larger than what was asked allows, for which the nonce may have to be a short one.
  private mutating func challenge(
    _ received: ReceivedMessage, _ code: ErrorCode, on flow: ClientFlow, at now: Instant, into out: inout [Output]
  ) {
    let rest = STUNHeader.byteCount + 8 + 4 + (realm.count + 3) & ~3 + 4
    let isShort = !flow.transport.isStream && !Self.mayAnswer(received, NonceMint.Form.long.characterCount + rest)
    answerStranger(
      received, challengeAttributes(code, isShort ? .short : .long, flow, now), on: flow, at: now, into: &out)
  }

  /// A reflector that returns at most 1.6 times what it is sent is of no use to anybody.
  private static func mayAnswer(_ received: ReceivedMessage, _ answer: Int) -> Bool {
    answer * 10 <= received.bytes.count * 16
  }

  /// Over UDP a source address is only a claim: so little is sent to it, and so seldom, that a reflector
  /// gains nothing. A stream has shown where it is.
  private mutating func answerStranger(
    _ received: ReceivedMessage, _ attributes: [Attribute], on flow: ClientFlow, at now: Instant,
    into out: inout [Output]
  ) {
    if !flow.transport.isStream {
      let size = attributes.reduce(STUNHeader.byteCount) { $0 + 4 + ($1.value.count + 3) & ~3 }
      guard Self.mayAnswer(received, size), ledger.withLock({ $0.strangers.allows(flow.client.ip, at: now) })
      else {
        counters.suppressed &+= 1
        return
      }
    }
    send(.failure, received, attributes, key: nil, on: flow, into: &out)
  }

  mutating func answerBinding(_ bytes: RawSpan, on flow: ClientFlow, at now: Instant, into out: inout [Output]) {
    guard flow.transport.isStream || ledger.withLock({ $0.binders.allows(flow.client.ip, at: now) }) else {
      counters.suppressed &+= 1
      return
    }
    guard let answer = BindingResponder.answer(to: bytes, from: flow.client) else { return }
    out.append(.send(answer, to: flow))
  }

  // MARK: Answers

  func refuse(
    _ request: Request, _ code: ErrorCode, _ attributes: [Attribute] = [], into out: inout [Output]
  ) {
    send(
      .failure, request.received, [.errorCode(code)] + attributes, key: request.identity.key, on: request.flow,
      into: &out)
  }

  func accept(_ request: Request, _ attributes: [Attribute] = [], into out: inout [Output]) {
    send(.success, request.received, attributes, key: request.identity.key, on: request.flow, into: &out)
  }

  private func send(
    _ messageClass: MessageClass, _ request: ReceivedMessage, _ attributes: [Attribute], key: [UInt8]?,
    on flow: ClientFlow, into out: inout [Output]
  ) {
    // RFC 8489 §9.2.4: without password algorithms the answer "MUST" use MESSAGE-INTEGRITY.
    let message = STUNMessage(
      messageClass, request.message.type.method, transaction: request.message.transaction, attributes: attributes)
    let integrity: STUNMessage.Integrity = if let key { .sha1(key: key) } else { .none }
    out.append(
      .send(
        message.serialized(integrity: integrity, fingerprint: key != nil && request.hasFingerprint, hashes: hashes),
        to: flow))
  }

  // MARK: Refresh

  /// RFC 8656 §7.2, §8.2: between the default and the maximum, whatever was asked for.
  func lifetime(wanted seconds: UInt32?) -> Duration {
    guard let seconds else { return RelayTimes.defaultAllocation }
    return max(RelayTimes.defaultAllocation, min(.seconds(Int64(seconds)), configuration.maximumLifetime))
  }

  /// `nil`: none.
  private func timeLeft(_ allocation: Allocation, at now: Instant) -> Duration? {
    guard let limit = configuration.durationOfAllocation else { return configuration.maximumLifetime }
    let left = allocation.began + limit - now
    return left >= .seconds(1) ? left : nil
  }

  private mutating func receiveRefresh(
    _ request: Request, _ allocation: Allocation, at now: Instant, into out: inout [Output]
  ) {
    var ids = allocation.relays.map { $0.id }
    if let family = request.message[.requestedAddressFamily] {
      let wanted = family.value.count == 4 ? AddressFamily(rawValue: family.value[0]) : nil
      guard let wanted, let index = allocation.relayIndex(wanted) else {
        return refuse(request, .peerAddressFamilyMismatch, into: &out)
      }
      ids = [allocation.relays[index].id]
    }
    if let wanted = request.message[.lifetime], wanted.value.count != 4 {
      return refuse(request, .badRequest, into: &out)
    }
    let seconds = request.message.uint32(.lifetime)
    guard seconds != 0 else {
      accept(request, [.lifetime(.zero)], into: &out)
      for id in ids { remove(id, .deleted, into: &out) }
      return
    }
    // What was used up stays so.
    guard !allocation.isUsedUp, let left = timeLeft(allocation, at: now) else {
      refuse(request, .allocationQuotaReached, into: &out)
      for id in ids { remove(id, .usedUp, into: &out) }
      return
    }
    let lifetime = min(lifetime(wanted: seconds), left)
    for id in ids {
      guard let (_, index) = find(id) else { continue }
      allocation.relays[index].expires = now + lifetime
    }
    accept(request, [.lifetime(lifetime)], into: &out)
  }

  // MARK: Permissions

  /// RFC 8656 §10.2: all of them or none.
  private mutating func receiveCreatePermission(
    _ request: Request, _ allocation: Allocation, at now: Instant, into out: inout [Output]
  ) {
    var peers: [SocketAddress] = []
    for attribute in request.message.attributes where attribute.type == .xorPeerAddress {
      guard let peer = attribute.xorAddressValue(transaction: request.message.transaction) else {
        return refuse(request, .badRequest, into: &out)
      }
      peers.append(peer)
    }
    guard !peers.isEmpty else { return refuse(request, .badRequest, into: &out) }
    for peer in peers {
      if let code = objection(to: peer, allocation, withPort: false, at: now, into: &out) {
        return refuse(request, code, into: &out)
      }
    }
    allocation.sweep(at: now)
    var new: [IPAddress] = []
    for peer in peers where !allocation.hasPermission(peer.ip, at: now) && !new.contains(peer.ip) {
      new.append(peer.ip)
    }
    guard allocation.permissions.count + new.count <= configuration.permissionsPerAllocation else {
      return refuse(request, .insufficientCapacity, into: &out)
    }
    for peer in peers { allocation.permit(peer.ip, at: now) }
    accept(request, into: &out)
  }

  /// What is wrong with a peer a request names: its family (443) or the peer itself (403).
  func objection(
    to peer: SocketAddress, _ allocation: Allocation, withPort: Bool, at now: Instant, into out: inout [Output]
  ) -> ErrorCode? {
    guard allocation.relayIndex(peer.ip.family) != nil else { return .peerAddressFamilyMismatch }
    guard let refusal = refusal(of: peer, for: allocation, withPort: withPort, at: now) else { return nil }
    out.append(.event(.refusedPeer(session: allocation.session, peer, refusal)))
    return .forbidden
  }

  // MARK: Channels

  /// RFC 8656 §12.2, in its order.
  private mutating func receiveChannelBind(
    _ request: Request, _ allocation: Allocation, at now: Instant, into out: inout [Output]
  ) {
    guard !allocation.isTCP, let number = request.message.uint32(.channelNumber).map({ UInt16($0 >> 16) }),
      let peer = request.message.xorAddress(.xorPeerAddress), channelNumbers.contains(number)
    else { return refuse(request, .badRequest, into: &out) }
    allocation.sweep(at: now)
    if let bound = allocation.channel(number, at: now), bound.peer != peer {
      return refuse(request, .badRequest, into: &out)
    }
    if let bound = allocation.channel(to: peer, at: now), bound.number != number {
      return refuse(request, .badRequest, into: &out)
    }
    if let code = objection(to: peer, allocation, withPort: true, at: now, into: &out) {
      return refuse(request, code, into: &out)
    }
    let isNewChannel = allocation.channel(number, at: now) == nil
    let isNewPermission = !allocation.hasPermission(peer.ip, at: now)
    guard !isNewChannel || allocation.channels.count < configuration.channelsPerAllocation,
      !isNewPermission || allocation.permissions.count < configuration.permissionsPerAllocation
    else { return refuse(request, .insufficientCapacity, into: &out) }
    allocation.bind(number, to: peer, at: now)
    allocation.permit(peer.ip, at: now)
    accept(request, into: &out)
  }
}
