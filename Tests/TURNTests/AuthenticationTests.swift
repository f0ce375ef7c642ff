import EdgeCore
import STUN
import SecureTransport
import TURN
import Testing

/// RFC 8489 §9.2.4 and what NAT.md's abuse rows ask of strangers.
@Suite("Relay server: who is let in")
struct AuthenticationTests {
  @Test func `a stranger gets a challenge and leaves nothing behind`() {
    let desk = RelayDesk()
    let answer = desk.ask(.allocate, [.requestedTransport(17)], on: desk.flow(), as: nil)
    #expect(answer?.code == 401)
    #expect(answer?.text(.realm) == "edge")
    #expect(answer?[.nonce]?.value.count == 4)
    #expect(answer?[.software] == nil)
    #expect(desk.sizes == [0, 0, 0, 0, 0, 0])
    #expect(desk.openRelays.isEmpty)
  }

  @Test func `integrity without a username, realm or nonce is a bad request`() {
    let desk = RelayDesk()
    let user = desk.credentials()
    let nonce = desk.nonce(desk.flow())
    let all = [Attribute(.username, user.username), Attribute(.realm, "edge"), Attribute(.nonce, nonce)]
    for missing in all.indices {
      var attributes = [Attribute.requestedTransport(17)] + all
      attributes.remove(at: missing + 1)
      let message = STUNMessage(
        .request, .allocate, transaction: TransactionID(high: 1, low: UInt64(missing)), attributes: attributes)
      desk.receive(message.serialized(integrity: .sha1(key: desk.key(user)), hashes: .openSSL), desk.flow())
      let answer = parse(desk.sent.last?.bytes ?? [])
      #expect(answer?.message.code == 400)
      #expect(answer?.message[.realm] == nil && answer?.hasIntegrity == false)
    }
    #expect(desk.sizes[0] == 0)
  }

  @Test func `expired, foreign and forged credentials are refused`() {
    let desk = RelayDesk()
    let good = desk.credentials()
    let users = [
      desk.credentials(valid: 0), desk.credentials(valid: -1),
      RelayCredentials(username: good.username, password: "guess"),
      RelayCredentials(username: "\(RelayDesk.unixTime + 9000):s1", password: good.password),
      RelayCredentials(username: "alice", password: good.password),
      RelayCredentials(username: "99999999999999999999:x", password: "y"),
      RelayCredentials(username: "1900000000:", password: "y"),
      .issue(
        session: "s1", expiry: RelayDesk.unixTime + 600, secret: Array("another secret".utf8), hashes: .openSSL),
    ]
    for user in users {
      let answer = desk.ask(.allocate, [.requestedTransport(17)], on: desk.flow(), as: user)
      #expect(answer?.code == 401, "\(user.username)")
    }
    #expect(desk.sizes == [0, 0, 0, 0, 0, 0])
    #expect(desk.allocate(on: desk.flow())?.isSuccess == true)
  }

  @Test func `credentials of the secret before are good while it is kept`() {
    let desk = RelayDesk { $0.secrets = [Array("new".utf8), RelayDesk.secret] }
    #expect(desk.allocate(on: desk.flow())?.isSuccess == true)
  }

  /// The form of coturn's REST API, worked out with `printf '1800000600:s1' | openssl dgst -sha1 -hmac ... -binary | base64`.
  @Test func `credentials have the form other relays take`() {
    let user = RelayCredentials.issue(
      session: "s1", expiry: 1_800_000_600, secret: Array("north".utf8), hashes: .openSSL)
    #expect(user.username == "1800000600:s1")
    #expect(user.password == Base64.encode(Hashes.openSSL.hmacSHA1(Array("north".utf8), Array("1800000600:s1".utf8))))
    #expect(user.password.utf8.count == 28)
  }

  @Test func `a nonce that ran out is answered with one that works`() {
    let desk = RelayDesk()
    let old = desk.nonce(desk.flow())
    desk.advance(.seconds(3001))
    let user = desk.credentials(valid: 9000)
    let answer = desk.ask(.allocate, [.requestedTransport(17)], on: desk.flow(), as: user, nonce: old)
    #expect(answer?.code == 438)
    let fresh = answer?[.nonce]?.value
    #expect(fresh != nil && fresh != old)
    let second = desk.ask(.allocate, [.requestedTransport(17)], on: desk.flow(), as: user, nonce: fresh)
    #expect(second?.isSuccess == true)
  }

  @Test func `a nonce is good for one address only`() {
    let desk = RelayDesk()
    let nonce = desk.nonce(desk.flow(1))
    let other = desk.ask(.allocate, [.requestedTransport(17)], on: desk.flow(2), as: desk.credentials(), nonce: nonce)
    #expect(other?.code == 438)
    var tampered = nonce
    tampered[0] ^= 1
    let forged = desk.ask(
      .allocate, [.requestedTransport(17)], on: desk.flow(1), as: desk.credentials(), nonce: tampered)
    #expect(forged?.code == 438)
  }

  @Test func `unknown attributes are named after authentication, in a signed answer`() {
    let desk = RelayDesk()
    let unknown = Attribute(AttributeType(rawValue: 0x7777), [1, 2, 3])
    let optional = Attribute(AttributeType(rawValue: 0xC777), [1])
    #expect(desk.ask(.allocate, [.requestedTransport(17), unknown], on: desk.flow(), as: nil)?.code == 401)
    let answer = desk.allocate([unknown, optional], on: desk.flow())
    #expect(answer?.code == 420)
    #expect(answer?.unknownAttributes == [unknown.type])
    #expect(desk.allocate([optional], on: desk.flow())?.isSuccess == true)
  }

  @Test func `every answer to a known user is signed with its key`() throws {
    let desk = RelayDesk()
    let user = desk.credentials()
    for attributes in [[Attribute.requestedTransport(6)], [.requestedTransport(17)], []] {
      desk.receive(desk.request(.allocate, attributes, on: desk.flow(), as: user), desk.flow())
      let bytes = desk.sent.popLast()?.bytes
      let answer = try #require(parse(bytes ?? []))
      #expect(answer.verify(key: desk.key(user), hashes: .openSSL))
      #expect(answer.message[.nonce] == nil && answer.message[.realm] == nil && answer.message[.username] == nil)
    }
  }

  @Test func `password algorithms that were not offered are a bad request`() {
    let desk = RelayDesk()
    let algorithm = Attribute(.passwordAlgorithm, [0, 2, 0, 0])
    #expect(desk.allocate([algorithm], on: desk.flow())?.code == 400)
  }

  /// What a server compares that an attacker may choose: integrity and nonces. Each goes through this.
  @Test func `a comparison in constant time finds a difference at every place`() {
    let right = (0..<20).map { UInt8($0) }
    #expect(Hashes.constantTimeEqual(right, right) && Hashes.constantTimeEqual([], []))
    for place in right.indices {
      for bit in 0..<8 {
        var wrong = right
        wrong[place] ^= 1 << bit
        #expect(!Hashes.constantTimeEqual(right, wrong))
      }
    }
    #expect(!Hashes.constantTimeEqual(right, Array(right.dropLast())) && !Hashes.constantTimeEqual([], right))
  }

  // MARK: Reflection

  @Test func `no answer to a stranger is more than 1.6 times the question, or 1.3 times on the wire`() {
    let desk = RelayDesk()
    let ipAndUDP = 28
    let methods: [Method] = [.allocate, .refresh, .createPermission, .channelBind, .binding, Method(rawValue: 0xABC)]
    var largest = (payload: 0.0, wire: 0.0)
    for method in methods {
      for padding in stride(from: 0, through: 64, by: 4) {
        var attributes: [Attribute] = []
        if padding >= 4 {
          attributes = [Attribute(AttributeType(rawValue: 0x8F00), Array(repeating: 0, count: padding - 4))]
        }
        let question = desk.request(method, attributes, on: desk.flow(padding), as: nil)
        desk.receive(question, desk.flow(padding))
        for answer in desk.sent {
          let payload = Double(answer.bytes.count) / Double(question.count)
          let wire = Double(answer.bytes.count + ipAndUDP) / Double(question.count + ipAndUDP)
          largest = (max(largest.payload, payload), max(largest.wire, wire))
        }
        #expect(desk.sent.count <= 1)
        desk.sent = []
      }
    }
    #expect(largest.payload <= 1.6 && largest.payload > 1.5, "\(largest)")
    #expect(largest.wire <= 1.35, "\(largest)")
  }

  @Test func `the smallest Allocate there is gets a challenge, with a nonce that works`() throws {
    let desk = RelayDesk()
    let bare = desk.request(.allocate, [.requestedTransport(17)], on: desk.flow(), as: nil)
    desk.receive(bare, desk.flow())
    let answer = try #require(desk.sent.first)
    #expect(bare.count == 28 && answer.bytes.count == 44)
    let nonce = try #require(parse(answer.bytes)?.message[.nonce]?.value)
    desk.sent = []
    #expect(nonce.count == 4)
    // For nearly as long as any nonce, and never from another address or when it has run out.
    for step in [0, 1, 63, 64, 2800] {
      desk.advance(.seconds(step))
      #expect(desk.probe(nonce, on: desk.flow()) != 438, "\(step)")
      #expect(desk.probe(nonce, on: desk.flow(2)) == 438, "\(step)")
    }
    desk.advance(.seconds(200))
    for _ in 0..<80 {
      #expect(desk.probe(nonce, on: desk.flow()) == 438)
      desk.advance(.seconds(64))
    }
  }

  @Test func `a source address is answered ten times a second, and a stream always`() {
    let desk = RelayDesk()
    for _ in 0..<1000 {
      desk.now = desk.now + .milliseconds(10)
      desk.receive(desk.request(.allocate, [.requestedTransport(17)], on: desk.flow(), as: nil), desk.flow())
    }
    // Ten seconds, and what was saved up before.
    #expect((100...121).contains(desk.sent.count))
    #expect(desk.statistics.suppressed > 800)
    desk.sent = []
    // Ports of one address share the limit; another address has its own.
    let port = ClientFlow(.udp, link: 0, client: SocketAddress("198.51.100.1:9")!, server: RelayDesk.address)
    desk.receive(desk.request(.allocate, [.requestedTransport(17)], on: port, as: nil), port)
    #expect(desk.sent.count <= 1)
    desk.sent = []
    desk.receive(desk.request(.allocate, [.requestedTransport(17)], on: desk.flow(2), as: nil), desk.flow(2))
    #expect(desk.sent.count == 1)
    desk.sent = []
    for _ in 0..<100 {
      desk.receive(desk.request(.refresh, [], on: desk.flow(3, .tcp), as: nil), desk.flow(3, .tcp))
    }
    #expect(desk.sent.count == 100)
  }

  @Test func `a flood of forged requests moves no table`() {
    let desk = RelayDesk()
    var random = SeededRandom(seed: 3)
    let user = RelayCredentials(username: "1900000000:s1", password: "forged")
    let signed = desk.request(.allocate, [.requestedTransport(17)], on: desk.flow(), as: user)
    let bare = desk.request(.allocate, [.requestedTransport(17)], on: desk.flow(), as: nil)
    var answered = 0
    for index in 0..<20_000 {
      let client = SocketAddress(.v4(UInt32(truncatingIfNeeded: random.next())), port: UInt16(index % 65_536))
      let flow = ClientFlow(.udp, link: 0, client: client, server: RelayDesk.address)
      desk.receive(index % 8 == 0 ? signed : bare, flow)
      answered += desk.sent.count
      desk.sent = []
    }
    #expect(desk.sizes == [0, 0, 0, 0, 0, 0])
    #expect(desk.openRelays.isEmpty && desk.events.isEmpty && answered > 0)
  }

  @Test func `an allocation outlives the time of its credentials, a new one does not begin`() {
    let desk = RelayDesk()
    let user = desk.credentials(valid: 300)
    #expect(desk.allocate(on: desk.flow(), as: user)?.isSuccess == true)
    desk.advance(.seconds(400))
    #expect(desk.ask(.refresh, [], on: desk.flow(), as: user)?.isSuccess == true)
    #expect(desk.allocate(on: desk.flow(2), as: user)?.code == 401)
  }
}
