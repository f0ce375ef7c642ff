public import EdgeCore
internal import STUN

/// Relayed packets: the path that is taken for each of them.
extension TURNServer {
  /// A datagram of a client, or one frame of its stream.
  ///
  /// `header` is overwritten when the answer is ``Transmission/toClient(_:payload:padding:)``.
  public mutating func receive(
    _ bytes: RawSpan, on flow: ClientFlow, at now: Instant, header: inout [UInt8], into out: inout [Output]
  ) -> Transmission {
    switch MuxedProtocol(of: bytes) {
    case .turnChannel: return receiveChannelData(bytes, on: flow, at: now, &header)
    case .stun:
      guard let message = try? STUNHeader(parsing: bytes) else {
        counters.malformed &+= 1
        return .none
      }
      switch (message.type.messageClass, message.type.method) {
      case (.indication, .send): return receiveSend(bytes, on: flow, message.transaction, at: now, &header)
      case (.request, .binding): answerBinding(bytes, on: flow, at: now, into: &out)
      case (.request, _): receiveRequest(bytes, on: flow, at: now, into: &out)
      // RFC 8489 §6.3.2: a Binding indication only keeps a NAT's mapping. The rest is not for a server.
      case (.indication, _), (.success, _), (.failure, _): break
      }
      return .none
    case .unknown where configuration.takesOldChannels: return receiveChannelData(bytes, on: flow, at: now, &header)
    case .zrtp, .dtls, .rtp, .unknown:
      counters.malformed &+= 1
      return .none
    }
  }

  /// RFC 8656 §12.6: without an allocation, a channel or the length it claims: silently discarded.
  private mutating func receiveChannelData(
    _ bytes: RawSpan, on flow: ClientFlow, at now: Instant, _ header: inout [UInt8]
  ) -> Transmission {
    guard let (number, payload) = ChannelData.parse(bytes, numbers: channelNumbers) else {
      counters.malformed &+= 1
      return .none
    }
    guard let allocation = allocation(of: flow), let channel = allocation.channel(number, at: now) else {
      counters.unwanted &+= 1
      return .none
    }
    return forward(allocation, channel.peer, payload, at: now, &header)
  }

  private mutating func allocation(of flow: ClientFlow) -> Allocation? {
    if let lastUsed, lastUsed.flow == flow { return lastUsed.allocation }
    guard let allocation = allocations[flow] else { return nil }
    lastUsed = (flow, allocation)
    return allocation
  }

  /// A datagram of `byteCount` bytes came to a relayed address.
  public mutating func receivePeer(
    byteCount: Int, from peer: SocketAddress, on id: RelayID, at now: Instant, header: inout [UInt8]
  ) -> Transmission {
    guard let (allocation, index) = find(id) else { return .none }
    // Relayed addresses of this server reach each other inside it, so nothing from itself comes by the wire.
    if configuration.policy.isOwn(peer.ip) && !configuration.policy.allowsLoopback {
      counters.unwanted &+= 1
      return .none
    }
    return toClient(allocation, index, peer, 0..<byteCount, at: now, &header)
  }

  /// A datagram of `byteCount` bytes that a client of another loop sent to a relayed address of this one.
  public mutating func receiveSibling(
    byteCount: Int, from sender: SocketAddress, to relayed: SocketAddress, at now: Instant, header: inout [UInt8]
  ) -> Transmission {
    guard let id = relaysByAddress[relayed], let (allocation, index) = find(id) else { return .none }
    return toClient(allocation, index, sender, 0..<byteCount, at: now, &header)
  }

  /// An ICMP error about a datagram sent to `peer` (RFC 8656 §11.5). `data` is the MTU where there is one.
  public mutating func receiveICMP(
    type: UInt8, code: UInt8, data: UInt32, about peer: SocketAddress, on id: RelayID, at now: Instant,
    into out: inout [Output]
  ) {
    guard let (allocation, _) = find(id), allocation.hasPermission(peer.ip, at: now) else { return }
    let isV4 = peer.ip.isV4
    guard isV4 ? type == 3 || type == 11 : (1...3).contains(type) else { return }
    let carriesMTU = isV4 ? type == 3 && code == 4 : type == 2
    serial &+= 1
    let transaction = TransactionID(high: 0x6564_6765, low: serial)
    let message = STUNMessage(
      .indication, .data, transaction: transaction,
      attributes: [
        .xorAddress(.xorPeerAddress, peer, transaction: transaction),
        .icmp(type: type, code: code, data: carriesMTU ? data : 0),
      ])
    out.append(.send(message.serialized(), to: allocation.flow))
  }

  /// RFC 8656 §11.2: whatever is wrong with a Send indication, the answer is silence.
  private mutating func receiveSend(
    _ bytes: RawSpan, on flow: ClientFlow, _ transaction: TransactionID, at now: Instant, _ header: inout [UInt8]
  ) -> Transmission {
    guard let allocation = allocations[flow] else {
      counters.unwanted &+= 1
      return .none
    }
    guard let indication = DataIndication(parsing: bytes, transaction), let payload = indication.payload,
      !indication.hasUnknown
    else {
      counters.malformed &+= 1
      return .none
    }
    guard refusal(of: indication.peer, for: allocation, withPort: true, at: now) == nil else {
      counters.refusedPeers &+= 1
      return .none
    }
    guard allocation.hasPermission(indication.peer.ip, at: now) else {
      counters.unwanted &+= 1
      return .none
    }
    return forward(allocation, indication.peer, payload, at: now, &header)
  }

  /// From a client to a peer that was admitted.
  private mutating func forward(
    _ allocation: Allocation, _ peer: SocketAddress, _ payload: Range<Int>, at now: Instant, _ header: inout [UInt8]
  ) -> Transmission {
    guard !allocation.isTCP, let index = allocation.relayIndex(peer.ip.family), allocation.relays[index].isOpen,
      allocation.relays[index].expires > now
    else {
      counters.unwanted &+= 1
      return .none
    }
    if isRelayAddress(peer.ip) {
      // Another relayed address here: no detour through the kernel, which behind a NAT might not even lead back.
      if let id = relaysByAddress[peer], let (other, otherIndex) = find(id), mayReach(other.session, allocation) {
        guard countToPeer(payload.count, allocation) else { return .none }
        return toClient(other, otherIndex, allocation.relays[index].address, payload, at: now, &header)
      }
      guard let owner = ledger.withLock({ $0.owners[peer] }), owner.loop != loop, mayReach(owner.session, allocation)
      else {
        counters.unwanted &+= 1
        return .none
      }
      guard countToPeer(payload.count, allocation) else { return .none }
      return .toLoop(owner.loop, from: allocation.relays[index].address, to: peer, payload: payload)
    }
    guard countToPeer(payload.count, allocation) else { return .none }
    return .toPeer(allocation.relays[index].id, peer, payload: payload)
  }

  /// RFC 8656 §11.3: with a permission as ChannelData where a channel is bound, else as a Data indication.
  private mutating func toClient(
    _ allocation: Allocation, _ index: Int, _ peer: SocketAddress, _ payload: Range<Int>, at now: Instant,
    _ header: inout [UInt8]
  ) -> Transmission {
    let relay = allocation.relays[index]
    guard relay.isOpen, relay.expires > now, allocation.hasPermission(peer.ip, at: now) else {
      counters.unwanted &+= 1
      return .none
    }
    header.removeAll(keepingCapacity: true)
    let isStream = allocation.flow.transport.isStream
    let overhead: Int
    let padding: Int
    if let channel = allocation.channel(to: peer, at: now) {
      ChannelData.writeHeader(channel.number, count: payload.count, to: &header)
      overhead = ChannelData.headerByteCount
      padding = isStream ? -payload.count & 3 : 0
    } else {
      serial &+= 1
      DataIndication.writeHeader(peer, count: payload.count, serial: serial, to: &header)
      overhead = header.count
      padding = -payload.count & 3
    }
    // What does not fit into one datagram is lost, as on any path.
    guard payload.count + overhead + padding <= (isStream ? 65_555 : 65_507) else {
      counters.unwanted &+= 1
      return .none
    }
    guard countToClient(payload.count, allocation) else { return .none }
    return .toClient(allocation.flow, payload: payload, padding: padding)
  }

  /// `false`: it had as much as one allocation may have.
  mutating func countToPeer(_ bytes: Int, _ allocation: Allocation) -> Bool {
    guard mayRelay(bytes, allocation) else { return false }
    counters.traffic.toPeers &+= 1
    counters.traffic.toPeersBytes &+= UInt64(bytes)
    allocation.traffic.toPeers &+= 1
    allocation.traffic.toPeersBytes &+= UInt64(bytes)
    return true
  }

  mutating func countToClient(_ bytes: Int, _ allocation: Allocation) -> Bool {
    guard mayRelay(bytes, allocation) else { return false }
    counters.traffic.toClients &+= 1
    counters.traffic.toClientsBytes &+= UInt64(bytes)
    allocation.traffic.toClients &+= 1
    allocation.traffic.toClientsBytes &+= UInt64(bytes)
    return true
  }

  private mutating func mayRelay(_ bytes: Int, _ allocation: Allocation) -> Bool {
    guard let limit = configuration.bytesPerAllocation else { return true }
    let used = allocation.traffic.toPeersBytes &+ allocation.traffic.toClientsBytes
    guard used + UInt64(bytes) > limit else { return true }
    allocation.isUsedUp = true
    counters.unwanted &+= 1
    return false
  }

  private func mayReach(_ session: String, _ allocation: Allocation) -> Bool {
    !configuration.onlySignalledPeers || session == allocation.session
  }

  func isRelayAddress(_ ip: IPAddress) -> Bool {
    for address in configuration.relayAddresses where address == ip { return true }
    return false
  }

  /// The one decision about a peer, for every method that names one (RFC 8656 §10.2, §11.2, §12.2).
  ///
  /// `withPort` is false for permissions, which have none.
  func refusal(
    of peer: SocketAddress, for allocation: Allocation, withPort: Bool, at now: Instant
  ) -> PeerPolicy.Refusal? {
    let policy = configuration.policy
    if isRelayAddress(peer.ip) {
      // This server is no peer, but what it relays for others is.
      guard withPort else { return nil }
      guard let owner = ledger.withLock({ $0.owners[peer] }) else { return .own }
      return mayReach(owner.session, allocation) ? nil : .notSignalled
    } else {
      if let refusal = policy.refusalOfKind(peer.ip) { return refusal }
      if policy.isOwn(peer.ip) && !policy.allowsLoopback { return .own }
    }
    guard configuration.onlySignalledPeers else { return nil }
    let address = peer.ip.canonical
    let isSignalled = ledger.withLock { state in
      guard let entry = state.signalled[allocation.session] else { return false }
      return entry.expires > now && entry.addresses.contains(address)
    }
    return isSignalled ? nil : .notSignalled
  }
}
