import StatusModel
import Testing

@Suite("Status")
struct StatusTests {
  static let status = NodeStatus(
    version: "0.1.0", node: "gate-box",
    link: .init(
      state: .connected, server: "sips:rv.example.org:5061", transport: "tls", since: 1_795_242_075,
      lastHeartbeat: .seconds(12), roundTrip: .microseconds(18_250), reconnects: 2, reason: "heartbeat not answered"),
    nat: .init(mapping: .endpointIndependent, filtering: .addressDependent, publicAddress: "203.0.113.5:40000"),
    resources: [
      .init(
        serial: "CAM-7F3A-0001", name: "Front gate", type: "v4l2", state: .streaming, format: "YUYV", size: "640x480",
        framesPerSecondThousandths: 29_970),
      .init(serial: "NVR-22", type: "rtsp", ip: "192.168.1.40", port: 554, state: .published),
    ],
    sessions: [
      .init(
        viewer: "alice", serial: "CAM-7F3A-0001", path: .srflx, remote: "198.51.100.7:52344",
        roundTrip: .milliseconds(24), sentBytes: 12_345_678, framesSent: 812, framesDropped: 3, since: 1_795_242_099),
      .init(
        viewer: "bob", serial: "CAM-7F3A-0001", path: .relay, remote: "203.0.113.9:49152", sentBytes: 812,
        since: 1_795_242_100),
    ],
    health: [
      .init(
        code: "clock-wrong", severity: .warning,
        text: "the clock is 3 h behind the server's. Set it, or start an NTP client.")
    ])

  @Test func `the JSON has every field of the interface, in order`() {
    #expect(
      JSONWriter.text(Self.status.json)
        == #"{"version":"0.1.0","node":"gate-box","link":{"state":"connected","server":"sips:rv.example.org:5061","transport":"tls","since":"2026-11-21T06:21:15Z","last_heartbeat_ms":12000,"rtt_ms":18.25,"reconnects":2,"reason":"heartbeat not answered"},"nat":{"mapping":"endpoint-independent","filtering":"address-dependent","public_address":"203.0.113.5:40000"},"resources":[{"serial":"CAM-7F3A-0001","type":"v4l2","ip":null,"port":null,"state":"streaming","format":"YUYV","size":"640x480","fps":29.97,"name":"Front gate","frames":null},{"serial":"NVR-22","type":"rtsp","ip":"192.168.1.40","port":554,"state":"published","format":null,"size":null,"fps":null,"name":"NVR-22","frames":null}],"sessions":[{"viewer":"alice","serial":"CAM-7F3A-0001","path":"srflx","remote":"198.51.100.7:52344","rtt_ms":24,"sent_bytes":12345678,"frames_sent":812,"frames_dropped":3,"since":"2026-11-21T06:21:39Z","local":null,"rendition":null,"latency":{"capture":null,"encode":null,"queue":null,"network":null,"decode":null,"total":null}},{"viewer":"bob","serial":"CAM-7F3A-0001","path":"relay","remote":"203.0.113.9:49152","rtt_ms":null,"sent_bytes":812,"frames_sent":0,"frames_dropped":0,"since":"2026-11-21T06:21:40Z","local":null,"rendition":null,"latency":{"capture":null,"encode":null,"queue":null,"network":null,"decode":null,"total":null}}],"health":[{"code":"clock-wrong","severity":"warning","text":"the clock is 3 h behind the server's. Set it, or start an NTP client."}]}"#
    )
  }

  @Test func `the JSON is read back whole`() throws {
    #expect(try NodeStatus(JSONValue(JSONWriter.text(Self.status.json))) == Self.status)
  }

  @Test func `the text says state, why, and what to do`() {
    #expect(
      Self.status.text
        == """
        gate-box (edge 0.1.0): connected to sips:rv.example.org:5061 over tls since 2026-11-21 06:21:15 UTC
          heartbeat 12 s ago, round trip 18 ms, 2 reconnects, the last because: heartbeat not answered
          NAT: endpoint-independent mapping, address-dependent filtering, public address 203.0.113.5:40000

        Resources:
          CAM-7F3A-0001  v4l2  streaming  YUYV 640x480 29.97 fps "Front gate"
          NVR-22         rtsp  published  192.168.1.40:554

        Sessions:
          alice  CAM-7F3A-0001  direct 198.51.100.7:52344 (srflx)  24 ms  12.3 MB sent, 812 frames, 3 dropped  since 2026-11-21 06:21:39 UTC
          bob    CAM-7F3A-0001  relay 203.0.113.9:49152            -      812 bytes sent, 0 frames             since 2026-11-21 06:21:40 UTC

        # Health check:
        #   - warning clock-wrong: the clock is 3 h behind the server's. Set it, or start an NTP client.

        """)
  }

  @Test func `a link that is down says since when and why`() {
    let status = NodeStatus(
      version: "0.1.0", node: "n",
      link: .init(state: .down, server: "sips:rv", transport: "tls", since: 0, reason: "connection refused"))
    #expect(
      status.text
        == """
        n (edge 0.1.0): not connected to sips:rv since 1970-01-01 00:00:00 UTC
          because: connection refused

        Resources:
          none

        Sessions:
          none

        """)
    #expect(status.exitCode == .no)
  }

  @Test func `the exit code tells registered, with problems, and not`() {
    #expect(Self.status.exitCode == .problems)
    var status = Self.status
    status.health = [.init(code: "x", severity: .info, text: "")]
    #expect(status.exitCode == .fine)
    status.link.state = .connecting
    #expect(status.exitCode == .no)
    #expect(
      [ExitCode.fine, .no, .problems, .usage, .unreachable, .notAllowed].map(\.rawValue) == [0, 1, 2, 64, 69, 77])
  }

  @Test func `a newer daemon's fields are skipped, an older one's lack is no error`() throws {
    let json = try JSONValue(#"{"later":1,"version":"9","node":"n","link":{"state":"down","new":[]},"sessions":[{}]}"#)
    let status = NodeStatus(json)
    #expect(status?.link.state == .down)
    #expect(status?.sessions.isEmpty == true)
    #expect(try NodeStatus(JSONValue(#"{"version":"9"}"#)) == nil)
    #expect(try NodeStatus(JSONValue("[]")) == nil)
  }

  @Test func `a hostile name cannot move the cursor`() {
    var status = Self.status
    status.node = "\u{1B}[2J\u{9B}evil\n"
    status.sessions[0].viewer = "\u{1B}]0;x\u{7}"
    #expect(status.text.unicodeScalars.allSatisfy { $0 == "\n" || (0x20..<0x7F).contains($0.value) })
  }

  @Test func `view statistics have every field of the interface`() {
    var stats = ViewStats(serial: "C")
    stats.path = .prflx
    stats.remote = "198.51.100.7:1"
    stats.firstFrame = .milliseconds(420)
    stats.frames = 100
    stats.bytes = 1_000_000
    stats.rawBytes = 3_250_000
    stats.framesPerSecondThousandths = 25_000
    stats.roundTrip = .milliseconds(100)
    stats.roundTripsToFirstFrame = 8
    #expect(
      JSONWriter.text(stats.json)
        == #"{"serial":"C","path":"prflx","remote":"198.51.100.7:1","first_frame_ms":420,"frames":100,"frames_lost":0,"bytes":1000000,"raw_bytes":3250000,"fps":25,"rtt_ms":100,"round_trips_to_first_frame":8,"checksum_errors":0,"duration_ms":null,"format":null,"size":null,"local":null,"answer_ms":null,"path_ms":null,"open_ms":null,"longest_gap_ms":null,"path_changes":0,"latency":{"capture":null,"encode":null,"queue":null,"network":null,"decode":null,"total":null},"camera_trouble":null}"#
    )
    #expect(
      stats.text
        == "C: 100 frames, 0 lost, 1.0 MB (3.2 MB of picture, x3.2), 25.0 fps, direct 198.51.100.7:1 (prflx), round trip 100 ms"
    )
  }

  @Test func `the server's status is read back whole, and readable`() throws {
    var status = RendezvousStatus(version: "0.1.0", domain: "rv.example.org", since: 0)
    status.listeners = [.init(name: "sips", address: "0.0.0.0:5061")]
    status.nodes = [
      .init(account: "gate-box", transport: "tls", remote: "198.51.100.7:40000", since: 60, serials: ["A", "B"])
    ]
    status.accounts = 3
    status.serials = 2
    status.flowsTLS = 1
    status.flowsUDP = 4
    status.sessions = 1
    status.memoryBytes = 20_500_000
    status.health = [.init(code: "disk-full", severity: .error, text: "the database cannot grow. Free some space.")]
    #expect(try RendezvousStatus(JSONValue(JSONWriter.text(status.json))) == status)
    #expect(status.exitCode == .problems)
    #expect(
      status.text
        == """
        rv.example.org (edge-rendezvous 0.1.0): running since 1970-01-01 00:00:00 UTC
          accounts: 3, nodes online: 1, serials: 2, sessions: 1, subscriptions: 0
          flows: 1 tls, 0 tcp, 4 udp; memory: 20.5 MB

        Listening:
          sips  0.0.0.0:5061

        Nodes:
          gate-box  tls 198.51.100.7:40000  since 1970-01-01 00:01:00 UTC  A B

        # Health check:
        #   - error disk-full: the database cannot grow. Free some space.

        """)
  }

  @Test func `devices are listed with their state in words`() {
    let list = DeviceList(devices: [
      .init(serial: "CAM-1", isOnline: true, type: "v4l2", name: "Gate", formats: ["YUYV 640x480 30"]),
      .init(serial: "CAMERA-2", isOnline: false),
    ])
    #expect(
      list.text
        == """
          CAM-1     online   v4l2  "Gate" YUYV 640x480 30
          CAMERA-2  offline  -

        """)
    #expect(
      JSONWriter.text(list.json)
        == #"{"devices":[{"serial":"CAM-1","online":true,"type":"v4l2","name":"Gate","ip":null,"port":null,"formats":["YUYV 640x480 30"]},{"serial":"CAMERA-2","online":false,"type":"","name":"CAMERA-2","ip":null,"port":null,"formats":[]}]}"#
    )
    #expect(DeviceList(devices: []).text.hasPrefix("no devices"))
  }

  @Test(arguments: [
    (0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (999_999, "999.9 kB"), (1_000_000, "1.0 MB"),
    (Int64.max, "9223372.0 TB"),
  ])
  func `byte counts are short`(bytes: Int64, text: String) { #expect(Plain.byteCount(bytes) == text) }

  @Test(arguments: [(0.85, "850 ms"), (12, "12 s"), (185, "3 min 5 s"), (7800, "2 h 10 min"), (442_800, "5 d 3 h")])
  func `intervals are short`(seconds: Double, text: String) {
    #expect(Plain.interval(.milliseconds(Int(seconds * 1000))) == text)
  }
}
