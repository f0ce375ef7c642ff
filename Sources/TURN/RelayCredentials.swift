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
  private let key: [UInt8]
  private let lifetime: Duration
  private let hashes: Hashes

  /// 4 bytes of time and 8 of hash, in base64: short, because every refusal carries it.
  static let characterCount = 16

  init(key: [UInt8], lifetime: Duration, hashes: Hashes) {
    self.key = key
    self.lifetime = lifetime
    self.hashes = hashes
  }

  func mint(for client: SocketAddress, at now: Instant) -> [UInt8] {
    Array(Base64.encode(bytes(for: client, time: Self.time(now))).utf8)
  }

  func isFresh(_ nonce: [UInt8], for client: SocketAddress, at now: Instant) -> Bool {
    guard nonce.count == Self.characterCount, let raw = Base64.decode(String(decoding: nonce, as: UTF8.self)),
      raw.count == 12
    else { return false }
    let time = UInt32(raw[0]) << 24 | UInt32(raw[1]) << 16 | UInt32(raw[2]) << 8 | UInt32(raw[3])
    let age = Int64(Self.time(now)) - Int64(time)
    guard age >= 0, age < lifetime.components.seconds else { return false }
    return Hashes.constantTimeEqual(raw, bytes(for: client, time: time))
  }

  private static func time(_ now: Instant) -> UInt32 { UInt32(truncatingIfNeeded: now.nanoseconds / 1_000_000_000) }

  private func bytes(for client: SocketAddress, time: UInt32) -> [UInt8] {
    var writer = ByteWriter(reserving: 24)
    writer.write(time)
    switch client.ip {
    case .v4(let ip): writer.write(ip)
    case .v6(let high, let low, _):
      writer.write(high)
      writer.write(low)
    }
    writer.write(client.port)
    let mac = hashes.hmacSHA256(key, writer.bytes)
    return Array(writer.bytes[..<4] + mac[..<8])
  }
}
