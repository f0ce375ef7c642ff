import EdgeCore

/// A SIP method. Case-sensitive (RFC 3261 §7.1), and any token may be one.
public struct Method: Hashable, Sendable, CustomStringConvertible {
  public let name: String

  /// `name` must be a token; what the parser hands out always is.
  public init(_ name: String) { self.name = name }

  public var description: String { name }

  public static var invite: Method { Method("INVITE") }
  public static var ack: Method { Method("ACK") }
  public static var bye: Method { Method("BYE") }
  public static var cancel: Method { Method("CANCEL") }
  public static var register: Method { Method("REGISTER") }
  public static var options: Method { Method("OPTIONS") }
  /// RFC 6086.
  public static var info: Method { Method("INFO") }
  /// RFC 3903.
  public static var publish: Method { Method("PUBLISH") }
  /// RFC 6665.
  public static var subscribe: Method { Method("SUBSCRIBE") }
  /// RFC 6665.
  public static var notify: Method { Method("NOTIFY") }
  /// RFC 3428.
  public static var message: Method { Method("MESSAGE") }
  /// RFC 3262.
  public static var prack: Method { Method("PRACK") }
  /// RFC 3311.
  public static var update: Method { Method("UPDATE") }
  /// RFC 3515.
  public static var refer: Method { Method("REFER") }
}

/// CSeq: a sequence number and the method it numbers (RFC 3261 §20.16).
public struct CSeq: Hashable, Sendable, CustomStringConvertible {
  /// Below 2^31 (RFC 3261 §8.1.1.5).
  public var number: UInt32
  public var method: Method

  public init(_ number: UInt32, _ method: Method) {
    self.number = number
    self.method = method
  }

  /// `nil` unless the text is a number below 2^31, white space and a method.
  public init?(_ text: String) {
    var scanner = FieldScanner(text)
    guard let digits = scanner.token(), let number = ASCII.decimal(digits, max: UInt64(Int32.max)),
      scanner.skipSpace(), let method = scanner.token(), scanner.isAtEnd
    else { return nil }
    self.init(UInt32(number), Method(method))
  }

  public var description: String { "\(number) \(method.name)" }
}
