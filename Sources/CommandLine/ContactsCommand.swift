internal import EdgeCore

/// `edge contacts`
public struct ContactsOptions: Hashable, Sendable {
  public enum Action: Hashable, Sendable {
    case list(follows: Bool)
    case add(String)
    case accept(String)
    case refuse(String)
    case remove(String)
  }

  public var action: Action
  public var json: Bool
  public var account: AccountOptions
}

extension ContactsOptions {
  static let syntax = CommandSyntax(
    "contacts", summary: "list and change this account's contacts",
    discussion: """
      Contacts see whether the other is online, and may write to and call each other. add asks another account, which \
      accepts or refuses; remove ends it, for both. list shows who is online, who asks and who was asked. The list is \
      kept by the server.
      """,
    arguments: [
      .init("ACTION", "list, add, accept, refuse or remove"),
      .init("NAME", "for all but list: the other account", isOptional: true),
    ],
    options: AccountOptions.options + [
      .init("--follow", nil, "for list: go on with each change until Ctrl-C (default: print the list once)"),
      .init("--json", nil, "for list: print JSON, with --follow one line for each change (default: text)"),
    ])

  init(_ parsed: ParsedArguments) throws(UsageError) {
    account = try AccountOptions(parsed)
    json = parsed.has("--json")
    let verb = parsed.arguments[0]
    guard ["list", "add", "accept", "refuse", "remove"].contains(verb) else {
      throw UsageError("unknown action '\(verb)'; known are list, add, accept, refuse, remove")
    }
    guard verb != "list" else {
      guard parsed.arguments.count == 1 else { throw UsageError("list takes nothing more") }
      action = .list(follows: parsed.has("--follow"))
      return
    }
    guard !parsed.has("--follow") else { throw UsageError("--follow is for list") }
    guard parsed.arguments.count == 2 else { throw UsageError("\(verb) needs NAME") }
    let name = parsed.arguments[1]
    guard Names.isValidAccount(name) else { throw UsageError("'\(name)' is not an account name") }
    switch verb {
    case "add": action = .add(name)
    case "accept": action = .accept(name)
    case "refuse": action = .refuse(name)
    default: action = .remove(name)
    }
  }
}
