import EdgeCore
import SIP

/// Watchers and what each has been told (RFC 6665 §4.2).
struct Subscriptions {
  /// The dialog, as the watcher's requests name it.
  struct ID: Hashable, Comparable {
    var callID: String
    var localTag: String
    var remoteTag: String

    static func < (a: ID, b: ID) -> Bool {
      (a.callID, a.localTag, a.remoteTag) < (b.callID, b.localTag, b.remoteTag)
    }
  }

  enum Subject: Hashable {
    case serial(String)
    /// Another account: whether a terminal of it is there.
    case account(String)
    /// Every serial the account may watch.
    case all
    /// The account's contact list.
    case contacts
    /// The messages to the account (`Event: im`).
    case topic

    /// Whose coming and going it is about, when that is one name.
    var name: String? {
      switch self {
      case .serial(let name), .account(let name): name
      case .all, .contacts, .topic: nil
      }
    }
  }

  struct Subscription {
    var account: String
    var subject: Subject
    var flow: Flow
    var expires: Instant
    var eventID: String?
    /// From of our requests: the watcher's To.
    var local: NameAddress
    /// To of our requests: the watcher's From.
    var remote: NameAddress
    var remoteTarget: URI
    var routes: [NameAddress]
    /// CSeq of the last NOTIFY.
    var sequence: UInt32
    /// CSeq of the last SUBSCRIBE.
    var remoteSequence: UInt32
    /// One NOTIFY at a time: a change meanwhile waits for its answer, and several make one.
    var isWaiting = false
    /// When the watcher, which could not take it, wants the NOTIFY once more.
    var retryAt: Instant?
    var hasChanged = false
    /// The device, for messages: each is given to it once.
    var terminal = ""
    /// The message in the NOTIFY that was not answered yet.
    var message: Int64?
    /// It was told, since its last SUBSCRIBE, that nothing more waits.
    var isCaughtUp = false
    /// Set once the last NOTIFY is due: why it ends.
    var ending: String?
  }

  private var byID: [ID: Subscription] = [:]
  private var ofAccount: [String: Set<ID>] = [:]
  private var ofName: [String: Set<ID>] = [:]
  private var ofFlow: [Flow: Set<ID>] = [:]

  /// Accounts that have gained or lost a subscription to their messages since this was last emptied.
  var changedTopics: Set<String> = []

  var count: Int { byID.count }

  func count(of account: String) -> Int { ofAccount[account]?.count ?? 0 }

  subscript(id: ID) -> Subscription? {
    get { byID[id] }
    set {
      if let old = byID[id] {
        Self.remove(id, from: &ofAccount, at: old.account)
        Self.remove(id, from: &ofFlow, at: old.flow)
        if let name = old.subject.name { Self.remove(id, from: &ofName, at: name) }
      }
      if let changed = byID[id] ?? newValue, changed.subject == .topic { changedTopics.insert(changed.account) }
      byID[id] = newValue
      guard let newValue else { return }
      ofAccount[newValue.account, default: []].insert(id)
      ofFlow[newValue.flow, default: []].insert(id)
      if let name = newValue.subject.name { ofName[name, default: []].insert(id) }
    }
  }

  /// Changes a subscription in place; account and subject stay.
  mutating func update(_ id: ID, _ change: (inout Subscription) -> Void) {
    guard var subscription = byID[id] else { return }
    let flow = subscription.flow
    change(&subscription)
    byID[id] = subscription
    guard subscription.flow != flow else { return }
    Self.remove(id, from: &ofFlow, at: flow)
    ofFlow[subscription.flow, default: []].insert(id)
  }

  private static func remove<Key>(_ id: ID, from table: inout [Key: Set<ID>], at key: Key) {
    table[key]?.remove(id)
    if table[key]?.isEmpty == true { table[key] = nil }
  }

  /// All, in a fixed order.
  var ids: [ID] { byID.keys.sorted() }

  func ids(of account: String) -> [ID] { (ofAccount[account] ?? []).sorted() }

  /// Those that watch one of `names`, serials or accounts, in a fixed order.
  func ids(watching names: [String]) -> [ID] {
    var found: Set<ID> = []
    for name in names { found.formUnion(ofName[name] ?? []) }
    return found.sorted()
  }

  /// Those of `accounts` that watch all the account may see, in a fixed order.
  func idsWatchingAll(of accounts: Set<String>) -> [ID] {
    var found: [ID] = []
    for account in accounts { found += (ofAccount[account] ?? []).filter { byID[$0]?.subject == .all } }
    return found.sorted()
  }

  /// The account's subscriptions to one of its own things, in a fixed order.
  func ids(of account: String, to subject: Subject) -> [ID] {
    (ofAccount[account] ?? []).filter { byID[$0]?.subject == subject }.sorted()
  }

  func hasTopic(_ account: String) -> Bool { ofAccount[account]?.contains { byID[$0]?.subject == .topic } ?? false }

  func hasTopic(_ account: String, on flow: Flow) -> Bool {
    ofFlow[flow]?.contains { byID[$0]?.subject == .topic && byID[$0]?.account == account } ?? false
  }

  func dueAgain(at now: Instant) -> [ID] {
    byID.filter { $0.value.retryAt.map { $0 <= now } ?? false }.map(\.key).sorted()
  }

  func expired(at now: Instant) -> [ID] { byID.filter { $0.value.expires <= now }.map(\.key).sorted() }

  /// Their flow is gone: nobody can be told that they end.
  mutating func remove(on flow: Flow) {
    for id in ofFlow[flow] ?? [] { self[id] = nil }
  }

  mutating func move(of account: String, from old: Flow, to new: Flow) {
    for id in ofAccount[account] ?? [] where byID[id]?.flow == old { update(id) { $0.flow = new } }
  }
}
