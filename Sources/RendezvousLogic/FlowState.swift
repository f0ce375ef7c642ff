import EdgeCore
import SIP

/// What is known of one flow. A connection always has one; a UDP peer only once it has registered,
/// so that forged source addresses cost nothing.
struct FlowState {
  /// Who has shown, on this very connection, to know the password. For UDP: who registered over it,
  /// which proves nothing about the next datagram.
  var account: String?
  /// Further accounts of the same flow: a gateway, or a load generator.
  var others: Set<String> = []
  var opened: Instant
  var lastHeard: Instant
  /// `nil` for UDP.
  var framer: StreamFramer?
  /// When the message that is now arriving began.
  var partialSince: Instant?
  /// Whether a request that parsed has come over it.
  var sawRequest = false
  /// Whether the device promised keep-alives (RFC 5626), so that silence means it is gone.
  var isMonitored = false
  /// Contacts that are reached over it.
  var contacts = 0
  /// Pings and messages that may still be taken before the next ``Rendezvous/sweepInterval``.
  var allowance = FlowState.allowancePerSweep

  mutating func admit(_ name: String) {
    if account == nil { account = name } else if account != name { others.insert(name) }
  }

  func carries(_ name: String) -> Bool { account == name || others.contains(name) }

  mutating func dismiss(_ name: String) {
    others.remove(name)
    guard account == name else { return }
    account = others.sorted().first
    if let account { others.remove(account) }
  }

  /// Sorted.
  var accounts: [String] { others.union(account.map { [$0] } ?? []).sorted() }

  /// Far above what a device does and far below what would keep others waiting.
  static let allowancePerSweep = 400
}
