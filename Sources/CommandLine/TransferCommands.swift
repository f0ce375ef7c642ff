internal import Config
internal import EdgeCore
internal import LinuxIO

/// `edge get`
public struct GetOptions: Hashable, Sendable {
  public var serial: String
  /// A folder's ends in `/`.
  public var path: String
  public var lists: Bool
  /// A folder, or the name of the new file; `nil`: the working directory.
  public var output: String?
  public var account: AccountOptions
  public var route: ViewOptions.PathChoice
  public var json: Bool
}

/// `edge put`, and `edge send --file`
public struct PutOptions: Hashable, Sendable {
  /// A serial or an account.
  public var name: String
  public var file: String
  public var account: AccountOptions
  public var route: ViewOptions.PathChoice
  public var json: Bool
}

/// `edge chat`
public struct ChatOptions: Hashable, Sendable {
  public var name: String
  /// Where accepted files go.
  public var folder: String
  public var account: AccountOptions
}

private let routeOptions: [CommandSyntax.Option] = [
  .init("--relay-only", nil, "connect through the relay only (default: the best path)"),
  .init("--no-relay", nil, "never connect through the relay (default: when nothing else works)"),
  .init("--json", nil, "print JSON (default: text)"),
]

extension GetOptions {
  static let syntax = CommandSyntax(
    "get", summary: "list or fetch files of a node, such as recordings",
    discussion: """
      Fetches a file the node shares, straight from it, and prints where it is now. A transfer that was cut, or \
      stopped, goes on where it was: by itself while the command runs, later when the same command is given again. \
      What arrived is checked with SHA-256 before it gets its name; a file of that name is never overwritten. \
      Without PATH, or with one that ends in /, lists what is there.
      """,
    arguments: [
      .init("SERIAL", "a serial number of the node, as edge devices lists it"),
      .init("PATH", "the file, as the listing names it (default: list)", isOptional: true),
    ],
    options: AccountOptions.options + [
      .init("--output", "PLACE", "the folder, or the name of the new file (default: this folder, its own name)"),
      .init("--list", nil, "list the folder PATH (default: fetch, unless PATH ends in /)"),
    ] + routeOptions)

  init(_ parsed: ParsedArguments) throws(UsageError) {
    serial = parsed.arguments[0]
    guard Names.isValidSerial(serial) else { throw UsageError("'\(serial)' is not a serial number") }
    var path = parsed.arguments.count > 1 ? parsed.arguments[1] : "/"
    lists = parsed.has("--list") || path.utf8.last == UInt8(ascii: "/")
    if lists, path.utf8.last != UInt8(ascii: "/") { path += "/" }
    self.path = path
    output = parsed.value("--output")
    if lists, output != nil { throw UsageError("--output: a listing goes to standard output") }
    account = try AccountOptions(parsed)
    route = try ViewOptions.PathChoice(parsed)
    json = parsed.has("--json")
  }
}

extension PutOptions {
  static let syntax = CommandSyntax(
    "put", summary: "send a file to a node",
    discussion: """
      Sends a file straight to a node that takes files (inbox in its configuration), or to somebody who runs edge \
      chat and accepts it. Prints 'delivered' when the other side has it whole, checked with SHA-256. A transfer that \
      was cut goes on where it was.
      """,
    arguments: [
      .init("NAME", "a serial number of the node, or an account"), .init("FILE", "the file"),
    ],
    options: AccountOptions.options + routeOptions)

  init(_ parsed: ParsedArguments) throws(UsageError) {
    try self.init(parsed, name: parsed.arguments[0], file: parsed.arguments[1])
  }

  init(_ parsed: ParsedArguments, name: String, file: String) throws(UsageError) {
    guard Names.isValidAccount(name) else { throw UsageError("'\(name)' is no serial number and no account name") }
    self.name = name
    self.file = file
    account = try AccountOptions(parsed)
    route = try ViewOptions.PathChoice(parsed)
    json = parsed.has("--json")
  }
}

extension ChatOptions {
  static let syntax = CommandSyntax(
    "chat", summary: "write and send files back and forth with an account",
    discussion: """
      Reads lines and sends each to the account, straight to its edge chat while that runs, else over the server, \
      which keeps it. Says of each line what became of it: sent (its program has it), delivered (it was shown there), \
      stored (the server keeps it). A line that begins with a slash is a command: /file PATH offers a file, /accept \
      and /refuse answer an offer, /help lists them all. Ends with /quit or at the end of the input.
      """,
    arguments: [.init("ACCOUNT", "with whom; a node's keeps what it is told in its inbox")],
    options: AccountOptions.options + [
      .init("--folder", "FOLDER", "where accepted files go (default: this folder)")
    ])

  init(_ parsed: ParsedArguments) throws(UsageError) {
    name = parsed.arguments[0]
    guard Names.isValidAccount(name) else { throw UsageError("'\(name)' is not an account name") }
    folder = parsed.value("--folder") ?? "."
    account = try AccountOptions(parsed)
  }
}
