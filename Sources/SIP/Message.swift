import EdgeCore

/// A SIP request or response (RFC 3261 §7).
///
/// Header fields keep their order. Folding and compact forms are undone, comma lists of routing
/// headers are one field per value, unknown fields are kept. There is no Content-Length among
/// them: it is framing, read by the parser and written by the serializer from ``body``.
///
/// A message that came out of the parser has exactly one well-formed To, From, Call-ID and CSeq, at
/// least one well-formed Via, and well-formed Contacts, so on it ``to``, ``from``, ``callID``,
/// ``cseq`` and ``topVia`` are not `nil`.
public struct Message: Hashable, Sendable {
  public enum StartLine: Hashable, Sendable {
    case request(Method, URI)
    case response(StatusCode, reason: String)
  }

  public var startLine: StartLine
  public var headers: [Header]
  public var body: [UInt8]

  public init(_ startLine: StartLine, headers: [Header] = [], body: [UInt8] = []) {
    self.startLine = startLine
    self.headers = headers
    self.body = body
  }

  /// A request with no header fields yet.
  public init(request method: Method, _ uri: URI) { self.init(.request(method, uri)) }

  public var isRequest: Bool {
    if case .request = startLine { return true }
    return false
  }

  /// The method of a request, or of the request that a response answers; `nil` only without a CSeq.
  public var method: Method? {
    if case .request(let method, _) = startLine { return method }
    return cseq?.method
  }

  public var requestURI: URI? {
    get {
      if case .request(_, let uri) = startLine { return uri }
      return nil
    }
    set {
      if case .request(let method, _) = startLine, let newValue { startLine = .request(method, newValue) }
    }
  }

  public var status: StatusCode? {
    if case .response(let status, _) = startLine { return status }
    return nil
  }
}

// MARK: - Header fields by name

extension Message {
  /// The first value. Setting replaces all fields of the name, at the place of the first one.
  public subscript(name: HeaderName) -> String? {
    get { headers.first { $0.name == name }?.value }
    set {
      guard let newValue else { return removeAll(name) }
      guard let first = headers.firstIndex(where: { $0.name == name }) else { return append(name, newValue) }
      headers[first].value = newValue
      var index = headers.count - 1
      while index > first {
        if headers[index].name == name { headers.remove(at: index) }
        index -= 1
      }
    }
  }

  /// All values, in order, one per field.
  public func values(_ name: HeaderName) -> [String] {
    var found: [String] = []
    for header in headers where header.name == name { found.append(header.value) }
    return found
  }

  public func contains(_ name: HeaderName) -> Bool { headers.contains { $0.name == name } }

  public mutating func append(_ name: HeaderName, _ value: String) { headers.append(Header(name, value)) }

  /// Puts a field in front of the others of its name, or of everything.
  public mutating func prepend(_ name: HeaderName, _ value: String) {
    headers.insert(Header(name, value), at: headers.firstIndex { $0.name == name } ?? 0)
  }

  public mutating func removeAll(_ name: HeaderName) { headers.removeAll { $0.name == name } }

  /// Removes and returns the topmost value.
  @discardableResult
  public mutating func removeFirst(_ name: HeaderName) -> String? {
    guard let index = headers.firstIndex(where: { $0.name == name }) else { return nil }
    return headers.remove(at: index).value
  }

  /// The comma-separated values of all fields of a name; empty values and anything beyond
  /// ``Limits/listValues`` are left out.
  public func list(_ name: HeaderName) -> [String] {
    var found: [String] = []
    for header in headers where header.name == name {
      for value in CommaList.split(Array(header.value.utf8)[...]) ?? [] where !value.isEmpty {
        guard found.count < Limits.listValues else { return found }
        found.append(String(decoding: value, as: UTF8.self))
      }
    }
    return found
  }

  /// Whether a comma list of tokens has a value, without regard to case.
  public func list(_ name: HeaderName, contains token: String) -> Bool {
    list(name).contains { ASCII.equalIgnoringCase($0, token) }
  }
}
