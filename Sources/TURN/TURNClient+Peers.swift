public import EdgeCore
internal import STUN

/// Permissions, channels and data.
extension TURNClient {
  /// How long after it was granted a permission is renewed: a minute before its end.
  var renewal: Duration { RelayTimes.permission - .seconds(60) }
  /// A channel nothing went over for so long is not renewed.
  private var channelIdle: Duration { .seconds(300) }
  private static var maximumChannels: Int { 16 }

  mutating func ask(_ ip: IPAddress, at now: Instant, into out: inout Outbox<Event>) {
    // RFC 8656 §10.1: only addresses of the relayed address's family.
    guard relayedAddress?.ip.isV4 == ip.isV4 else { return }
    begin(.permission(ip), at: now, into: &out)
  }

  mutating func granted(_ ip: IPAddress, at now: Instant, into out: inout Outbox<Event>) {
    if !peers.contains(where: { $0.ip == ip }) { peers.append(Peer(ip: ip, granted: nil, renews: now)) }
    guard let index = peers.firstIndex(where: { $0.ip == ip }) else { return }
    let isNew = peers[index].granted == nil
    peers[index].granted = now
    peers[index].isRefused = false
    peers[index].renews = now + renewal
    if isNew { out.events.append(.permitted(ip)) }
  }

  mutating func renewPeers(at now: Instant, into out: inout Outbox<Event>) {
    // Channels first: binding one again renews the permission too.
    for index in channels.indices {
      guard case .bound(let number, let renews, let expires) = channels[index].state, now >= renews else { continue }
      if now - channels[index].lastUsed < channelIdle {
        begin(.bind(channels[index].peer, number), at: now, into: &out)
      } else if now >= expires {
        channels[index].state = .resting(until: expires + RelayTimes.channelReuse)
      } else {
        channels[index].state = .bound(number, renews: expires, expires: expires)
      }
    }
    for peer in peers where isDueOnce(peer) && now >= peer.renews { ask(peer.ip, at: now, into: &out) }
  }

  /// Whether the peer's permission is to be renewed when its time comes, and nothing under way does it already.
  func isDueOnce(_ peer: Peer) -> Bool {
    guard peer.granted != nil, !peer.isRefused else { return false }
    for box in exchanges {
      switch box.exchange.purpose {
      case .permission(peer.ip): return false
      case .bind(let bound, _) where bound.ip == peer.ip: return false
      case .allocate, .refresh, .delete, .permission, .bind: break
      }
    }
    return true
  }

  /// The channel for data to `peer`, `nil` when it goes without. Counts what is sent, and binds.
  ///
  /// A number is used for one peer only, which keeps the other half of RFC 8656 §12's waiting rule.
  mutating func channelNumber(
    for peer: SocketAddress, isData: Bool, at now: Instant, into out: inout Outbox<Event>
  ) -> UInt16? {
    guard let index = channels.firstIndex(where: { $0.peer == peer }) else {
      if isData, channels.count < Self.maximumChannels {
        channels.append(Channel(peer: peer, state: .none(sent: 1), lastUsed: now))
      }
      return nil
    }
    channels[index].lastUsed = now
    switch channels[index].state {
    case .bound(let number, _, let expires): return now < expires ? number : nil
    case .binding, .refused: return nil
    case .resting(let until):
      if now >= until { channels[index].state = .none(sent: 0) }
      return nil
    case .none(let sent):
      guard isData else { return nil }
      channels[index].state = .none(sent: sent + 1)
      guard sent + 1 >= configuration.channelAfter, ChannelData.numbers.contains(nextChannel),
        relayedAddress?.ip.isV4 == peer.ip.isV4
      else { return nil }
      channels[index].state = .binding(nextChannel)
      begin(.bind(peer, nextChannel), at: now, into: &out)
      nextChannel += 1
      return nil
    }
  }

  // MARK: Receiving

  /// A datagram, or one frame of the stream, from the server's address.
  ///
  /// Never throws: bytes from the network are not this side's error. What is not for this client is dropped.
  public mutating func receive(
    _ bytes: RawSpan, at now: Instant, into out: inout Outbox<Event>
  ) -> Inbound? {
    switch MuxedProtocol(of: bytes) {
    case .turnChannel:
      guard phase == .allocated, let (number, payload) = ChannelData.parse(bytes) else { return nil }
      // RFC 8656 §12: data may come before the answer to the request that bound the channel.
      guard let index = channels.firstIndex(where: { $0.number == number }) else { return nil }
      channels[index].lastUsed = now
      return Inbound(peer: channels[index].peer, payload: payload)
    case .stun:
      guard let header = try? STUNHeader(parsing: bytes) else { return nil }
      switch header.type.messageClass {
      case .indication:
        guard header.type.method == .data else { return nil }
        return receiveData(bytes, header.transaction, at: now, into: &out)
      case .success, .failure:
        for box in exchanges where box.exchange.id == header.transaction {
          if let received = try? ReceivedMessage(parsing: bytes) {
            receiveAnswer(received, box, at: now, into: &out)
          }
          break
        }
        return nil
      case .request: return nil
      }
    case .zrtp, .dtls, .rtp, .unknown: return nil
    }
  }

  /// RFC 8656 §11.4, §11.6.
  private func receiveData(
    _ bytes: RawSpan, _ transaction: TransactionID, at now: Instant, into out: inout Outbox<Event>
  ) -> Inbound? {
    guard phase == .allocated, let indication = DataIndication(parsing: bytes, transaction),
      !indication.hasUnknown, peers.contains(where: { $0.ip == indication.peer.ip && !$0.isRefused })
    else { return nil }
    if let icmp = indication.icmp {
      let (type, code) = unsafe (
        bytes.unsafeLoad(fromByteOffset: icmp.lowerBound + 2, as: UInt8.self),
        bytes.unsafeLoad(fromByteOffset: icmp.lowerBound + 3, as: UInt8.self)
      )
      out.events.append(.peerUnreachable(indication.peer, type: type, code: code))
      return nil
    }
    guard let payload = indication.payload else { return nil }
    return Inbound(peer: indication.peer, payload: payload)
  }
}
