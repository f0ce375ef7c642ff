import EdgeCore
import STUN
import SecureTransport
import Testing

@Suite("STUN Binding")
struct BindingTests {
  typealias Client = BindingClient<SeededRandom>
  let server = SocketAddress(.v4(0xCB00_710A), port: 3478)
  let seen = SocketAddress(.v4(0xCB00_7165), port: 40000)
  let id = TransactionID(high: 1, low: 2)

  func answer(_ bytes: [UInt8], from source: SocketAddress? = nil) -> [UInt8]? {
    BindingResponder.answer(to: bytes.span.bytes, from: source ?? seen)
  }

  func parse(_ bytes: [UInt8]) throws -> ReceivedMessage { try ReceivedMessage(parsing: bytes.span.bytes) }

  func request(_ attributes: [Attribute] = []) -> STUNMessage {
    STUNMessage(.request, .binding, transaction: id, attributes: attributes)
  }

  @Test func `an answer is at most 12 bytes larger than the request for IPv4`() throws {
    let unknown = AttributeType(rawValue: 0x7001)
    for attributes in [[], [Attribute(.priority, UInt32(1))], [.init(unknown, "")], [.init(.changeRequest, UInt32(6))]]
    {
      for fingerprint in [false, true] {
        let bytes = request(attributes).serialized(fingerprint: fingerprint)
        let reply = try #require(answer(bytes))
        #expect(reply.count <= bytes.count + 12)
        #expect(try parse(reply).hasFingerprint == fingerprint)
      }
    }
  }

  @Test func `the answer holds the source, v4-mapped ones as IPv4`() throws {
    let mapped = SocketAddress(.v6(high: 0, low: 0xFFFF_CB00_7165, scope: 0), port: 40000)
    let reply = try #require(answer(request().serialized(), from: mapped))
    #expect(try parse(reply).message.mappedAddress == seen)
  }

  @Test func `unknown required attributes are listed once in a 420`() throws {
    let (a, b) = (AttributeType(rawValue: 0x7001), AttributeType(rawValue: 0x7002))
    let bytes = request([.init(a, "x"), .init(b, ""), .init(a, ""), .init(AttributeType(rawValue: 0x9001), "")])
    let reply = try parse(#require(answer(bytes.serialized()))).message
    #expect(reply.type == MessageType(.failure, .binding))
    #expect(reply.errorCode == .unknownAttribute)
    #expect(reply.unknownAttributes == [a, b])
  }

  @Test func `integrity without a user name and broken attributes are bad requests`() throws {
    let anonymous = request().serialized(integrity: .sha1(key: [1]), hashes: .openSSL)
    var broken = request([.init(.username, "abcd")]).serialized()
    broken[23] = 200
    for bytes in [anonymous, broken] {
      let reply = try parse(#require(answer(bytes))).message
      #expect(reply.errorCode == .badRequest)
      #expect(reply.transaction == id)
    }
  }

  @Test func `responses, indications, other methods and noise get silence`() {
    #expect(answer(Vectors.responseV4) == nil)
    #expect(answer(STUNMessage(.indication, .binding, transaction: id).serialized()) == nil)
    #expect(answer(STUNMessage(.request, Method(rawValue: 3), transaction: id).serialized()) == nil)
    #expect(answer([]) == nil)
    #expect(answer(Array("OPTIONS sip:a SIP/2.0\r\n".utf8)) == nil)
    var wrong = request().serialized(fingerprint: true)
    wrong[wrong.count - 1] ^= 1
    #expect(answer(wrong) == nil)
  }

  @Test func `a client learns its address, notices a change, and gives up on silence`() throws {
    var client = Client(.init(server: server, repeatInterval: .seconds(25)), random: SeededRandom(seed: 1))
    var out = Outbox<Client.Event>()
    var now = Instant.zero
    client.start(at: now, into: &out)

    func reply(as address: SocketAddress, after delay: Duration) throws {
      let bytes = try #require(out.datagrams.last).bytes
      out.removeAll()
      now = now + delay
      let answered = try #require(answer(bytes, from: address))
      #expect(client.receive(answered.span.bytes, from: server, at: now, into: &out) == true)
    }
    try reply(as: seen, after: .milliseconds(30))
    #expect(out.events == [.mapped(seen, roundTrip: .milliseconds(30))])

    now = client.nextDeadline ?? now
    #expect((.seconds(20)...(.seconds(25) + .milliseconds(30))).contains(now - .zero))
    client.tick(at: now, into: &out)
    try reply(as: seen, after: .milliseconds(10))
    #expect(out.events == [.alive(roundTrip: .milliseconds(10))])

    let other = SocketAddress(seen.ip, port: 40001)
    now = client.nextDeadline ?? now
    client.tick(at: now, into: &out)
    try reply(as: other, after: .milliseconds(10))
    #expect(out.events == [.changed(from: seen, to: other, roundTrip: .milliseconds(10))])

    out.removeAll()
    while let deadline = client.nextDeadline { client.tick(at: deadline, into: &out) }
    #expect(out.datagrams.count == 7)
    #expect(out.events == [.failed(.silent)])
  }

  @Test func `answers of strangers, to other requests, or seen before are not the client's`() throws {
    var client = Client(.init(server: server), random: SeededRandom(seed: 2))
    var out = Outbox<Client.Event>()
    client.start(at: .zero, into: &out)
    let good = try #require(answer(out.datagrams[0].bytes))
    out.removeAll()
    #expect(client.receive(good.span.bytes, from: seen, at: .zero, into: &out) == false)
    let stranger = try #require(answer(request().serialized()))
    #expect(client.receive(stranger.span.bytes, from: server, at: .zero, into: &out) == false)
    #expect(out.isEmpty)
    #expect(client.receive(good.span.bytes, from: server, at: .zero, into: &out) == true)
    #expect(client.receive(good.span.bytes, from: server, at: .zero, into: &out) == true)
    #expect(out.events.count == 1)
    let deadline = client.nextDeadline
    #expect(deadline == nil)
  }

  @Test func `a refusal ends the asking`() {
    var client = Client(.init(server: server, repeatInterval: .seconds(25)), random: SeededRandom(seed: 3))
    var out = Outbox<Client.Event>()
    client.start(at: .zero, into: &out)
    let sent = out.datagrams[0].bytes
    guard let header = try? STUNHeader(parsing: sent.span.bytes) else { return }
    let refusal = STUNMessage(
      .failure, .binding, transaction: header.transaction, attributes: [.errorCode(.unauthenticated)]
    ).serialized()
    #expect(client.receive(refusal.span.bytes, from: server, at: .zero, into: &out) == true)
    #expect(out.events == [.failed(.refused(.unauthenticated))])
    let deadline = client.nextDeadline
    #expect(deadline == nil)
  }
}
