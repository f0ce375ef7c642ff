import Alarms
import Config
import EdgeCore
import Foundation
import Testing

/// The examples of the design page, word for word.
private let designNode = """
  node: { name: gate-box, state-dir: /var/lib/edge, status-socket: /run/edge/status.sock }
  rendezvous: { uri: "sips:rv.example.org:5061", account: gate-box, password-file: /etc/edge/password, ca-file: /etc/edge/ca.pem }
  cameras:
    - { serial: CAM-7F3A-0001, device: /dev/video0, format: YUYV, size: 640x480, fps: 30 }
    - { serial: CAM-7F3A-0002, source: testcard, size: 640x480, fps: 30 }      # built-in moving picture
    - { serial: CAM-7F3A-0003, source: file, path: clip.y4m, loop: true }
  resources:                                           # other devices on this LAN
    - { serial: NVR-22, type: rtsp, ip: 192.168.1.40, port: 554 }
  """

private let designServer = """
  domain: rv.example.org
  listen: { sips: "0.0.0.0:5061", sip-tcp: "127.0.0.1:5060", sip-udp: "127.0.0.1:5060", stun: "0.0.0.0:3478" }
  tls: { certificate: server.pem, key: server.key }    # made on first start when absent, with ca.pem beside them for the nodes
  database: /var/lib/edge-rendezvous/rendezvous.sqlite
  relay: { external-ip: auto, ports: 49152-65535 }
  flow-timer: 25
  control-socket: /run/edge-rendezvous/control.sock
  """

private func example(_ name: String) throws -> [UInt8] {
  let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
  return [UInt8](try Data(contentsOf: root.appendingPathComponent("Config/\(name)")))
}

private func node(_ text: String, file: String = "/etc/edge/edge.yaml") throws(ConfigError) -> NodeConfiguration {
  try NodeConfiguration(yaml: Array(text.utf8), file: file)
}

private func server(_ text: String) throws(ConfigError) -> RendezvousConfiguration {
  try RendezvousConfiguration(yaml: Array(text.utf8), file: "/etc/edge/rendezvous.yaml")
}

/// What `read` complains about, as a user sees it.
private func complaints(_ read: () throws(ConfigError) -> Void) -> String {
  do throws(ConfigError) {
    try read()
    return ""
  } catch {
    return error.description
  }
}

private func nodeComplaints(_ text: String) -> String {
  complaints { () throws(ConfigError) in _ = try node(text, file: "edge.yaml") }
}

@Suite("Node configuration")
struct NodeConfigurationTests {
  static let minimal = "rendezvous: { uri: \"sips:h.example\", account: a, password-file: p }\n"

  @Test func `files are shared and taken only where the configuration says so`() throws {
    #expect(try node(designNode).files == .init())
    let files = try node(designNode + "\nfiles: { share: rec, by-serial: true, inbox: /var/in, max-size: 500M }").files
    #expect(files == .init(share: "/etc/edge/rec", isBySerial: true, inbox: "/var/in", maximumSize: 500_000_000))
    for (text, hint) in [
      ("{ share: /a, inbox: /a }", "another folder"), ("{ inbox: /a, max-size: 5X }", "500M"),
      ("{ max-size: 5G }", "without inbox"), ("{ by-serial: true }", "without share"),
      ("{ inbox: /a, max-size: 99999999999999999999 }", "500M"), ("{ shares: /a }", "did you mean share"),
    ] {
      do {
        _ = try node(designNode + "\nfiles: " + text)
        Issue.record("\(text) is taken")
      } catch {
        #expect(error.description.contains(hint), "\(error)")
      }
    }
  }

  @Test func `the design's example is understood`() throws {
    let configuration = try node(designNode)
    #expect(configuration.node.name == "gate-box")
    #expect(configuration.node.statusSocket == "/run/edge/status.sock")
    #expect(configuration.rendezvous.uri.description == "sips:rv.example.org:5061")
    #expect(configuration.rendezvous.domain == "rv.example.org")
    #expect(configuration.rendezvous.caFile == "/etc/edge/ca.pem")
    #expect(configuration.cameras.map(\.serial) == ["CAM-7F3A-0001", "CAM-7F3A-0002", "CAM-7F3A-0003"])
    #expect(
      configuration.cameras.map(\.source) == [
        .device(path: "/dev/video0"), .testCard, .file(path: "/etc/edge/clip.y4m", loop: true),
      ])
    #expect(configuration.cameras[0].format == "YUYV")
    #expect(configuration.cameras[0].size == .init(width: 640, height: 480))
    #expect(configuration.cameras[1].framesPerSecond == 30)
    #expect(configuration.cameras[2].size == nil)
    #expect(configuration.resources.map(\.address.description) == ["192.168.1.40:554"])
  }

  @Test func `the example file says the same as the design`() throws {
    let file = try NodeConfiguration(yaml: example("edge.yaml"), file: "/etc/edge/edge.yaml")
    #expect(try file == node(designNode))
  }

  @Test func `what is left out has the documented default`() throws {
    let configuration = try node(Self.minimal)
    #expect(configuration.node.name == "a")
    #expect(configuration.node.stateDirectory == "/var/lib/edge")
    #expect(configuration.node.statusSocket == "/run/edge/status.sock")
    #expect(configuration.node.logLevel == .info)
    #expect(configuration.node.statusRefresh == .seconds(1))
    #expect(configuration.rendezvous.passwordFile == "/etc/edge/p")
    #expect(configuration.rendezvous.stun == nil)
    #expect(configuration.cameras.isEmpty)
  }

  @Test func `every option is read`() throws {
    let configuration = try node(
      """
      node: { log-level: debug, status-refresh: 5 }
      rendezvous: { uri: "sip:10.0.0.1;transport=tcp", account: a, password-file: /p, domain: D.example, stun: s.example }
      cameras:
        - { serial: C1, source: testcard, format: nv12, quality: near-lossless, name: Gate }
      resources:
        - { serial: R1, type: http, ip: "2001:db8::1" }
        - { serial: R2, type: tcp, ip: 10.0.0.2, port: 1 }
      """)
    #expect(configuration.node.logLevel == .debug)
    #expect(configuration.node.statusRefresh == .seconds(5))
    #expect(configuration.rendezvous.uri == .init(transport: .tcp, server: .init(host: "10.0.0.1", port: 5060)))
    #expect(configuration.rendezvous.domain == "d.example")
    #expect(configuration.rendezvous.stun == .init(host: "s.example", port: 3478))
    #expect(configuration.cameras[0].format == "NV12")
    #expect(configuration.cameras[0].quality == .maximumError(1))
    #expect(configuration.cameras[0].name == "Gate")
    #expect(configuration.resources.map(\.address.description) == ["[2001:db8::1]:80", "10.0.0.2:1"])
  }

  @Test func `a camera's alarms are read, with sane defaults`() throws {
    let configuration = try node(
      """
      rendezvous: { uri: "sip:a.example", account: a, password-file: p }
      cameras:
        - serial: C1
          source: testcard
          alarms:
            motion: { sensitivity: 70, hold: 5, zones: ["0,50 100,100"], ignore: ["0,0 10,0 10,10", "90,90 100,100"] }
            tamper: false
            interval: 60
            to: [anna, bert]
        - { serial: C2, source: testcard, alarms: { motion: true, to: anna } }
        - { serial: C3, source: testcard, alarms: { motion: false, lost: false } }
        - { serial: C4, source: testcard }
      """)
    let first = try #require(configuration.cameras[0].alarms)
    #expect(first.motion?.sensitivity == 70)
    #expect(first.motion?.hold == .seconds(5))
    #expect(first.motion?.zones.map(\.points.count) == [4])
    #expect(first.motion?.ignored.map(\.points.count) == [3, 4])
    #expect(first.lost && !first.tamper)
    #expect(first.interval == .seconds(60))
    #expect(first.receivers == ["anna", "bert"])
    let second = try #require(configuration.cameras[1].alarms)
    #expect(second == CameraAlarms(motion: .init(), receivers: ["anna"]))
    #expect(configuration.cameras[2].alarms == CameraAlarms(lost: false))
    #expect(configuration.cameras[3].alarms == nil)
  }

  @Test(
    arguments: [
      ("quality: lossless", .lossless), ("quality: \"max-error:3\"", .maximumError(3)), ("quality: gate", .gate),
      ("max-error: 2", .maximumError(2)), ("gate: auto", .gate), ("name: Gate", .lossless),
    ] as [(String, NodeConfiguration.Camera.Quality)])
  func `a camera's quality is read`(text: String, quality: NodeConfiguration.Camera.Quality) throws {
    let configuration = try node(Self.minimal + "\ncameras: [{ serial: C1, source: testcard, \(text) }]")
    #expect(configuration.cameras[0].quality == quality)
  }

  @Test(arguments: [
    (
      "cameras: [{ serial: A, source: testcard, alarms: { motion: { zones: [\"1,1\"] } } }]",
      "2: cameras[0].alarms.motion.zones: '1,1' is not a zone such as \"0,50 100,100\": corners x,y in percent of the picture"
    ),
    (
      "cameras: [{ serial: A, source: testcard, alarms: { motion: { sensitivity: 0 } } }]",
      "2: cameras[0].alarms.motion.sensitivity: '0' is not a whole number from 1 to 100"
    ),
    (
      "cameras: [{ serial: A, source: testcard, alarms: { tampr: true } }]",
      "2: cameras[0].alarms.tampr: unknown key; did you mean tamper?"
    ),
    (
      "cameras: [{ serial: A, source: testcard, max-error: 5 }]",
      "2: cameras[0].max-error: '5' is not a whole number from 1 to 4"
    ),
    (
      "cameras: [{ serial: A, source: testcard, max-error: 1, gate: auto }]",
      "2: cameras[0].gate: excludes max-error"
    ),
    (
      "cameras: [{ serial: A, device: /dev/video0, format: YUVY }]",
      "2: cameras[0].format: unknown format 'YUVY'; did you mean YUYV?"
    ),
    (
      "cameras: [{ serial: A, device: /dev/video0, format: x265 }]",
      "2: cameras[0].format: unknown format 'x265'; known are YUYV, UYVY, NV12, YU12, YV12, GREY, Y16, RGB24, BGR24, MJPEG, H264"
    ),
    ("camera: []", "2: camera: unknown key; did you mean cameras?"),
    (
      "cameras: [{ serial: A, devise: /dev/video0 }]",
      "2: cameras[0].devise: unknown key; did you mean device?\nedge.yaml:2: cameras[0].device: is missing: the camera, such as /dev/video0 (or source: testcard, or source: file)"
    ),
    ("cameras: [{ device: /dev/video0 }]", "2: cameras[0].serial: is missing: the number this device is found by"),
    (
      "cameras: [{ serial: a b, source: testcard }]",
      "2: cameras[0].serial: 'a b' is not a name of letters, digits, '-', '_' and '.', 64 at most, starting with a letter or digit"
    ),
    (
      "cameras: [{ serial: A, source: testcard, size: 640 }]",
      "2: cameras[0].size: '640' is not a size such as 640x480, each side from 16 to 8192"
    ),
    (
      "cameras: [{ serial: A, source: testcard, fps: 0 }]", "2: cameras[0].fps: '0' is not a whole number from 1 to 240"
    ),
    ("cameras: [{ serial: A, source: testcard, fps: [1] }]", "2: cameras[0].fps: must be a single value"),
    ("cameras: [{ serial: A, source: testcard, path: x }]", "2: cameras[0].path: is of no use with source: testcard"),
    ("cameras: [{ serial: A, source: file, path: x, loop: yes }]", "2: cameras[0].loop: 'yes' is not true or false"),
    (
      "cameras: [{ serial: A, source: test-card }]",
      "2: cameras[0].source: unknown source 'test-card'; did you mean testcard?"
    ),
    (
      "cameras:\n- serial: A\n  source: testcard\n- serial: a\n  source: testcard",
      "5: cameras[1].serial: 'a' is already used by cameras[0]"
    ),
    (
      "cameras:\n- { serial: A, device: /dev/video0 }\n- { serial: B, device: /dev/video0 }",
      "4: cameras[1].device: /dev/video0 is already used by cameras[0]"
    ),
    ("cameras: { serial: A }", "2: cameras: must be a list, each element starting with '-'"),
    (
      "cameras:\n-",
      "3: cameras[0]: is empty\nedge.yaml:3: cameras[0].serial: is missing: the number this device is found by\nedge.yaml:3: cameras[0].device: is missing: the camera, such as /dev/video0 (or source: testcard, or source: file)"
    ),
    (
      "resources: [{ serial: A, type: rtps, ip: 10.0.0.1 }]",
      "2: resources[0].type: unknown type 'rtps'; did you mean rtsp?"
    ),
    ("resources: [{ serial: A, type: rtsp, ip: nvr.local }]", "2: resources[0].ip: 'nvr.local' is not an IP address"),
    (
      "resources: [{ serial: A, type: tcp, ip: 10.0.0.1 }]",
      "2: resources[0].port: is missing: the TCP port of the device"
    ),
    ("node: gate", "2: node: must be a list of 'key: value'"),
    ("node: { state-dir: '' }", "2: node.state-dir: is empty"),
    ("node: { log-level: wraning }", "2: node.log-level: unknown level 'wraning'; did you mean warning?"),
    ("node: {}\nnode: {}", "3: 'node' is here twice, first on line 2"),
  ])
  func `a mistake is named with its line and place`(line: String, complaint: String) {
    #expect(nodeComplaints(Self.minimal + line + "\n") == "edge.yaml:" + complaint)
  }

  @Test(arguments: [
    ("", "edge.yaml:1: rendezvous: is missing: uri, account and password-file of a server"),
    (
      "rendezvous: { uri: 'http://x', account: a, password-file: p }",
      "edge.yaml:1: rendezvous.uri: 'http://x' is not a server address such as sips:rv.example.org:5061"
    ),
    (
      "rendezvous: { uri: 'sips:x', account: a }",
      "edge.yaml:1: rendezvous.password-file: is missing: a file that holds the account's password and nothing else"
    ),
    (
      "rendezvous: { uri: 'sips:x', account: a, password-file: p, insecure: true }",
      "edge.yaml:1: rendezvous.insecure: unknown key"
    ),
    (
      "rendezvous: { uri: 'sips:x', account: a, password: p }",
      "edge.yaml:1: rendezvous.password: unknown key\nedge.yaml:1: rendezvous.password-file: is missing: a file that holds the account's password and nothing else"
    ),
  ])
  func `a server is needed, and there is no way to trust just any`(text: String, complaint: String) {
    #expect(nodeComplaints(text) == complaint)
  }

  @Test func `all problems are reported at once, in order, up to twenty`() throws {
    let lines = (1...30).map { "- { serial: S\($0), source: testcard, fps: 999 }" }
    let error = #expect(throws: ConfigError.self) {
      try node("cameras:\n" + lines.joined(separator: "\n") + "\n", file: "edge.yaml")
    }
    #expect(error?.problems.count == 20)
    #expect(error?.omitted == 11)
    #expect(error?.problems.map(\.line) == [1] + Array(2...20))
    #expect(error?.description.hasSuffix("\nedge.yaml: 11 more") == true)
  }

  @Test(arguments: [
    "sips:rv.example.org", "sips:rv.example.org:1", "sip:[2001:db8::1]:5060;transport=tcp", "SIP:10.0.0.1",
  ])
  func `server addresses are understood`(text: String) { #expect(ServerURI(text) != nil) }

  @Test(arguments: [
    "", "rv.example.org", "sips:", "sips:rv:0", "sips:rv:65536", "sips:user@rv", "sips://rv",
    "sip:rv;transport=carrier-pigeon",
    "sips:rv;transport=udp", "sips:10.0.0.256", "sips:[10.0.0.1]", "sips:2001:db8::1", "sips:-a", "sips:a..b",
  ])
  func `what is no server address is refused`(text: String) { #expect(ServerURI(text) == nil) }

  @Test func `a viewer takes its account from a node's file, whatever else is in it`() throws {
    let viewer = try ViewerConfiguration(
      yaml: Array((designNode + "\nviewer: { state-dir: keys }\n").utf8), file: "conf/edge.yaml")
    #expect(viewer.account.account == "gate-box")
    #expect(viewer.stateDirectory == "conf/keys")
    #expect(
      complaints { () throws(ConfigError) in _ = try ViewerConfiguration(yaml: [], file: "v.yaml") }.hasPrefix(
        "v.yaml:1: rendezvous.uri: is missing"))
  }
}

@Suite("Rendezvous configuration")
struct RendezvousConfigurationTests {
  @Test func `the design's example is understood`() throws {
    let configuration = try server(designServer)
    #expect(configuration.domain == "rv.example.org")
    #expect(configuration.listen.sips.map(\.description) == ["0.0.0.0:5061"])
    #expect(configuration.listen.sipUDP.map(\.description) == ["127.0.0.1:5060"])
    #expect(configuration.listen.stunTLS.isEmpty)
    #expect(
      configuration.tls
        == .init(certificate: "/etc/edge/server.pem", key: "/etc/edge/server.key", authority: "/etc/edge/ca.pem"))
    #expect(configuration.relay == .init(externalAddress: nil, ports: 49152...65535, allowsPrivatePeers: false))
    #expect(configuration.flowTimer == .seconds(25))
    #expect(configuration.controlSocket == "/run/edge-rendezvous/control.sock")
  }

  @Test func `the example file says the same as the design`() throws {
    let file = try RendezvousConfiguration(yaml: example("rendezvous.yaml"), file: "/etc/edge/rendezvous.yaml")
    #expect(try file == server(designServer))
  }

  @Test func `a domain is enough`() throws {
    let configuration = try server("domain: RV.example")
    #expect(configuration.domain == "rv.example")
    #expect(configuration.listen.sips.map(\.description) == ["0.0.0.0:5061"])
    #expect(configuration.listen.stun.map(\.description) == ["0.0.0.0:3478"])
    #expect(configuration.listen.natDiscovery.map(\.description) == ["0.0.0.0:3479"])
    #expect(configuration.listen.sipTCP.isEmpty)
    #expect(configuration.relay == nil)
    #expect(configuration.tls.authority == "/var/lib/edge-rendezvous/ca.pem")
  }

  @Test func `an address family each`() throws {
    let configuration = try server("domain: d\nlisten: { sips: ['0.0.0.0:1', '[::]:1'] }")
    #expect(configuration.listen.sips.map(\.description) == ["0.0.0.0:1", "[::]:1"])
    #expect(configuration.listen.stun.isEmpty)
  }

  @Test(arguments: [
    ("", "1: domain: is missing: what follows the @ of every address, usually the server's DNS name"),
    ("domain: 'a b'", "1: domain: 'a b' is not a domain name or address"),
    (
      "domain: d\nlisten: { stun: '0.0.0.0:1' }",
      "2: listen: has none of sips, sip-tcp and sip-udp: nobody could log in"
    ),
    (
      "domain: d\nlisten: { sips: 5061 }",
      "2: listen.sips: '5061' is not an address and port such as 0.0.0.0:5061 or \"[::]:5061\""
    ),
    (
      "domain: d\nlisten: { sips: '0.0.0.0:1', sip-tcp: '0.0.0.0:1' }",
      "2: listen.sip-tcp: TCP 0.0.0.0:1 is already used by sips"
    ),
    (
      "domain: d\nlisten: { sips: '0.0.0.0:1', nat-discovery: ['192.0.2.1:2', '192.0.2.2:3'] }",
      "2: listen.nat-discovery: must be one address, or two of one port; the port after it is used too"
    ),
    ("domain: d\ntls: { certificate: c }", "2: tls.key: is missing: a certificate and its key go together"),
    (
      "domain: d\nrelay: { ports: 1-2 }",
      "2: relay.ports: '1-2' is not a range such as 49152-65535, of ports from 1024 up"
    ),
    ("domain: d\nrelay: { external-ip: me }", "2: relay.external-ip: 'me' is not 'auto' or an IP address"),
    ("domain: d\nflow-timer: 1", "2: flow-timer: '1' is not a whole number from 5 to 600"),
  ])
  func `a mistake is named with its line and place`(text: String, complaint: String) {
    #expect(complaints { () throws(ConfigError) in _ = try server(text) } == "/etc/edge/rendezvous.yaml:" + complaint)
  }
}

@Suite("YAML")
struct YAMLTests {
  private func parse(_ text: String) throws(ConfigError) -> YAMLNode {
    try YAMLNode(yaml: Array(text.utf8), file: "f")
  }

  @Test func `lines are those of the file`() throws {
    let node = try parse("# a\na: 1\n\nb:\n  - x\n  - 'y'\n")
    guard case .mapping(let entries) = node.content, case .sequence(let items) = entries[1].value.content else {
      Issue.record("not a mapping with a list")
      return
    }
    #expect(entries.map(\.line) == [2, 4])
    #expect(items.map(\.line) == [5, 6])
    #expect(items[0].content == .scalar("x", isPlain: true))
    #expect(items[1].content == .scalar("y", isPlain: false))
  }

  @Test(arguments: [
    ("a: &x 1\nb: *x", "f:1: anchors ('&name') are not allowed"),
    ("a: *x", "f:1: aliases ('*name') are not allowed"),
    ("a: !!binary aGk=", "f:1: tags ('!name') are not allowed"),
    ("a: 1\n---\nb: 2", "f:2: a second document ('---') is not allowed"),
    ("a: [1, 2", "f:2: not valid YAML"),
    ("a: 'x", "f:1: not valid YAML"),
    ("a:\n\t- x", "f:2: not valid YAML"),
    ("? [a]\n: b", "f:1: a key must be a word"),
    ("a: \u{1}", "f:1: not valid YAML"),
  ])
  func `what a configuration does not need is refused`(text: String, complaint: String) {
    let said = complaints { () throws(ConfigError) in _ = try parse(text) }
    #expect(said.hasPrefix(complaint), "\(said)")
  }

  @Test func `limits hold`() throws {
    let deep = String(repeating: "[", count: YAMLLimits.depth) + String(repeating: "]", count: YAMLLimits.depth)
    #expect(throws: Never.self) { try parse(deep) }
    #expect(throws: ConfigError.self) { try parse("[" + deep + "]") }
    #expect(throws: ConfigError.self) { try parse(String(repeating: "[", count: 200_000)) }
    #expect(throws: ConfigError.self) { try parse("[" + String(repeating: "1,", count: YAMLLimits.nodes) + "1]") }
    #expect(throws: ConfigError.self) { try parse(String(repeating: " ", count: YAMLLimits.bytes + 1)) }
    let keys = (0..<300).map { "k\($0): 1\n" }.joined()
    #expect(throws: ConfigError.self) { try parse(keys) }
  }

  @Test(arguments: ["edge.yaml", "rendezvous.yaml"])
  func `one changed byte never traps`(name: String) throws {
    let original = try example(name)
    let values = Array("\n\t :#-'\"[{}&*!|?,0".utf8) + [0, 0x80, 0xFF]
    for index in stride(from: 0, to: original.count, by: 2) {
      var bytes = original
      bytes[index] = values[(index * 7 + index / 13) % values.count]
      _ = try? NodeConfiguration(yaml: bytes, file: "f")
      _ = try? RendezvousConfiguration(yaml: bytes, file: "f")
    }
  }
}

@Suite("Password file")
struct PasswordFileTests {
  @Test(arguments: [
    ("secret", "secret"), ("secret\n", "secret"), ("a b\r\n", "a b"), (" a ", " a "), ("gru\u{DF}", "gru\u{DF}"),
  ])
  func `a password is the file without its line end`(content: String, password: String) throws {
    #expect(try PasswordFile.password(in: Array(content.utf8), file: "f") == password)
  }

  @Test(arguments: ["", "\n", "a\nb", "\nsecret", "a\u{0}b", String(repeating: "x", count: 1025)])
  func `a file that is no password is refused without showing it`(content: String) {
    let error = #expect(throws: ConfigError.self) { try PasswordFile.password(in: Array(content.utf8), file: "f") }
    #expect(error?.description.hasPrefix("f:") == true)
    #expect(error?.description.contains("secret") == false)
  }

  @Test func `what is no text is refused, not mangled`() {
    let error = #expect(throws: ConfigError.self) {
      try PasswordFile.password(in: [0x61, 0xFF, 0xFE, 0x0A], file: "f")
    }
    #expect(error?.description.contains("UTF-8") == true)
  }
}
