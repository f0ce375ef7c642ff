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

/// `edge demo`: a rendezvous server in a process of its own, a node and a viewer here, and what happened.
struct DemoCommand {
  static let serial = "CAM-DEMO-0001"
  static let node = "demo-box"
  static let viewer = "demo-viewer"

  let options: DemoOptions
  let console: Console

  func run() -> ExitCode {
    SignalSource.ignoreBrokenPipes()
    do throws(SetupProblem) {
      return try show()
    } catch {
      console.error("edge demo: \(error)\n")
      return error.exitCode
    }
  }

  private func show() throws(SetupProblem) -> ExitCode {
    guard let server = Program.find("edge-rendezvous") else {
      throw SetupProblem(
        "edge-rendezvous is neither beside this program nor in PATH: build it (swift build -c release)",
        exitCode: .unreachable)
    }
    let reactor = try system { () throws(SystemError) in try Reactor() }
    // Before any thread is made: a thread that does not block a signal gets it with its default action.
    let signals = try system { () throws(SystemError) in
      try SignalSource(reactor: reactor, signals: [.interrupt, .terminate]) { _ in reactor.stop() }
    }
    defer { signals.close() }
    let folder = "/tmp/edge-demo-\(ProcessFacts.id)"
    do throws(FileError) {
      try File.makeDirectories(folder, mode: 0o700)
    } catch {
      throw SetupProblem("\(error)")
    }
    defer { File.removeTree(folder) }
    let ports = try freePorts(reactor)
    try writeFiles(folder, ports)
    let rendezvous = try startServer(server, folder)
    defer { rendezvous.end() }
    return try DemoRun(reactor: reactor, folder: folder, ports: ports, options: options, console: console).run()
  }

  /// The system's refusals, as reasons not to begin.
  private func system<Result>(_ body: () throws(SystemError) -> Result) throws(SetupProblem) -> Result {
    do throws(SystemError) {
      return try body()
    } catch {
      throw SetupProblem("\(error)", exitCode: .unreachable)
    }
  }

  // MARK: The server

  struct Ports {
    var tls: UInt16
    var stun: UInt16
  }

  private func freePorts(_ reactor: Reactor) throws(SetupProblem) -> Ports {
    let loopback = SocketAddress(.v4(0x7F00_0001), port: 0)
    let listener = try system { () throws(SystemError) in try TCPListener(reactor: reactor, bind: loopback) }
    let socket = try system { () throws(SystemError) in try UDPSocket(reactor: reactor, bind: loopback) }
    let ports = Ports(tls: listener.localAddress.port, stun: socket.localAddress.port)
    listener.close()
    socket.close()
    return ports
  }

  private func writeFiles(_ folder: String, _ ports: Ports) throws(SetupProblem) {
    let server = """
      domain: 127.0.0.1
      listen: { sips: "127.0.0.1:\(ports.tls)", stun: "127.0.0.1:\(ports.stun)" }
      tls: { certificate: \(folder)/server.pem, key: \(folder)/server.key }
      database: \(folder)/rendezvous.sqlite
      control-socket: \(folder)/control.sock

      """
    do throws(FileError) {
      try File.writeAtomically(Array(server.utf8), to: folder + "/rendezvous.yaml")
      // Made for this run and gone with it.
      var random = SeededRandom(seed: UInt64(truncatingIfNeeded: MonotonicClock.wallClockMicroseconds))
      for name in [Self.node, Self.viewer] {
        try File.writeAtomically(Array((random.token(24) + "\n").utf8), to: folder + "/" + name + ".password")
      }
    } catch {
      throw SetupProblem("\(error)")
    }
  }

  private func startServer(_ server: String, _ folder: String) throws(SetupProblem) -> ChildProcess {
    let log = folder + "/server.log"
    let config = ["--config", folder + "/rendezvous.yaml"]
    let start = { (arguments: [String]) throws(SetupProblem) -> ChildProcess in
      try self.system { () throws(SystemError) in
        try ChildProcess(path: server, arguments: arguments + config, log: log)
      }
    }
    for (name, flags) in [(Self.node, ["--node"]), (Self.viewer, [])] {
      let password = ["--password-file", folder + "/" + name + ".password"]
      guard try start(["account", "add", name] + flags + password).wait() == 0 else {
        throw refusal("the account \(name) could not be made", log)
      }
    }
    guard try start(["grant", Self.viewer, Self.serial]).wait() == 0 else {
      throw refusal("the grant could not be made", log)
    }
    let running = try start(["run"])
    // It makes its authority and certificate first, and opens the control socket last.
    for _ in 0..<1500 {
      if File.exists(folder + "/control.sock") { return running }
      guard running.isRunning else { break }
      ChildProcess.pause(milliseconds: 10)
    }
    throw refusal("edge-rendezvous did not start", log)
  }

  private func refusal(_ text: String, _ log: String) -> SetupProblem {
    let said = (try? File.read(log, maxBytes: 1 << 16)) ?? []
    return SetupProblem(
      text + "; it said:\n" + String(decoding: said.suffix(4096), as: UTF8.self), exitCode: .unreachable)
  }
}
