public import EdgeCore

/// What all loops of one relay share: ports, reservations, quotas, and who may reach whom.
///
/// It is asked when something is allocated, permitted or given back and for Send indications, never for a packet on a
/// channel: those are one loop's own business.
public final class RelayLedger: @unchecked Sendable {
  /// How the loops keep out of each other's way; a core has no lock of its own.
  public struct Exclusion: Sendable {
    let begin: @Sendable () -> Void
    let end: @Sendable () -> Void

    public init(begin: @escaping @Sendable () -> Void, end: @escaping @Sendable () -> Void) {
      self.begin = begin
      self.end = end
    }

    /// For a relay of one loop.
    public static let none = Exclusion(begin: {}, end: {})
  }

  struct Reservation {
    let address: SocketAddress
    let session: String
  }

  struct SignalledPeers {
    var addresses: [IPAddress]
    var expires: Instant
  }

  /// Whose a relayed address is.
  struct Owner {
    let loop: Int
    let session: String
  }

  struct State {
    /// In the order of `configuration.relayAddresses`.
    var pools: [PortPool]
    var reservations: [UInt64: Reservation] = [:]
    /// Allocations and reservations of each session.
    var usage: [String: Int] = [:]
    var signalled: [String: SignalledPeers] = [:]
    var owners: [SocketAddress: Owner] = [:]
    var allocations = 0
    var strangers: ReplyLimiter
    var binders: ReplyLimiter

    mutating func enter(_ session: String) { usage[session, default: 0] += 1 }

    mutating func leave(_ session: String) {
      guard let count = usage[session] else { return }
      usage[session] = count > 1 ? count - 1 : nil
    }
  }

  private let exclusion: Exclusion
  private var state: State

  /// `key` is the server's.
  public init(
    _ configuration: TURNServer.Configuration, key: [UInt8], hashes: Hashes, exclusion: Exclusion = .none
  ) {
    self.exclusion = exclusion
    let mixed = hashes.hmacSHA256(key, [0])
    let slotKey = mixed[..<8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    state = State(
      pools: configuration.relayAddresses.map { _ in PortPool(configuration.ports) },
      strangers: ReplyLimiter(perSecond: configuration.unauthenticatedRepliesPerSecond, key: slotKey),
      binders: ReplyLimiter(perSecond: configuration.bindingRepliesPerSecond, key: ~slotKey))
  }

  func withLock<Result>(_ body: (inout State) -> Result) -> Result {
    exclusion.begin()
    defer { exclusion.end() }
    return body(&state)
  }
}
