internal import Capture
internal import Config
internal import Doctor
internal import EdgeCore
internal import LinuxIO
internal import SecureTransport
internal import StatusModel
internal import Uplink
internal import ViewerRuntime

/// `edge doctor`: gathers the facts, and prints what they mean.
struct DoctorCommand {
  let options: DoctorOptions
  let console: Console

  func run() -> ExitCode {
    do throws(CommandFailure) {
      let viewer = try options.account.load()
      let report = DoctorReport(try facts(viewer, options.node()))
      if options.json {
        console.output(JSONWriter.text(report.json) + "\n")
      } else {
        console.output(report.text)
      }
      return report.exitCode
    } catch {
      return EdgeProgram.report(error, to: console)
    }
  }

  private func facts(_ viewer: ViewerConfiguration, _ node: NodeConfiguration?) throws(CommandFailure) -> Facts {
    let account = viewer.account
    var facts = Facts(
      server: account.uri.description, host: account.uri.server.host, clock: MonotonicClock.wallClockSeconds)
    var trust = TLSContext.Trust.system
    facts.files.append(Self.file("password file", account.passwordFile))
    if let caFile = account.caFile {
      facts.files.append(Self.file("ca file", caFile))
      if let pem = try? File.read(caFile, maxBytes: 1 << 20) { trust = .authorities(pem: pem) }
    }
    if let node { examine(node, &facts) }
    do throws(SystemError) {
      let reactor = try Reactor()
      facts = try DoctorProbes(reactor: reactor, account: account, trust: trust, facts: facts).run()
    } catch {
      throw CommandFailure("\(error)", code: ExitCode.unreachable.rawValue)
    }
    if case .worked = facts.link { facts.login = login(viewer, facts) }
    return facts
  }

  private static func file(_ what: String, _ path: String) -> Facts.File {
    do throws(FileError) {
      let bytes = try File.read(path, maxBytes: 1 << 20)
      return Facts.File(what: what, path: path, trouble: bytes.isEmpty ? "is empty" : nil)
    } catch {
      return Facts.File(what: what, path: path, trouble: error.description)
    }
  }

  private func examine(_ node: NodeConfiguration, _ facts: inout Facts) {
    let state = node.node.stateDirectory
    var trouble: String?
    do throws(FileError) {
      try File.makeDirectories(state, mode: 0o700)
      let probe = state + "/.doctor"
      try File.writeAtomically([0x0A], to: probe)
      try File.remove(probe)
    } catch {
      trouble = error.description
    }
    facts.files.append(Facts.File(what: "state directory", path: state, trouble: trouble))
    facts.freeBytes = File.freeBytes(at: state)
    switch StatusCommand.askDaemon(at: node.node.statusSocket) {
    case .success(let status): facts.daemon = status
    case .failure(let complaint): facts.daemonTrouble = complaint.message
    }
    // A running daemon has its cameras open; what is wrong with them is in its own health lines.
    guard facts.daemon == nil else { return }
    for camera in node.cameras {
      var source = "the test card"
      var trouble: String?
      switch camera.source {
      case .testCard: break
      case .file(let path, _):
        source = path
        if !File.exists(path) { trouble = "\(path) does not exist" }
      case .device(let path):
        source = path
        do throws(CaptureProblem) {
          _ = try CameraDevice(path: path)
        } catch {
          trouble = error.text(path)
        }
      }
      facts.cameras.append(Facts.Camera(serial: camera.serial, source: source, trouble: trouble))
    }
  }

  private func login(_ viewer: ViewerConfiguration, _ facts: Facts) -> Facts.Login {
    if facts.daemon?.link.state == .connected { return .accepted }
    switch DevicesProgram.list(as: viewer) {
    case .devices: return .accepted
    case .failed(let why, .notAllowed): return .refused(why)
    case .failed(let why, _): return .failed(why)
    }
  }
}
