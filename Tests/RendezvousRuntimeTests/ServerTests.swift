import Config
import EdgeCore
import Foundation
import LinuxIO
import RendezvousLogic
import SIP
import SecureTransport
import Storage
import Testing

@testable import RendezvousRuntime

@Suite("Server on loopback", .serialized)
struct ServerTests {
  @Test(arguments: [FlowTransport.tls, .tcp, .udp])
  func `a node logs in, publishes, is watched, called, and missed`(transport: FlowTransport) throws {
    let harness = try Harness()
    let node = try Client(harness, "gate-box", transport)
    let registered = node.register()
    #expect(registered?.status == 200 && registered?.flowTimer == 25)
    #expect(node.publish("CAM-1")?.status == 200)
    let viewer = try Client(harness, "alice", .tls)
    #expect(viewer.register()?.status == 200)
    #expect(viewer.subscribe("CAM-1")?.status == 200)
    #expect(viewer.expect(.notify)?.text.contains("<basic>open</basic>") == true)
    viewer.send(viewer.request(.invite, "sip:CAM-1@\(Harness.domain)").serialized())
    let invite = node.expect(.invite, answer: 603)
    #expect(invite?[.other("P-Asserted-Identity")] == "<sip:alice@\(Harness.domain)>")
    #expect(harness.wait { viewer.inbox.contains { $0.status == 603 } })
    guard transport != .udp else { return }
    node.close()
    let told = viewer.expect(.notify)
    #expect(told?.text.contains("<basic>closed</basic>") == true)
    #expect(harness.snapshot.serials == 0)
    let gone = viewer.request(.invite, "sip:CAM-1@\(Harness.domain)")
    #expect(viewer.ask(gone)?.status == 480)
  }

  @Test func `a wrong password is refused on each transport`() throws {
    let harness = try Harness()
    for transport in [FlowTransport.tls, .tcp, .udp] {
      #expect(try Client(harness, "alice", transport, password: "wrong").register()?.status == 401)
    }
    #expect(harness.snapshot.contacts == 0)
  }

  @Test func `pings are answered on streams and STUN on both UDP ports`() throws {
    let harness = try Harness()
    let client = try Client(harness, "alice", .tls)
    client.register()
    let before = client.raw.count
    client.send([0x0D, 0x0A, 0x0D, 0x0A])
    #expect(harness.wait { client.raw.count == before + 2 })
    let binding: [UInt8] = [0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42] + Array(1...12)
    for listener in ["sip-udp", "stun"] {
      let socket = try UDPSocket(reactor: harness.reactor, bind: SocketAddress(IPAddress("127.0.0.1")!, port: 0))
      var answer: [UInt8] = []
      socket.onDatagram = { bytes, _, _ in answer = [UInt8](copying: bytes) }
      socket.send(Datagram(destination: harness.address(listener), bytes: binding))
      #expect(harness.wait { !answer.isEmpty })
      #expect(answer.starts(with: [1, 1]) && answer.count == 32)
      socket.close()
    }
  }

  @Test func `garbage on every port disturbs nobody`() throws {
    let harness = try Harness()
    let node = try Client(harness, "gate-box", .tls)
    node.register()
    var random = SeededRandom(seed: 3)
    for listener in ["sips", "sip-tcp"] {
      for _ in 0..<20 {
        let connection = TCPConnection.connect(reactor: harness.reactor, to: harness.address(listener))
        connection.send(random.bytes(Int.random(in: 1...3000, using: &random)))
      }
    }
    let socket = try UDPSocket(reactor: harness.reactor, bind: SocketAddress(IPAddress("127.0.0.1")!, port: 0))
    for listener in ["sip-udp", "stun"] {
      for _ in 0..<200 {
        socket.send(
          Datagram(
            destination: harness.address(listener), bytes: random.bytes(Int.random(in: 0...1200, using: &random))))
      }
    }
    harness.turn(for: .milliseconds(300))
    socket.close()
    #expect(node.publish("CAM-1")?.status == 200)
    #expect(harness.snapshot.contacts == 1)
  }

  @Test func `an account added and granted from the shell counts at once, and so does its removal`() throws {
    let harness = try Harness()
    let node = try Client(harness, "gate-box", .tls)
    node.register()
    node.publish("CAM-1")
    let added = harness.shell("account", "add", "carol", input: "pw-of-carol")
    #expect(added.code == 0 && added.out == "added the user account carol\n")
    #expect(harness.shell("grant", "carol", "CAM-1").code == 0)
    let carol = try Client(harness, "carol", .tls, password: "pw-of-carol")
    #expect(carol.register()?.status == 200)
    #expect(carol.subscribe("CAM-1")?.status == 200)
    #expect(carol.expect(.notify) != nil)
    #expect(harness.shell("revoke", "carol", "CAM-1").code == 0)
    #expect(carol.expect(.notify)?.subscriptionState?.reason == "rejected")
    #expect(harness.shell("account", "remove", "carol").code == 0)
    #expect(harness.wait { carol.isClosed })
    #expect(try Client(harness, "carol", .tls, password: "pw-of-carol").register()?.status == 401)
    #expect(harness.shell("account", "remove", "carol").code == 1)
    #expect(harness.shell("grant", "nobody", "CAM-1").code == 1)
  }

  @Test func `a change made in the database alone is noticed`() throws {
    let harness = try Harness()
    let other = try AccountStore(path: harness.configuration.database)
    _ = try other.add(
      .init(name: "dave", ha1SHA256: harness.ha1("dave", "secret-of-dave"), isNode: false, created: 1))
    #expect(harness.wait { harness.server.rendezvous.directory.accounts["dave"] != nil })
    #expect(try Client(harness, "dave", .tcp).register()?.status == 200)
  }

  @Test func `after a restart accounts, owners and the certificate are the same, and old routes fail as such`() throws {
    let harness = try Harness()
    let node = try Client(harness, "gate-box", .tls)
    let path = node.register()?.path.first
    node.publish("CAM-1")
    let certificate = try File.read(harness.configuration.tls.certificate, maxBytes: 1 << 20)
    harness.stop()
    try harness.start()
    #expect(try File.read(harness.configuration.tls.certificate, maxBytes: 1 << 20) == certificate)
    #expect(harness.server.rendezvous.directory.owner(of: "CAM-1") == "gate-box")
    let viewer = try Client(harness, "alice", .tls)
    viewer.register()
    var bye = viewer.request(.bye, "sip:gate-box@10.0.0.7")
    bye.to?.tag = "t"
    bye.routes = [path!]
    #expect(viewer.ask(bye)?.status == 430)
  }

  @Test func `a changed certificate is shown from the next connection on`() throws {
    let harness = try Harness()
    let node = try Client(harness, "gate-box", .tls)
    node.register()
    let authority = try CertificateAuthority(commonName: "other")
    let credential = try authority.issueServerCredential(names: [Harness.domain])
    try File.writeAtomically(credential.keyPEM, to: harness.configuration.tls.key)
    try File.writeAtomically(credential.certificatePEM, to: harness.configuration.tls.certificate)
    harness.server.reload()
    #expect(node.publish("CAM-1")?.status == 200)
    #expect(try Client(harness, "alice", .tls).isClosed)
    try File.writeAtomically(authority.certificatePEM, to: harness.configuration.tls.authority)
    #expect(try Client(harness, "alice", .tls).register()?.status == 200)
    try File.writeAtomically([0x41], to: harness.configuration.tls.certificate)
    harness.server.reload()
    #expect(try Client(harness, "alice", .tls).register()?.status == 200)
  }

  @Test func `status tells the truth in text and in JSON`() throws {
    let harness = try Harness()
    let node = try Client(harness, "gate-box", .udp)
    node.register()
    node.publish("CAM-1")
    let text = harness.shell("status")
    #expect(text.code == 0 && text.out.contains("gate-box") && text.out.contains("CAM-1"))
    let json = harness.shell("status", "--json")
    let object = try JSONSerialization.jsonObject(with: Data(json.out.utf8)) as? [String: Any]
    #expect((object?["flows"] as? [String: Int])?["udp"] == 1)
    #expect(object?["serials"] as? Int == 1)
    #expect((object?["memory_bytes"] as? Int ?? 0) > 1_000_000)
    #expect((object?["counters"] as? [String: Int])?["publications"] == 1)
  }
}
