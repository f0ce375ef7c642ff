public import Config
public import EdgeCore

/// `edge run`
public struct RunOptions: Hashable, Sendable {
  public var config: String
}

/// `edge view`
public struct ViewOptions: Hashable, Sendable {
  public enum Format: String, Hashable, Sendable { case y4m, raw, png, mjpeg, h264 }
  /// Which candidates may be used.
  public enum PathChoice: Hashable, Sendable { case any, relayOnly, noRelay }

  public var serial: String
  public var account: AccountOptions
  /// A file, or `-` for standard output; `nil` when the pictures are only looked at.
  public var output: String?
  public var format: Format
  public var plays: Bool
  /// A loopback address.
  public var page: SocketAddress?
  /// A name of the protocol's.
  public var quality: String
  public var size: NodeConfiguration.Camera.Size?
  public var framesPerSecond: Int?
  /// Stop after so many pictures; `nil`: never.
  public var frames: Int?
  /// Stop after so long; `nil`: never.
  public var duration: Duration?
  public var path: PathChoice
  public var explains: Bool
  public var explainsAsJSON: Bool
  public var guessesPorts: Bool
  public var statsFile: String?
}

/// `edge devices`
public struct DevicesOptions: Hashable, Sendable {
  public var account: AccountOptions
  public var json: Bool
}

/// `edge doctor`
public struct DoctorOptions: Hashable, Sendable {
  public var account: AccountOptions
  public var json: Bool
}

/// `edge demo`
public struct DemoOptions: Hashable, Sendable {
  /// Pictures to receive.
  public var frames: Int
  /// Of the test card.
  public var size: String
  /// Where the last picture is kept.
  public var output: String
}

extension RunOptions {
  static let syntax = CommandSyntax(
    "run", summary: "be the node: publish this machine's cameras",
    discussion: """
      Runs the daemon in the foreground: logs in at the rendezvous server, publishes the cameras and devices of the \
      configuration, and serves viewers. Logs to standard error. Ends on SIGTERM or SIGINT.
      """,
    options: [.init("--config", "FILE", "the configuration (default: \(AccountOptions.defaultConfig))")])

  init(_ parsed: ParsedArguments) { config = parsed.value("--config") ?? AccountOptions.defaultConfig }
}

extension ViewOptions {
  static let syntax = CommandSyntax(
    "view", summary: "receive a camera's pictures",
    discussion: """
      Connects to a camera by its serial number and writes its pictures. Progress goes to standard error. Ends with \
      Ctrl-C, after --frames or --duration.
      """,
    arguments: [.init("SERIAL", "the camera's serial number, as edge devices lists it")],
    options: AccountOptions.options + [
      .init("--play", nil, "show them live, in a window of mpv or ffplay or in this terminal (default: no)"),
      .init("--serve", "ADDRESS", "show them on a page for this machine, such as 127.0.0.1:8080 (default: none)"),
      .init(
        "--snapshot", "FILE", "write one picture to FILE and end: PNG, or the camera's JPEG as .jpg (default: none)"),
      .init("--output", "FILE", "where the pictures go; - is standard output (default: -, unless shown)"),
      .init(
        "--format", "FORMAT",
        "y4m, raw (samples only), png, mjpeg or h264 (as the camera made them) (default: by FILE's ending, else y4m)"),
      .init(
        "--quality", "QUALITY",
        "camera (as configured there), auto (whatever keeps it moving), lossless, gate, or max-error:1 to max-error:4 "
          + "(default: auto if only shown, else camera)"),
      .init("--size", "WxH", "no larger pictures; they are halved until they fit (default: the camera's)"),
      .init("--fps", "N", "no more pictures a second (default: the camera's)"),
      .init("--frames", "N", "end after N pictures (default: no end)"),
      .init("--duration", "S", "end S seconds after the first picture (default: no end)"),
      .init("--relay-only", nil, "connect through the relay only (default: the best path)"),
      .init("--no-relay", nil, "never connect through the relay (default: when nothing else works)"),
      .init(
        "--guess-ports", nil,
        "guess the port of a router that takes another for every peer, with up to 1024 packets, before settling for the "
          + "relay; the node must be configured to as well (default: the file's)"),
      .init(
        "--explain", nil,
        "say of every pair of addresses what became of it, and why the path is what it is (default: off)"),
      .init("--json", nil, "with --explain: as one JSON object on standard output (default: lines on standard error)"),
      .init("--stats", "FILE", "write figures as JSON to FILE at the end (default: none)"),
    ])

  init(_ parsed: ParsedArguments) throws(UsageError) {
    serial = parsed.arguments[0]
    guard Names.isValidSerial(serial) else { throw UsageError("'\(serial)' is not a serial number") }
    account = try AccountOptions(parsed)
    plays = parsed.has("--play")
    page = try Self.page(parsed)
    let snapshot = parsed.value("--snapshot")
    if snapshot != nil, parsed.has("--output") || parsed.has("--format") {
      throw UsageError("--snapshot is an output of its own: PNG, or JPEG by FILE's ending")
    }
    let isShown = plays || page != nil
    if plays, parsed.has("--output") || snapshot != nil { throw UsageError("--play and an output exclude each other") }
    output = snapshot ?? parsed.value("--output") ?? (isShown ? nil : "-")
    let wanted = try parsed.word("--format", ["y4m", "raw", "png", "mjpeg", "h264"]).flatMap { Format(rawValue: $0) }
    let named = Self.format(of: output ?? "-")
    format = snapshot != nil && named != .mjpeg ? .png : wanted ?? named
    let isKept = output != nil
    quality =
      try parsed.word(
        "--quality",
        ["camera", "auto", "lossless", "gate", "max-error:1", "max-error:2", "max-error:3", "max-error:4"])
      ?? (isKept ? "camera" : "auto")
    size = parsed.value("--size").flatMap { NodeConfiguration.Camera.Size($0) }
    if let text = parsed.value("--size"), size == nil {
      throw UsageError("--size: '\(text)' is not a size such as 320x240")
    }
    framesPerSecond = try parsed.integer("--fps", 1...1000)
    frames = snapshot != nil || Self.isOneJPEG(output ?? "-") ? 1 : try parsed.integer("--frames", 1...1_000_000_000)
    duration = try parsed.seconds("--duration")
    statsFile = parsed.value("--stats")
    path = try PathChoice(parsed)
    explains = parsed.has("--explain")
    explainsAsJSON = parsed.has("--json")
    if explainsAsJSON, !explains { throw UsageError("--json goes with --explain; figures go to --stats FILE") }
    if explainsAsJSON, output == "-" {
      throw UsageError("--json needs --output FILE: standard output is taken by the pictures")
    }
    guessesPorts = parsed.has("--guess-ports")
  }

  /// `127.0.0.1:8080`, or the port alone.
  private static func page(_ parsed: ParsedArguments) throws(UsageError) -> SocketAddress? {
    guard let text = parsed.value("--serve") else { return nil }
    let isPort = text.utf8.allSatisfy { $0 &- 0x30 < 10 }
    guard let address = SocketAddress(isPort ? "127.0.0.1:" + text : text) else {
      throw UsageError("--serve: '\(text)' is not an address such as 127.0.0.1:8080")
    }
    guard address.ip.isLoopback else {
      throw UsageError("--serve: the page is for this machine only: use 127.0.0.1 or [::1]")
    }
    return address
  }

  private static func format(of output: String) -> Format {
    let name = Array(ASCII.lowercased(output).utf8)
    if name.suffix(4).elementsEqual(".png".utf8) { return .png }
    if name.suffix(4).elementsEqual(".raw".utf8) { return .raw }
    if isOneJPEG(output) { return .mjpeg }
    if name.suffix(6).elementsEqual(".mjpeg".utf8) || name.suffix(5).elementsEqual(".mjpg".utf8) { return .mjpeg }
    if name.suffix(5).elementsEqual(".h264".utf8) { return .h264 }
    return .y4m
  }

  private static func isOneJPEG(_ output: String) -> Bool {
    let name = Array(ASCII.lowercased(output).utf8)
    return name.suffix(4).elementsEqual(".jpg".utf8) || name.suffix(5).elementsEqual(".jpeg".utf8)
  }
}

extension DevicesOptions {
  static let syntax = CommandSyntax(
    "devices", summary: "list the cameras this account may see",
    discussion: "Lists the cameras and devices this account may see, online or not.",
    options: AccountOptions.options + [.init("--json", nil, "print JSON (default: a table)")])

  init(_ parsed: ParsedArguments) throws(UsageError) {
    account = try AccountOptions(parsed)
    json = parsed.has("--json")
  }
}

extension DoctorOptions {
  static let syntax = CommandSyntax(
    "doctor", summary: "find out why it does not connect",
    discussion: """
      Tries what a node and a viewer need, one thing after the other: name resolution, the server's certificate, the \
      account, the heartbeat, the kind of NAT, the relay, the clock, the cameras. Says for each what was found and what \
      to do. With a node's configuration it looks at the node too, else at what a viewer needs.

      Exit code: 0 nothing is wrong, 1 something does not work, 2 it works less well than it could.
      """,
    options: AccountOptions.options + [.init("--json", nil, "print JSON (default: text)")])

  init(_ parsed: ParsedArguments) throws(UsageError) {
    account = try AccountOptions(parsed)
    json = parsed.has("--json")
  }

  /// The node's configuration, when that is what the file holds.
  func node() throws(CommandFailure) -> NodeConfiguration? {
    guard account.rendezvous == nil || account.config != nil else { return nil }
    let path = account.config ?? AccountOptions.defaultConfig
    do throws(CommandFailure) {
      return try NodeConfiguration.load(path)
    } catch {
      // A viewer's file names no state directory and no cameras, and need not be right as a node's.
      return nil
    }
  }
}

extension DemoOptions {
  static let syntax = CommandSyntax(
    "demo", summary: "show all of it on this machine",
    discussion: """
      Starts a rendezvous server, a node and a viewer on this machine, connects them, and ends with a picture and a \
      table of what happened. Uses a real camera if there is one, else the test card.
      """,
    options: [
      .init("--frames", "N", "receive N pictures (default: 50)"),
      .init("--size", "WxH", "show the test card in this size (default: the camera, or the test card in 640x480)"),
      .init("--output", "FILE", "keep the last picture in FILE (default: edge-demo.png)"),
    ])

  init(_ parsed: ParsedArguments) throws(UsageError) {
    frames = try parsed.integer("--frames", 1...100_000) ?? 50
    size = parsed.value("--size") ?? ""
    output = parsed.value("--output") ?? "edge-demo.png"
    guard size.utf8.isEmpty || NodeConfiguration.Camera.Size(size) != nil else {
      throw UsageError("--size: '\(size)' is not a size such as 320x240")
    }
  }
}

enum VersionCommand {
  static let syntax = CommandSyntax(
    "version", summary: "print the version", discussion: "Prints the version of this program.")
}
