import StatusModel
import Storage

/// What the command line asks of a database, directly or through the control socket of a running server.
enum StoreRequest: Hashable, Sendable {
  case addAccount(name: String, ha1SHA256: String, ha1MD5: String?, isNode: Bool)
  case setPassword(name: String, ha1SHA256: String, ha1MD5: String?)
  case removeAccount(String)
  case accounts
  case grant(user: String, serial: String)
  case revoke(user: String, serial: String)
  case grants
  case serials
  case release(serial: String)
  case join(String, String)
  case part(String, String)
  case contacts
  case addMember(String, group: String)
  case removeMember(String, group: String)
  case groups
  /// The realm that passwords are bound to.
  case realm
}

/// What the shell gets: to stdout when it is an answer, else to stderr.
struct Reply: Hashable, Sendable {
  var code: ExitCode
  var text: String

  static func fine(_ text: String) -> Reply { Reply(code: .fine, text: text + "\n") }
  static func no(_ text: String) -> Reply { Reply(code: .no, text: text + "\n") }

  var isAnswer: Bool { code == .fine || code == .problems }
}

extension StoreRequest {
  /// Whether it may change who may do what.
  var isChange: Bool {
    switch self {
    case .addAccount, .setPassword, .removeAccount, .grant, .revoke, .release, .join, .part, .addMember, .removeMember:
      true
    case .accounts, .grants, .serials, .contacts, .groups, .realm: false
    }
  }

  /// Whether it carries hashes that are good in one realm only.
  var bindsPassword: Bool {
    switch self {
    case .addAccount, .setPassword: true
    default: false
    }
  }

  func run(on store: AccountStore, now: Int64) -> Reply {
    do throws(StorageError) {
      return try answer(store, now)
    } catch {
      return Reply(code: .no, text: "\(error)\n")
    }
  }

  private func answer(_ store: AccountStore, _ now: Int64) throws(StorageError) -> Reply {
    switch self {
    case .addAccount(let name, let sha256, let md5, let isNode):
      let account = AccountStore.Account(name: name, ha1SHA256: sha256, ha1MD5: md5, isNode: isNode, created: now)
      switch try store.add(account) {
      case .done: return .fine("added the \(isNode ? "node" : "user") account \(name)")
      case .nameTaken: return .no("\(name) is a camera or a group; choose another account name")
      default:
        return .no(
          "there is an account \(name) already; for another password: edge-rendezvous account password \(name)")
      }
    case .setPassword(let name, let sha256, let md5):
      guard try store.setPassword(of: name, ha1SHA256: sha256, ha1MD5: md5) == .done else {
        return .no("there is no account \(name)")
      }
      return .fine("\(name) has another password now")
    case .removeAccount(let name):
      guard try store.remove(account: name) == .done else { return .no("there is no account \(name)") }
      return .fine("removed the account \(name), its grants and its serials")
    case .accounts:
      let rows = try store.accounts().map { account in
        [
          account.name, account.isNode ? "node" : "user", account.ha1MD5 == nil ? "SHA-256" : "SHA-256+MD5",
          Plain.time(account.created),
        ]
      }
      return Reply(code: .fine, text: Columns.text(rows))
    case .grant(let user, let serial):
      switch try store.grant(serial, to: user, now: now) {
      case .done: return .fine("\(user) may now watch \(serial)")
      case .exists: return .fine("\(user) may watch \(serial) already")
      default: return .no("there is no account \(user); add it with: edge-rendezvous account add \(user)")
      }
    case .revoke(let user, let serial):
      guard try store.revoke(serial, from: user) == .done else { return .no("\(user) has no grant for \(serial)") }
      return .fine("\(user) may no longer watch \(serial)")
    case .grants:
      return Reply(code: .fine, text: Columns.text(try store.viewingRights().map { [$0.account, $0.serial] }))
    case .serials:
      return Reply(code: .fine, text: Columns.text(try store.ownerships().map { [$0.serial, $0.account] }))
    case .release(let serial):
      guard try store.release(serial: serial) == .done else { return .no("no node owns the serial \(serial)") }
      return .fine("released \(serial); the next node that publishes it owns it")
    case .join(let account, let other):
      switch try store.join(account, other, now: now) {
      case .done: return .fine("\(account) and \(other) are contacts now")
      case .exists: return .fine("\(account) and \(other) are contacts already")
      default: return .no("\(account) and \(other) must be two accounts")
      }
    case .part(let account, let other):
      guard try store.part(account, other) == .done else {
        return .no("\(account) and \(other) are no contacts, and neither has asked")
      }
      return .fine("\(account) and \(other) are contacts no longer")
    case .contacts:
      let wishes = try store.wishes()
      let all = Set(wishes)
      let rows: [[String]] = wishes.compactMap { wish in
        let isConfirmed = all.contains(AccountStore.Wish(account: wish.other, other: wish.account))
        guard !isConfirmed || wish.account < wish.other else { return nil }
        return [wish.account, wish.other, isConfirmed ? "contacts" : "asked"]
      }
      return Reply(code: .fine, text: Columns.text(rows))
    case .addMember(let account, let group):
      switch try store.add(account, toTopic: group, now: now) {
      case .done: return .fine("\(account) is now in the group \(group)")
      case .exists: return .fine("\(account) is in the group \(group) already")
      case .nameTaken: return .no("\(group) is an account or a camera; choose another name for the group")
      case .missing: return .no("there is no account \(account); add it with: edge-rendezvous account add \(account)")
      }
    case .removeMember(let account, let group):
      guard try store.remove(account, fromTopic: group) == .done else {
        return .no("\(account) is not in the group \(group)")
      }
      return .fine("\(account) is no longer in the group \(group)")
    case .groups:
      return Reply(code: .fine, text: Columns.text(try store.memberships().map { [$0.topic, $0.account] }))
    case .realm:
      return Reply(code: .fine, text: try store.setting(Realm.setting) ?? "")
    }
  }
}

/// Rows of text, their columns aligned; a scriptable word per column.
enum Columns {
  static func text(_ rows: [[String]]) -> String {
    var widths: [Int] = []
    for row in rows {
      for (index, cell) in row.enumerated() {
        if index == widths.count { widths.append(0) }
        widths[index] = max(widths[index], cell.count)
      }
    }
    var text = ""
    for row in rows {
      var line = ""
      for (index, cell) in row.enumerated() {
        line += cell
        if index + 1 < row.count { line += String(repeating: " ", count: widths[index] - cell.count + 2) }
      }
      text += line + "\n"
    }
    return text
  }
}

// MARK: As one line of JSON

extension StoreRequest {
  var json: JSONValue {
    func object(_ command: String, _ members: (String, JSONValue)...) -> JSONValue {
      .object([.init("command", .string(command))] + members.map { .init($0.0, $0.1) })
    }
    switch self {
    case .addAccount(let name, let sha256, let md5, let isNode):
      return object(
        "account-add", ("name", .string(name)), ("ha1_sha256", .string(sha256)), ("ha1_md5", .optional(md5)),
        ("node", .bool(isNode)))
    case .setPassword(let name, let sha256, let md5):
      return object(
        "account-password", ("name", .string(name)), ("ha1_sha256", .string(sha256)), ("ha1_md5", .optional(md5)))
    case .removeAccount(let name): return object("account-remove", ("name", .string(name)))
    case .accounts: return object("account-list")
    case .grant(let user, let serial): return object("grant", ("user", .string(user)), ("serial", .string(serial)))
    case .revoke(let user, let serial): return object("revoke", ("user", .string(user)), ("serial", .string(serial)))
    case .grants: return object("grants")
    case .serials: return object("serials")
    case .release(let serial): return object("release", ("serial", .string(serial)))
    case .join(let account, let other):
      return object("contact-add", ("name", .string(account)), ("user", .string(other)))
    case .part(let account, let other):
      return object("contact-remove", ("name", .string(account)), ("user", .string(other)))
    case .contacts: return object("contact-list")
    case .addMember(let account, let group):
      return object("group-add", ("user", .string(account)), ("name", .string(group)))
    case .removeMember(let account, let group):
      return object("group-remove", ("user", .string(account)), ("name", .string(group)))
    case .groups: return object("group-list")
    case .realm: return object("realm")
    }
  }

  init?(_ json: JSONValue) {
    let name = json["name"]?.text ?? ""
    let user = json["user"]?.text ?? ""
    let serial = json["serial"]?.text ?? ""
    switch json["command"]?.text {
    case "account-add":
      guard let sha256 = json["ha1_sha256"]?.text, AccountName.isValid(name) else { return nil }
      self = .addAccount(
        name: name, ha1SHA256: sha256, ha1MD5: json["ha1_md5"]?.text, isNode: json["node"]?.boolean ?? false)
    case "account-password":
      guard let sha256 = json["ha1_sha256"]?.text else { return nil }
      self = .setPassword(name: name, ha1SHA256: sha256, ha1MD5: json["ha1_md5"]?.text)
    case "account-remove": self = .removeAccount(name)
    case "account-list": self = .accounts
    case "grant":
      guard AccountName.isValid(user), AccountName.isValid(serial) else { return nil }
      self = .grant(user: user, serial: serial)
    case "revoke": self = .revoke(user: user, serial: serial)
    case "grants": self = .grants
    case "serials": self = .serials
    case "release": self = .release(serial: serial)
    case "contact-add", "group-add":
      guard AccountName.isValid(name), AccountName.isValid(user) else { return nil }
      self = json["command"]?.text == "contact-add" ? .join(name, user) : .addMember(user, group: name)
    case "contact-remove": self = .part(name, user)
    case "contact-list": self = .contacts
    case "group-remove": self = .removeMember(user, group: name)
    case "group-list": self = .groups
    case "realm": self = .realm
    default: return nil
    }
  }
}
