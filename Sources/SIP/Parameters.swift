import EdgeCore

/// One `;name=value` of a URI or header field. The value is kept as on the wire, quotes included.
public struct Parameter: Hashable, Sendable {
  public var name: String
  public var rawValue: String?

  public init(_ name: String, _ rawValue: String?) {
    self.name = name
    self.rawValue = rawValue
  }
}

/// Parameters in the order they came. Names are case-insensitive.
public struct Parameters: Hashable, Sendable {
  public var items: [Parameter] = []

  public init(_ items: [Parameter] = []) { self.items = items }

  public var isEmpty: Bool { items.isEmpty }

  /// The value without its quotes; the empty string for a parameter that has none; `nil` when absent.
  ///
  /// Setting writes a token as it is. Use ``setQuoted(_:_:)`` for free text.
  public subscript(name: String) -> String? {
    get {
      guard let found = items.first(where: { ASCII.equalIgnoringCase($0.name, name) }) else { return nil }
      return found.rawValue.map(Quoted.decode) ?? ""
    }
    set {
      guard let newValue else { return items.removeAll { ASCII.equalIgnoringCase($0.name, name) } }
      set(name, newValue.isEmpty ? nil : newValue)
    }
  }

  public func contains(_ name: String) -> Bool { items.contains { ASCII.equalIgnoringCase($0.name, name) } }

  public mutating func setQuoted(_ name: String, _ value: String) { set(name, Quoted.encode(value)) }

  private mutating func set(_ name: String, _ rawValue: String?) {
    if let index = items.firstIndex(where: { ASCII.equalIgnoringCase($0.name, name) }) {
      items[index].rawValue = rawValue
    } else {
      items.append(Parameter(name, rawValue))
    }
  }

  func write(into text: inout String) {
    for item in items {
      text += ";"
      text += item.name
      if let value = item.rawValue {
        text += "="
        text += value
      }
    }
  }
}
