import EdgeCore
import SIP
import SecureTransport
import Testing

@testable import RendezvousLogic

@Suite("Registrar")
struct RegistrarTests {
  @Test func `a device is challenged for SHA-256 alone and then registered`() {
    let world = World()
    let node = Peer(world, "gate-box")
    world.deliver(node.registration(), on: node.flow)
    let challenge = world.received(node.flow)
    #expect(challenge.map { $0.status?.value } == [401])
    #expect(challenge[0].challenges.map(\.algorithm) == [.sha256])
    #expect(challenge[0].challenges[0].realm == domain)
    let accepted = node.register()
    #expect(accepted.status == 200)
    #expect(accepted.contact?.expires == 600)
    #expect(world.rendezvous.snapshot(at: world.now).contacts == 1)
  }

  @Test func `outbound is granted with Require, Flow-Timer and an unforgeable Path`() throws {
    let world = World()
    let node = Peer(world, "gate-box")
    let accepted = node.register()
    #expect(accepted.list(.require) == ["outbound"])
    #expect(accepted.flowTimer == 25)
    let path = try #require(accepted.path.first)
    #expect(path.uri.parameters.contains("ob") && path.uri.parameters.contains("lr"))
    let token = try #require(path.uri.user)
    let tokens = world.rendezvous.flowTokens
    #expect(tokens.flow(of: token) == node.flow)
    var bytes = Base64.decode(token)!
    for index in bytes.indices {
      bytes[index] ^= 1
      #expect(tokens.flow(of: Base64.encode(bytes)) == nil)
      bytes[index] ^= 1
    }
  }

  @Test func `without outbound no flow timer is imposed and no silence counts`() {
    let world = World()
    let phone = Peer(world, "alice", on: world.connect(.udp))
    let accepted = phone.register(outbound: false)
    #expect(accepted.status == 200 && accepted.flowTimer == nil && !accepted.contains(.require))
    world.advance(.seconds(300))
    #expect(world.rendezvous.snapshot(at: world.now).contacts == 1)
    world.advance(.seconds(301))
    #expect(world.rendezvous.snapshot(at: world.now).contacts == 0)
  }

  @Test func `the same instance and reg-id replace the old flow, which is closed`() {
    let world = World()
    let node = Peer(world, "gate-box")
    node.register()
    let again = Peer(world, "gate-box")
    let accepted = again.register()
    #expect(accepted.values(.contact).count == 1)
    #expect(world.closed == [node.flow])
    #expect(world.rendezvous.snapshot(at: world.now).contacts == 1)
  }

  @Test func `several devices of one account stand side by side up to the limit`() {
    let world = World { $0.maximumContactsPerAccount = 3 }
    for index in 1...3 {
      let device = Peer(world, "alice")
      device.instance = "urn:uuid:\(index)"
      #expect(device.register().values(.contact).count == index)
    }
    let fourth = Peer(world, "alice")
    fourth.instance = "urn:uuid:4"
    #expect(fourth.register().status == 403)
    #expect(world.rendezvous.snapshot(at: world.now).contacts == 3)
  }

  @Test(arguments: [(UInt32(59), 423), (60, 200), (4_000_000_000, 200)])
  func `an interval is bounded`(asked: UInt32, status: Int) {
    let world = World()
    let node = Peer(world, "gate-box")
    let answer = node.register(expires: asked)
    #expect(answer.status?.value == status)
    if status == 423 { #expect(answer.minExpires == 60) } else { #expect(answer.contact?.expires == min(asked, 3600)) }
  }

  @Test func `expires 0 removes a contact, and a star removes all only with expires 0`() {
    let world = World()
    let phone = Peer(world, "alice", on: world.connect(.udp))
    phone.register()
    #expect(phone.register(expires: 0).values(.contact).isEmpty)
    phone.register()
    var star = phone.registration()
    star[.contact] = "*"
    #expect(phone.send(star).last?.status == 400)
    #expect(world.rendezvous.snapshot(at: world.now).contacts == 1)
    star = phone.registration(expires: 0)
    star[.contact] = "*"
    #expect(phone.send(star).last?.status == 200)
    #expect(world.rendezvous.snapshot(at: world.now).contacts == 0)
  }

  @Test func `an update that is older than the last one of its Call-ID is refused`() {
    let world = World()
    let phone = Peer(world, "alice")
    phone.register(outbound: false)
    var late = phone.registration(expires: 0, outbound: false)
    late.callID = phone.last.callID
    late.cseq = CSeq(phone.last.cseq!.number, .register)
    let first = phone.last
    late.callID = first.callID
    late.cseq = CSeq(first.cseq!.number - 1, .register)
    world.deliver(late, on: phone.flow)
    #expect(world.responses(phone.flow) == [500])
    #expect(world.rendezvous.snapshot(at: world.now).contacts == 1)
  }

  @Test func `nobody registers for another account or another domain`() {
    let world = World()
    let mallory = Peer(world, "bob")
    var stolen = mallory.registration()
    stolen.to = NameAddress(URI(.sip, user: "alice", host: domain))
    #expect(mallory.send(stolen).last?.status == 403)
    var foreign = mallory.registration()
    foreign.requestURI = URI(.sip, host: "elsewhere.example")
    #expect(mallory.send(foreign).last?.status == 404)
    #expect(world.rendezvous.snapshot(at: world.now).contacts == 0)
  }

  @Test func `an unknown extension is named in a 420`() {
    let world = World()
    let node = Peer(world, "gate-box")
    var message = node.registration()
    message.append(.require, "outbound, nothing-we-know")
    let answer = node.send(message).last
    #expect(answer?.status == 420)
    #expect(answer?[.unsupported] == "nothing-we-know")
  }

  @Test func `a proxy in between that keeps no flow is told 439`() {
    let world = World()
    let node = Peer(world, "gate-box")
    var message = node.registration()
    message.append(.via, "SIP/2.0/UDP 10.9.9.9;branch=z9hG4bKfar")
    #expect(node.send(message).last?.status == 439)
  }

  @Test func `a retransmitted REGISTER by UDP gets the very same answer and changes nothing`() {
    let world = World()
    let phone = Peer(world, "alice", on: world.connect(.udp))
    let first = phone.register()
    world.deliver(phone.last, on: phone.flow)
    #expect(world.received(phone.flow) == [first])
    #expect(world.rendezvous.snapshot(at: world.now).counters.registrations == 1)
  }

  @Test func `a gateway may register many accounts over one flow`() {
    let world = World()
    let flow = world.connect(.udp)
    let peers = ["alice", "bob", "gate-box"].map { Peer(world, $0, on: flow) }
    for peer in peers { #expect(peer.register(outbound: false).status == 200) }
    #expect(world.rendezvous.snapshot(at: world.now).contacts == 3)
    #expect(world.rendezvous.snapshot(at: world.now).flows == 1)
    for peer in peers { peer.register(expires: 0, outbound: false) }
    #expect(world.rendezvous.snapshot(at: world.now).flows == 0)
  }
}

@Suite("Authentication")
struct AuthenticationTests {
  @Test func `a wrong password and an unknown account look the same`() {
    let world = World()
    var shapes: [[String]] = []
    for name in ["alice", "nobody"] {
      let peer = Peer(world, name, password: "wrong")
      let answer = peer.register()
      #expect(answer.status == 401)
      #expect(answer.challenges.map(\.isStale) == [false])
      shapes.append(answer.headers.map(\.name.text))
    }
    #expect(shapes[0] == shapes[1])
    #expect(world.rendezvous.snapshot(at: world.now).counters.wrongPasswords == 2)
  }

  @Test func `only an account that opted in is offered MD5, and then nothing else`() {
    let world = World()
    let phone = Peer(world, "old-phone", on: world.connect(.udp))
    world.deliver(phone.registration(outbound: false), on: phone.flow)
    #expect(world.received(phone.flow)[0].challenges.map(\.algorithm) == [.md5])
    #expect(phone.register(outbound: false).status == 200)
  }

  @Test func `MD5 from an account that did not opt in is refused`() {
    let world = World()
    let peer = Peer(world, "alice")
    var message = peer.registration()
    world.deliver(message, on: peer.flow)
    var challenge = world.received(peer.flow)[0].challenges[0]
    challenge.algorithm = .md5
    let ha1 = DigestAlgorithm.md5.ha1(username: "alice", realm: domain, password: "secret-of-alice", .openSSL)
    message.append(
      .authorization,
      DigestCredentials(
        to: challenge, username: "alice", ha1: ha1, method: .register, uri: "sip:\(domain)", count: 1, cnonce: "c",
        hashes: .openSSL
      ).description)
    world.deliver(message, on: peer.flow)
    #expect(world.responses(peer.flow) == [401])
  }

  @Test func `credentials seen on the wire do not work a second time`() {
    let world = World()
    let phone = Peer(world, "alice", on: world.connect(.udp))
    phone.register()
    var replay = phone.last
    var via = replay.topVia!
    via.branch = "z9hG4bKreplayed"
    replay.topVia = via
    let thief = world.connect(.udp, from: 0xC633_6401)
    world.deliver(replay, on: thief)
    let answer = world.received(thief)
    #expect(answer.map { $0.status?.value } == [401])
    #expect(answer[0].challenges[0].isStale)
  }

  @Test func `several Authorization headers are searched for ours`() {
    let world = World()
    let peer = Peer(world, "alice")
    var message = peer.registration()
    message.append(
      .authorization,
      "Digest username=\"alice\", realm=\"elsewhere\", nonce=\"n\", uri=\"sip:x\", response=\"r\", cnonce=\"c\", nc=00000001, qop=auth"
    )
    world.deliver(message, on: peer.flow)
    let challenge = world.received(peer.flow)[0].challenges[0]
    let ha1 = DigestAlgorithm.sha256.ha1(username: "alice", realm: domain, password: "secret-of-alice", .openSSL)
    message.append(
      .authorization,
      DigestCredentials(
        to: challenge, username: "alice", ha1: ha1, method: .register, uri: "sip:\(domain)", count: 1, cnonce: "c",
        hashes: .openSSL
      ).description)
    message.cseq = CSeq(9, .register)
    world.deliver(message, on: peer.flow)
    #expect(world.responses(peer.flow) == [200])
  }

  @Test func `a connection is proven once, a datagram each time`() {
    let world = World()
    let overTLS = Peer(world, "gate-box")
    overTLS.register()
    world.deliver(overTLS.request(.options, "gate-box"), on: overTLS.flow)
    #expect(world.responses(overTLS.flow) == [480])
    let overUDP = Peer(world, "gate-box", on: world.connect(.udp))
    overUDP.instance = "urn:uuid:2"
    overUDP.register()
    world.deliver(overUDP.request(.options, "alice"), on: overUDP.flow)
    #expect(world.responses(overUDP.flow) == [407])
  }

  @Test func `guessing passwords from one address comes to a halt`() {
    let world = World { $0.failureBurst = 5 }
    var answered = 0
    for _ in 0..<50 {
      let guesser = Peer(world, "alice", on: world.connect(.udp), password: "guess")
      var message = guesser.registration()
      world.deliver(message, on: guesser.flow)
      guard let challenge = world.received(guesser.flow).first?.challenges.first else { continue }
      message.append(
        .authorization,
        DigestCredentials(
          to: challenge, username: "alice", ha1: "00", method: .register, uri: "sip:x", count: 1, cnonce: "c",
          hashes: .openSSL
        ).description)
      world.deliver(message, on: guesser.flow)
      answered += world.received(guesser.flow).count
    }
    #expect(answered == 5)
    world.advance(.seconds(60))
    #expect(Peer(world, "alice").register().status == 200)
  }
}
