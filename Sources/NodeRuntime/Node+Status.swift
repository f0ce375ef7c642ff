import Capture
import Config
import EdgeCore
import LinuxIO
import NATDiscovery
import NodeLogic
import Picture
import SIP
import SecureStreams
import SecureTransport
public import StatusModel
import Uplink
import UserAgent

extension Node {
  /// Everything `edge status` shows, as it is now.
  public var status: NodeStatus {
    let health = healthReport
    return NodeStatus(
      version: Version.current, node: configuration.node.name, link: link,
      nat: nat,
      resources: resources,
      sessions: sessions.map { $0.status } + tunnels.map { $0.status } + fileService.calls.map { $0.status },
      health: health)
  }

  private var nat: NodeStatus.NAT {
    NodeStatus.NAT(
      mapping: natReport.flatMap { .init(rawValue: $0.mapping.rawValue) } ?? .unknown,
      filtering: natReport.flatMap { .init(rawValue: $0.filtering.rawValue) } ?? .unknown,
      publicAddress: natReport?.publicAddress?.description)
  }

  private var link: NodeStatus.Link {
    let now = reactor.now
    let wallClock = reactor.wallClockSeconds
    let uri = configuration.rendezvous.uri
    let transport =
      switch uri.transport {
      case .tls: "tls"
      case .tcp: "tcp"
      case .udp: "udp"
      }
    return uplink.inspect { agent in
      NodeStatus.Link(
        state: agent.isUp ? .connected : agent.isConnecting ? .connecting : .down, server: uri.description,
        transport: transport, since: agent.since.map { wallClock - (now - $0).wholeMilliseconds / 1000 },
        lastHeartbeat: agent.lastHeartbeat.map { now - $0 }, roundTrip: agent.roundTrip,
        reconnects: Int(clamping: agent.reconnects), reason: agent.isUp ? nil : agent.lastFailure?.text)
    }
  }

  private var resources: [NodeStatus.Resource] {
    var resources: [NodeStatus.Resource] = []
    for feed in feeds {
      let camera = feed.configuration
      let state: NodeStatus.Resource.State =
        switch feed.state {
        case .streaming: .streaming
        case .failed: .unavailable
        case .idle, .opening, .ended: feed.isAbsent ? .unavailable : .idle
        }
      let picture = feed.lastFormat?.picture
      resources.append(
        NodeStatus.Resource(
          serial: camera.serial, name: camera.name, type: feed.type, state: state,
          format: picture?.pixelFormat.name ?? camera.format,
          size: picture.map { "\($0.width)x\($0.height)" } ?? camera.size?.description,
          framesPerSecondThousandths: feed.measuredRate ?? feed.lastFormat.map { Int64($0.centiFramesPerSecond) * 10 }
            ?? camera.framesPerSecond.map { Int64($0) * 1000 },
          counts: counts(feed)))
    }
    for resource in configuration.resources {
      resources.append(
        NodeStatus.Resource(
          serial: resource.serial, name: resource.name, type: resource.type, ip: resource.address.ip.description,
          port: Int(resource.address.port), state: .published))
    }
    return resources
  }

  private func counts(_ feed: CameraFeed) -> NodeStatus.Resource.Counts {
    let statistics = feed.statistics
    return NodeStatus.Resource.Counts(
      captured: Int64(clamping: statistics.frames), missed: Int64(clamping: statistics.missedFrames),
      bad: Int64(clamping: statistics.badFrames), refused: Int64(clamping: feed.refusedPictures),
      stamped: Int64(clamping: statistics.stampedFrames))
  }

  // MARK: Health

  /// What is wrong, and what to do about it.
  private var healthReport: [Health] {
    var health: [Health] = []
    if let line = linkHealth { health.append(line) }
    if Self.isUnset(clock: reactor.wallClockSeconds) {
      health.append(
        Health(
          code: "clock-wrong", severity: .error,
          text: "this machine's clock was never set, so no certificate can be checked: set the time (NTP)"))
    }
    if let refusal = publishRefusal, uplink.inspect({ $0.isUp }) {
      health.append(
        Health(
          code: "publish-refused", severity: .error,
          text: "the server refused the list of cameras (\(refusal.value) \(refusal.reason)): a serial may belong to "
            + "another account, or the account may lack the node right (edge-rendezvous account add NAME --node)"))
    }
    for feed in feeds {
      let serial = feed.configuration.serial
      if let problem = feed.problem ?? (feed.isAbsent ? .missing : nil) {
        health.append(
          Health(code: "camera-" + problem.code, severity: .error, text: serial + ": " + problem.text(feed.sourceName)))
      }
      if let change = feed.change {
        health.append(
          Health(
            code: "camera-format-changed", severity: .info,
            text: "\(serial): \(feed.sourceName) went over from \(change.from) to \(change.to); who watched goes on "
              + "watching"))
      }
      if feed.configuration.alarms.map({ $0.motion != nil || $0.tamper }) == true,
        feed.lastFormat?.picture.pixelFormat.isCompressed == true
      {
        health.append(
          Health(
            code: "alarms-blind", severity: .warning,
            text: "\(serial): the camera compresses its pictures, so neither motion nor a covered lens is seen: set "
              + "format: YUYV"))
      }
      let bad = feed.statistics.badFrames
      if bad > 0 {
        health.append(
          Health(
            code: "camera-bad-frames", severity: .warning,
            text: "\(serial): \(bad) damaged pictures since the start: check the cable and the power supply"))
      }
    }
    if feeds.isEmpty && configuration.resources.isEmpty {
      health.append(
        Health(
          code: "nothing-published", severity: .warning,
          text: "no camera and no resource is configured: add some to the cameras section of edge.yaml"))
    }
    return health
  }

  private var linkHealth: Health? {
    let server = configuration.rendezvous.uri.description
    guard let failure = uplink.inspect({ $0.isUp ? nil : $0.lastFailure }) else { return nil }
    let remedy: String
    let code: String
    switch failure {
    case .unreachable, .lost:
      if case .tls(let tls)? = uplink.lastTransportFailure {
        code = tls.isClockWrong ? "clock-wrong" : "server-certificate"
        remedy = tls.description
      } else {
        code = "server-unreachable"
        remedy = failure.text + ": check this network, the server's name and port, and that edge-rendezvous runs there"
      }
    case .noHeartbeat, .addressChanged, .silent:
      code = "server-silent"
      remedy = failure.text + ": the network in between lost the connection; it is being made anew"
    case .badPassword:
      code = "bad-password"
      remedy =
        "account '\(configuration.rendezvous.account)' or its password is refused by \(server): correct "
        + "\(configuration.rendezvous.passwordFile), or add the account there (edge-rendezvous account add)"
    case .foreignRealm:
      code = "wrong-domain"
      remedy = failure.text + ": set rendezvous.domain to the server's domain"
    case .refused:
      code = "log-in-refused"
      remedy = failure.text
    case .notSIP:
      code = "not-a-server"
      remedy = failure.text + ": check the port in \(server)"
    }
    return Health(code: code, severity: .error, text: remedy)
  }

  /// Before 2024 this program did not exist.
  private static func isUnset(clock: Int64) -> Bool { clock < 1_704_067_200 }
}
