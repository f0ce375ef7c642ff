internal import EdgeCore
internal import STUN

/// Names a relayed address of a ``TURNServer`` while it lives. `index` is small and used again, for tables.
public struct RelayID: Hashable, Sendable {
  public let index: Int
  let generation: UInt32
}

/// One client's place on the relay (RFC 8656 §2.2): who owns it, its relayed addresses, and whom it talks to.
final class Allocation {
  struct Relay {
    let id: RelayID
    var address: SocketAddress
    var expires: Instant
    var isOpen = false
    /// Ports the kernel would not give, until one is found.
    var refusedPorts: [UInt16] = []
  }

  struct Permission {
    let ip: IPAddress
    var expires: Instant
  }

  struct Channel {
    let number: UInt16
    let peer: SocketAddress
    var expires: Instant
  }

  let flow: ClientFlow
  let username: [UInt8]
  let session: String
  /// RFC 8656 §5: "Store key, not password"; it outlives the credentials' own time.
  let key: [UInt8]
  /// The Allocate request that made it: its retransmission gets the same answer.
  let transaction: TransactionID
  let lifetime: Duration
  let usesFingerprint: Bool
  let began: Instant
  /// RFC 6062: its relayed address takes and makes TCP connections instead.
  let isTCP: Bool
  /// At most one of each family.
  var relays: [Relay] = []
  var permissions: [Permission] = []
  var channels: [Channel] = []
  var reservationToken: UInt64?
  var missingFamily: (family: AddressFamily, code: ErrorCode)?
  var traffic = TURNServer.Traffic()
  /// It has relayed as much as one allocation may.
  var isUsedUp = false

  init(
    flow: ClientFlow, identity: TURNServer.Identity, request: ReceivedMessage, lifetime: Duration, at now: Instant
  ) {
    began = now
    isTCP = request.message.uint32(.requestedTransport).map { $0 >> 24 } == UInt32(RequestedTransport.tcp)
    self.flow = flow
    username = identity.username
    session = identity.session
    key = identity.key
    transaction = request.message.transaction
    usesFingerprint = request.hasFingerprint
    self.lifetime = lifetime
  }

  func relayIndex(_ family: AddressFamily) -> Int? { relays.firstIndex { $0.address.ip.family == family } }

  /// RFC 8656 §9: the address alone counts.
  func hasPermission(_ ip: IPAddress, at now: Instant) -> Bool {
    for permission in permissions where permission.ip == ip { return permission.expires > now }
    return false
  }

  func channel(_ number: UInt16, at now: Instant) -> Channel? {
    for channel in channels where channel.number == number { return channel.expires > now ? channel : nil }
    return nil
  }

  func channel(to peer: SocketAddress, at now: Instant) -> Channel? {
    for channel in channels where channel.peer == peer { return channel.expires > now ? channel : nil }
    return nil
  }

  /// Lets go what has run out, so that it counts against no limit.
  func sweep(at now: Instant) {
    permissions.removeAll { $0.expires <= now }
    channels.removeAll { $0.expires <= now }
  }

  func permit(_ ip: IPAddress, at now: Instant) {
    let expires = now + RelayTimes.permission
    if let index = permissions.firstIndex(where: { $0.ip == ip }) {
      permissions[index].expires = expires
    } else {
      permissions.append(Permission(ip: ip, expires: expires))
    }
  }

  func bind(_ number: UInt16, to peer: SocketAddress, at now: Instant) {
    let expires = now + RelayTimes.channel
    if let index = channels.firstIndex(where: { $0.number == number }) {
      channels[index].expires = expires
    } else {
      channels.append(Channel(number: number, peer: peer, expires: expires))
    }
  }
}
