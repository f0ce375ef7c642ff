public import EdgeCore

/// Makes nonces and judges credentials (RFC 7616 §3.3, §5.4, §5.5).
///
/// A nonce is its time, random bytes and a MAC over both, so that handing one out costs no memory:
///
///     0        8        16                 32
///     | issued | random | HMAC (truncated) |   base 64
///
/// Memory is used only for nonces that came back with a right response: for each, which counts
/// were seen. The oldest is forgotten when the table is full, and with it every nonce issued before
/// it that is not in the table counts as stale, so forgetting never opens a replay.
public struct DigestServer: Sendable {
  public enum Verdict: Hashable, Sendable {
    case accepted
    /// Right password, old nonce: challenge again with `stale=true`.
    case stale
    /// Right password, count seen before: challenge again with `stale=true`, and count it.
    case replayed
    case refused(Refusal)
  }

  public enum Refusal: Hashable, Sendable {
    case otherRealm
    /// The nonce was not made with this key.
    case foreignNonce
    /// The account does not allow the algorithm.
    case algorithm
    case wrongResponse
  }

  private struct Use: Sendable {
    var issued: Instant
    /// The highest count seen.
    var highest: UInt32
    /// Bit n: `highest - n` was seen.
    var seen: UInt64
  }

  public let realm: String
  private let hashes: Hashes
  private let key: [UInt8]
  private let lifetime: Duration
  private let capacity: Int
  private var uses: [String: Use] = [:]
  /// Nonces of `uses` in the order they were first used, with `oldest` as the head.
  private var order: [String] = []
  private var oldest = 0
  /// Nonces issued up to here are stale unless they are in `uses`.
  private var floor = Instant(nanoseconds: .min)

  /// - Parameters:
  ///   - key: at least 16 random bytes; processes that share it accept each other's nonces.
  ///   - lifetime: how long a nonce may be used.
  ///   - capacity: nonces remembered, about 200 bytes each.
  public init(
    realm: String, hashes: Hashes, key: [UInt8], lifetime: Duration = .seconds(600), capacity: Int = 10_000
  ) {
    precondition(key.count >= 16 && capacity > 0, "a nonce key of at least 16 bytes and room for nonces")
    self.realm = realm
    self.hashes = hashes
    self.key = key
    self.lifetime = lifetime
    self.capacity = capacity
  }

  public func challenge(
    _ algorithm: DigestAlgorithm = .sha256, stale: Bool = false, at now: Instant,
    using random: inout some RandomNumberGenerator
  ) -> DigestChallenge {
    var writer = ByteWriter(reserving: 32)
    writer.write(UInt64(bitPattern: now.nanoseconds))
    writer.write(random.bytes(8))
    writer.write(mac(writer.bytes))
    return DigestChallenge(realm: realm, nonce: Base64.encode(writer.bytes), algorithm: algorithm, isStale: stale)
  }

  /// Whether looking the account up is worth it: the realm is ours and so is the nonce.
  public func recognises(_ credentials: DigestCredentials) -> Bool {
    credentials.realm == realm && issued(credentials.nonce) != nil
  }

  /// Judges credentials. Only an accepted one leaves a trace.
  ///
  /// - Parameters:
  ///   - ha1: `H(A1)` of the account for ``DigestCredentials/algorithm`` in hexadecimal, or `nil` when
  ///     there is no such account or it does not allow that algorithm; both cost the same time.
  public mutating func judge(
    _ credentials: DigestCredentials, method: Method, ha1: String?, at now: Instant
  ) -> Verdict {
    guard credentials.realm == realm else { return .refused(.otherRealm) }
    guard let issued = issued(credentials.nonce) else { return .refused(.foreignNonce) }
    let isRight = credentials.isMade(with: ha1 ?? Self.nobody, method: method, hashes: hashes)
    guard ha1 != nil else { return .refused(.algorithm) }
    guard isRight else { return .refused(.wrongResponse) }
    guard issued <= now, now - issued <= lifetime else { return .stale }
    return mark(credentials, issued: issued)
  }

  /// RFC 7616 §3.4: "the server can detect request replays by maintaining its own copy of this
  /// count". Requests in flight may overtake each other, so the last 64 counts are told apart.
  private mutating func mark(_ credentials: DigestCredentials, issued: Instant) -> Verdict {
    let count = credentials.count
    guard count > 0 else { return .replayed }
    guard var use = uses[credentials.nonce] else {
      guard issued > floor else { return .stale }
      remember(credentials.nonce, Use(issued: issued, highest: count, seen: 1))
      return .accepted
    }
    if count > use.highest {
      let step = count - use.highest
      use.seen = step < 64 ? use.seen << UInt64(step) | 1 : 1
      use.highest = count
    } else {
      let age = use.highest - count
      guard age < 64, use.seen & (1 << UInt64(age)) == 0 else { return .replayed }
      use.seen |= 1 << UInt64(age)
    }
    uses[credentials.nonce] = use
    return .accepted
  }

  private mutating func remember(_ nonce: String, _ use: Use) {
    if uses.count >= capacity {
      let forgotten = order[oldest]
      oldest += 1
      if let old = uses.removeValue(forKey: forgotten) { floor = max(floor, old.issued) }
      if oldest > capacity {
        order.removeFirst(oldest)
        oldest = 0
      }
    }
    uses[nonce] = use
    order.append(nonce)
  }

  /// When the nonce was made, if it was made here.
  private func issued(_ nonce: String) -> Instant? {
    guard nonce.utf8.count == 44, let bytes = Base64.decode(nonce), bytes.count == 32,
      Hashes.constantTimeEqual(mac(Array(bytes[..<16])), Array(bytes[16...]))
    else { return nil }
    return Instant(nanoseconds: Int64(bitPattern: bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) }))
  }

  private func mac(_ bytes: [UInt8]) -> [UInt8] {
    Array(hashes.hmacSHA256(key, bytes + Array(realm.utf8)).prefix(16))
  }

  /// Compared against for accounts that do not exist.
  private static var nobody: String { "0000000000000000000000000000000000000000000000000000000000000000" }
}
