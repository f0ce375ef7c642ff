import EdgeCore

// Typed views of header fields. Reading gives `nil` for what is absent or malformed; setting
// replaces the field, and setting `nil` removes it.
extension Message {
  public var to: NameAddress? {
    get { self[.to].flatMap { NameAddress($0) } }
    set { self[.to] = newValue?.description }
  }

  public var from: NameAddress? {
    get { self[.from].flatMap { NameAddress($0) } }
    set { self[.from] = newValue?.description }
  }

  public var callID: String? {
    get { self[.callID] }
    set { self[.callID] = newValue }
  }

  public var cseq: CSeq? {
    get { self[.cseq].flatMap { CSeq($0) } }
    set { self[.cseq] = newValue?.description }
  }

  /// Setting replaces the topmost value only.
  public var topVia: Via? {
    get { self[.via].flatMap { Via($0) } }
    set {
      guard let newValue else {
        removeFirst(.via)
        return
      }
      if let index = headers.firstIndex(where: { $0.name == .via }) {
        headers[index].value = newValue.description
      } else {
        prepend(.via, newValue.description)
      }
    }
  }

  /// Malformed values, which the parser refuses, would be left out.
  public var vias: [Via] { values(.via).compactMap { Via($0) } }

  public var viaCount: Int { headers.reduce(0) { $0 + ($1.name == .via ? 1 : 0) } }

  public mutating func push(_ via: Via) { prepend(.via, via.description) }

  public var routes: [NameAddress] {
    get { values(.route).compactMap { NameAddress($0) } }
    set { set(.route, newValue) }
  }

  public var recordRoutes: [NameAddress] {
    get { values(.recordRoute).compactMap { NameAddress($0) } }
    set { set(.recordRoute, newValue) }
  }

  /// RFC 3327 §4.
  public var path: [NameAddress] {
    get { values(.path).compactMap { NameAddress($0) } }
    set { set(.path, newValue) }
  }

  /// Replaces the fields of a routing header, one field per value.
  public mutating func set(_ name: HeaderName, _ addresses: [NameAddress]) {
    removeAll(name)
    for address in addresses { append(name, address.description) }
  }

  /// `nil` when a value is malformed or `*` stands among others.
  public var contactList: ContactList? {
    let values = values(.contact)
    if values.count == 1, values[0] == "*" { return .all }
    var addresses: [NameAddress] = []
    for value in values {
      guard let address = NameAddress(value) else { return nil }
      addresses.append(address)
    }
    return .addresses(addresses)
  }

  /// The first Contact that is an address.
  public var contact: NameAddress? {
    get { self[.contact].flatMap { NameAddress($0) } }
    set { self[.contact] = newValue?.description }
  }

  /// Seconds. A value that is no 32-bit number counts as absent (RFC 3261 §20.19, RFC 4475 §3.1.2.4).
  public var expires: UInt32? {
    get { number(.expires) }
    set { self[.expires] = newValue.map { String($0) } }
  }

  /// Seconds (RFC 3261 §20.23).
  public var minExpires: UInt32? {
    get { number(.minExpires) }
    set { self[.minExpires] = newValue.map { String($0) } }
  }

  /// 0 to 255; anything else counts as absent (RFC 4475 §3.1.2.4).
  public var maxForwards: UInt8? {
    get { self[.maxForwards].flatMap { ASCII.decimal($0, max: 255) }.map { UInt8($0) } }
    set { self[.maxForwards] = newValue.map { String($0) } }
  }

  /// Seconds between keep-alives the server wants at most (RFC 5626 §8).
  public var flowTimer: UInt32? {
    get { number(.flowTimer) }
    set { self[.flowTimer] = newValue.map { String($0) } }
  }

  /// Seconds; comment and parameters are ignored (RFC 3261 §20.33).
  public var retryAfter: UInt32? {
    get {
      guard let value = self[.retryAfter] else { return nil }
      let digits = Array(value.utf8).prefix { ASCII.isDigit($0) }
      return ASCII.decimal(digits, max: UInt64(UInt32.max)).map { UInt32($0) }
    }
    set { self[.retryAfter] = newValue.map { String($0) } }
  }

  public var event: Event? {
    get { self[.event].flatMap { Event($0) } }
    set { self[.event] = newValue?.description }
  }

  public var subscriptionState: SubscriptionState? {
    get { self[.subscriptionState].flatMap { SubscriptionState($0) } }
    set { self[.subscriptionState] = newValue?.description }
  }

  /// The type and subtype in lower case, without parameters.
  public var mediaType: String? {
    guard let value = self[.contentType] else { return nil }
    let type = Array(value.utf8).prefix { $0 != UInt8(ascii: ";") }
    let compact = type.filter { $0 != 0x20 && $0 != 0x09 }.map { ASCII.lowercased($0) }
    return String(decoding: compact, as: UTF8.self)
  }

  public var sipETag: String? {
    get { self[.sipETag] }
    set { self[.sipETag] = newValue }
  }

  public var sipIfMatch: String? {
    get { self[.sipIfMatch] }
    set { self[.sipIfMatch] = newValue }
  }

  /// The option tags of Require or Proxy-Require that are not among `known` (RFC 3261 §8.2.2.3).
  public func unknownExtensions(_ name: HeaderName = .require, known: [String]) -> [String] {
    list(name).filter { tag in !known.contains { ASCII.equalIgnoringCase($0, tag) } }
  }

  public mutating func setBody(_ bytes: [UInt8], type: String) {
    body = bytes
    self[.contentType] = type
  }

  private func number(_ name: HeaderName) -> UInt32? {
    self[name].flatMap { ASCII.decimal($0, max: UInt64(UInt32.max)) }.map { UInt32($0) }
  }
}

/// The Event header field: a package name and perhaps an id (RFC 6665 §8.2.1).
public struct Event: Hashable, Sendable, CustomStringConvertible {
  /// Case-sensitive.
  public var package: String
  public var id: String?

  public init(_ package: String, id: String? = nil) {
    self.package = package
    self.id = id
  }

  init?(_ text: String) {
    var scanner = FieldScanner(text)
    guard let package = scanner.token(), let parameters = scanner.parameters(), scanner.isAtEnd else { return nil }
    self.init(package, id: parameters["id"])
  }

  public var description: String { id.map { package + ";id=" + $0 } ?? package }
}

/// The Subscription-State header field (RFC 6665 §8.2.3).
public struct SubscriptionState: Hashable, Sendable, CustomStringConvertible {
  public enum State: Hashable, Sendable { case active, pending, terminated }

  public var state: State
  /// Seconds.
  public var expires: UInt32?
  public var reason: String?
  /// Seconds.
  public var retryAfter: UInt32?

  public init(_ state: State, expires: UInt32? = nil, reason: String? = nil, retryAfter: UInt32? = nil) {
    self.state = state
    self.expires = expires
    self.reason = reason
    self.retryAfter = retryAfter
  }

  init?(_ text: String) {
    var scanner = FieldScanner(text)
    guard let name = scanner.token(), let parameters = scanner.parameters(), scanner.isAtEnd else { return nil }
    switch ASCII.lowercased(name) {
    case "active": state = .active
    case "pending": state = .pending
    case "terminated": state = .terminated
    default: return nil
    }
    reason = parameters["reason"]
    expires = parameters["expires"].flatMap { ASCII.decimal($0, max: UInt64(UInt32.max)) }.map { UInt32($0) }
    retryAfter = parameters["retry-after"].flatMap { ASCII.decimal($0, max: UInt64(UInt32.max)) }.map { UInt32($0) }
  }

  public var description: String {
    var text: String
    switch state {
    case .active: text = "active"
    case .pending: text = "pending"
    case .terminated: text = "terminated"
    }
    if let expires { text += ";expires=\(expires)" }
    if let reason { text += ";reason=" + reason }
    if let retryAfter { text += ";retry-after=\(retryAfter)" }
    return text
  }
}
