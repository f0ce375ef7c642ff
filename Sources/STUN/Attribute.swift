internal import EdgeCore

/// The number of an attribute (RFC 8489 §18.3). Open: TURN and NAT behaviour discovery add their own.
public struct AttributeType: RawRepresentable, Hashable, Sendable {
  public let rawValue: UInt16

  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// RFC 8489 §14: a receiver that does not know one of these must refuse a request that has it.
  public var isComprehensionRequired: Bool { rawValue < 0x8000 }

  public static let mappedAddress = AttributeType(rawValue: 0x0001)
  public static let username = AttributeType(rawValue: 0x0006)
  public static let messageIntegrity = AttributeType(rawValue: 0x0008)
  public static let errorCode = AttributeType(rawValue: 0x0009)
  public static let unknownAttributes = AttributeType(rawValue: 0x000A)
  public static let realm = AttributeType(rawValue: 0x0014)
  public static let nonce = AttributeType(rawValue: 0x0015)
  public static let messageIntegritySHA256 = AttributeType(rawValue: 0x001C)
  public static let passwordAlgorithm = AttributeType(rawValue: 0x001D)
  public static let userhash = AttributeType(rawValue: 0x001E)
  public static let xorMappedAddress = AttributeType(rawValue: 0x0020)
  public static let passwordAlgorithms = AttributeType(rawValue: 0x8002)
  public static let alternateDomain = AttributeType(rawValue: 0x8003)
  public static let software = AttributeType(rawValue: 0x8022)
  public static let alternateServer = AttributeType(rawValue: 0x8023)
  public static let fingerprint = AttributeType(rawValue: 0x8028)
  // RFC 8445 §16.1
  public static let priority = AttributeType(rawValue: 0x0024)
  public static let useCandidate = AttributeType(rawValue: 0x0025)
  public static let iceControlled = AttributeType(rawValue: 0x8029)
  public static let iceControlling = AttributeType(rawValue: 0x802A)
  // RFC 5780 §7
  public static let changeRequest = AttributeType(rawValue: 0x0003)
  public static let responsePort = AttributeType(rawValue: 0x0027)
  public static let responseOrigin = AttributeType(rawValue: 0x802B)
  public static let otherAddress = AttributeType(rawValue: 0x802C)

  /// The comprehension-required attributes a Binding server without authentication understands.
  public var isKnownToBinding: Bool {
    switch self {
    case .mappedAddress, .username, .messageIntegrity, .errorCode, .unknownAttributes, .realm, .nonce,
      .messageIntegritySHA256, .passwordAlgorithm, .userhash, .xorMappedAddress:
      true
    default: false
    }
  }

  /// The comprehension-required attributes an ICE agent understands in a check.
  public var isKnownToICE: Bool { isKnownToBinding || self == .priority || self == .useCandidate }
}

/// One type-length-value of a message; the padding is not part of it.
public struct Attribute: Hashable, Sendable {
  public var type: AttributeType
  /// At most 65,535 bytes; what a whole message may hold is less.
  public var value: [UInt8]

  public init(_ type: AttributeType, _ value: [UInt8]) {
    precondition(value.count <= Int(UInt16.max), "a STUN attribute holds at most 65535 bytes")
    self.type = type
    self.value = value
  }

  public init(_ type: AttributeType, _ text: String) { self.init(type, Array(text.utf8)) }

  public init(_ type: AttributeType, _ number: UInt32) {
    var writer = ByteWriter(reserving: 4)
    writer.write(number)
    self.init(type, writer.bytes)
  }

  public init(_ type: AttributeType, _ number: UInt64) {
    var writer = ByteWriter(reserving: 8)
    writer.write(number)
    self.init(type, writer.bytes)
  }

  /// RFC 8489 §14.8. `code` is 300...699.
  public static func errorCode(_ code: ErrorCode, reason: String = "") -> Attribute {
    precondition((300...699).contains(code.rawValue), "a STUN error code is 300...699")
    var writer = ByteWriter(reserving: 4)
    writer.write(UInt16(0))
    writer.write(UInt8(code.rawValue / 100))
    writer.write(UInt8(code.rawValue % 100))
    writer.write(reason)
    return Attribute(.errorCode, writer.bytes)
  }

  /// RFC 8489 §14.13.
  public static func unknownAttributes(_ types: [AttributeType]) -> Attribute {
    var writer = ByteWriter(reserving: types.count * 2)
    for type in types { writer.write(type.rawValue) }
    return Attribute(.unknownAttributes, writer.bytes)
  }
}

/// RFC 8489 §14.8, RFC 8445 §16.2. Open: TURN adds its own.
public struct ErrorCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  public let rawValue: Int

  public init(rawValue: Int) { self.rawValue = rawValue }

  public static let tryAlternate = ErrorCode(rawValue: 300)
  public static let badRequest = ErrorCode(rawValue: 400)
  public static let unauthenticated = ErrorCode(rawValue: 401)
  public static let unknownAttribute = ErrorCode(rawValue: 420)
  public static let staleNonce = ErrorCode(rawValue: 438)
  public static let roleConflict = ErrorCode(rawValue: 487)
  public static let serverError = ErrorCode(rawValue: 500)

  public var description: String { String(rawValue) }
}
