public import EdgeCore

/// Answers the challenges of one realm, and nobody else's (RFC 7616 §3.4, RFC 8760 §2.4).
///
/// Remembers the last challenge, so that later requests carry credentials at once and cost no
/// extra round trip.
public struct DigestClient: Sendable {
  /// What to do with a 401 or 407.
  public enum Answer: Hashable, Sendable {
    /// Send the request again with ``DigestClient/authorize(_:using:)``.
    case retry
    case giveUp(Failure)
  }

  public enum Failure: Hashable, Sendable {
    /// The credentials were sent and refused.
    case badPassword
    /// Every challenge was for a realm other than ours. Answering one would hand our digest to its author.
    case foreignRealm
    /// Our realm, but no algorithm we may use.
    case noCommonAlgorithm
    case noChallenge
  }

  public let username: String
  public let realm: String
  private let password: String
  private let allowsMD5: Bool
  private let hashes: Hashes
  private var challenge: DigestChallenge?
  private var ha1 = ""
  private var count: UInt32 = 0
  private var registerField = HeaderName.authorization
  private var requestField: HeaderName?

  public init(username: String, password: String, realm: String, allowsMD5: Bool = false, hashes: Hashes) {
    self.username = username
    self.password = password
    self.realm = realm
    self.allowsMD5 = allowsMD5
    self.hashes = hashes
  }

  /// Takes the challenge out of a 401 or 407.
  ///
  /// - Parameter answered: challenges answered for this request so far. Twice at most, and the second
  ///   time only when the server says that the first nonce was stale.
  public mutating func receive(_ response: Message, answered: Int) -> Answer {
    let offered = response.challenges
    guard !response.values(.wwwAuthenticate).isEmpty || !response.values(.proxyAuthenticate).isEmpty else {
      return .giveUp(.noChallenge)
    }
    let ours = offered.filter { $0.realm == realm }
    guard !ours.isEmpty else { return .giveUp(offered.isEmpty ? .noCommonAlgorithm : .foreignRealm) }
    // RFC 8760 §2.4: "it SHOULD use the topmost header field that it supports".
    guard let chosen = ours.first(where: { $0.algorithm == .sha256 || allowsMD5 }) else {
      return .giveUp(.noCommonAlgorithm)
    }
    guard answered == 0 || (answered == 1 && chosen.isStale) else {
      challenge = nil
      return .giveUp(.badPassword)
    }
    let field: HeaderName = response.status == 407 ? .proxyAuthorization : .authorization
    if response.method == .register { registerField = field } else { requestField = field }
    if chosen.algorithm != challenge?.algorithm || ha1.isEmpty {
      ha1 = chosen.algorithm.ha1(username: username, realm: realm, password: password, hashes)
    }
    challenge = chosen
    count = 0
    return .retry
  }

  /// Puts credentials into a request, in place of older ones, if there is a challenge to answer.
  public mutating func authorize(_ request: inout Message, using random: inout some RandomNumberGenerator) {
    request.removeAll(.authorization)
    request.removeAll(.proxyAuthorization)
    guard let challenge, case .request(let method, let uri) = request.startLine, count < UInt32.max else { return }
    count += 1
    let credentials = DigestCredentials(
      to: challenge, username: username, ha1: ha1, method: method, uri: uri.description, count: count,
      cnonce: random.token(16), hashes: hashes)
    request.append(method == .register ? registerField : requestField ?? registerField, credentials.description)
  }
}
