internal import Config
internal import EdgeCore
internal import LinuxIO
internal import StatusModel

/// `edge status`: asks the daemon over its unix socket and prints the answer.
struct StatusCommand {
  static let defaultSocket = "/run/edge/status.sock"
  /// How long the daemon may take to answer.
  static let patience = Duration.seconds(5)

  static let syntax = CommandSyntax(
    "status", summary: "what the daemon on this machine does",
    discussion: """
      Asks the daemon on this machine how it is: its link to the server, its cameras, who watches, and what is wrong.

      Exit code: 0 registered and healthy, 1 not registered, 2 registered with problems, 69 the daemon does not answer, \
      77 not allowed to ask it.
      """,
    options: [
      .init("--config", "FILE", "find the socket in FILE (default: \(AccountOptions.defaultConfig))"),
      .init("--socket", "PATH", "ask at PATH (default: the file's, or \(defaultSocket))"),
      .init("--json", nil, "print JSON; with --watch a line for each answer (default: text)"),
      .init("--watch", nil, "ask again and again until Ctrl-C (default: once)"),
    ])

  private let socket: String
  private let config: String?
  private let json: Bool
  private let watch: Bool
  private let refresh: Duration
  private let console: Console

  init(_ parsed: ParsedArguments, console: Console) throws(CommandFailure) {
    self.console = console
    json = parsed.has("--json")
    watch = parsed.has("--watch")
    config = parsed.value("--config")
    if parsed.has("--socket"), parsed.has("--config") {
      throw CommandFailure("--socket and --config exclude each other")
    }
    if let path = parsed.value("--socket") {
      socket = path
      refresh = .seconds(1)
      return
    }
    // Only a file the user named must be there and right: an ordinary user may ask without reading it.
    let configuration: NodeConfiguration? =
      if let config { try NodeConfiguration.load(config) } else {
        try? NodeConfiguration.load(AccountOptions.defaultConfig)
      }
    socket = configuration?.node.statusSocket ?? Self.defaultSocket
    refresh = configuration?.node.statusRefresh ?? .seconds(1)
  }

  func run() throws(SystemError) -> ExitCode {
    let reactor = try Reactor()
    guard watch else { return report(try Self.ask(reactor, socket), unlessAlready: nil).code }
    var isInterrupted = false
    let signals = try SignalSource(reactor: reactor, signals: [.interrupt, .terminate]) { _ in
      isInterrupted = true
      reactor.stop()
    }
    defer { signals.close() }
    var complaint: String?
    while !isInterrupted {
      let answer = try Self.ask(reactor, socket)
      if isInterrupted { break }
      complaint = report(answer, unlessAlready: complaint).complaint
      let timer = reactor.schedule(after: refresh) { reactor.stop() }
      try reactor.run()
      reactor.cancel(timer)
    }
    return .fine
  }

  /// Sends `status`, takes the one line of JSON that comes back.
  private static func ask(_ reactor: Reactor, _ socket: String) throws(SystemError) -> Result<[UInt8], CloseReason> {
    var answer: [UInt8] = []
    var failure: CloseReason?
    let connection = UnixConnection.connect(reactor: reactor, path: socket)
    let timer = reactor.schedule(after: patience) {
      failure = .timedOut
      reactor.stop()
    }
    // A question that the socket takes at once may be answered in the same turn, so it waits in the connection.
    connection.send(Array("status\n".utf8))
    connection.onBytes = { bytes in
      answer += [UInt8](copying: bytes)
      if answer.count > JSONLimits.bytes { reactor.stop() }
    }
    connection.onClosed = { reason in
      if reason != .endOfStream { failure = reason }
      reactor.stop()
    }
    try reactor.run()
    reactor.cancel(timer)
    connection.close()
    // A daemon that closes before the end of the line was cut short.
    guard answer.last == 0x0A else { return .failure(failure ?? .endOfStream) }
    return .success(answer)
  }

  /// What the daemon says of itself, or why it says nothing.
  static func askDaemon(at socket: String) -> Result<NodeStatus, CommandFailure> {
    do throws(SystemError) {
      switch try ask(try Reactor(), socket) {
      case .success(let bytes):
        if let value = try? JSONValue(bytes: bytes), let status = NodeStatus(value) { return .success(status) }
        return .failure(CommandFailure("what answers on \(socket) is not the edge daemon"))
      case .failure(.notAllowed):
        return .failure(CommandFailure("not allowed to ask the daemon on \(socket)"))
      case .failure(let reason):
        return .failure(CommandFailure("the daemon does not answer on \(socket): \(reason)"))
      }
    } catch {
      return .failure(CommandFailure(error.description))
    }
  }

  /// Prints the answer, or why there is none unless that was said just before.
  private func report(
    _ answer: Result<[UInt8], CloseReason>, unlessAlready said: String?
  ) -> (code: ExitCode, complaint: String?) {
    let complaint: String
    var code = ExitCode.unreachable
    switch answer {
    case .failure(let reason):
      complaint = explain(reason)
      if reason == .notAllowed { code = .notAllowed }
    case .success(let bytes):
      if let value = try? JSONValue(bytes: bytes), let status = NodeStatus(value) {
        // The daemon's own fields, also those this program does not know.
        if json {
          console.output(JSONWriter.text(value, style: watch ? .oneLine : .indented) + "\n")
        } else {
          console.output(status.text + (watch ? "\n" : ""))
        }
        return (status.exitCode, nil)
      }
      complaint = "what answers on \(socket) is not the edge daemon"
    }
    if complaint != said { console.error("edge: \(complaint)\n") }
    return (code, complaint)
  }

  private func explain(_ reason: CloseReason) -> String {
    if reason == .notAllowed {
      return "not allowed to ask the daemon on \(socket): run this as root or as the daemon's user"
    }
    guard let process = Self.daemon() else {
      return """
        the daemon is not running: nobody answers on \(socket)
        Start it with: systemctl start edge
        or in this terminal: edge run --config \(config ?? AccountOptions.defaultConfig)
        """
    }
    if reason == .notFound || reason == .refused {
      return """
        the daemon runs (process \(process)), but not with the socket \(socket)
        Name its configuration with --config FILE, or its status-socket with --socket PATH
        """
    }
    return """
      the daemon runs (process \(process)), but does not answer on \(socket): \(reason)
      Look at its log: journalctl -u edge
      """
  }

  /// The process that is `edge run`, if there is one.
  static func daemon() -> String? {
    for name in File.names(in: "/proc") ?? [] {
      guard let first = name.utf8.first, ASCII.isDigit(first), let words = Program.arguments(of: name),
        words.count >= 2, words[1] == "run"
      else { continue }
      let path = Array(words[0].utf8)
      let start = path.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0
      if path[start...].elementsEqual("edge".utf8) { return name }
    }
    return nil
  }
}
