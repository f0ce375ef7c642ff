internal import Config
internal import EdgeCore
internal import LinuxIO

/// `edge send`
public struct SendOptions: Hashable, Sendable {
  public var receiver: String
  /// `-` reads it from standard input.
  public var text: String
  public var account: AccountOptions
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
      Sends a text of up to about 1000 bytes to an account that a viewing right joins to this one. Prints 'delivered' \
      when one of its terminals has it, or 'stored' when the server keeps it until one comes.
      """,
    arguments: [
      .init("ACCOUNT", "who gets it"), .init("TEXT", "what it says; - reads it from standard input"),
    ],
    options: AccountOptions.options)

  init(_ parsed: ParsedArguments) throws(UsageError) {
    receiver = parsed.arguments[0]
    guard Names.isValidAccount(receiver) else { throw UsageError("'\(receiver)' is not an account name") }
    text = parsed.arguments[1]
    guard !text.utf8.isEmpty else { throw UsageError("the text is empty") }
    account = try AccountOptions(parsed)
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
