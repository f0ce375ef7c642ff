import Doctor
import EdgeCore
import NATDiscovery
import StatusModel
import Testing

@Suite("Doctor")
struct DiagnosisTests {
  /// Everything as it should be.
  static var healthy: Facts {
    var facts = Facts(server: "sips:rv.example.org:5061", host: "rv.example.org", clock: 1_795_000_000)
    facts.addresses = [.v4(0xCB00_710A)]
    facts.link = .worked(roundTrip: .milliseconds(20))
    facts.certificateEnds = facts.clock + 90 * 86_400
    facts.login = .accepted
    facts.stunUDP = .worked(roundTrip: .milliseconds(10))
    facts.relayUDP = .worked(roundTrip: .milliseconds(10))
    facts.nat = nat(.endpointIndependent, .addressAndPortDependent)
    return facts
  }

  static func nat(_ mapping: NATBehavior, _ filtering: NATBehavior, hasUDP: Bool = true) -> NATReport {
    var report = NATReport()
    report.hasUDP = hasUDP
    report.mapping = mapping
    report.filtering = filtering
    report.publicAddress = SocketAddress(.v4(0xCB00_7165), port: 40000)
    return report
  }

  func finding(_ code: String, _ change: (inout Facts) -> Void) -> Finding? {
    var facts = Self.healthy
    change(&facts)
    return DoctorReport(facts).findings.first { $0.code == code }
  }

  static func blockUDP(_ facts: inout Facts) {
    facts.nat = nat(.unknown, .unknown, hasUDP: false)
    facts.stunUDP = .failed("no answer")
    facts.relayUDP = .failed("no answer")
  }

  @Test func `where all is well nothing is said to do`() {
    let report = DoctorReport(Self.healthy)
    #expect(report.findings.allSatisfy { $0.state == .ok && $0.remedy.isEmpty }, "\(report.text)")
    #expect(report.exitCode == .fine)
    #expect(report.text.hasSuffix("Nothing is wrong.\n"))
  }

  @Test func `whatever is wrong has a remedy`() {
    let breakages: [(String, (inout Facts) -> Void)] = [
      ("clock", { $0.clock = 100 }), ("clock", { $0.isClockToBlame = true }),
      ("name", { $0.lookupFailure = "no such host: rv.example.org" }),
      ("link", { $0.link = .failed("connection refused") }),
      ("certificate", { $0.certificateEnds = $0.clock + 3 * 86_400 }),
      ("login", { $0.login = .refused("account or password refused") }), ("udp", Self.blockUDP),
      ("nat", { $0.nat = Self.nat(.addressAndPortDependent, .addressAndPortDependent) }),
      ("relay", { $0.relayUDP = .failed("no answer") }),
      ("file", { $0.files = [.init(what: "password file", path: "pw", trouble: "no such file")] }),
      ("disk", { $0.freeBytes = 1000 }), ("daemon", { $0.daemonTrouble = "the daemon does not answer" }),
    ]
    for (code, change) in breakages {
      let found = finding(code, change)
      #expect(found?.state != .ok && found?.remedy.isEmpty == false, "\(code): \(String(describing: found))")
    }
  }

  @Test func `a name that means nothing keeps quiet about all that depends on it`() {
    var facts = Self.healthy
    facts.lookupFailure = "no such host: rv.example.org"
    #expect(DoctorReport(facts).findings.map(\.code) == ["clock", "name"])
    #expect(DoctorReport(facts).exitCode == .no)
  }

  @Test func `without UDP the relay is a must, and without either it is a problem`() {
    #expect(finding("udp", Self.blockUDP)?.text == "no answer over UDP, though TCP gets through")
    #expect(finding("relay", Self.blockUDP)?.state == .problem)
    let found = finding("relay") {
      Self.blockUDP(&$0)
      $0.relayTLS = .worked(roundTrip: nil)
    }
    #expect(found?.text == "the server has a relay, reachable over TLS")
    #expect(found?.state == .ok)
  }

  @Test func `a server with one address is named as the reason for what cannot be told`() {
    let found = finding("nat") { $0.nat?.isMappingCertain = false }
    #expect(found?.state == .ok)
    #expect(found?.text.contains("the server has one address") == true)
  }

  @Test func `the daemon's own complaints are repeated, and its heartbeat's age is told`() {
    var facts = Self.healthy
    facts.daemon = NodeStatus(
      version: "1", node: "n",
      link: .init(state: .connected, server: "s", transport: "tls", lastHeartbeat: .seconds(3)),
      health: [Health(code: "camera-busy", severity: .error, text: "CAM-1: busy")])
    let report = DoctorReport(facts)
    #expect(report.findings.first { $0.code == "heartbeat" }?.text.contains("3 s ago") == true, "\(report.text)")
    #expect(report.findings.contains { $0.code == "camera-busy" && $0.state == .problem })
    #expect(report.exitCode == .no)
  }

  @Test func `text from others cannot move the cursor, and the JSON has all of it`() {
    var facts = Self.healthy
    facts.link = .failed("\u{1B}[2J evil")
    let report = DoctorReport(facts)
    #expect(report.text.unicodeScalars.allSatisfy { $0 == "\n" || (0x20..<0x7F).contains($0.value) })
    guard case .array(let items)? = report.json["findings"] else {
      Issue.record("no findings")
      return
    }
    #expect(items.count == report.findings.count)
    #expect(report.json["ok"] == .bool(false))
  }
}
