import EdgeCore

/// Who exists and who may do what, as the database says: a value the owner replaces when it changes.
///
/// Accounts, serials and groups share one name space, since all are `sip:NAME@domain`.
public struct Directory: Sendable, Equatable {
  public struct Account: Sendable, Hashable {
    /// H(name:realm:password) in hexadecimal.
    public var ha1SHA256: String
    /// Present only where the account opted in to MD5.
    public var ha1MD5: String?
    /// Whether it may publish serials.
    public var isNode: Bool

    public init(ha1SHA256: String, ha1MD5: String? = nil, isNode: Bool) {
      self.ha1SHA256 = ha1SHA256
      self.ha1MD5 = ha1MD5
      self.isNode = isNode
    }
  }

  public private(set) var accounts: [String: Account] = [:]
  private var rights: [String: Set<String>] = [:]
  private var owners: [String: String] = [:]
  private var owned: [String: Set<String>] = [:]
  /// `rights` the other way round.
  private var viewers: [String: Set<String>] = [:]
  /// Whom each account wants among its contacts; where the other does too, they are.
  private var wishes: [String: Set<String>] = [:]
  /// `wishes` the other way round.
  private var wishers: [String: Set<String>] = [:]
  private var members: [String: Set<String>] = [:]

  public init() {}

  public mutating func add(_ name: String, _ account: Account) { accounts[name] = account }

  public mutating func grant(_ serial: String, to account: String) {
    rights[account, default: []].insert(serial)
    viewers[serial, default: []].insert(account)
  }

  public mutating func bind(_ serial: String, to account: String) {
    if let before = owners.updateValue(account, forKey: serial) { owned[before]?.remove(serial) }
    owned[account, default: []].insert(serial)
  }

  public func owner(of serial: String) -> String? { owners[serial] }

  /// Whether `account` may watch and call `serial`: it has the right, or the serial is its own.
  public func mayWatch(_ account: String, _ serial: String) -> Bool {
    owners[serial] == account || rights[account]?.contains(serial) == true
  }

  /// Every serial `account` may watch, sorted.
  public func visibleSerials(to account: String) -> [String] {
    (rights[account] ?? []).union(owned[account] ?? []).sorted()
  }

  /// Every account that may watch `serial`.
  func watchers(of serial: String) -> Set<String> {
    (viewers[serial] ?? []).union(owners[serial].map { [$0] } ?? [])
  }

  /// Whether two accounts may reach each other by name: they are one or contacts, or a viewing right joins them.
  public func mayReach(_ caller: String, _ callee: String) -> Bool {
    if caller == callee { return true }
    return contact(callee, of: caller) == .confirmed || sees(caller, callee) || sees(callee, caller)
  }

  /// Whether `viewer` may watch a camera of `node`.
  func sees(_ viewer: String, _ node: String) -> Bool {
    guard let watched = rights[viewer], let kept = owned[node] else { return false }
    return !watched.isDisjoint(with: kept)
  }
}

// Contacts and groups.
extension Directory {
  /// How one account stands to another.
  public enum Contact: String, Hashable, Sendable {
    /// Both want it.
    case confirmed
    /// The other was asked and has not answered.
    case requested
    /// The other asks.
    case asking
  }

  public mutating func want(_ other: String, by account: String) {
    wishes[account, default: []].insert(other)
    wishers[other, default: []].insert(account)
  }

  public mutating func part(_ account: String, _ other: String) {
    for (one, two) in [(account, other), (other, account)] {
      wishes[one]?.remove(two)
      if wishes[one]?.isEmpty == true { wishes[one] = nil }
      wishers[two]?.remove(one)
      if wishers[two]?.isEmpty == true { wishers[two] = nil }
    }
  }

  /// How `account` stands to `other`; `nil` when neither asked.
  public func contact(_ other: String, of account: String) -> Contact? {
    let wants = wishes[account]?.contains(other) == true
    let isWanted = wishers[account]?.contains(other) == true
    if wants { return isWanted ? .confirmed : .requested }
    return isWanted ? .asking : nil
  }

  /// Contacts, those asked and those that ask.
  public func contactList(of account: String) -> [String: Contact] {
    var list: [String: Contact] = [:]
    for other in (wishes[account] ?? []).union(wishers[account] ?? []) { list[other] = contact(other, of: account) }
    return list
  }

  public mutating func add(_ account: String, toGroup group: String) { members[group, default: []].insert(account) }

  /// Who gets what is sent to a group; `nil` when there is no such group.
  public func members(ofGroup group: String) -> Set<String>? { members[group] }
}

extension Directory {
  /// What a serial or account name may be: 1 to 64 letters, digits, `.`, `_` and `-`.
  ///
  /// Every such name is a SIP user part, an XML attribute and a file name without escaping.
  public static func isName(_ text: String) -> Bool {
    let bytes = text.utf8
    guard (1...64).contains(bytes.count) else { return false }
    return bytes.allSatisfy { byte in
      ASCII.isDigit(byte) || ASCII.isAlpha(byte)
        || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
    }
  }
}
