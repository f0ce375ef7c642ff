import EdgeCore
import SIP
import SecureTransport
import Testing

@Suite("Digest")
struct DigestTests {
  let hashes = Hashes.openSSL

  /// RFC 7616 §3.9.1.
  @Test(arguments: [
    ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
  ])
  func `the worked example of RFC 7616`(name: String, response: String) throws {
    let text =
      "Digest username=\"Mufasa\",\trealm=\"http-auth@example.org\", uri=\"/dir/index.html\", algorithm=\(name), "
      + "nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, "
      + "cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, response=\"\(response)\", "
      + "opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
    let credentials = try #require(DigestCredentials(text))
    let ha1 = credentials.algorithm.ha1(
      username: "Mufasa", realm: "http-auth@example.org", password: "Circle of Life", hashes)
    #expect(credentials.isMade(with: ha1, method: Method("GET"), hashes: hashes))
    #expect(!credentials.isMade(with: ha1, method: Method("PUT"), hashes: hashes))
    #expect(DigestCredentials(credentials.description) == credentials)
    let challenge = DigestChallenge(
      realm: credentials.realm, nonce: credentials.nonce, opaque: credentials.opaque, algorithm: credentials.algorithm)
    let made = DigestCredentials(
      to: challenge, username: "Mufasa", ha1: ha1, method: Method("GET"), uri: "/dir/index.html", count: 1,
      cnonce: credentials.cnonce, hashes: hashes)
    #expect(made == credentials)
  }

  @Test(arguments: [
    "", "Digest", "Basic realm=\"a\"", "Digest realm=\"a\"", "Digest realm=\"a\", nonce=\"b\", nonce=\"c\"",
    "Digest realm=\"a\", nonce=\"b\", qop=\"auth-int\"", "Digest realm=\"a\", nonce=\"b\", algorithm=SHA-512-256",
    "Digest realm=\"a, nonce=\"b\"", "Digest realm=\"a\" nonce=\"b\"", "Digest realm=\"a\", nonce=\"b\",",
    "NoOneKnowsThisScheme opaque-data=here",
  ])
  func `a challenge not understood is none`(text: String) {
    #expect(DigestChallenge(text) == nil)
  }

  static let account = "gate-box"
  static let uri = URI("sip:rv.example.org")!

  func server(lifetime: Duration = .seconds(60), capacity: Int = 100) -> DigestServer {
    DigestServer(
      realm: "rv.example.org", hashes: hashes, key: [UInt8](repeating: 7, count: 32), lifetime: lifetime,
      capacity: capacity)
  }

  func client(password: String = "secret", md5: Bool = false) -> DigestClient {
    DigestClient(
      username: Self.account, password: password, realm: "rv.example.org", allowsMD5: md5, hashes: hashes)
  }

  func ha1(_ algorithm: DigestAlgorithm = .sha256) -> String {
    algorithm.ha1(username: Self.account, realm: "rv.example.org", password: "secret", hashes)
  }

  func refusal(_ challenges: DigestChallenge...) -> Message {
    var response = Message(.response(401, reason: "Unauthorized"))
    response.cseq = CSeq(1, .register)
    for challenge in challenges { response.append(.wwwAuthenticate, challenge.description) }
    return response
  }

  func request(_ client: inout DigestClient, _ random: inout SeededRandom) -> DigestCredentials? {
    var request = Message(request: .register, Self.uri)
    client.authorize(&request, using: &random)
    return request.credentials.first
  }

  @Test func `a challenge is answered, and later requests carry credentials at once`() throws {
    var (server, client, random) = (server(), client(), SeededRandom(seed: 1))
    #expect(request(&client, &random) == nil)
    #expect(client.receive(refusal(server.challenge(at: .zero, using: &random)), answered: 0) == .retry)
    for count in 1...3 as ClosedRange<UInt32> {
      let credentials = try #require(request(&client, &random))
      #expect(credentials.count == count)
      #expect(server.judge(credentials, method: .register, ha1: ha1(), at: .zero + .seconds(1)) == .accepted)
      // RFC 7616 §5.5: the same again is a replay.
      #expect(server.judge(credentials, method: .register, ha1: ha1(), at: .zero + .seconds(1)) == .replayed)
    }
  }

  @Test func `requests that overtake each other are accepted once each`() throws {
    var (server, client, random) = (server(), client(), SeededRandom(seed: 2))
    _ = client.receive(refusal(server.challenge(at: .zero, using: &random)), answered: 0)
    var all = try (0..<70).map { _ in try #require(request(&client, &random)) }
    all.swapAt(10, 40)
    let last = all.removeLast()
    #expect(server.judge(last, method: .register, ha1: ha1(), at: .zero) == .accepted)
    let verdicts = all.map { server.judge($0, method: .register, ha1: ha1(), at: .zero) }
    // Counts 1 to 6 are more than 63 behind 70.
    let tooOld = all.map { $0.count <= 6 }
    #expect(verdicts == tooOld.map { $0 ? .replayed : .accepted })
  }

  @Test func `an old nonce is stale for the right password and wrong for the wrong one`() throws {
    var (server, client, random) = (server(), client(), SeededRandom(seed: 3))
    _ = client.receive(refusal(server.challenge(at: .zero, using: &random)), answered: 0)
    let credentials = try #require(request(&client, &random))
    #expect(server.judge(credentials, method: .register, ha1: ha1(), at: .zero + .seconds(61)) == .stale)
    var wrong = credentials
    wrong.response = String(wrong.response.reversed())
    #expect(server.judge(wrong, method: .register, ha1: ha1(), at: .zero + .seconds(61)) == .refused(.wrongResponse))
    #expect(server.judge(credentials, method: .register, ha1: nil, at: .zero) == .refused(.algorithm))
  }

  @Test func `a nonce that was not made here or was altered is foreign`() throws {
    var (server, client, random) = (server(), client(), SeededRandom(seed: 4))
    let challenge = server.challenge(at: .zero, using: &random)
    _ = client.receive(refusal(challenge), answered: 0)
    let credentials = try #require(request(&client, &random))
    var bytes = try #require(Base64.decode(challenge.nonce))
    for index in bytes.indices {
      bytes[index] ^= 1
      var altered = credentials
      altered.nonce = Base64.encode(bytes)
      #expect(server.judge(altered, method: .register, ha1: ha1(), at: .zero) == .refused(.foreignNonce))
      bytes[index] ^= 1
    }
    for nonce in ["", "x", String(repeating: "A", count: 44), String(repeating: "A", count: 5000)] {
      var altered = credentials
      altered.nonce = nonce
      #expect(!server.recognises(altered))
    }
  }

  @Test func `forgetting a nonce does not open a replay`() throws {
    var (server, random) = (server(lifetime: .seconds(1000), capacity: 4), SeededRandom(seed: 5))
    var seen: [DigestCredentials] = []
    for second in 0..<20 {
      var client = client()
      let now = Instant.zero + .seconds(second)
      _ = client.receive(refusal(server.challenge(at: now, using: &random)), answered: 0)
      let credentials = try #require(request(&client, &random))
      #expect(server.judge(credentials, method: .register, ha1: ha1(), at: now) == .accepted)
      seen.append(credentials)
    }
    for credentials in seen {
      #expect(server.judge(credentials, method: .register, ha1: ha1(), at: .zero + .seconds(20)) != .accepted)
    }
  }

  @Test func `only the configured realm is answered`() {
    var (client, random) = (client(), SeededRandom(seed: 6))
    let foreign = DigestChallenge(realm: "evil.example", nonce: "n", algorithm: .sha256)
    #expect(client.receive(refusal(foreign), answered: 0) == .giveUp(.foreignRealm))
    #expect(request(&client, &random) == nil)
    let ours = DigestChallenge(realm: "rv.example.org", nonce: "m", algorithm: .sha256)
    #expect(client.receive(refusal(foreign, ours), answered: 0) == .retry)
    #expect(request(&client, &random)?.nonce == "m")
  }

  @Test func `MD5 is answered only where it was asked for`() {
    let md5 = DigestChallenge(realm: "rv.example.org", nonce: "n", algorithm: .md5)
    var plain = client()
    #expect(plain.receive(refusal(md5), answered: 0) == .giveUp(.noCommonAlgorithm))
    var opted = client(md5: true)
    #expect(opted.receive(refusal(md5), answered: 0) == .retry)
  }

  @Test func `a challenge is answered twice at most, and the second time only when stale`() {
    let fresh = DigestChallenge(realm: "rv.example.org", nonce: "a", algorithm: .sha256)
    let stale = DigestChallenge(realm: "rv.example.org", nonce: "b", algorithm: .sha256, isStale: true)
    var client = client()
    #expect(client.receive(refusal(fresh), answered: 1) == .giveUp(.badPassword))
    #expect(client.receive(refusal(stale), answered: 1) == .retry)
    #expect(client.receive(refusal(stale), answered: 2) == .giveUp(.badPassword))
    #expect(client.receive(Message(.response(401, reason: "x")), answered: 0) == .giveUp(.noChallenge))
  }
}
