public import EdgeCore

/// A hash a digest may use (RFC 7616 §3.3, RFC 8760 §2.1).
public enum DigestAlgorithm: Hashable, Sendable {
  case sha256
  /// Only for accounts that opted in to it.
  case md5

  public init?(name: String) {
    if ASCII.equalIgnoringCase(name, "SHA-256") {
      self = .sha256
    } else if ASCII.equalIgnoringCase(name, "MD5") {
      self = .md5
    } else {
      return nil
    }
  }

  public var name: String {
    switch self {
    case .sha256: "SHA-256"
    case .md5: "MD5"
    }
  }

  /// `H(A1)` of RFC 7616 §3.4.2 in lower-case hexadecimal: what a server keeps instead of a password.
  public func ha1(username: String, realm: String, password: String, _ hashes: Hashes) -> String {
    hex(Array((username + ":" + realm + ":" + password).utf8), hashes)
  }

  /// The `response` of RFC 7616 §3.4.1 for `qop=auth`.
  func response(
    ha1: String, method: Method, uri: String, nonce: String, count: String, cnonce: String, _ hashes: Hashes
  ) -> String {
    let ha2 = hex(Array((method.name + ":" + uri).utf8), hashes)
    return hex(Array((ha1 + ":" + nonce + ":" + count + ":" + cnonce + ":auth:" + ha2).utf8), hashes)
  }

  private func hex(_ bytes: [UInt8], _ hashes: Hashes) -> String {
    switch self {
    case .sha256: Hex.encode(hashes.sha256(bytes))
    case .md5: Hex.encode(hashes.md5(bytes))
    }
  }
}

/// One WWW-Authenticate or Proxy-Authenticate value of the Digest scheme (RFC 7616 §3.3).
public struct DigestChallenge: Hashable, Sendable, CustomStringConvertible {
  public var realm: String
  public var nonce: String
  public var opaque: String?
  public var algorithm: DigestAlgorithm
  public var isStale: Bool

  public init(realm: String, nonce: String, opaque: String? = nil, algorithm: DigestAlgorithm, isStale: Bool = false) {
    self.realm = realm
    self.nonce = nonce
    self.opaque = opaque
    self.algorithm = algorithm
    self.isStale = isStale
  }

  /// `nil` for another scheme, an algorithm not spoken here, a qop without `auth`, or a malformed value.
  public init?(_ text: String) {
    guard let fields = DigestParameters(text), let realm = fields["realm"], let nonce = fields["nonce"],
      let algorithm = DigestAlgorithm(name: fields["algorithm"] ?? "MD5")
    else { return nil }
    // RFC 8760 §2.6 bullet 8: "If the 'qop' parameter is not specified, then the default value is 'auth'."
    if let qop = fields["qop"] {
      let options = CommaList.split(Array(qop.utf8)[...]) ?? []
      guard options.contains(where: { ASCII.equalIgnoringCase(String(decoding: $0, as: UTF8.self), "auth") }) else {
        return nil
      }
    }
    self.init(
      realm: realm, nonce: nonce, opaque: fields["opaque"], algorithm: algorithm,
      isStale: fields["stale"].map { ASCII.equalIgnoringCase($0, "true") } ?? false)
  }

  public var description: String {
    var text = "Digest realm=" + Quoted.encode(realm) + ", nonce=" + Quoted.encode(nonce)
    if let opaque { text += ", opaque=" + Quoted.encode(opaque) }
    text += ", algorithm=" + algorithm.name + ", qop=\"auth\""
    if isStale { text += ", stale=true" }
    return text
  }
}

/// One Authorization or Proxy-Authorization value of the Digest scheme (RFC 7616 §3.4).
public struct DigestCredentials: Hashable, Sendable, CustomStringConvertible {
  public var username: String
  public var realm: String
  public var nonce: String
  public var uri: String
  public var response: String
  public var algorithm: DigestAlgorithm
  public var cnonce: String
  /// `nc`: how often the client has used the nonce, this time included.
  public var count: UInt32
  public var opaque: String?

  /// `nil` for another scheme, an algorithm not spoken here, `qop` other than `auth`, or a malformed value.
  public init?(_ text: String) {
    guard let fields = DigestParameters(text), let username = fields["username"], let realm = fields["realm"],
      let nonce = fields["nonce"], let uri = fields["uri"], let response = fields["response"],
      let algorithm = DigestAlgorithm(name: fields["algorithm"] ?? "MD5"), let cnonce = fields["cnonce"],
      let qop = fields["qop"], ASCII.equalIgnoringCase(qop, "auth"), let count = fields["nc"].flatMap(Self.count)
    else { return nil }
    self.username = username
    self.realm = realm
    self.nonce = nonce
    self.uri = uri
    self.response = response
    self.algorithm = algorithm
    self.cnonce = cnonce
    self.count = count
    opaque = fields["opaque"]
  }

  /// Answers a challenge.
  public init(
    to challenge: DigestChallenge, username: String, ha1: String, method: Method, uri: String, count: UInt32,
    cnonce: String, hashes: Hashes
  ) {
    self.username = username
    realm = challenge.realm
    nonce = challenge.nonce
    self.uri = uri
    algorithm = challenge.algorithm
    self.cnonce = cnonce
    self.count = count
    opaque = challenge.opaque
    response = algorithm.response(
      ha1: ha1, method: method, uri: uri, nonce: challenge.nonce, count: Self.text(count), cnonce: cnonce, hashes)
  }

  /// Whether the response was made with `ha1`. Takes as long for a wrong one as for the right one.
  public func isMade(with ha1: String, method: Method, hashes: Hashes) -> Bool {
    let expected = algorithm.response(
      ha1: ha1, method: method, uri: uri, nonce: nonce, count: Self.text(count), cnonce: cnonce, hashes)
    return Hashes.constantTimeEqual(Array(expected.utf8), response.utf8.map { ASCII.lowercased($0) })
  }

  public var description: String {
    var text = "Digest username=" + Quoted.encode(username) + ", realm=" + Quoted.encode(realm)
    text += ", nonce=" + Quoted.encode(nonce) + ", uri=" + Quoted.encode(uri)
    text += ", response=\"" + response + "\", algorithm=" + algorithm.name
    text += ", cnonce=" + Quoted.encode(cnonce) + ", qop=auth, nc=" + Self.text(count)
    if let opaque { text += ", opaque=" + Quoted.encode(opaque) }
    return text
  }

  /// RFC 7616 §3.4: eight hexadecimal digits.
  private static func count(_ text: String) -> UInt32? {
    guard text.utf8.count == 8, let bytes = Hex.decode(text) else { return nil }
    return bytes.reduce(0) { $0 << 8 | UInt32($1) }
  }

  private static func text(_ count: UInt32) -> String {
    Hex.encode([24, 16, 8, 0].map { UInt8(truncatingIfNeeded: count >> $0) })
  }
}

extension Message {
  /// The Digest challenges of a 401 or 407, in the server's order of preference.
  public var challenges: [DigestChallenge] {
    (values(.wwwAuthenticate) + values(.proxyAuthenticate)).compactMap { DigestChallenge($0) }
  }

  /// The Digest credentials of a request from both Authorization and Proxy-Authorization: a peer
  /// may send several (RFC 8760 §2.4), so pick by realm.
  public var credentials: [DigestCredentials] {
    (values(.authorization) + values(.proxyAuthorization)).compactMap { DigestCredentials($0) }
  }
}

/// `Digest name=value, ...` taken apart. A name that comes twice makes it malformed.
struct DigestParameters {
  private var items: [(name: String, value: String)] = []

  init?(_ text: String) {
    var scanner = FieldScanner(text)
    guard let scheme = scanner.token(), ASCII.equalIgnoringCase(scheme, "Digest"), scanner.skipSpace() else {
      return nil
    }
    repeat {
      guard items.count < Limits.parameters, let name = scanner.token(), self[name] == nil,
        scanner.skipSpaced(UInt8(ascii: "="))
      else { return nil }
      if scanner.peek() == UInt8(ascii: "\"") {
        guard let quoted = scanner.rawQuoted() else { return nil }
        items.append((name, Quoted.decode(quoted)))
      } else {
        let value = scanner.prefix { $0 > 0x20 && $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "\"") }
        items.append((name, String(decoding: value, as: UTF8.self)))
      }
    } while scanner.skipSpaced(UInt8(ascii: ","))
    guard scanner.isAtEnd else { return nil }
  }

  subscript(name: String) -> String? { items.first { ASCII.equalIgnoringCase($0.name, name) }?.value }
}
