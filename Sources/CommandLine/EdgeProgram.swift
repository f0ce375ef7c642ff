internal import EdgeCore
internal import LinuxIO
public import StatusModel

/// Where text goes; tests put their own in.
public struct Console {
  public var output: (String) -> Void
  public var error: (String) -> Void

  public init(output: @escaping (String) -> Void, error: @escaping (String) -> Void) {
    self.output = output
    self.error = error
  }

  public static var standard: Console {
    Console(output: { Program.writeOutput($0) }, error: { Program.writeError($0) })
  }
}

/// The `edge` program: finds the command, reads its options, and hands over to the runtimes.
public struct EdgeProgram {
  /// What the commands do. Each gets checked options and returns the exit code.
  public struct Commands {
    public var run: (RunOptions) -> ExitCode
    public var view: (ViewOptions) -> ExitCode
    public var devices: (DevicesOptions) -> ExitCode
    public var tunnel: (TunnelCommandOptions) -> ExitCode
    public var send: (SendOptions) -> ExitCode
    public var inbox: (InboxOptions) -> ExitCode
    public var events: (EventsOptions) -> ExitCode
    public var doctor: (DoctorOptions) -> ExitCode
    public var demo: (DemoOptions) -> ExitCode
    public var camera: (CameraOptions) -> ExitCode
    public var get: (GetOptions) -> ExitCode
    public var put: (PutOptions) -> ExitCode
    public var chat: (ChatOptions) -> ExitCode
    public var contacts: (ContactsOptions) -> ExitCode

    public init(
      run: @escaping (RunOptions) -> ExitCode, view: @escaping (ViewOptions) -> ExitCode,
      devices: @escaping (DevicesOptions) -> ExitCode, tunnel: @escaping (TunnelCommandOptions) -> ExitCode,
      send: @escaping (SendOptions) -> ExitCode, inbox: @escaping (InboxOptions) -> ExitCode,
      doctor: @escaping (DoctorOptions) -> ExitCode,
      demo: @escaping (DemoOptions) -> ExitCode,
      camera: @escaping (CameraOptions) -> ExitCode = { _ in .no },
      get: @escaping (GetOptions) -> ExitCode = { _ in .no }, put: @escaping (PutOptions) -> ExitCode = { _ in .no },
      chat: @escaping (ChatOptions) -> ExitCode = { _ in .no },
      events: @escaping (EventsOptions) -> ExitCode = { _ in .no },
      contacts: @escaping (ContactsOptions) -> ExitCode = { _ in .no }
    ) {
      self.run = run
      self.view = view
      self.devices = devices
      self.tunnel = tunnel
      self.send = send
      self.inbox = inbox
      self.doctor = doctor
      self.demo = demo
      self.camera = camera
      self.get = get
      self.put = put
      self.chat = chat
      self.events = events
      self.contacts = contacts
    }
  }

  private let commands: Commands
  private let console: Console

  public init(commands: Commands, console: Console = .standard) {
    self.commands = commands
    self.console = console
  }

  public static let syntaxes: [CommandSyntax] = [
    RunOptions.syntax, StatusCommand.syntax, ViewOptions.syntax, DevicesOptions.syntax, CameraOptions.syntax,
    TunnelCommandOptions.syntax,
    SendOptions.syntax, InboxOptions.syntax, EventsOptions.syntax, ChatOptions.syntax, GetOptions.syntax,
    PutOptions.syntax,
    ContactsOptions.syntax,
    DoctorOptions.syntax, DemoOptions.syntax, VersionCommand.syntax,
  ]

  public static var helpText: String {
    """
    usage: edge COMMAND [options]

    Cameras reachable by serial number, from anywhere.

    Commands:

    """ + Columns.text(syntaxes.map { ($0.name, $0.summary) })
      + """

      edge COMMAND --help says what a command takes.

      Exit codes: 0 fine, 1 the answer is no (not registered, no such serial, refused), 2 registered with
      problems, 64 wrong command line or configuration, 69 daemon or server unreachable, 77 not allowed.

      """
  }

  /// - Parameter words: the command line without the program's name.
  public func main(_ words: [String]) -> ExitCode {
    guard let name = words.first else { return usage(UsageError("no command"), of: nil) }
    if name == "--help" || name == "-h" || name == "help" {
      if name == "help", words.count > 1 { return main([words[1], "--help"]) }
      console.output(Self.helpText)
      return .fine
    }
    if name == "--version" { return main(["version"]) }
    for syntax in Self.syntaxes where syntax.name == name {
      return run(syntax, Array(words.dropFirst()))
    }
    var message = "unknown command '\(Plain.text(name))'"
    if let hint = Suggestion.closest(to: name, among: Self.syntaxes.map { $0.name }) {
      message += "; did you mean \(hint)?"
    }
    return usage(UsageError(message), of: nil)
  }

  private func run(_ syntax: CommandSyntax, _ words: [String]) -> ExitCode {
    do throws(UsageError) {
      let parsed = try ParsedArguments(words, syntax: syntax)
      if parsed.wantsHelp {
        console.output(syntax.helpText(program: "edge"))
        return .fine
      }
      switch syntax.name {
      case "run": return commands.run(RunOptions(parsed))
      case "view": return commands.view(try ViewOptions(parsed))
      case "devices": return commands.devices(try DevicesOptions(parsed))
      case "tunnel": return commands.tunnel(try TunnelCommandOptions(parsed))
      case "send": return commands.send(try SendOptions(parsed))
      case "inbox": return commands.inbox(try InboxOptions(parsed))
      case "chat": return commands.chat(try ChatOptions(parsed))
      case "get": return commands.get(try GetOptions(parsed))
      case "put": return commands.put(try PutOptions(parsed))
      case "events": return commands.events(try EventsOptions(parsed))
      case "contacts": return commands.contacts(try ContactsOptions(parsed))
      case "camera": return commands.camera(try CameraOptions(parsed))
      case "doctor": return commands.doctor(try DoctorOptions(parsed))
      case "demo": return commands.demo(try DemoOptions(parsed))
      case "status": return status(parsed)
      case "version":
        console.output("edge \(Version.current)\n")
        return .fine
      default: preconditionFailure("command \(syntax.name) has a syntax and no action")
      }
    } catch {
      return usage(error, of: syntax)
    }
  }

  private func status(_ parsed: ParsedArguments) -> ExitCode {
    do throws(CommandFailure) {
      let command = try StatusCommand(parsed, console: console)
      do throws(SystemError) {
        return try command.run()
      } catch {
        console.error("edge: \(error)\n")
        return .unreachable
      }
    } catch {
      return Self.report(error, to: console)
    }
  }

  private func usage(_ error: UsageError, of syntax: CommandSyntax?) -> ExitCode {
    let command = syntax.map { "edge \($0.name)" } ?? "edge"
    console.error("edge: \(Plain.text(error.message))\nSee: \(command) --help\n")
    return .usage
  }

  /// Prints why a command cannot start, and returns its exit code.
  public static func report(_ failure: CommandFailure, to console: Console = .standard) -> ExitCode {
    console.error("edge: \(failure.message)\n")
    return ExitCode(rawValue: failure.code) ?? .usage
  }
}
