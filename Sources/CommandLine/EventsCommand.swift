internal import Alarms
internal import Config
internal import EdgeCore
internal import LinuxIO
internal import StatusModel
internal import Uplink
internal import ViewerRuntime

/// `edge events`
public struct EventsOptions: Hashable, Sendable {
  public var account: AccountOptions
  public var follows: Bool
  public var json: Bool
}

extension EventsOptions {
  static let syntax = CommandSyntax(
    "events", summary: "list what the cameras saw",
    discussion: """
      On a node, with its configuration: the events of its cameras (motion, camera lost, lens covered), sent to their \
      owners or not, from events.jsonl in the state directory. With any other account: the alarms it received, after \
      fetching those that wait. Pictures are files; their paths are printed.
      """,
    options: AccountOptions.options + [
      .init("--follow", nil, "go on until Ctrl-C (default: end after what is there)"),
      .init("--json", nil, "print one JSON object per line (default: text)"),
    ])

  init(_ parsed: ParsedArguments) throws(UsageError) {
    account = try AccountOptions(parsed)
    follows = parsed.has("--follow")
    json = parsed.has("--json")
  }

  /// The node's state directory, when the configuration is that of a node with cameras.
  private var nodeDirectory: String? {
    guard account.rendezvous == nil else { return nil }
    let path = account.config ?? AccountOptions.defaultConfig
    guard let node = try? NodeConfiguration.load(path), !node.cameras.isEmpty else { return nil }
    return node.node.stateDirectory
  }

  func run(progress: Progress) -> ExitCode {
    if let directory = nodeDirectory { return EventReader(directory: directory, options: self).run() }
    do throws(CommandFailure) {
      return InboxProgram.run(as: try account.load(), follows: follows, includesKept: true, progress: progress) {
        if let event = Self.received($0) { show(event) }
      }
    } catch {
      return EdgeProgram.report(error)
    }
  }

  /// An alarm among the messages, in the words of a journal.
  private static func received(_ entry: Inbox.Entry) -> JSONValue? {
    guard let alarm = entry.alarm, case .object(var members) = alarm.json else { return nil }
    members.removeAll { $0.name == "text" }
    let isPicture = entry.type.hasPrefix("image/")
    members.append(.init(isPicture ? "picture" : "text", .string(entry.text)))
    members.append(.init("from", .string(entry.from)))
    members.append(.init("date", .string(entry.date)))
    return .object(members)
  }

  func show(_ event: JSONValue) {
    guard !json else {
      Program.writeOutput(JSONWriter.text(event) + "\n")
      return
    }
    var line = event["time"]?.text ?? ""
    if let text = event["text"]?.text { line += " " + text }
    if let picture = event["picture"]?.text { line += " " + picture }
    if event["sent"]?.boolean == false { line += " (no message)" }
    Program.writeOutput(Plain.text(line) + "\n")
  }
}

/// Reads a node's journal, and what is added to it.
private struct EventReader {
  let directory: String
  let options: EventsOptions

  private static let interval: Duration = .milliseconds(200)

  func run() -> ExitCode {
    if File.exists(EventJournal.asidePath(in: directory)) {
      var start = 0
      guard show(EventJournal.asidePath(in: directory), from: &start) else { return .unreachable }
    }
    var position = 0
    guard show(EventJournal.path(in: directory), from: &position) else { return .unreachable }
    guard options.follows else { return .fine }
    do throws(SystemError) {
      let reactor = try Reactor()
      let signals = try SignalSource(reactor: reactor, signals: [.interrupt, .terminate]) { _ in reactor.stop() }
      poll(reactor, position)
      try reactor.run()
      signals.close()
    } catch {
      Program.writeError("edge: \(error)\n")
      return .unreachable
    }
    return .fine
  }

  private func poll(_ reactor: Reactor, _ position: Int) {
    _ = reactor.schedule(after: Self.interval) {
      var position = position
      let path = EventJournal.path(in: directory)
      // Put aside and begun anew.
      if let size = File.size(path), size < position { position = 0 }
      guard show(path, from: &position) else { return reactor.stop() }
      poll(reactor, position)
    }
  }

  /// Shows the whole lines from a position on; `false` when the file cannot be read.
  private func show(_ path: String, from position: inout Int) -> Bool {
    // None yet is no error.
    guard let size = File.size(path), size > position else { return File.isDirectory(directory) || told(path) }
    let bytes: [UInt8]
    do throws(FileError) {
      bytes = try File.read(path, maxBytes: 2 * EventJournal.maximumBytes)
    } catch {
      Program.writeError("edge: \(error)\n")
      return false
    }
    guard position <= bytes.count, let end = bytes.lastIndex(of: 0x0A), end >= position else { return true }
    for line in bytes[position...end].split(separator: 0x0A) {
      if let event = try? JSONValue(bytes: Array(line)) { options.show(event) }
    }
    position = end + 1
    return true
  }

  private func told(_ path: String) -> Bool {
    Program.writeError(
      "edge: \(directory): no such directory, or not allowed: the node has not run, or as another user\n")
    return false
  }
}
