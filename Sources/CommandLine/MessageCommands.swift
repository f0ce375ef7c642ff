internal import Config
internal import EdgeCore
internal import LinuxIO

/// `edge send`
public struct SendOptions: Hashable, Sendable {
  public var receiver: String
  /// `-` reads it from standard input.
  public var text: String
  public var account: AccountOptions
  /// A file in place of a text.
  public var file: PutOptions?
}

/// `edge inbox`
public struct InboxOptions: Hashable, Sendable {
  public var account: AccountOptions
  public var follows: Bool
  public var includesKept: Bool
  public var json: Bool
}

extension SendOptions {
  static let syntax = CommandSyntax(
    "send", summary: "write to an account",
    discussion: """
      Sends a text, or with - anything of up to 8 MiB, to an account that a contact or a viewing right joins to this \
      one. Prints 'delivered' when one of its terminals has it, or 'stored' when the server keeps it until one comes. \
      With --file: see edge put.
      """,
    arguments: [
      .init("ACCOUNT", "who gets it"),
      .init("TEXT", "what it says; - reads it from standard input", isOptional: true),
    ],
    options: AccountOptions.options + [
      .init("--file", "FILE", "send this file, straight to who is there to take it (default: a text)"),
      .init("--json", nil, "print JSON when the file is there (default: text)"),
    ])

  init(_ parsed: ParsedArguments) throws(UsageError) {
    receiver = parsed.arguments[0]
    guard Names.isValidAccount(receiver) else { throw UsageError("'\(receiver)' is not an account name") }
    account = try AccountOptions(parsed)
    text = parsed.arguments.count > 1 ? parsed.arguments[1] : ""
    if let path = parsed.value("--file") {
      guard parsed.arguments.count == 1 else { throw UsageError("a text and --file exclude each other") }
      file = try PutOptions(parsed, name: receiver, file: path)
    } else {
      guard parsed.arguments.count > 1 else { throw UsageError("send needs TEXT or --file") }
      guard !text.utf8.isEmpty else { throw UsageError("the text is empty") }
    }
  }
}

extension InboxOptions {
  static let syntax = CommandSyntax(
    "inbox", summary: "read messages to this account",
    discussion: """
      Fetches the messages that wait for this account and prints them, oldest first. Each is kept in messages.jsonl \
      in the state directory, and given to every terminal (user and machine) of the account once.
      """,
    options: AccountOptions.options + [
      .init("--follow", nil, "go on until Ctrl-C (default: end when no more waits)"),
      .init("--all", nil, "begin with the messages received earlier (default: only new ones)"),
      .init("--json", nil, "print one JSON object per line (default: text)"),
    ])

  init(_ parsed: ParsedArguments) throws(UsageError) {
    account = try AccountOptions(parsed)
    follows = parsed.has("--follow")
    includesKept = parsed.has("--all")
    json = parsed.has("--json")
  }
}
