import EdgeCore
import Foundation
import SIP
import Testing

/// The messages of RFC 4475, byte for byte.
enum Torture {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Vectors/rfc4475")

  static func bytes(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: folder.appending(path: name + ".dat")))
  }

  static let all: [String] = {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.filter { $0.hasSuffix(".dat") }.map { String($0.dropLast(4)) }.sorted()
  }()

  static func parse(_ name: String) throws -> Message { try Message(parsing: try bytes(name)) }
}

@Suite("RFC 4475 torture messages")
struct TortureTests {
  static let wellFormed = [
    "TC_BADDATE_V", "TC_BCAST_V", "TC_BEXT01_V", "TC_CPARAM01_V", "TC_CPARAM02_V", "TC_DBLREQ", "TC_ESC01_V",
    "TC_ESC02_V", "TC_ESCNULL_V", "TC_INTMETH", "TC_INV2543_I", "TC_INVUT_V", "TC_LONGREQ_V", "TC_LWSDISP_V",
    "TC_MPART01", "TC_NOREASON_V", "TC_NOVELSC_V", "TC_REGAUT01_V", "TC_REGESCRT_V", "TC_SDP01_V", "TC_SEMIURI_V",
    "TC_TRANSPORTS_V", "TC_UNKSCM_V", "TC_UNKSM2_V", "TC_UNREASON_V", "TC_WSINV", "TC_ZEROMF_V",
  ]
  static let badRequest = [
    "TC_BADASPEC_I", "TC_BADBRANCH_V", "TC_BADDN_I", "TC_BADINV01_I", "TC_CLERR_I", "TC_ESCRURI_V", "TC_INSUF_I",
    "TC_LTGTRURI_I", "TC_LWSRURI_I", "TC_LWSSTART_V", "TC_MCL01_I", "TC_MISMATCH01_V", "TC_MISMATCH02_V",
    "TC_MULTI01_I", "TC_NCL_I", "TC_QUOTBAL_I", "TC_REGBADCT_I", "TC_SCALAR02_V", "TC_TRWS_I",
  ]
  static let dropped: [(String, Malformation)] = [
    // RFC 4475 §3.1.2.5 and §3.1.2.19: responses that are to be discarded.
    ("TC_SCALARLG_V", .badResponse(400)), ("TC_BIGCODE_V", .statusCode),
    // A request line with neither a version nor anything else in the place of one.
    ("TC_TEST_I", .startLine),
  ]

  @Test func `every message of the corpus is in one of the lists`() {
    #expect(Torture.all.count == 50)
    let listed = Self.wellFormed + Self.badRequest + Self.dropped.map(\.0) + ["TC_BADVERS_V"]
    #expect(listed.sorted() == Torture.all)
  }

  @Test(arguments: wellFormed)
  func `a well-formed message parses and survives a round trip`(name: String) throws {
    let message = try Torture.parse(name)
    #expect(try Message(parsing: message.serialized(), framing: .stream) == message)
  }

  @Test(arguments: badRequest)
  func `a malformed request is answered 400`(name: String) throws {
    let error = #expect(throws: MessageError.self) { try Torture.parse(name) }
    guard case .refused(let refusal) = error else {
      Issue.record("\(name): \(String(describing: error))")
      return
    }
    #expect(refusal.status == 400)
    let response = Message.response(to: refusal.request, status: refusal.status, tag: "t")
    #expect(response.values(.via) == refusal.request.values(.via))
    #expect(
      String(decoding: response.serialized(), as: UTF8.self).hasPrefix("SIP/2.0 400 Bad Request\r\n"))
  }

  @Test func `an unknown protocol version is answered 505`() throws {
    let error = #expect(throws: MessageError.self) { try Torture.parse("TC_BADVERS_V") }
    guard case .refused(let refusal) = error else {
      Issue.record("not refused")
      return
    }
    #expect(refusal.status == 505)
  }

  @Test(arguments: dropped)
  func `a message that nobody can answer is dropped`(name: String, why: Malformation) throws {
    let error = #expect(throws: MessageError.self) { try Torture.parse(name) }
    guard case .malformed(let reason, _) = error else {
      Issue.record("\(name) was not dropped")
      return
    }
    #expect(reason == why)
  }

  @Test func `the short tortuous INVITE reads as RFC 4475 says`() throws {
    let message = try Torture.parse("TC_WSINV")
    #expect(message.to?.tag == "1918181833n")
    #expect(message.from?.displayName == "J Rosenberg \\\"")
    #expect(message.maxForwards == 68)
    #expect(message.cseq == CSeq(9, .invite))
    #expect(message[.subject] == "")
    #expect(message[HeaderName("newfangledheader")] == "newfangled value continued newfangled value")
    #expect(message[HeaderName("UnknownHeaderWithUnusualValue")] == ";;,,;;,;")
    #expect(message.vias.map(\.branch) == ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"])
    #expect(message.vias.map(\.transport) == ["UDP", "TCP", "UDP"])
    #expect(message.vias.map(\.host) == ["192.0.2.2", "spindle.example.com", "192.168.255.111"])
    #expect(message.contact?.displayName == "Quoted string \"\"")
    #expect(message.contact?.parameters["q"] == "0.33")
    #expect(message.routes.first?.uri.parameters["unknownwith"] == "value")
    #expect(message.body.count == 150)
  }

  @Test func `the wide range of characters is read and nothing of it is unescaped wrongly`() throws {
    let message = try Torture.parse("TC_INTMETH")
    #expect(message.method?.name == "!interesting-Method0123456789_*+`.%indeed'~")
    #expect(message.requestURI?.user == "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*")
    #expect(message.requestURI?.password == "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)")
    #expect(message.to?.displayName == "BEL:\u{7} NUL:\u{0} DEL:\u{7F}")
    #expect(message.from?.displayName == "token1~` token2'+_ token3*%!.-")
    #expect(message.from?.tag == "_token~1'+`*%!-.")
  }

  @Test func `escapes are undone once, where they are escapes`() throws {
    let message = try Torture.parse("TC_ESC01_V")
    #expect(message.requestURI?.decodedUser == "sips:user@example.com")
    #expect(message.to?.uri.addressOfRecord == "sip:user@example.com")
    #expect(message.contact?.uri.parameters.items.map(\.name) == ["%6C%72", "n%61me"])
    let unknown = try Torture.parse("TC_ESC02_V")
    #expect(unknown.method != .register)
    #expect(unknown.values(.contact).count == 2)
    #expect(unknown.to?.displayName == "%Z%45")
    let null = try Torture.parse("TC_ESCNULL_V")
    #expect(null.to?.uri.addressOfRecord == "sip:null-\0-null@example.com")
    #expect(null.values(.contact).count == 2)
  }

  @Test func `octets behind the Content-Length of a datagram are noise`() throws {
    let message = try Torture.parse("TC_DBLREQ")
    #expect(message.method == .register)
    #expect(message.body.isEmpty)
  }

  @Test func `a Contact parameter is told from a URI parameter`() throws {
    #expect(try Torture.parse("TC_CPARAM01_V").contact?.parameters.contains("unknownparam") == true)
    #expect(try Torture.parse("TC_CPARAM01_V").contact?.uri.parameters.isEmpty == true)
    #expect(try Torture.parse("TC_CPARAM02_V").contact?.uri.parameters.contains("unknownparam") == true)
    #expect(try Torture.parse("TC_REGESCRT_V").contact?.uri.headers == "Route=%3Csip:sip.example.com%3E")
  }

  @Test func `a semicolon may stand in a user part`() throws {
    #expect(try Torture.parse("TC_SEMIURI_V").requestURI?.decodedUser == "user;par=u@example.net")
  }

  @Test func `binary bodies keep their zeros`() throws {
    let message = try Torture.parse("TC_MPART01")
    #expect(message.body.count == 553)
    #expect(message.body.contains(0))
    #expect(message.topVia?.wantsRport == true)
    #expect(message.topVia?.rport == nil)
  }

  @Test func `required extensions nobody knows are listed for the 420`() throws {
    let message = try Torture.parse("TC_BEXT01_V")
    #expect(message.unknownExtensions(known: ["path"]) == ["nothingSupportsThis", "nothingSupportsThisEither"])
    #expect(
      message.unknownExtensions(.proxyRequire, known: ["noproxiessupportthis"]) == ["norDoAnyProxiesSupportThis"])
  }

  /// Every byte replaced by one of those that matter to a parser: never a trap, and what parses round-trips.
  @Test(arguments: Torture.all)
  func `no one-byte mutation traps`(name: String) throws {
    var bytes = try Torture.bytes(name)
    let replacements: [UInt8] = [0, 0x0A, 0x0D, 0x20, 0x22, 0x25, 0x2C, 0x3B, 0x3C, 0x3E, 0x5C, 0x80, 0xFF]
    for index in bytes.indices {
      let original = bytes[index]
      defer { bytes[index] = original }
      bytes[index] = replacements[index % replacements.count]
      guard let message = try? Message(parsing: bytes) else { continue }
      let again = try Message(parsing: message.serialized(), framing: .stream)
      #expect(again == message, "\(name) byte \(index) = \(bytes[index])")
    }
  }

  @Test(arguments: Torture.all)
  func `no prefix of a message traps`(name: String) throws {
    let bytes = try Torture.bytes(name)
    for count in stride(from: 0, to: bytes.count, by: 3) { _ = try? Message(parsing: Array(bytes[..<count])) }
  }
}
