import Config
import EdgeCore
import LinuxIO
import SIP
import STUN
import SecureStreams
import SecureTransport
import StatusModel
import Testing
import Uplink
import UserAgent

@Suite("Link over sockets")
struct UplinkTests {
  @Test func `logs in over TCP, comes back when the server does, and takes leave once`() throws {
    let server = try LoopbackServer()
    try server.listen(.plain)
    let link = server.link(.tcp)
    link.uplink.start()
    link.uplink.start()
    try server.run("log-in") { link.isUp }
    #expect(server.streams.count == 1)
    #expect(server.requests.first?.contact?.registrationID == 1)
    #expect(link.uplink.serverAddress == server.address)
    server.stopListening()
    try server.run("loss") { !link.isUp }
    try server.run("refusal") { link.uplink.lastTransportFailure == .transport(.refused) }
    try server.listen(.plain)
    let back = server.reactor.now
    try server.run("return") { link.isUp }
    #expect(server.reactor.now - back <= .seconds(3))
    #expect(link.uplink.lastTransportFailure == nil)
    link.uplink.stop()
    #expect(link.stops == 0)
    try server.run("leave") { link.stops > 0 }
    #expect(server.requests.last?.expires == 0)
    link.uplink.stop()
    link.uplink.start()
    try server.reactor.turn(waitingAtMost: .milliseconds(50))
    #expect(link.stops == 1 && link.ups == 2)
    server.close()
  }

  @Test func `logs in over TLS and says why when it may not trust the server`() throws {
    let authority = try CertificateAuthority(commonName: "Uplink authority")
    let credential = try authority.issueServerCredential(names: ["rv.example.org"])
    let context = try TLSContext.server(certificatePEM: credential.certificatePEM, keyPEM: credential.keyPEM)
    let server = try LoopbackServer()
    try server.listen(.tls(context))
    let link = server.link(.tls, trust: .authorities(pem: authority.certificatePEM))
    link.uplink.start()
    try server.run("log-in") { link.isUp }
    #expect(link.uplink.lastTLSFailure == nil)
    link.uplink.stop()
    try server.run("leave") { link.stops == 1 }

    let other = try CertificateAuthority(commonName: "Another authority")
    let stranger = server.link(.tls, trust: .authorities(pem: other.certificatePEM))
    stranger.uplink.start()
    try server.run("refusal") { !stranger.events.isEmpty }
    let failure = try #require(stranger.uplink.lastTLSFailure)
    guard case .linkDown(.unreachable(let text), _)? = stranger.events.first else {
      Issue.record("\(stranger.events)")
      return
    }
    #expect(text == failure.description && !text.isEmpty)
    // It stays known over further attempts, and while waiting.
    try server.run("another attempt") { stranger.events.count > 1 }
    #expect(stranger.uplink.lastTLSFailure == failure)
    stranger.uplink.stop()
    #expect(stranger.stops == 1)
    server.close()
  }

  @Test func `stopping reports once in every state`() throws {
    let server = try LoopbackServer()
    try server.listen(.plain)
    // Never started.
    let idle = server.link(.tcp)
    idle.uplink.stop()
    #expect(idle.stops == 1)
    // While connecting, by address and by name.
    for host in ["127.0.0.1", "localhost"] {
      let connecting = server.link(.tcp, host: host)
      connecting.uplink.start()
      connecting.uplink.stop()
      try server.reactor.turn(waitingAtMost: .milliseconds(20))
      #expect(connecting.stops == 1 && connecting.events.isEmpty)
    }
    // While logging in, and while taking leave of a server that says nothing.
    server.isSilent = true
    let streams = server.streams.count
    let logging = server.link(.tcp)
    logging.uplink.start()
    try server.run("connection") { server.streams.count > streams && logging.uplink.lastTransportFailure == nil }
    logging.uplink.stop()
    #expect(logging.stops == 1)
    server.isSilent = false
    let leaving = server.link(.tcp)
    leaving.uplink.start()
    try server.run("log-in") { leaving.isUp }
    server.isSilent = true
    leaving.uplink.stop()
    try server.run("leave") { leaving.stops > 0 }
    #expect(leaving.stops == 1)
    // While waiting for the next attempt.
    server.close()
    let waiting = server.link(.tcp)
    waiting.uplink.start()
    try server.run("failure") { !waiting.events.isEmpty }
    waiting.uplink.stop()
    #expect(waiting.stops == 1)
    try server.reactor.turn(waitingAtMost: .milliseconds(20))
    for link in [idle, logging, leaving, waiting] { #expect(link.stops == 1) }
  }

  @Test func `stopping from inside an event is stopping`() throws {
    let server = try LoopbackServer()
    try server.listen(.plain)
    let link = server.link(.tcp, registers: false)
    var stops = 0
    link.uplink.onStopped = { stops += 1 }
    link.uplink.onEvent = { _ in link.uplink.stop() }
    link.uplink.start()
    try server.run("stop") { stops > 0 }
    #expect(stops == 1)
    server.close()
  }

  @Test func `a UDP flow is kept alive with STUN at the pace the server sets`() throws {
    let server = try LoopbackServer()
    try server.listenUDP()
    server.flowTimer = 5
    let link = server.link(.udp)
    link.uplink.start()
    try server.run("log-in") { link.isUp }
    #expect(server.bindings == 1)
    #expect(link.events.contains(.linkUp))
    #expect(server.requests.first?.topVia?.transport == "UDP")
    // Not after 25 s: the flow takes on the server's 5 s, less up to a fifth.
    try server.run("heartbeat") { server.bindings == 2 }
    #expect(link.isUp)
    link.uplink.stop()
    try server.run("leave") { link.stops == 1 }
    server.close()
  }

  @Test func `a silent UDP server is given up after four seconds and found when it is back`() throws {
    let server = try LoopbackServer()
    try server.listenUDP()
    server.isSilent = true
    let link = server.link(.udp)
    let began = server.reactor.now
    link.uplink.start()
    try server.run("giving up") { !link.events.isEmpty }
    #expect(link.events.first.map { if case .linkDown(.noHeartbeat, _) = $0 { true } else { false } } == true)
    #expect(server.reactor.now - began <= .milliseconds(4500))
    server.isSilent = false
    try server.run("log-in", .seconds(3)) { link.isUp }
    link.uplink.stop()
    try server.run("leave") { link.stops == 1 }
    server.close()
  }
}
