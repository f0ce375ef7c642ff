import EdgeCore
import STUN
import SecureTransport
import Testing

@Suite("STUN test vectors")
struct VectorTests {
  let hashes = Hashes.openSSL

  func parse(_ bytes: [UInt8]) throws(STUNError) -> ReceivedMessage { try ReceivedMessage(parsing: bytes.span.bytes) }

  @Test func `the RFC 5769 request is read and its integrity holds in spite of non-zero padding`() throws {
    let received = try parse(Vectors.request)
    let message = received.message
    #expect(message.type == MessageType(.request, .binding))
    #expect(message.transaction == TransactionID(high: 0xB7E7_A701, low: 0xBC34_D686_FA87_DFAE))
    #expect(message.text(.username) == "evtj:h6vY")
    #expect(message.text(.software) == "STUN test client")
    #expect(message.uint32(.priority) == 0x6E00_01FF)
    #expect(message.uint64(.iceControlled) == 0x932F_F9B1_5126_3B36)
    #expect(received.hasFingerprint)
    #expect(received.verify(key: Vectors.shortTermPassword, hashes: hashes))
    #expect(!received.verify(key: Vectors.shortTermPassword + [0x20], hashes: hashes))
  }

  @Test(arguments: [
    (Vectors.responseV4, "192.0.2.1:32853"), (Vectors.responseV6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
  ])
  func `the RFC 5769 responses give the mapped address`(bytes: [UInt8], address: String) throws {
    let received = try parse(bytes)
    #expect(received.message.type == MessageType(.success, .binding))
    #expect(received.message.mappedAddress == SocketAddress(address))
    #expect(received.message.text(.software) == "test vector")
    #expect(received.hasFingerprint)
    #expect(received.verify(key: Vectors.shortTermPassword, hashes: hashes))
  }

  @Test func `the RFC 5769 long-term request verifies with the MD5 key`() throws {
    let received = try parse(Vectors.longTermRequest)
    #expect(received.message.text(.nonce) == "f//499k954d6OL34oL9FSTvy64sA")
    #expect(received.message.text(.realm) == "example.org")
    #expect(!received.hasFingerprint)
    #expect(received.verify(key: hashes.md5(Array(Vectors.longTermKeyText.utf8)), hashes: hashes))
    #expect(!received.verify(key: Vectors.shortTermPassword, hashes: hashes))
  }

  /// The sample's header claims 156 bytes where 136 follow, and its MAC was computed with that length.
  /// So the MAC confirms key and algorithm, and the message itself is one that must be refused.
  @Test func `the RFC 8489 sample agrees on key, MAC and user hash, and is refused for its wrong length`() throws {
    let bytes = Vectors.sha256Request
    let key = hashes.sha256(Array(Vectors.longTermKeyText.utf8))
    #expect(hashes.hmacSHA256(key, Array(bytes[..<120])) == Array(bytes[124...]))
    #expect(throws: STUNError.malformed(.lengthMismatch, offset: 2)) { try parse(bytes) }

    var repaired = bytes
    repaired[3] = 136
    let message = try parse(repaired).message
    #expect(message[.userhash]?.value == hashes.sha256(Array(Vectors.longTermKeyText.utf8.dropLast(10))))
    let written = message.serialized(integrity: .sha256(key: key), hashes: hashes)
    #expect(Array(written[..<124]) == Array(repaired[..<124]))
    #expect(try parse(written).hasSHA256Integrity)
    #expect(try parse(written).verify(key: key, hashes: hashes))
  }

  @Test(arguments: [Vectors.responseV4, Vectors.responseV6])
  func `a response is written as RFC 5769 writes it but for the padding`(bytes: [UInt8]) throws {
    let message = try parse(bytes).message
    let written = message.serialized(
      integrity: .sha1(key: Vectors.shortTermPassword), fingerprint: true, hashes: hashes)
    #expect(written.count == bytes.count)
    #expect(written[..<35] == bytes[..<35])
    #expect(written[35] == 0 && bytes[35] == 0x20)
    #expect(try parse(written).verify(key: Vectors.shortTermPassword, hashes: hashes))
  }

  @Test func `the long-term request is written as RFC 5769 writes it`() throws {
    let key = hashes.md5(Array(Vectors.longTermKeyText.utf8))
    let message = try parse(Vectors.longTermRequest).message
    #expect(message.serialized(integrity: .sha1(key: key), hashes: hashes) == Vectors.longTermRequest)
  }

  @Test func `any one changed byte is refused, or breaks the integrity unless it is padding`() throws {
    var accepted: [Int] = []
    for index in Vectors.request.indices {
      for flip: UInt8 in [0x01, 0x04, 0x80, 0xFF] {
        var bytes = Vectors.request
        bytes[index] ^= flip
        guard let received = try? parse(bytes) else { continue }
        if received.verify(key: Vectors.shortTermPassword, hashes: hashes) { accepted.append(index) }
      }
    }
    // The checksum covers everything but itself, padding included; a FINGERPRINT whose own type was
    // changed to an unknown one is simply not a FINGERPRINT.
    #expect(accepted.allSatisfy { $0 == 100 || $0 == 101 })
  }

  @Test func `no mutation of a vector traps`() {
    var random = SeededRandom(seed: 5769)
    for bytes in Vectors.all {
      for index in bytes.indices {
        for value in [0, 1, 0x7F, 0x80, 0xFF, UInt8(truncatingIfNeeded: random.next())] {
          var mutated = bytes
          mutated[index] = value
          exercise(mutated)
        }
      }
      for length in 0..<bytes.count {
        exercise(Array(bytes[..<length]))
        var shortened = Array(bytes[..<length])
        guard length >= 20 else { continue }
        shortened[2] = UInt8((length - 20) >> 8)
        shortened[3] = UInt8(truncatingIfNeeded: length - 20)
        exercise(shortened)
      }
    }
  }

  /// Everything a receiver does with bytes.
  func exercise(_ bytes: [UInt8]) {
    _ = BindingResponder.answer(to: bytes.span.bytes, from: SocketAddress(.v4(1), port: 1))
    guard let received = try? parse(bytes) else { return }
    let message = received.message
    _ = received.verify(key: [1], hashes: hashes)
    _ = (message.mappedAddress, message.errorCode, message.unknownAttributes, message.uint32(.priority))
    let again = message.serialized(fingerprint: received.hasFingerprint)
    if (try? parse(again))?.message != message { Issue.record("not the same after writing: \(bytes)") }
  }
}
