import EdgeCore
import STUN
import SecureTransport
import Testing

@Suite("STUN message")
struct MessageTests {
  let hashes = Hashes.openSSL
  let id = TransactionID(high: 1, low: 2)

  func parse(_ bytes: [UInt8]) throws(STUNError) -> ReceivedMessage { try ReceivedMessage(parsing: bytes.span.bytes) }

  @Test(arguments: UInt64(0)..<200)
  func `what is written is read back the same`(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    var message = STUNMessage(
      MessageType(
        [.request, .indication, .success, .failure][Int(random.next() % 4)],
        Method(rawValue: UInt16(random.next() & 0xFFF))), transaction: TransactionID(using: &random))
    let forbidden: [AttributeType] = [.messageIntegrity, .messageIntegritySHA256, .fingerprint]
    for _ in 0..<Int(random.next() % 20) {
      let type = AttributeType(rawValue: UInt16(truncatingIfNeeded: random.next()))
      guard !forbidden.contains(type) else { continue }
      message.attributes.append(Attribute(type, random.bytes(Int(random.next() % 40))))
    }
    let key = random.bytes(20)
    for integrity: STUNMessage.Integrity in [.none, .sha1(key: key), .sha256(key: key), .both(key: key)] {
      for fingerprint in [false, true] {
        let bytes = message.serialized(integrity: integrity, fingerprint: fingerprint, hashes: hashes)
        let received = try parse(bytes)
        #expect(received.message == message, "seed \(seed)")
        #expect(received.hasFingerprint == fingerprint)
        #expect(received.hasIntegrity == (integrity != .none))
        #expect(received.verify(key: key, hashes: hashes) == (integrity != .none))
      }
    }
  }

  @Test func `every class and method survives the interleaving`() throws {
    var bytes = STUNMessage(.request, .binding, transaction: id).serialized()
    for wire in stride(from: UInt16(0), to: 0x4000, by: 61) {
      bytes[0] = UInt8(wire >> 8)
      bytes[1] = UInt8(truncatingIfNeeded: wire)
      #expect(try parse(bytes).message.serialized() == bytes)
    }
  }

  @Test(arguments: ["0.0.0.0:0", "255.255.255.255:65535", "192.0.2.1:5", "[::]:0", "[2001:db8::1]:4660"])
  func `an address is the same after the way through plain and XOR form`(text: String) throws {
    let address = try #require(SocketAddress(text))
    #expect(Attribute.address(.mappedAddress, address).addressValue == address)
    let hidden = Attribute.xorAddress(.xorMappedAddress, address, transaction: id)
    #expect(hidden.xorAddressValue(transaction: id) == address)
  }

  @Test func `attributes behind the integrity are ignored and those that repeat count once`() throws {
    let key: [UInt8] = [7]
    var bytes = STUNMessage(
      .request, .binding, transaction: id, attributes: [.init(.username, "first"), .init(.username, "second")]
    ).serialized(integrity: .sha1(key: key), hashes: hashes)
    bytes += [0x00, 0x25, 0x00, 0x00]  // USE-CANDIDATE nobody vouches for
    bytes[3] += 4
    let received = try parse(bytes)
    #expect(received.message[.useCandidate] == nil)
    #expect(received.message.text(.username) == "first")
    #expect(received.verify(key: key, hashes: hashes))
  }

  @Test func `a wrong SHA-256 is not excused by a right SHA-1`() throws {
    let message = STUNMessage(.request, .binding, transaction: id)
    var bytes = message.serialized(integrity: .both(key: [1]), hashes: hashes)
    #expect(try parse(bytes).verify(key: [1], hashes: hashes))
    bytes[bytes.count - 1] ^= 1
    #expect(try !parse(bytes).verify(key: [1], hashes: hashes))
  }

  @Test func `each defect has its name and place`() throws {
    let good = STUNMessage(.request, .binding, transaction: id, attributes: [.init(.username, "abcd")]).serialized()
    func failure(_ change: (inout [UInt8]) -> Void) -> STUNError? {
      var bytes = good
      change(&bytes)
      do throws(STUNError) {
        _ = try parse(bytes)
        return nil
      } catch {
        return error
      }
    }
    #expect(failure { $0[0] = 0x40 } == .notSTUN(.leadingBits))
    #expect(failure { $0[4] = 0 } == .notSTUN(.magicCookie))
    #expect(failure { $0[3] = 7 } == .malformed(.lengthNotPadded, offset: 2))
    #expect(failure { $0[3] = 4 } == .malformed(.lengthMismatch, offset: 2))
    #expect(failure { $0[23] = 5 } == .malformed(.attributeOverrun, offset: 20))
    #expect(failure { $0.removeLast(14) } == .truncated(offset: 12, wanted: 8))
    #expect(
      failure {
        $0.append(contentsOf: [0x80, 0x28, 0, 4, 0, 0, 0, 0]); $0[3] += 8
      }
        == .malformed(.fingerprintMismatch, offset: 28))
    let many = STUNMessage(
      .request, .binding, transaction: id, attributes: Array(repeating: .init(.software, ""), count: 65))
    #expect(throws: STUNError.malformed(.tooManyAttributes, offset: 20 + 64 * 4)) { try parse(many.serialized()) }
  }

  @Test func `a fingerprint that is not last is refused`() throws {
    var bytes = STUNMessage(.request, .binding, transaction: id).serialized(fingerprint: true)
    bytes += [0x80, 0x22, 0, 0]
    bytes[3] += 4
    #expect(throws: STUNError.self) { try parse(bytes) }
  }

  @Test(arguments: [
    (UInt8(0), MuxedProtocol.stun), (3, .stun), (4, .unknown), (15, .unknown), (16, .zrtp), (19, .zrtp), (20, .dtls),
    (63, .dtls), (64, .turnChannel), (79, .turnChannel), (80, .unknown), (127, .unknown), (128, .rtp), (191, .rtp),
    (192, .unknown), (255, .unknown),
  ])
  func `the first byte tells the protocol`(first: UInt8, expected: MuxedProtocol) {
    let bytes = [first, 1, 2, 3]
    #expect(MuxedProtocol(of: bytes.span.bytes) == expected)
    let none: [UInt8] = []
    #expect(MuxedProtocol(of: none.span.bytes) == .unknown)
  }
}

@Suite("STUN client transaction")
struct ClientTransactionTests {
  /// RFC 8489 §6.2.1 works this schedule out for an RTO of 500 ms.
  @Test func `an unanswered request is sent seven times and fails at 39.5 s`() {
    var transaction = ClientTransaction.unsent(.init())
    var sends: [Duration] = []
    var failedAt: Duration?
    while let deadline = transaction.nextDeadline {
      switch transaction.tick(at: deadline) {
      case .send: sends.append(deadline - .zero)
      case .fail: failedAt = deadline - .zero
      case .none: Issue.record("tick at the deadline did nothing")
      }
    }
    #expect(sends == [0, 500, 1500, 3500, 7500, 15500, 31500].map { .milliseconds($0) })
    #expect(failedAt == .milliseconds(39500))
    #expect(transaction.tick(at: Instant.zero + .seconds(100)) == .none)
  }

  @Test func `only the first answer counts and only an unrepeated request gives a round trip`() {
    var once = ClientTransaction.unsent(.init())
    #expect(once.receiveAnswer(at: .zero) == .ignore)
    #expect(once.tick(at: .zero) == .send)
    #expect(once.receiveAnswer(at: .zero + .milliseconds(80)) == .accept(roundTrip: .milliseconds(80)))
    #expect(once.receiveAnswer(at: .zero + .milliseconds(81)) == .ignore)
    let deadline = once.nextDeadline
    #expect(deadline == nil)

    var twice = ClientTransaction.unsent(.init())
    #expect(twice.tick(at: .zero) == .send)
    #expect(twice.tick(at: .zero + .milliseconds(499)) == .none)
    #expect(twice.tick(at: .zero + .milliseconds(500)) == .send)
    #expect(twice.receiveAnswer(at: .zero + .milliseconds(510)) == .accept(roundTrip: nil))
  }
}
