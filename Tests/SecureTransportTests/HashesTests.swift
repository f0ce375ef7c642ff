import EdgeCore
import SecureTransport
import Testing

@Suite("Hash functions")
struct HashesTests {
  let hashes = Hashes.openSSL

  @Test func `digests of abc are those of RFC 1321, RFC 3174 and FIPS 180-4`() {
    let abc = Array("abc".utf8)
    #expect(Hex.encode(hashes.md5(abc)) == "900150983cd24fb0d6963f7d28e17f72")
    #expect(Hex.encode(hashes.sha1(abc)) == "a9993e364706816aba3e25717850c26c9cd0d89d")
    #expect(
      Hex.encode(hashes.sha256(abc)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  }

  @Test func `the digest of nothing is defined`() {
    #expect(Hex.encode(hashes.md5([])) == "d41d8cd98f00b204e9800998ecf8427e")
  }

  @Test func `message authentication codes are those of RFC 2202 and RFC 4231`() {
    let key = Array("Jefe".utf8)
    let message = Array("what do ya want for nothing?".utf8)
    #expect(Hex.encode(hashes.hmacSHA1(key, message)) == "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79")
    #expect(
      Hex.encode(hashes.hmacSHA256(key, message))
        == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    #expect(hashes.hmacSHA256([], []).count == 32)
  }

  @Test func `two draws from the system's random source differ`() {
    var random = SystemRandom()
    #expect(random.next() != random.next())
    #expect(random.token(20) != random.token(20))
  }
}
