public import EdgeCore
internal import STUN

/// Allocate, from request to answer: the sockets in between are the owner's.
extension TURNServer {
  /// What is left to decide once a request is found fit.
  private struct Plan {
    var families: [AddressFamily]
    var wish = PortPool.Wish.any
    var reservation: UInt64?
    var missing: (family: AddressFamily, code: ErrorCode)?
  }

  private enum Verdict {
    case refuse(ErrorCode, [Attribute])
    case plan(Plan)

    static func refuse(_ code: ErrorCode) -> Verdict { .refuse(code, []) }
  }

  /// How many ports the kernel may refuse before the server gives up.
  private static var maximumTries: Int { 16 }

  mutating func receiveAllocate(_ request: Request, at now: Instant, into out: inout [Output]) {
    if let existing = allocations[request.flow] {
      // RFC 8656 §7.2: a retransmission gets what the first one got. While sockets are being opened it gets nothing yet.
      if existing.transaction == request.message.transaction && existing.username == request.identity.username {
        if !existing.relays.contains(where: { !$0.isOpen }) { announce(existing, at: now, into: &out) }
        return
      }
      return refuse(request, .allocationMismatch, into: &out)
    }
    switch judge(request.message, request.flow) {
    case .refuse(let code, let attributes): refuse(request, code, attributes, into: &out)
    case .plan(let plan): allocate(request, plan, at: now, into: &out)
    }
  }

  /// The checks of RFC 8656 §7.2 behind the first two, in their order.
  private func judge(_ message: STUNMessage, _ flow: ClientFlow) -> Verdict {
    guard let transport = message[.requestedTransport], transport.value.count == 4 else { return .refuse(.badRequest) }
    switch transport.value[0] {
    case RequestedTransport.udp: break
    case RequestedTransport.tcp:
      // RFC 6062 §5.1: over TCP or TLS, and with nothing that is about datagrams.
      guard flow.transport.isStream, message[.dontFragment] == nil, message[.evenPort] == nil,
        message[.reservationToken] == nil, message[.additionalAddressFamily] == nil
      else { return .refuse(.badRequest) }
    default: return .refuse(.unsupportedTransport)
    }
    if message[.dontFragment] != nil { return .refuse(.unknownAttribute, [.unknownAttributes([.dontFragment])]) }
    let evenPort = message[.evenPort]
    let requested = message[.requestedAddressFamily]
    let additional = message[.additionalAddressFamily]
    if let lifetime = message[.lifetime], lifetime.value.count != 4 { return .refuse(.badRequest) }
    if let token = message[.reservationToken] {
      guard token.value.count == 8, evenPort == nil, requested == nil, additional == nil else {
        return .refuse(.badRequest)
      }
      guard let number = message.uint64(.reservationToken),
        let reservation = ledger.withLock({ $0.reservations[number] })
      else {
        return .refuse(.insufficientCapacity)
      }
      return .plan(Plan(families: [reservation.address.ip.family], reservation: number))
    }
    if requested != nil && additional != nil { return .refuse(.badRequest) }
    var plan = Plan(families: [.v4])
    if let requested {
      guard requested.value.count == 4 else { return .refuse(.badRequest) }
      guard let family = AddressFamily(rawValue: requested.value[0]) else {
        return .refuse(.addressFamilyNotSupported)
      }
      plan.families = [family]
    }
    guard poolIndex(plan.families[0]) != nil else { return .refuse(.addressFamilyNotSupported) }
    if let evenPort {
      guard evenPort.value.count == 1 else { return .refuse(.badRequest) }
      let reserves = evenPort.value[0] & 0x80 != 0
      if reserves && additional != nil { return .refuse(.badRequest) }
      plan.wish = reserves ? .evenWithNext : .even
    }
    if let additional {
      guard additional.value.count == 4, AddressFamily(rawValue: additional.value[0]) == .v6 else {
        return .refuse(.badRequest)
      }
      if poolIndex(.v6) != nil {
        plan.families.append(.v6)
      } else {
        plan.missing = (.v6, .addressFamilyNotSupported)
      }
    }
    return .plan(plan)
  }

  private func poolIndex(_ family: AddressFamily) -> Int? {
    configuration.relayAddresses.firstIndex { $0.family == family }
  }

  private mutating func allocate(
    _ request: Request, _ plan: Plan, at now: Instant, into out: inout [Output]
  ) {
    let session = request.identity.session
    let wanted = plan.wish == .evenWithNext ? 2 : plan.reservation == nil ? 1 : 0
    let (used, allocated) = ledger.withLock { ($0.usage[session, default: 0], $0.allocations) }
    guard used + wanted <= configuration.allocationsPerSession else {
      return refuse(request, .allocationQuotaReached, into: &out)
    }
    guard allocated < configuration.maximumAllocations else {
      return refuse(request, .insufficientCapacity, into: &out)
    }
    let allocation = Allocation(
      flow: request.flow, identity: request.identity, request: request.received,
      lifetime: lifetime(wanted: request.message.uint32(.lifetime)), at: now)
    allocation.missingFamily = plan.missing
    for family in plan.families {
      guard let address = takeAddress(family, plan) else {
        if family == .v6 && !allocation.relays.isEmpty {
          allocation.missingFamily = (.v6, .insufficientCapacity)
          continue
        }
        return refuse(request, .insufficientCapacity, into: &out)
      }
      allocation.relays.append(makeRelay(allocation, address, at: now))
    }
    if plan.wish == .evenWithNext { reserve(behind: allocation, at: now) }
    allocations[request.flow] = allocation
    ledger.withLock { state in
      state.enter(session)
      state.allocations += 1
    }
    for relay in allocation.relays { out.append(opening(relay, allocation)) }
  }

  private func opening(_ relay: Allocation.Relay, _ allocation: Allocation) -> Output {
    allocation.isTCP ? .openTCPRelay(relay.id, relay.address) : .openRelay(relay.id, relay.address)
  }

  private mutating func takeAddress(_ family: AddressFamily, _ plan: Plan) -> SocketAddress? {
    let random = unforeseeable()
    return ledger.withLock { state in
      if let token = plan.reservation {
        guard let reservation = state.reservations.removeValue(forKey: token) else { return nil }
        state.leave(reservation.session)
        return reservation.address
      }
      guard let pool = poolIndex(family), let port = state.pools[pool].take(plan.wish, random: random) else {
        return nil
      }
      return SocketAddress(configuration.relayAddresses[pool], port: port)
    }
  }

  private mutating func makeRelay(
    _ allocation: Allocation, _ address: SocketAddress, at now: Instant
  ) -> Allocation.Relay {
    let index: Int
    if let free = freeSlots.popLast() {
      index = free
    } else {
      index = slots.count
      slots.append(Slot())
    }
    slots[index].allocation = allocation
    let id = RelayID(index: index, generation: slots[index].generation)
    let expires = now + allocation.lifetime
    deadlines.insert(.relay(id), at: expires)
    own(address, id, allocation)
    return Allocation.Relay(id: id, address: address, expires: expires)
  }

  private mutating func own(_ address: SocketAddress, _ id: RelayID, _ allocation: Allocation) {
    relaysByAddress[address] = id
    let owner = RelayLedger.Owner(loop: loop, session: allocation.session)
    ledger.withLock { $0.owners[address] = owner }
  }

  /// RFC 8656 §7.2: the port behind the first one is kept for whoever shows the token.
  private mutating func reserve(behind allocation: Allocation, at now: Instant) {
    guard let first = allocation.relays.first?.address, let pool = poolIndex(first.ip.family) else { return }
    let token = unforeseeable()
    let isTaken = ledger.withLock { state -> Bool in
      guard state.pools[pool].take(exactly: first.port + 1) else { return false }
      state.reservations[token] = .init(
        address: SocketAddress(first.ip, port: first.port + 1), session: allocation.session)
      state.enter(allocation.session)
      return true
    }
    guard isTaken else { return }
    deadlines.insert(.reservation(token), at: now + RelayTimes.reservation)
    allocation.reservationToken = token
  }

  // MARK: What the owner reports

  /// The socket of a relayed address is open.
  public mutating func relayOpened(_ id: RelayID, at now: Instant, into out: inout [Output]) {
    guard let (allocation, index) = find(id) else {
      out.append(.closeRelay(id))
      return
    }
    let relay = allocation.relays[index]
    if !relay.refusedPorts.isEmpty {
      ledger.withLock { state in
        for port in relay.refusedPorts {
          Self.release(SocketAddress(relay.address.ip, port: port), configuration, &state)
        }
      }
    }
    allocation.relays[index].refusedPorts = []
    allocation.relays[index].isOpen = true
    out.append(
      .event(
        .allocated(
          session: allocation.session, flow: allocation.flow, relayed: allocation.relays[index].address)))
    guard !allocation.relays.contains(where: { !$0.isOpen }) else { return }
    announce(allocation, at: now, into: &out)
  }

  /// The kernel would not open it: another port is tried, some times.
  public mutating func relayRefused(_ id: RelayID, at now: Instant, into out: inout [Output]) {
    guard let (allocation, index) = find(id), !allocation.relays[index].isOpen,
      let pool = poolIndex(allocation.relays[index].address.ip.family)
    else { return }
    let refused = allocation.relays[index].address
    let isReserved = allocation.reservationToken != nil
    let random = unforeseeable()
    if allocation.relays[index].refusedPorts.count < Self.maximumTries, !isReserved,
      let port = ledger.withLock({ state in
        state.owners[refused] = nil
        return state.pools[pool].take(refused.port % 2 == 0 ? .even : .any, random: random)
      })
    {
      relaysByAddress[refused] = nil
      allocation.relays[index].refusedPorts.append(refused.port)
      allocation.relays[index].address = SocketAddress(refused.ip, port: port)
      own(allocation.relays[index].address, id, allocation)
      out.append(opening(allocation.relays[index], allocation))
      return
    }
    if allocation.relays.count > 1 {
      allocation.missingFamily = (refused.ip.family, .insufficientCapacity)
      remove(id, .noSocket, into: &out)
      if !allocation.relays.contains(where: { !$0.isOpen }) { announce(allocation, at: now, into: &out) }
      return
    }
    let message = STUNMessage(
      .failure, .allocate, transaction: allocation.transaction, attributes: [.errorCode(.insufficientCapacity)])
    out.append(
      .send(
        message.serialized(
          integrity: .sha1(key: allocation.key), fingerprint: allocation.usesFingerprint, hashes: hashes),
        to: allocation.flow))
    remove(id, .noSocket, into: &out)
  }

  /// The success response (RFC 8656 §7.2), the same each time but for the lifetime that is left.
  private func announce(_ allocation: Allocation, at now: Instant, into out: inout [Output]) {
    guard let first = allocation.relays.first else { return }
    var attributes = allocation.relays.map { relay in
      Attribute.xorAddress(.xorRelayedAddress, relay.address, transaction: allocation.transaction)
    }
    attributes.append(.lifetime(first.expires - now))
    if let token = allocation.reservationToken { attributes.append(Attribute(.reservationToken, token)) }
    if let missing = allocation.missingFamily {
      attributes.append(.addressErrorCode(missing.family, missing.code))
    }
    attributes.append(
      .xorAddress(.xorMappedAddress, allocation.flow.client, transaction: allocation.transaction))
    let message = STUNMessage(
      .success, .allocate, transaction: allocation.transaction, attributes: attributes)
    out.append(
      .send(
        message.serialized(
          integrity: .sha1(key: allocation.key), fingerprint: allocation.usesFingerprint, hashes: hashes),
        to: allocation.flow))
  }
}
