internal import Capture
internal import Config
internal import Deflate
internal import EdgeCore
internal import LinuxIO
internal import NodeRuntime
internal import Picture
internal import StatusModel
internal import Uplink
internal import ViewerRuntime

/// The node and the viewer of the demonstration, on one reactor.
final class DemoRun {
  private let reactor: Reactor
  private let folder: String
  private let ports: DemoCommand.Ports
  private let options: DemoOptions
  private let console: Console
  private let startedAt: Instant
  private var linkUpAt: Instant?
  private var viewer: Viewer?
  private var lastPicture: ([UInt8], PictureFormat)?
  private var result: (code: ExitCode, stats: ViewStats)?

  /// All of it must be over by then.
  private static let limit = Duration.seconds(60)

  init(reactor: Reactor, folder: String, ports: DemoCommand.Ports, options: DemoOptions, console: Console) {
    self.reactor = reactor
    self.folder = folder
    self.ports = ports
    self.options = options
    self.console = console
    startedAt = reactor.now
  }

  func run() throws(SetupProblem) -> ExitCode {
    let (camera, description) = chooseCamera()
    console.error("edge demo: server, node and viewer on this machine; camera: \(description)\n")
    let configuration = NodeConfiguration(
      node: .init(
        name: DemoCommand.node, stateDirectory: folder + "/node", statusSocket: folder + "/status.sock"),
      rendezvous: account(DemoCommand.node), cameras: [camera])
    let node = try Node(
      reactor: reactor, configuration: configuration, log: Log.standardError(minimum: .error), includesLoopback: true)
    let began = reactor.now
    node.onLinkChanged = { [self] isUp in
      guard isUp, linkUpAt == nil else { return }
      linkUpAt = reactor.now
      // The list of cameras follows the log-in at once; the server has it before the viewer's call can arrive.
      reactor.schedule(after: .milliseconds(200)) { [self] in startViewer() }
    }
    node.start()
    reactor.schedule(after: Self.limit) { [self] in reactor.stop() }
    do throws(SystemError) {
      try reactor.run()
      let isServed = node.status
      var hasLeft = false
      node.stop { [self] in
        hasLeft = true
        reactor.stop()
      }
      if !hasLeft { try reactor.run() }
      return conclude(isServed, description, began)
    } catch {
      throw SetupProblem("\(error)", exitCode: .unreachable)
    }
  }

  private func account(_ name: String) -> AccountConfiguration {
    AccountConfiguration(
      uri: ServerURI(transport: .tls, server: HostPort(host: "127.0.0.1", port: ports.tls)), account: name,
      passwordFile: folder + "/" + name + ".password", caFile: folder + "/ca.pem",
      stun: HostPort(host: "127.0.0.1", port: ports.stun))
  }

  /// A camera that can be opened and gives raw pictures, or the test card.
  private func chooseCamera() -> (NodeConfiguration.Camera, String) {
    if options.size.utf8.isEmpty {
      for device in VideoDevices.list()
      where device.problem == nil && device.formats.contains(where: { !$0.isCompressed }) {
        return (
          NodeConfiguration.Camera(serial: DemoCommand.serial, source: .device(path: device.path)),
          "\(device.card) at \(device.path)"
        )
      }
    }
    let size = NodeConfiguration.Camera.Size(options.size) ?? .init(width: 640, height: 480)
    return (
      NodeConfiguration.Camera(serial: DemoCommand.serial, source: .testCard, size: size, framesPerSecond: 25),
      "the built-in test card, \(size)"
    )
  }

  private func startViewer() {
    var wanted = ViewerOptions(serial: DemoCommand.serial, output: nil, frames: options.frames)
    wanted.includesLoopback = true
    let progress = Progress(isTerminal: Program.errorIsTerminal) { [console] in console.error($0) }
    do throws(SetupProblem) {
      let viewer = try Viewer(
        reactor: reactor, account: account(DemoCommand.viewer), stateDirectory: folder + "/viewer", options: wanted,
        progress: progress)
      self.viewer = viewer
      viewer.onPicture = { [self] picture, format in lastPicture = (picture, format) }
      viewer.onFinished = { [self] code, stats in
        result = (code, stats)
        reactor.stop()
      }
      viewer.start()
    } catch {
      console.error("edge demo: \(error)\n")
      reactor.stop()
    }
  }

  // MARK: What happened

  private func conclude(_ status: NodeStatus, _ camera: String, _ began: Instant) -> ExitCode {
    guard let result, result.code == .fine else {
      console.error("edge demo: it did not work; the node said:\n" + status.text)
      return self.result?.code ?? .unreachable
    }
    let stats = result.stats
    let saved = savePicture()
    var rows = [
      ("server", "edge-rendezvous, TLS on 127.0.0.1:\(ports.tls), STUN on \(ports.stun)"),
      ("camera", camera),
      ("node logged in after", linkUpAt.map { "\(($0 - began).wholeMilliseconds) ms" } ?? "-"),
      ("path", "\(stats.path?.rawValue ?? "-") \(stats.remote ?? "-"), DTLS and SCTP, peer to peer"),
      ("first picture after", stats.firstFrame.map { "\($0.wholeMilliseconds) ms" } ?? "-"),
      ("pictures", "\(stats.frames) received, \(stats.framesLost) lost, \(stats.checksumErrors) wrong checksums"),
      ("compression", ratio(stats)),
    ]
    if let rate = stats.framesPerSecondThousandths { rows.append(("rate", "\(rate / 1000).\(rate % 1000 / 100) fps")) }
    rows.append(("last picture", saved ?? "not kept"))
    console.output("\n" + Columns.text(rows))
    return saved == nil ? .no : .fine
  }

  private func ratio(_ stats: ViewStats) -> String {
    guard stats.bytes > 0 else { return "-" }
    let tenths = stats.rawBytes * 10 / stats.bytes
    return
      "\(stats.rawBytes / 1000) kB of picture in \(stats.bytes / 1000) kB, x\(tenths / 10).\(tenths % 10), lossless"
  }

  private func savePicture() -> String? {
    guard let last = lastPicture else { return nil }
    let (picture, format) = last
    guard let png = PNGWriter(deflate: { Zlib.deflate($0, level: 6) }).file(picture, format) else {
      console.error("edge demo: \(format.pixelFormat.name) cannot be kept as PNG\n")
      return nil
    }
    do throws(FileError) {
      try File.writeAtomically(png, to: options.output, mode: 0o644)
      return options.output
    } catch {
      console.error("edge demo: the picture cannot be kept: \(error)\n")
      return nil
    }
  }
}
