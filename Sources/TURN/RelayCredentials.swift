public import EdgeCore

/// A username and password for a relay, good until a moment: the form coturn's REST API has.
///
/// The username is `EXPIRY:SESSION`, the password the base64 of HMAC-SHA1 over it with a secret the relay
/// and the issuer share. Whoever issues them needs no list, and whoever checks them neither.
public struct RelayCredentials: Hashable, Sendable {
  public var username: String
  public var password: String

  public init(username: String, password: String) {
    self.username = username
    self.password = password
  }

  /// `expiry` is in seconds since 1970; `session` names what the credentials are for.
  public static func issue(session: String, expiry: Int64, secret: [UInt8], hashes: Hashes) -> RelayCredentials {
    let username = "\(expiry):\(session)"
    return RelayCredentials(
      username: username, password: password(for: Array(username.utf8), secret: secret, hashes: hashes))
  }

  static func password(for username: [UInt8], secret: [UInt8], hashes: Hashes) -> String {
    Base64.encode(hashes.hmacSHA1(secret, username))
  }

  /// RFC 8489 §9.2.2: what messages are signed with.
  static func key(username: [UInt8], realm: [UInt8], password: String, hashes: Hashes) -> [UInt8] {
    let colon = UInt8(ascii: ":")
    return hashes.md5(username + [colon] + realm + [colon] + Array(password.utf8))
  }

  /// Longest username taken, in bytes. RFC 8489 §14.3 allows 513, a session's name needs far less.
  static let maximumUsername = 256

  /// What a username says, `nil` when it is none of ours.
  static func parse(_ username: [UInt8]) -> (expiry: Int64, session: String)? {
    guard username.count <= maximumUsername, let colon = username.firstIndex(of: UInt8(ascii: ":")),
      let expiry = ASCII.decimal(username[..<colon], max: 1 << 40), colon + 1 < username.count
    else { return nil }
    return (Int64(expiry), String(decoding: username[(colon + 1)...], as: UTF8.self))
  }
}

/// Makes and checks nonces without remembering any (RFC 8489 §9.2): the time, and a keyed hash that ties it
/// to the client's address.
struct NonceMint {
  /// Every refusal carries one, so it is short; where the question was very small, so that the answer must be, it is
  /// shorter. What a nonce guards against is a request that somebody overheard and sends again from elsewhere.
  enum Form {
    /// 4 bytes of time and 8 of hash, in base64.
    case long
    /// 6 bits of time, in units of ``unit``, and 18 of hash.
    case short

    var characterCount: Int {
      switch self {
      case .long: 16
      case .short: 4
      }
    }
  }

  private let key: [UInt8]
  private let lifetime: Duration
  private let hashes: Hashes

  /// Seconds. 64 of them are longer than a nonce lives.
  private static let unit: UInt32 = 64

  init(key: [UInt8], lifetime: Duration, hashes: Hashes) {
    self.key = key
    self.lifetime = lifetime
    self.hashes = hashes
  }

  func mint(_ form: Form, for client: SocketAddress, at now: Instant) -> [UInt8] {
    let time = Self.time(now)
    switch form {
    case .long: return Array(Base64.encode(long(for: client, time: time)).utf8)
    case .short: return Array(Base64.encode(short(for: client, units: time / Self.unit)).utf8)
    }
  }

  func isFresh(_ nonce: [UInt8], for client: SocketAddress, at now: Instant) -> Bool {
    guard nonce.count <= Form.long.characterCount, let raw = Base64.decode(String(decoding: nonce, as: UTF8.self))
    else { return false }
    if raw.count == 12 {
      let time = UInt32(raw[0]) << 24 | UInt32(raw[1]) << 16 | UInt32(raw[2]) << 8 | UInt32(raw[3])
      return isAlive(time, now) && Hashes.constantTimeEqual(raw, long(for: client, time: time))
    }
    guard raw.count == 3 else { return false }
    let units = Self.time(now) / Self.unit
    let age = ((units & 63) &- UInt32(raw[0] >> 2)) & 63
    guard age <= units, isAlive((units - age) * Self.unit, now) else { return false }
    return Hashes.constantTimeEqual(raw, short(for: client, units: units - age))
  }

  private func isAlive(_ time: UInt32, _ now: Instant) -> Bool {
    let age = Int64(Self.time(now)) - Int64(time)
    return age >= 0 && age < lifetime.components.seconds
  }

  private static func time(_ now: Instant) -> UInt32 { UInt32(truncatingIfNeeded: now.nanoseconds / 1_000_000_000) }

  private func long(for client: SocketAddress, time: UInt32) -> [UInt8] {
    let (input, mac) = hash(.long, client, time)
    return Array(input[1..<5] + mac[..<8])
  }

  private func short(for client: SocketAddress, units: UInt32) -> [UInt8] {
    let (_, mac) = hash(.short, client, units)
    return [UInt8(truncatingIfNeeded: units & 63) << 2 | mac[0] & 3, mac[1], mac[2]]
  }

  private func hash(_ form: Form, _ client: SocketAddress, _ time: UInt32) -> (input: [UInt8], mac: [UInt8]) {
    var writer = ByteWriter(reserving: 24)
    // Other uses of the key begin with 0 and 1.
    writer.write(UInt8(form.characterCount))
    writer.write(time)
    switch client.ip {
    case .v4(let ip): writer.write(ip)
    case .v6(let high, let low, _):
      writer.write(high)
      writer.write(low)
    }
    writer.write(client.port)
    return (writer.bytes, hashes.hmacSHA256(key, writer.bytes))
  }
}
