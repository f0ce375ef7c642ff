import CommandLine
import Config
import EdgeCore
import Foundation
import StatusModel
import Testing

/// Runs `edge` in this process and keeps what it prints and what its commands get.
final class TestProgram {
  var output = ""
  var error = ""
  var run: RunOptions?
  var view: ViewOptions?
  var devices: DevicesOptions?
  var tunnel: TunnelCommandOptions?
  var send: SendOptions?
  var inbox: InboxOptions?
  var camera: CameraOptions?
  var contacts: ContactsOptions?

  func callAsFunction(_ words: String...) -> ExitCode { callAsFunction(words) }

  func callAsFunction(_ words: [String]) -> ExitCode {
    let commands = EdgeProgram.Commands(
      run: {
        self.run = $0
        return .fine
      },
      view: {
        self.view = $0
        return .fine
      },
      devices: {
        self.devices = $0
        return .fine
      },
      tunnel: {
        self.tunnel = $0
        return .fine
      },
      send: {
        self.send = $0
        return .fine
      },
      inbox: {
        self.inbox = $0
        return .fine
      },
      doctor: { _ in .no }, demo: { _ in .problems },
      camera: {
        self.camera = $0
        return .fine
      },
      contacts: {
        self.contacts = $0
        return .fine
      })
    let console = Console(output: { self.output += $0 }, error: { self.error += $0 })
    return EdgeProgram(commands: commands, console: console).main(words)
  }
}

@Suite("edge")
struct EdgeProgramTests {
  /// EDGE_UPDATE_SNAPSHOTS=1 writes the files anew.
  @Test(arguments: [
    "", "run", "status", "view", "devices", "camera", "tunnel", "send", "inbox", "events", "contacts", "doctor",
    "demo", "version",
  ])
  func `help is as the snapshot has it, plain ASCII, on standard output`(command: String) throws {
    let program = TestProgram()
    #expect(program(command.isEmpty ? ["--help"] : [command, "--help"]) == .fine)
    #expect(program.error.isEmpty)
    #expect(program.output.utf8.allSatisfy { $0 == 0x0A || (0x20..<0x7F).contains($0) })
    #expect(program.output.split(separator: "\n").allSatisfy { $0.count <= 100 })
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Snapshots/edge\(command.isEmpty ? "" : "-" + command).txt")
    if ProcessInfo.processInfo.environment["EDGE_UPDATE_SNAPSHOTS"] == "1" {
      try Data(program.output.utf8).write(to: file)
    }
    #expect(try String(contentsOf: file, encoding: .utf8) == program.output)
  }

  @Test func `every option that takes a value or switches something states its default`() {
    for syntax in EdgeProgram.syntaxes {
      for option in syntax.options { #expect(option.help.contains("(default: "), "\(syntax.name) \(option.name)") }
    }
  }

  @Test(arguments: [
    ([], "edge: no command\nSee: edge --help\n"),
    (["veiw"], "edge: unknown command 'veiw'; did you mean view?\nSee: edge --help\n"),
    (["x\u{1B}[2J"], "edge: unknown command 'x?[2J'\nSee: edge --help\n"),
    (["tunnel"], "edge: tunnel needs SERIAL\nSee: edge tunnel --help\n"),
    (["view"], "edge: view needs SERIAL\nSee: edge view --help\n"),
    (["view", "a b"], "edge: 'a b' is not a serial number\nSee: edge view --help\n"),
    (["view", "A", "--format", "pgn"], "edge: --format: unknown 'pgn'; did you mean png?\nSee: edge view --help\n"),
    (
      ["view", "A", "--frames", "0"],
      "edge: --frames: '0' is not a whole number from 1 to 1000000000\nSee: edge view --help\n"
    ),
    (
      ["view", "A", "--duration", "soon"],
      "edge: --duration: 'soon' is not a number of seconds such as 10 or 0.5\nSee: edge view --help\n"
    ),
    (
      ["view", "A", "--relay-only", "--no-relay"],
      "edge: --relay-only and --no-relay exclude each other\nSee: edge view --help\n"
    ),
    (
      ["view", "A", "--rendezvous", "http://x"],
      "edge: --rendezvous: 'http://x' is not a server address such as sips:rv.example.org:5061\nSee: edge view --help\n"
    ),
    (
      ["devices", "--pasword-file", "x"],
      "edge: unknown option '--pasword-file'; did you mean --password-file?\nSee: edge devices --help\n"
    ),
    (["status", "--socket", "a", "--config", "b"], "edge: --socket and --config exclude each other\n"),
  ])
  func `a wrong command line is explained on standard error and returns 64`(words: [String], message: String) {
    let program = TestProgram()
    #expect(program(words) == .usage)
    #expect(program.error == message)
    #expect(program.output.isEmpty)
  }

  @Test func `view hands over checked options`() {
    let program = TestProgram()
    #expect(
      program(
        "view", "CAM-1", "--output=-", "--format", "raw", "--frames", "100", "--duration", "2.5", "--no-relay",
        "--stats", "s.json", "--config", "c.yaml") == .fine)
    #expect(program.view?.serial == "CAM-1")
    #expect(program.view?.output == "-")
    #expect(program.view?.format == .raw)
    #expect(program.view?.frames == 100)
    #expect(program.view?.duration == .milliseconds(2500))
    #expect(program.view?.path == .noRelay)
    #expect(program.view?.statsFile == "s.json")
    #expect(program.view?.account.config == "c.yaml")
  }

  @Test(arguments: [("x.png", ViewOptions.Format.png), ("X.PNG", .png), ("a.raw", .raw), ("a.y4m", .y4m), ("-", .y4m)])
  func `the format follows the file's ending`(output: String, format: ViewOptions.Format) {
    let program = TestProgram()
    #expect(program("view", "C", "--output", output) == .fine)
    #expect(program.view?.format == format)
  }

  @Test func `what is only shown is not written, and adapts`() {
    let program = TestProgram()
    #expect(program("view", "C", "--serve", "8080") == .fine)
    #expect(program.view?.output == nil)
    #expect(program.view?.page?.description == "127.0.0.1:8080")
    #expect(program.view?.quality == "auto")
    #expect(program("view", "C", "--play", "--serve", "[::1]:80", "--quality", "max-error:2", "--fps", "5") == .fine)
    #expect(program.view?.plays == true)
    #expect(program.view?.quality == "max-error:2")
    #expect(program.view?.framesPerSecond == 5)
    #expect(program("view", "C", "--snapshot", "a.png") == .fine)
    #expect(program.view?.frames == 1)
    #expect(program.view?.format == .png)
    #expect(program.view?.quality == "camera")
    #expect(program("view", "C", "--output", "a.mjpeg", "--size", "320x240") == .fine)
    #expect(program.view?.format == .mjpeg)
    #expect(program.view?.size?.description == "320x240")
  }

  @Test(arguments: [
    ["--serve", "0.0.0.0:80"], ["--serve", "192.168.1.2:80"], ["--serve", "x"], ["--snapshot", "a", "--output", "b"],
    ["--play", "--output", "a"], ["--quality", "best"], ["--size", "big"], ["--fps", "0"],
  ])
  func `a view that makes no sense is refused`(options: [String]) {
    let program = TestProgram()
    #expect(program(["view", "C"] + options) == .usage)
    #expect(program.view == nil)
  }

  @Test func `camera lists and sets`() {
    let program = TestProgram()
    #expect(program("camera", "C", "list") == .fine)
    #expect(program.camera?.action == .list)
    #expect(program("camera", "C", "set", "brightness=-12") == .fine)
    #expect(program.camera?.action == .set(name: "brightness", value: -12))
    for wrong in [
      ["C"], ["C", "get"], ["C", "list", "x"], ["C", "set"], ["C", "set", "a"], ["C", "set", "a=b"],
      ["C", "set", "=1"],
    ] {
      #expect(program(["camera"] + wrong) == .usage, "\(wrong)")
    }
  }

  @Test func `the other commands return what their runtime returns`() {
    let program = TestProgram()
    #expect(program("run") == .fine)
    #expect(program.run?.config == "/etc/edge/edge.yaml")
    #expect(program("doctor") == .no)
    #expect(program("demo") == .problems)
    #expect(program("devices", "--json") == .fine)
    #expect(program.devices?.json == true)
    #expect(program("version") == .fine)
    #expect(program.output.hasPrefix("edge "))
    #expect(program.error.isEmpty)
  }
}

@Suite("Account options")
struct AccountOptionsTests {
  private func account(_ words: String...) throws -> AccountOptions {
    let program = TestProgram()
    _ = program(["devices"] + words)
    return try #require(program.devices?.account, "\(program.error)")
  }

  private func withFile(_ text: String, _ body: (String) throws -> Void) throws {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("edge-\(UUID().uuidString).yaml")
    try Data(text.utf8).write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    try body(file.path)
  }

  @Test func `options alone are enough`() throws {
    let loaded = try account(
      "--rendezvous", "sips:h.example", "--user", "bob", "--password-file", "/p", "--ca", "/ca"
    ).load()
    #expect(
      loaded.account
        == AccountConfiguration(
          uri: ServerURI("sips:h.example:5061")!, account: "bob", passwordFile: "/p", caFile: "/ca"))
  }

  @Test func `half an account is refused`() throws {
    let options = try account("--rendezvous", "sips:h.example", "--user", "bob")
    #expect(throws: CommandFailure.self) { try options.load() }
  }

  @Test func `options win over the file`() throws {
    try withFile("rendezvous: { uri: 'sips:h.example', account: gate, password-file: /p }\n") { path in
      #expect(try account("--config", path).load().account.account == "gate")
      let loaded = try account("--config", path, "--user", "bob", "--rendezvous", "sip:10.0.0.1").load()
      #expect(loaded.account.account == "bob")
      #expect(loaded.account.uri.description == "sip:10.0.0.1:5060;transport=udp")
      #expect(loaded.account.domain == "10.0.0.1")
      #expect(loaded.account.passwordFile == "/p")
    }
  }

  @Test func `a file that is missing or wrong is named, with what to do`() throws {
    let missing = #expect(throws: CommandFailure.self) { try account("--config", "/nonexistent/edge.yaml").load() }
    #expect(missing?.code == 64)
    #expect(missing?.message.contains("/nonexistent/edge.yaml") == true)
    #expect(missing?.message.contains("--password-file") == true)
    try withFile("rendezvous: { url: x }\n") { path in
      let wrong = #expect(throws: CommandFailure.self) { try account("--config", path).load() }
      #expect(
        wrong?.message.hasPrefix("\(path):1: rendezvous.url: unknown key; did you mean uri?\n") == true,
        "\(wrong?.message ?? "")")
    }
  }
}
