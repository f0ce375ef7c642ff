public import EdgeCore
public import STUN

/// RFC 8656 §17.
extension Method {
  public static let allocate = Method(rawValue: 0x003)
  public static let refresh = Method(rawValue: 0x004)
  public static let send = Method(rawValue: 0x006)
  public static let data = Method(rawValue: 0x007)
  public static let createPermission = Method(rawValue: 0x008)
  public static let channelBind = Method(rawValue: 0x009)
}

/// RFC 6062 §6.1.
extension Method {
  public static let connect = Method(rawValue: 0x00A)
  public static let connectionBind = Method(rawValue: 0x00B)
  public static let connectionAttempt = Method(rawValue: 0x00C)
}

/// RFC 8656 §18.
extension AttributeType {
  public static let channelNumber = AttributeType(rawValue: 0x000C)
  public static let lifetime = AttributeType(rawValue: 0x000D)
  public static let xorPeerAddress = AttributeType(rawValue: 0x0012)
  public static let data = AttributeType(rawValue: 0x0013)
  public static let xorRelayedAddress = AttributeType(rawValue: 0x0016)
  public static let requestedAddressFamily = AttributeType(rawValue: 0x0017)
  public static let evenPort = AttributeType(rawValue: 0x0018)
  public static let requestedTransport = AttributeType(rawValue: 0x0019)
  public static let dontFragment = AttributeType(rawValue: 0x001A)
  public static let reservationToken = AttributeType(rawValue: 0x0022)
  public static let additionalAddressFamily = AttributeType(rawValue: 0x8000)
  public static let addressErrorCode = AttributeType(rawValue: 0x8001)
  /// RFC 6062 §6.2.
  public static let connectionID = AttributeType(rawValue: 0x002A)
  public static let icmp = AttributeType(rawValue: 0x8004)

  /// The comprehension-required attributes a relay and its client understand. DONT-FRAGMENT is not
  /// among them: without the don't-fragment bit it is treated as unknown (RFC 8656 §7.2, §11.2).
  public var isKnownToRelay: Bool {
    if isKnownToBinding { return true }
    switch self {
    case .channelNumber, .lifetime, .xorPeerAddress, .data, .xorRelayedAddress, .requestedAddressFamily, .evenPort,
      .requestedTransport, .reservationToken, .connectionID:
      return true
    default: return false
    }
  }
}

/// RFC 8656 §19.
extension ErrorCode {
  public static let forbidden = ErrorCode(rawValue: 403)
  public static let allocationMismatch = ErrorCode(rawValue: 437)
  public static let addressFamilyNotSupported = ErrorCode(rawValue: 440)
  public static let wrongCredentials = ErrorCode(rawValue: 441)
  public static let unsupportedTransport = ErrorCode(rawValue: 442)
  public static let peerAddressFamilyMismatch = ErrorCode(rawValue: 443)
  /// RFC 6062 §6.3.
  public static let connectionAlreadyExists = ErrorCode(rawValue: 446)
  public static let connectionTimeoutOrFailure = ErrorCode(rawValue: 447)
  public static let allocationQuotaReached = ErrorCode(rawValue: 486)
  public static let insufficientCapacity = ErrorCode(rawValue: 508)
}

/// RFC 8489 §14.1.
public enum AddressFamily: UInt8, Hashable, Sendable {
  case v4 = 1
  case v6 = 2
}

extension IPAddress {
  public var family: AddressFamily { isV4 ? .v4 : .v6 }
}

/// The lifetimes no server and no client may choose.
public enum RelayTimes {
  /// RFC 8656 §9: "The Permission Lifetime MUST be 300 seconds".
  public static let permission: Duration = .seconds(300)
  /// RFC 8656 §12: "A channel binding lasts for 10 minutes unless refreshed."
  public static let channel: Duration = .seconds(600)
  /// RFC 8656 §3.2: "the default lifetime ... is 10 minutes".
  public static let defaultAllocation: Duration = .seconds(600)
  /// RFC 8656 §7.2: the server "MUST hold this reservation for at least 30 seconds".
  public static let reservation: Duration = .seconds(30)
  /// RFC 8656 §12: how long after its end a channel number or peer waits to be bound otherwise.
  public static let channelReuse: Duration = .seconds(300)
  /// How long the addresses of a session are remembered that has no allocation yet, or none any more.
  static let signalled: Duration = .seconds(600)
}

/// What RFC 8656 §18.8 names: the protocol of the relayed address.
public enum RequestedTransport {
  public static let udp: UInt8 = 17
  public static let tcp: UInt8 = 6
}

extension Attribute {
  /// CHANNEL-NUMBER (RFC 8656 §18.1).
  public static func channelNumber(_ number: UInt16) -> Attribute { Attribute(.channelNumber, UInt32(number) << 16) }

  /// LIFETIME (RFC 8656 §18.2), in whole seconds.
  public static func lifetime(_ lifetime: Duration) -> Attribute {
    Attribute(.lifetime, UInt32(clamping: lifetime.components.seconds))
  }

  /// REQUESTED-TRANSPORT (RFC 8656 §18.8).
  public static func requestedTransport(_ number: UInt8) -> Attribute {
    Attribute(.requestedTransport, UInt32(number) << 24)
  }

  /// REQUESTED-ADDRESS-FAMILY or ADDITIONAL-ADDRESS-FAMILY (RFC 8656 §18.6, §18.11).
  public static func family(_ type: AttributeType, _ family: AddressFamily) -> Attribute {
    Attribute(type, UInt32(family.rawValue) << 24)
  }

  /// ADDRESS-ERROR-CODE (RFC 8656 §18.12).
  public static func addressErrorCode(_ family: AddressFamily, _ code: ErrorCode) -> Attribute {
    Attribute(
      .addressErrorCode,
      UInt32(family.rawValue) << 24 | UInt32(code.rawValue / 100) << 8 | UInt32(code.rawValue % 100))
  }

  /// ICMP (RFC 8656 §18.13).
  public static func icmp(type: UInt8, code: UInt8, data: UInt32) -> Attribute {
    Attribute(.icmp, UInt64(type) << 40 | UInt64(code) << 32 | UInt64(data))
  }
}
