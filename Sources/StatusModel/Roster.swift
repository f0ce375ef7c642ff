/// An account's contacts, and who asks whom to be one: the answer of `edge contacts list`.
public struct Roster: Hashable, Sendable {
  public struct Contact: Hashable, Sendable {
    public var name: String
    /// `confirmed`, `requested` (it was asked) or `asking` (it asks).
    public var state: String
    /// Only told of confirmed ones.
    public var isOnline: Bool

    public init(name: String, state: String, isOnline: Bool) {
      self.name = name
      self.state = state
      self.isOnline = isOnline
    }

    /// One word or a few.
    var word: String {
      switch state {
      case "confirmed": isOnline ? "online" : "offline"
      case "requested": "asked, no answer yet"
      case "asking": "asks: edge contacts accept " + Plain.text(name) + ", or refuse"
      default: Plain.text(state)
      }
    }
  }

  public var contacts: [Contact]

  public init(contacts: [Contact]) { self.contacts = contacts }

  /// Fields are added, never renamed or reordered.
  public var json: JSONValue {
    var items: [JSONValue] = []
    for contact in contacts {
      items.append(
        .object([
          .init("name", .string(contact.name)), .init("state", .string(contact.state)),
          .init("online", .bool(contact.isOnline)),
        ]))
    }
    return .object([.init("contacts", .array(items))])
  }

  /// A table of name and state. Plain ASCII.
  public var text: String {
    guard !contacts.isEmpty else { return "no contacts yet: edge contacts add NAME\n" }
    return Plain.table(contacts.map { [Plain.text($0.name), $0.word] })
  }

  /// One line for each contact that is not as it was in `old`.
  public func changes(since old: Roster) -> String {
    var text = ""
    for contact in contacts where !old.contacts.contains(contact) {
      text += "\(Plain.text(contact.name)) \(contact.word)\n"
    }
    for contact in old.contacts where !contacts.contains(where: { $0.name == contact.name }) {
      text += Plain.text(contact.name) + " is on the list no longer\n"
    }
    return text
  }
}
