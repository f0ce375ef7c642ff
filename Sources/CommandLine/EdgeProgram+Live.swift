internal import Config
internal import EdgeCore
import LinuxIO
internal import NodeRuntime
internal import StatusModel
internal import Uplink
internal import ViewerRuntime

extension EdgeProgram {
  /// The whole program: reads its command line, does what it says, and ends the process.
  public static func start() -> Never {
    Program.exit(EdgeProgram(commands: .live).main(Program.arguments).rawValue)
  }
}

extension EdgeProgram.Commands {
  /// What this build can do: each runtime is hooked in here.
  static var live: Self {
    Self(
      run: runNode, view: view, devices: devices, tunnel: tunnel, send: send, inbox: inbox,
      doctor: { DoctorCommand(options: $0, console: .standard).run() },
      demo: { DemoCommand(options: $0, console: .standard).run() }, camera: camera, get: TransferCommands.get,
      put: TransferCommands.put, chat: TransferCommands.chat, events: { $0.run(progress: progress) },
      contacts: contacts)
  }

  private static func runNode(_ options: RunOptions) -> ExitCode {
    do throws(CommandFailure) {
      let configuration = try NodeConfiguration.load(options.config)
      let log = Log.standardError(minimum: configuration.node.logLevel.logLevel)
      return NodeProgram.run(configuration, log: log)
    } catch {
      return EdgeProgram.report(error)
    }
  }

  private static func view(_ options: ViewOptions) -> ExitCode {
    do throws(CommandFailure) {
      var account = try options.account.load()
      if options.guessesPorts { account.account.guessesPorts = true }
      let format: PictureFileFormat =
        switch options.format {
        case .y4m: .y4m
        case .raw: .raw
        case .png: .png
        case .mjpeg: .mjpeg
        case .h264: .h264
        }
      var viewer = ViewerOptions(
        serial: options.serial, output: options.output, format: format,
        // A picture is what a .png is for, unless more are asked for.
        frames: options.frames
          ?? (format == .png && options.output != nil && options.duration == nil ? 1 : nil), duration: options.duration)
      viewer.explains = options.explains
      viewer.explainsAsJSON = options.explainsAsJSON
      viewer.route = options.path.route
      viewer.plays = options.plays
      viewer.page = options.page
      guard
        viewer.want(
          quality: options.quality, width: options.size?.width, height: options.size?.height,
          framesPerSecond: options.framesPerSecond)
      else { return .usage }
      // A player in this terminal has the screen for itself.
      let progress = Progress(isTerminal: Program.errorIsTerminal, isQuiet: options.plays && Program.errorIsTerminal) {
        Program.writeError($0)
      }
      return ViewerProgram.run(viewer, as: account, statsFile: options.statsFile, progress: progress)
    } catch {
      return EdgeProgram.report(error)
    }
  }

  private static func camera(_ options: CameraOptions) -> ExitCode {
    do throws(CommandFailure) {
      var viewer = ViewerOptions(serial: options.serial, output: nil)
      switch options.action {
      case .list: viewer.task = .listControls
      case .set(let name, let value): viewer.task = .setControl(name: name, value: value)
      }
      return ViewerProgram.run(
        viewer, as: try options.account.load(), statsFile: nil,
        progress: Progress(isTerminal: false, isQuiet: true) { Program.writeError($0) })
    } catch {
      return EdgeProgram.report(error)
    }
  }

  private static func devices(_ options: DevicesOptions) -> ExitCode {
    do throws(CommandFailure) {
      let account = try options.account.load()
      switch DevicesProgram.list(as: account) {
      case .devices(let list):
        Program.writeOutput(options.json ? JSONWriter.text(list.json) + "\n" : list.text)
        return .fine
      case .failed(let text, let code):
        Program.writeError("edge: \(text)\n")
        return code
      }
    } catch {
      return EdgeProgram.report(error)
    }
  }

  private static func tunnel(_ options: TunnelCommandOptions) -> ExitCode {
    do throws(CommandFailure) {
      let account = try options.account.load()
      return TunnelProgram.run(
        TunnelOptions(serial: options.serial, listen: options.listen, route: options.path.route), as: account,
        progress: progress)
    } catch {
      return EdgeProgram.report(error)
    }
  }

  private static func send(_ options: SendOptions) -> ExitCode {
    if let file = options.file { return TransferCommands.put(file) }
    do throws(CommandFailure) {
      let account = try options.account.load()
      var content = Array(options.text.utf8)
      if options.text == "-" {
        do throws(FileError) {
          content = try standardInput()
        } catch {
          throw CommandFailure("\(error)")
        }
      }
      let type = contentType(content)
      switch SendProgram.send(content, contentType: type, to: options.receiver, as: account) {
      case .sent(let outcome):
        Program.writeOutput(outcome.rawValue + "\n")
        return .fine
      case .failed(let text, let code):
        Program.writeError("edge: \(text)\n")
        return code
      }
    } catch {
      return EdgeProgram.report(error)
    }
  }

  /// A text, or one of the pictures this program makes.
  private static func contentType(_ content: [UInt8]) -> String {
    if content.starts(with: [0xFF, 0xD8, 0xFF]) { return "image/jpeg" }
    if content.starts(with: [0x89, 0x50, 0x4E, 0x47]) { return "image/png" }
    return UTF8Text.isValid(content[...]) ? "text/plain; charset=utf-8" : "application/octet-stream"
  }

  /// No more than is certainly too much for one message.
  private static func standardInput() throws(FileError) -> [UInt8] {
    let file = try InputFile("/dev/stdin")
    var bytes: [UInt8] = []
    while bytes.count <= SendProgram.maximumBytes {
      let more = try file.read(maxBytes: 65_536)
      if more.isEmpty { break }
      bytes += more
    }
    return bytes
  }

  private static func inbox(_ options: InboxOptions) -> ExitCode {
    do throws(CommandFailure) {
      let account = try options.account.load()
      return InboxProgram.run(
        as: account, follows: options.follows, includesKept: options.includesKept, progress: progress
      ) { entry in
        let group = entry.isFor(account.account.account) ? "" : " to " + Plain.text(entry.to)
        Program.writeOutput(
          options.json
            ? JSONWriter.text(entry.json) + "\n"
            : "\(Plain.text(entry.date)) \(Plain.text(entry.from))\(group): "
              + (entry.file.utf8.isEmpty
                ? Plain.text(entry.text) : "[\(Plain.text(entry.type))] \(Plain.text(entry.file))")
              + "\n")
      }
    } catch {
      return EdgeProgram.report(error)
    }
  }

  private static func contacts(_ options: ContactsOptions) -> ExitCode {
    do throws(CommandFailure) {
      let task: ContactsProgram.Task =
        switch options.action {
        case .list(let follows): .list(follows: follows)
        case .add(let name): .change(.add, name)
        case .accept(let name): .change(.accept, name)
        case .refuse(let name): .change(.refuse, name)
        case .remove(let name): .change(.remove, name)
        }
      var shown: Roster?
      return ContactsProgram.run(
        task, as: try options.account.load(), progress: progress,
        show: { list in
          guard list != shown else { return }
          let text = shown.map { list.changes(since: $0) } ?? list.text
          Program.writeOutput(options.json ? JSONWriter.text(list.json) + "\n" : text)
          shown = list
        }, say: { Program.writeOutput($0 + "\n") })
    } catch {
      return EdgeProgram.report(error)
    }
  }

  static var progress: Progress {
    Progress(isTerminal: Program.errorIsTerminal) { Program.writeError($0) }
  }
}

extension ViewOptions.PathChoice {
  var route: ViewerOptions.Route {
    switch self {
    case .any: .any
    case .relayOnly: .relayOnly
    case .noRelay: .noRelay
    }
  }
}

extension LogLevel {
  fileprivate var logLevel: Log.Level {
    switch self {
    case .error: .error
    case .warning: .warning
    case .info: .info
    case .debug: .debug
    }
  }
}
