import EdgeCore
import SecureTransport
import Testing

/// Two ends of one TLS connection, joined in memory.
final class TLSPair {
  let client: TLSSession
  let server: TLSSession
  var clientEvents: [TLSSession.Event] = []
  var serverEvents: [TLSSession.Event] = []
  /// Bytes of ciphertext that crossed, both ways.
  var crossed = 0
  /// 0: whole; otherwise how many bytes are handed over at a time.
  var chunk = 0

  init(server context: TLSContext, trust: TLSContext, name: String, clock: Int64 = 1_790_000_000) throws {
    client = try TLSSession(client: trust, serverName: name, wallClock: clock)
    server = try TLSSession(server: context)
  }

  func run() {
    var out = TLSSession.Output()
    client.start(into: &out)
    settle(fromClient: out)
  }

  func settle(
    fromClient: TLSSession.Output = .init(), fromServer: TLSSession.Output = .init()
  ) {
    var toServer = fromClient
    var toClient = fromServer
    for _ in 0..<50 {
      clientEvents += toServer.events
      serverEvents += toClient.events
      let (up, down) = (toServer.ciphertext, toClient.ciphertext)
      guard !up.isEmpty || !down.isEmpty else { return }
      crossed += up.count + down.count
      toServer = .init()
      toClient = .init()
      for part in cut(up) { server.receive(part, into: &toClient) }
      for part in cut(down) { client.receive(part, into: &toServer) }
    }
    Issue.record("the two ends never fell silent")
  }

  private func cut(_ bytes: [UInt8]) -> [[UInt8]] {
    guard chunk > 0 else { return bytes.isEmpty ? [] : [bytes] }
    return stride(from: 0, to: bytes.count, by: chunk).map { Array(bytes[$0..<min($0 + chunk, bytes.count)]) }
  }

  static func received(_ events: [TLSSession.Event]) -> [UInt8] {
    events.flatMap { event in
      if case .received(let bytes) = event { return bytes }
      return []
    }
  }

  var clientFailure: TLSFailure? {
    for case .failed(let failure) in clientEvents { return failure }
    return nil
  }
}

@Suite("TLS session")
struct TLSTests {
  let authority: CertificateAuthority
  let credential: CertificateAuthority.Credential
  let serverContext: TLSContext
  let trust: TLSContext

  init() throws {
    authority = try CertificateAuthority(commonName: "Edge test authority")
    credential = try authority.issueServerCredential(names: ["rv.example.org", "192.0.2.7", "2001:db8::7"])
    serverContext = try .server(certificatePEM: credential.certificatePEM, keyPEM: credential.keyPEM)
    trust = try .client(.authorities(pem: authority.certificatePEM))
  }

  @Test(arguments: ["rv.example.org", "RV.example.org", "192.0.2.7", "2001:db8::7", "127.0.0.1", "::1", "localhost"])
  func `a server is believed under each of its names`(name: String) throws {
    let pair = try TLSPair(server: serverContext, trust: trust, name: name)
    pair.run()
    #expect(pair.clientEvents == [.established])
    #expect(pair.serverEvents == [.established])
  }

  @Test(arguments: [0, 1, 7])
  func `bytes cross both ways however TCP cuts them`(chunk: Int) throws {
    let pair = try TLSPair(server: serverContext, trust: trust, name: "rv.example.org")
    pair.chunk = chunk
    pair.run()
    let question = (0..<50_000).map { UInt8(truncatingIfNeeded: $0) }
    var up = TLSSession.Output()
    #expect(pair.client.send(question, into: &up))
    pair.settle(fromClient: up)
    var down = TLSSession.Output()
    #expect(pair.server.send([1, 2, 3], into: &down))
    pair.settle(fromServer: down)
    #expect(TLSPair.received(pair.serverEvents) == question)
    #expect(TLSPair.received(pair.clientEvents) == [1, 2, 3])
  }

  @Test func `what is sent before the handshake is done arrives after it`() throws {
    let pair = try TLSPair(server: serverContext, trust: trust, name: "rv.example.org")
    var out = TLSSession.Output()
    #expect(pair.client.send(Array("early".utf8), into: &out))
    #expect(out.ciphertext.isEmpty)
    #expect(pair.client.send([UInt8](repeating: 0, count: 70_000), into: &out) == false)
    pair.run()
    #expect(TLSPair.received(pair.serverEvents) == Array("early".utf8))
  }

  @Test func `a goodbye is told apart from a break`() throws {
    let pair = try TLSPair(server: serverContext, trust: trust, name: "rv.example.org")
    pair.run()
    var out = TLSSession.Output()
    pair.client.close(into: &out)
    pair.settle(fromClient: out)
    #expect(pair.serverEvents.last == .closedByPeer)
    var more = TLSSession.Output()
    #expect(pair.server.send([1], into: &more) == false)
    #expect(pair.client.send([1], into: &more) == false)
    pair.client.close(into: &more)
    pair.client.receive([1, 2, 3], into: &more)
    #expect(more.ciphertext.isEmpty && more.events.isEmpty)
  }

  @Test func `a certificate whose time is over says when it ended`() throws {
    let past = try authority.issueServerCredential(
      names: ["rv.example.org"], validity: Validity(notBefore: 1_600_000_000, notAfter: 1_700_000_000))
    let context = try TLSContext.server(certificatePEM: past.certificatePEM, keyPEM: past.keyPEM)
    let pair = try TLSPair(server: context, trust: trust, name: "rv.example.org")
    pair.run()
    #expect(pair.clientFailure == .certificateExpired(notAfter: 1_700_000_000, clock: 1_790_000_000))
    #expect("\(try #require(pair.clientFailure))".contains("expired on 2023-11-14 22:13 UTC"))
    guard case .failed(.handshake(let faults)) = pair.serverEvents.last else {
      Issue.record("the server did not see the refusal")
      return
    }
    #expect(faults.first?.peerAlert == 45)
  }

  @Test func `a clock that stands in 1970 is blamed, not the certificate`() throws {
    let pair = try TLSPair(server: serverContext, trust: trust, name: "rv.example.org", clock: 7)
    pair.run()
    let failure = try #require(pair.clientFailure)
    #expect(failure == .certificateNotYetValid(notBefore: Validity.long.notBefore, clock: 7))
    #expect(failure.isClockWrong)
    #expect("\(failure)".contains("this machine's clock says 1970-01-01 00:00 UTC"))
    #expect("\(failure)".contains("set the time"))
  }

  @Test func `another authority's certificate is refused whatever it calls itself`() throws {
    let impostor = try CertificateAuthority(commonName: "Edge test authority")
    let forged = try impostor.issueServerCredential(names: ["rv.example.org"])
    let context = try TLSContext.server(certificatePEM: forged.certificatePEM, keyPEM: forged.keyPEM)
    let pair = try TLSPair(server: context, trust: trust, name: "rv.example.org")
    pair.run()
    #expect(pair.clientFailure == .untrustedAuthority(issuer: "Edge test authority"))
    #expect("\(try #require(pair.clientFailure))".contains("ca-file"))
  }

  @Test func `the machine's own list does not know a private authority`() throws {
    let pair = try TLSPair(server: serverContext, trust: try .client(.system), name: "rv.example.org")
    pair.run()
    #expect(pair.clientFailure == .untrustedAuthority(issuer: "Edge test authority"))
  }

  @Test func `a self-signed certificate is refused unless it is itself the trusted one`() throws {
    let pem = try Identity(commonName: "rv.example.org").pem()
    let context = try TLSContext.server(certificatePEM: pem, keyPEM: pem)
    let stranger = try TLSPair(server: context, trust: trust, name: "rv.example.org")
    stranger.run()
    #expect(stranger.clientFailure == .selfSigned)
    let pinned = try TLSPair(
      server: serverContext, trust: try .client(.authorities(pem: credential.certificatePEM)), name: "rv.example.org")
    pinned.run()
    #expect(pinned.clientEvents == [.established])
  }

  @Test func `a server under another name is refused and both names are said`() throws {
    let pair = try TLSPair(server: serverContext, trust: trust, name: "evil.example.net")
    pair.run()
    #expect(
      pair.clientFailure
        == .nameMismatch(wanted: "evil.example.net", names: ["rv.example.org", "192.0.2.7", "localhost"]))
    let address = try TLSPair(server: serverContext, trust: trust, name: "192.0.2.8")
    address.run()
    #expect("\(try #require(address.clientFailure))".contains("is not for 192.0.2.8 but for rv.example.org"))
  }

  @Test func `garbage in either direction ends the handshake with a reason`() throws {
    let pair = try TLSPair(server: serverContext, trust: trust, name: "rv.example.org")
    var out = TLSSession.Output()
    pair.server.receive(Array("REGISTER sip:rv.example.org SIP/2.0\r\n\r\n".utf8), into: &out)
    guard case .failed(.handshake(let faults)) = out.events.last else {
      Issue.record("plain SIP was not refused")
      return
    }
    #expect(!faults.isEmpty)
    var more = TLSSession.Output()
    pair.client.start(into: &more)
    pair.client.receive(Array("SIP/2.0 400 Bad Request\r\n\r\n".utf8), into: &more)
    guard case .failed(.handshake(let answer)) = more.events.last else {
      Issue.record("a plain answer was not refused")
      return
    }
    #expect("\(TLSFailure.handshake(answer))".contains("does not speak TLS"))
  }

  @Test func `a changed byte breaks the connection and nothing of it is delivered`() throws {
    let pair = try TLSPair(server: serverContext, trust: trust, name: "rv.example.org")
    pair.run()
    var out = TLSSession.Output()
    pair.client.send([1, 2, 3], into: &out)
    out.ciphertext[out.ciphertext.count - 1] ^= 1
    var answer = TLSSession.Output()
    pair.server.receive(out.ciphertext, into: &answer)
    guard case .failed(.broken) = answer.events.first, answer.events.count == 1 else {
      Issue.record("\(answer.events)")
      return
    }
    #expect(!answer.ciphertext.isEmpty)
  }

  @Test func `a reloaded certificate is shown to the next client and leaves open connections alone`() throws {
    let context = try TLSContext.server(certificatePEM: credential.certificatePEM, keyPEM: credential.keyPEM)
    let old = try TLSPair(server: context, trust: trust, name: "rv.example.org")
    old.run()
    let other = try CertificateAuthority(commonName: "Other authority")
    let fresh = try other.issueServerCredential(names: ["rv.example.org"])
    try context.reload(certificatePEM: fresh.certificatePEM, keyPEM: fresh.keyPEM)
    let new = try TLSPair(server: context, trust: trust, name: "rv.example.org")
    new.run()
    #expect(new.clientFailure == .untrustedAuthority(issuer: "Other authority"))
    var out = TLSSession.Output()
    old.client.send([9], into: &out)
    old.settle(fromClient: out)
    #expect(TLSPair.received(old.serverEvents) == [9])
    #expect(throws: SecureTransportError.self) {
      try context.reload(certificatePEM: fresh.certificatePEM, keyPEM: credential.keyPEM)
    }
  }

  @Test func `an authority is the same after it was written and read`() throws {
    let again = try CertificateAuthority(certificatePEM: authority.certificatePEM, keyPEM: authority.keyPEM)
    let issued = try again.issueServerCredential(names: ["rv2.example.org"])
    let context = try TLSContext.server(certificatePEM: issued.certificatePEM, keyPEM: issued.keyPEM)
    let pair = try TLSPair(server: context, trust: trust, name: "rv2.example.org")
    pair.run()
    #expect(pair.clientEvents == [.established])
  }

  @Test(arguments: ["a,DNS:b", "", "a b", "h\u{F6}st", "a\nb"])
  func `a name that is no host name is not certified`(name: String) {
    #expect(throws: SecureTransportError.self) { try authority.issueServerCredential(names: [name]) }
  }
}
