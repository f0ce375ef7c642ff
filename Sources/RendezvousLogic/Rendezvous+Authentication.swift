import EdgeCore
import SIP

// Who is asking (RFC 3261 §22, RFC 7616, RFC 8760).
extension Rendezvous {
  /// In which role a request is refused: a proxy asks with 407, everybody else with 401.
  enum Role {
    case registrar
    case server
    case proxy

    var status: StatusCode { self == .proxy ? 407 : 401 }
    var field: HeaderName { self == .proxy ? .proxyAuthenticate : .wwwAuthenticate }
  }

  /// The account that sent a request, or `nil` once it has been challenged or refused.
  ///
  /// Over a connection one proof holds for as long as the connection does. A datagram proves nothing
  /// about the next one, so there each request is proven by itself.
  func authenticate(_ request: Message, on flow: Flow, _ role: Role) -> String? {
    // The offline service is a part of this server: it speaks for those whose messages it brings.
    if flow == Self.serviceFlow { return request.from?.uri.decodedUser }
    guard let claimed = claimedAccount(of: request, role, on: flow) else {
      challenge(request, role, for: nil, on: flow)
      return nil
    }
    if flow.transport.isReliable, flows[flow]?.carries(claimed) == true, directory.accounts[claimed] != nil {
      return claimed
    }
    guard !failures.isExhausted(flow.remote.ip, at: now) else {
      // Guessing from this address has used up its share: what is asked meanwhile is not even judged.
      counters.limited &+= 1
      if flow.transport.isReliable { loseFlow(flow, because: "limited", close: true) }
      return nil
    }
    guard let credentials = request.credentials.first(where: { $0.realm == configuration.domain }) else {
      challenge(request, role, for: claimed, on: flow)
      return nil
    }
    return judge(credentials, request, role, claimed, on: flow)
  }

  private func judge(
    _ credentials: DigestCredentials, _ request: Message, _ role: Role, _ claimed: String, on flow: Flow
  ) -> String? {
    let account = directory.accounts[credentials.username]
    let ha1 = credentials.algorithm == .sha256 ? account?.ha1SHA256 : account?.ha1MD5
    let method = request.method ?? .options
    switch digest.judge(credentials, method: method, ha1: ha1, at: now) {
    case .accepted:
      // The name in From is what the far end is told: it must be the name that was proven.
      guard credentials.username == claimed else {
        log(.warning, "identity-refused", ("account", credentials.username), ("flow", "\(flow)"))
        answer(request, 403, on: flow)
        return nil
      }
      if flow.transport.isReliable { flows[flow]?.admit(claimed) }
      return claimed
    case .stale, .replayed, .refused(.foreignNonce), .refused(.otherRealm):
      // A nonce from before a restart is the server's doing, not a wrong password.
      challenge(request, role, for: claimed, isStale: true, on: flow)
    case .refused(.wrongResponse), .refused(.algorithm):
      // An unknown account ends here as well, by the same road and after the same work.
      counters.wrongPasswords &+= 1
      _ = failures.allows(flow.remote.ip, at: now)
      log(.warning, "wrong-password", ("account", Self.printable(credentials.username)), ("flow", "\(flow)"))
      challenge(request, role, for: claimed, on: flow)
    }
    return nil
  }

  /// The account a request is from: of a REGISTER the one it registers (RFC 3261 §10.2), else its From.
  private func claimedAccount(of request: Message, _ role: Role, on flow: Flow) -> String? {
    let uri = role == .registrar ? request.to?.uri : request.from?.uri
    guard let uri, uri.isSIP, isHere(uri, on: flow), let name = uri.decodedUser, Directory.isName(name) else {
      return nil
    }
    return name
  }

  /// One algorithm per challenge: peers that know only MD5 fail at a list that begins with another,
  /// and some at any list. Who is unknown is asked for SHA-256, as almost everybody is.
  private func challenge(
    _ request: Message, _ role: Role, for account: String?, isStale: Bool = false, on flow: Flow
  ) {
    counters.challenges &+= 1
    let isOld = account.flatMap { directory.accounts[$0] }?.ha1MD5 != nil
    let challenge = digest.challenge(isOld ? .md5 : .sha256, stale: isStale, at: now, using: &random)
    respond(to: request, role.status, on: flow) { $0.append(role.field, challenge.description) }
  }

  /// A name from the network, fit for a log line.
  static func printable(_ text: String) -> String {
    let bytes = text.utf8.prefix(64).map {
      (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\"") ? $0 : UInt8(ascii: "?")
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
