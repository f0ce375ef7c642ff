import EdgeCore

/// The location service: which contacts each account has now, and over which flow (RFC 3261 §10).
///
/// Kept small, for there may be a hundred thousand: a contact is one string, its flow and four numbers.
struct Locations {
  struct Binding {
    /// The Contact URI as the device wrote it.
    var contact: String
    /// `+sip.instance`; empty when the device gave none.
    var instance: String
    /// RFC 5626 §4.2; 0 for a binding without outbound.
    var registrationID: UInt32
    var flow: Flow
    var expires: Instant
    var callID: String
    var sequence: UInt32

    /// Whether the device promised to keep its flow alive, so that silence means it is gone.
    var isOutbound: Bool { registrationID != 0 }

    /// What makes it another way to the device.
    var path: Path { Path(contact: contact, instance: instance, flow: flow) }

    struct Path: Hashable {
      var contact: String
      var instance: String
      var flow: Flow
    }
  }

  private var byAccount: [String: [Binding]] = [:]
  private(set) var count = 0
  private var changed: Set<String> = []
  /// Accounts that have got their first contact or lost their last since this was last emptied.
  var cameOrWent: Set<String> = []
  /// Whether anybody asks ``takeChanged()``.
  var tracksChanges = false

  func bindings(of account: String) -> [Binding] { byAccount[account] ?? [] }

  /// All accounts with a contact, sorted.
  var accounts: [String] { byAccount.keys.sorted() }

  /// Accounts whose contacts are others, or reached over other flows, than when this was last called.
  mutating func takeChanged() -> Set<String> {
    defer { changed = [] }
    return changed
  }

  mutating func set(_ bindings: [Binding], for account: String) {
    let before = byAccount[account] ?? []
    if tracksChanges, before.map(\.path) != bindings.map(\.path) { changed.insert(account) }
    count += bindings.count - (byAccount[account]?.count ?? 0)
    if bindings.isEmpty != before.isEmpty { cameOrWent.insert(account) }
    byAccount[account] = bindings.isEmpty ? nil : bindings
  }

  func binding(of account: String, on flow: Flow) -> Binding? {
    byAccount[account]?.first { $0.flow == flow }
  }

  /// Removes the bindings that `goes` names and returns them.
  mutating func remove(of account: String, where goes: (Binding) -> Bool) -> [Binding] {
    let all = bindings(of: account)
    let gone = all.filter(goes)
    if !gone.isEmpty { set(all.filter { !goes($0) }, for: account) }
    return gone
  }

  /// Accounts that have a binding past its time, sorted.
  func expired(at now: Instant) -> [String] {
    byAccount.filter { $0.value.contains { $0.expires <= now } }.map(\.key).sorted()
  }
}
