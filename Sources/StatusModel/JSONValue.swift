internal import EdgeCore

/// A JSON value (RFC 8259). Members keep their order, numbers their text.
public enum JSONValue: Hashable, Sendable {
  case null
  case bool(Bool)
  /// As written: `-1`, `29.97`, `1e9`.
  case number(String)
  case string(String)
  case array([JSONValue])
  case object([Member])

  public struct Member: Hashable, Sendable {
    public var name: String
    public var value: JSONValue

    public init(_ name: String, _ value: JSONValue) {
      self.name = name
      self.value = value
    }
  }
}

// MARK: Making

extension JSONValue {
  public static func integer<T: BinaryInteger>(_ value: T) -> JSONValue { .number("\(Int64(clamping: value))") }

  /// `value` divided by 1000, with as many decimals as it needs.
  public static func thousandths(_ value: Int64) -> JSONValue {
    let whole = value.magnitude / 1000
    let rest = value.magnitude % 1000
    var text = (value < 0 ? "-" : "") + "\(whole)"
    if rest > 0 {
      var digits = Array("\(rest + 1000)".utf8.dropFirst())
      while digits.last == UInt8(ascii: "0") { digits.removeLast() }
      text += "." + String(decoding: digits, as: UTF8.self)
    }
    return .number(text)
  }

  /// In milliseconds, to the microsecond.
  public static func milliseconds(_ duration: Duration) -> JSONValue { thousandths(duration.wholeNanoseconds / 1000) }

  /// RFC 3339.
  public static func timestamp(_ unixSeconds: Int64) -> JSONValue { .string(Timestamp.text(unixSeconds)) }

  public static func optional(_ text: String?) -> JSONValue { text.map { .string($0) } ?? .null }
}

// MARK: Reading

extension JSONValue {
  /// The member of this name; `nil` if there is none, or this is no object.
  public subscript(name: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    for member in members where member.name == name { return member.value }
    return nil
  }

  public var text: String? {
    guard case .string(let text) = self else { return nil }
    return text
  }

  public var boolean: Bool? {
    guard case .bool(let value) = self else { return nil }
    return value
  }

  /// A whole number; `nil` for a fraction or an exponent.
  public var integer: Int64? {
    guard case .number(let text) = self else { return nil }
    return Int64(text)
  }

  /// The number times 1000, further decimals dropped; `nil` for an exponent or one too large.
  public var thousandths: Int64? {
    guard case .number(let text) = self else { return nil }
    var bytes = Array(text.utf8)[...]
    let isNegative = bytes.first == UInt8(ascii: "-")
    if isNegative { bytes = bytes.dropFirst() }
    let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard let whole = parts.first, parts.count <= 2, let value = ASCII.decimal(whole, max: 9_000_000_000_000) else {
      return nil
    }
    var fraction: UInt64 = 0
    if parts.count == 2 {
      let digits = Array(parts[1].prefix(3)) + Array(repeating: UInt8(ascii: "0"), count: max(0, 3 - parts[1].count))
      guard let read = ASCII.decimal(digits[...], max: 999) else { return nil }
      fraction = read
    }
    let result = Int64(value * 1000 + fraction)
    return isNegative ? -result : result
  }

  public var elements: [JSONValue]? {
    guard case .array(let elements) = self else { return nil }
    return elements
  }
}
