import LinuxIO

/// What is wrong with the arguments.
struct UsageError: Error {
  var text: String
  /// The command whose help tells more, with a space behind it.
  var topic = ""
}

/// The arguments, understood.
struct Command {
  enum Action: Hashable {
    case help(String)
    case version
    case run
    case mediaServer
    case status(json: Bool)
    case addAccount(name: String, isNode: Bool, allowsMD5: Bool, passwordFile: String?)
    case setPassword(name: String, allowsMD5: Bool, passwordFile: String?)
    case store(StoreRequest)
  }

  var action = Action.help(Help.program)
  /// `--config`.
  var configuration: String?

  /// What to add to a command line that uses the same configuration.
  var configurationHint: String { configuration.map { " --config \($0)" } ?? "" }

  private struct Shape {
    var operands: [String]
    var flags: [String] = []
    var options: [String] = []
  }

  private static let shapes: [(words: [String], shape: Shape)] = [
    (["run"], Shape(operands: [])),
    (["media-server"], Shape(operands: [])),
    (["status"], Shape(operands: [], flags: ["--json"])),
    (["account", "add"], Shape(operands: ["NAME"], flags: ["--node", "--md5"], options: ["--password-file"])),
    (["account", "password"], Shape(operands: ["NAME"], flags: ["--md5"], options: ["--password-file"])),
    (["account", "remove"], Shape(operands: ["NAME"])),
    (["account", "list"], Shape(operands: [])),
    (["grant"], Shape(operands: ["USER", "SERIAL"])),
    (["revoke"], Shape(operands: ["USER", "SERIAL"])),
    (["grants"], Shape(operands: [])),
    (["serials"], Shape(operands: [])),
    (["release"], Shape(operands: ["SERIAL"])),
    (["contact", "add"], Shape(operands: ["NAME", "OTHER"])),
    (["contact", "remove"], Shape(operands: ["NAME", "OTHER"])),
    (["contact", "list"], Shape(operands: [])),
    (["group", "add"], Shape(operands: ["GROUP", "NAME"])),
    (["group", "remove"], Shape(operands: ["GROUP", "NAME"])),
    (["group", "list"], Shape(operands: [])),
    (["version"], Shape(operands: [])),
  ]

  /// Words that take add, list or remove.
  private static let nouns = ["account", "contact", "group"]

  init(_ arguments: [String]) throws(UsageError) {
    guard let first = arguments.first else { throw UsageError(text: "a command is missing") }
    if ["--help", "-h", "help"].contains(first) { return }
    if first == "--version" {
      action = .version
      return
    }
    if Self.nouns.contains(first), arguments.count == 2, ["--help", "-h"].contains(arguments[1]) {
      action = .help(Help.text(for: first))
      return
    }
    guard let (words, shape) = Self.shapes.first(where: { arguments.starts(with: $0.words) }) else {
      let isNoun = Self.nouns.contains(first)
      throw UsageError(
        text: isNoun ? "\(first) takes add, list or remove" : "there is no command '\(first)'",
        topic: isNoun ? first + " " : "")
    }
    let topic = words.joined(separator: " ") + " "
    var operands: [String] = []
    var flags: Set<String> = []
    var options: [String: String] = [:]
    var rest = arguments.dropFirst(words.count)
    while let argument = rest.popFirst() {
      if ["--help", "-h"].contains(argument) {
        action = .help(Help.text(for: words.joined(separator: " ")))
        return
      }
      guard argument.hasPrefix("-"), argument != "-" else {
        operands.append(argument)
        continue
      }
      var name = argument
      var value: String?
      if let equals = argument.firstIndex(of: "=") {
        name = String(argument[..<equals])
        value = String(argument[argument.index(after: equals)...])
      }
      if shape.flags.contains(name), value == nil {
        flags.insert(name)
      } else if shape.options.contains(name) || name == "--config" {
        guard let value = value ?? rest.popFirst() else {
          throw UsageError(text: "\(name) needs a file name", topic: topic)
        }
        options[name] = value
      } else {
        throw UsageError(text: "there is no option '\(argument)' here", topic: topic)
      }
    }
    guard operands.count == shape.operands.count else {
      let wanted = shape.operands.isEmpty ? "nothing else" : shape.operands.joined(separator: " ")
      throw UsageError(text: "\(topic)takes \(wanted)", topic: topic)
    }
    for (index, text) in operands.enumerated() {
      guard AccountName.isValid(text) else {
        throw UsageError(text: "\(shape.operands[index]) must be \(AccountName.rule)", topic: topic)
      }
    }
    configuration = options["--config"]
    action = Self.action(words, operands, flags, options)
  }

  private static func action(
    _ words: [String], _ operands: [String], _ flags: Set<String>, _ options: [String: String]
  ) -> Action {
    switch words.joined(separator: " ") {
    case "run": .run
    case "media-server": .mediaServer
    case "status": .status(json: flags.contains("--json"))
    case "account add":
      .addAccount(
        name: operands[0], isNode: flags.contains("--node"), allowsMD5: flags.contains("--md5"),
        passwordFile: options["--password-file"])
    case "account password":
      .setPassword(
        name: operands[0], allowsMD5: flags.contains("--md5"), passwordFile: options["--password-file"])
    case "account remove": .store(.removeAccount(operands[0]))
    case "account list": .store(.accounts)
    case "grant": .store(.grant(user: operands[0], serial: operands[1]))
    case "revoke": .store(.revoke(user: operands[0], serial: operands[1]))
    case "grants": .store(.grants)
    case "serials": .store(.serials)
    case "release": .store(.release(serial: operands[0]))
    case "contact add": .store(.join(operands[0], operands[1]))
    case "contact remove": .store(.part(operands[0], operands[1]))
    case "contact list": .store(.contacts)
    case "group add": .store(.addMember(operands[1], group: operands[0]))
    case "group remove": .store(.removeMember(operands[1], group: operands[0]))
    case "group list": .store(.groups)
    default: .version
    }
  }
}

/// What `--help` prints.
enum Help {
  static let program = """
    edge-rendezvous: makes cameras reachable by serial number, for those who may see them.

    Usage: edge-rendezvous COMMAND [--config FILE]

      run                      serve until SIGTERM; SIGHUP loads a changed certificate
      media-server             only keep and carry large messages, for another server
      status [--json]          what a running server holds: nodes, serials, flows, sessions, memory
      account add NAME         add a user, or with --node a camera box; password on standard input
      account list             all accounts
      account password NAME    give an account another password
      account remove NAME      remove an account, its grants and its serials
      grant USER SERIAL        let a user watch a camera
      revoke USER SERIAL       and no longer
      grants                   who may watch what
      serials                  which node owns which serial
      release SERIAL           let another node take a serial over: a box was replaced
      contact add NAME OTHER   make contacts of two accounts, as `edge contacts add` and `accept` do
      contact list             who is whose contact, and who asked
      contact remove NAME OTHER
      group add GROUP NAME     put an account into a group; the first one makes the group
      group list               who is in which group
      group remove GROUP NAME
      version

    FILE is /etc/edge/rendezvous.yaml unless given. Each command takes --help.

    Exit codes: 0 fine, 1 no, 2 running with problems, 64 wrong usage or configuration,
    69 no server runs, 77 not allowed.

    """

  /// Help on one command; of a noun with a verb, on the noun where the verb has none of its own.
  static func text(for topic: String) -> String {
    let noun = topic.split(separator: " ").first.map { String($0) }
    return (topics.first { $0.name == topic } ?? topics.first { $0.name == noun })?.text ?? program
  }

  private static let topics: [(name: String, text: String)] = [
    (
      "run",
      """
      Usage: edge-rendezvous run [--config FILE]

      Serves in the foreground and logs to standard error, one key=value line per event.
      Without a configuration file it listens on 5061 (SIP over TLS) and 3478 (STUN) under this
      machine's host name. A private certificate authority and a server certificate are made on
      first start when there are none; the log says where. Nodes and viewers need the ca.pem.

      SIGTERM and SIGINT end it in order. SIGHUP loads a changed certificate without dropping anybody.

      """
    ),
    (
      "media-server",
      """
      Usage: edge-rendezvous media-server [--config FILE]

      The offline service's storage and MSRP, as a process of its own: listens on 'sip-tcp' for the
      server that names it under media.servers, and on 'msrp' and 'msrps' for everybody. Both have
      the same 'domain' and the same secret in media.secret-file. Each media server has a database
      of its own.

      """
    ),
    (
      "status",
      """
      Usage: edge-rendezvous status [--json] [--config FILE]

      Asks the running server what it holds. Exit code 2 when something is wrong with it,
      69 when none runs.

      """
    ),
    (
      "account",
      """
      Usage: edge-rendezvous account add NAME [--node] [--md5] [--password-file FILE]
             edge-rendezvous account list
             edge-rendezvous account password NAME [--md5] [--password-file FILE]
             edge-rendezvous account remove NAME

      """
    ),
    (
      "account add",
      """
      Usage: edge-rendezvous account add NAME [--node] [--md5] [--password-file FILE] [--config FILE]

        --node                 the account of a camera box: it may publish serials
        --md5                  allow the weak MD5 digest, for an old device that knows no other
        --password-file FILE   read the password from FILE instead of standard input

      Counts at once on a running server. Only hashes of the password are kept. They depend on the
      domain in the configuration.

      """
    ),
    (
      "account list",
      """
      Usage: edge-rendezvous account list [--config FILE]

      One line per account: name, user or node, digest algorithms, when it was added.

      """
    ),
    (
      "account password",
      """
      Usage: edge-rendezvous account password NAME [--md5] [--password-file FILE] [--config FILE]

        --md5                  allow the weak MD5 digest (from now on not allowed without this)
        --password-file FILE   read the password from FILE instead of standard input

      Gives the account another password. Its connections end at once and must log in with the new one;
      its grants, serials, contacts and waiting messages stay.

      """
    ),
    (
      "account remove",
      """
      Usage: edge-rendezvous account remove NAME [--config FILE]

      Removes the account, its grants and its serials, and ends its calls and connections.

      """
    ),
    (
      "grant",
      """
      Usage: edge-rendezvous grant USER SERIAL [--config FILE]

      Lets USER watch the camera SERIAL, from now on. The camera need not have been seen yet.

      """
    ),
    (
      "revoke",
      """
      Usage: edge-rendezvous revoke USER SERIAL [--config FILE]

      Takes a grant back, at once: the picture USER is watching ends, and the next call is refused.

      """
    ),
    (
      "grants",
      """
      Usage: edge-rendezvous grants [--config FILE]

      One line per grant: user, serial.

      """
    ),
    (
      "serials",
      """
      Usage: edge-rendezvous serials [--config FILE]

      One line per serial: serial, the node account that owns it. The first node to publish a serial
      owns it.

      """
    ),
    (
      "release",
      """
      Usage: edge-rendezvous release SERIAL [--config FILE]

      Forgets who owns SERIAL; the next node that publishes it owns it. Grants stay.

      """
    ),
    (
      "contact",
      """
      Usage: edge-rendezvous contact add NAME OTHER [--config FILE]
             edge-rendezvous contact list
             edge-rendezvous contact remove NAME OTHER

      Contacts see whether the other is online, and may write to and call each other. People do this
      themselves with `edge contacts`; this command asks nobody.

      """
    ),
    (
      "group",
      """
      Usage: edge-rendezvous group add GROUP NAME [--config FILE]
             edge-rendezvous group list
             edge-rendezvous group remove GROUP NAME

      What a member sends to the name of the group goes to every other member, now or when it comes.
      The first member makes the group; with the last one it is gone.

      """
    ),
    ("version", "Usage: edge-rendezvous version\n"),
  ]
}
