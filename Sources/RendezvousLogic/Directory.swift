import EdgeCore

/// Who exists and who may do what, as the database says: a value the owner replaces when it changes.
///
/// An account and a serial share one name space, since both are `sip:NAME@domain`.
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

  /// Whether two accounts may reach each other by name: they are one, or a viewing right joins them.
  public func mayReach(_ caller: String, _ callee: String) -> Bool {
    if caller == callee { return true }
    return sees(caller, callee) || sees(callee, caller)
  }

  private func sees(_ viewer: String, _ node: String) -> Bool {
    guard let watched = rights[viewer], let kept = owned[node] else { return false }
    return !watched.isDisjoint(with: kept)
  }
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
