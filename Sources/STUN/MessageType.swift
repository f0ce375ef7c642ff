/// What a message is: the two class bits (RFC 8489 §5).
public enum MessageClass: UInt8, Hashable, Sendable {
  case request = 0
  case indication = 1
  case success = 2
  case failure = 3
}

/// What a message is about: the twelve method bits (RFC 8489 §5). Open: TURN adds its own.
public struct Method: RawRepresentable, Hashable, Sendable {
  /// 0...0xFFF.
  public let rawValue: UInt16

  public init(rawValue: UInt16) {
    precondition(rawValue <= 0xFFF, "a STUN method has 12 bits")
    self.rawValue = rawValue
  }

  public static let binding = Method(rawValue: 0x001)
}

/// The 14 bits of class and method, interleaved (RFC 8489 §5, figure 3).
public struct MessageType: Hashable, Sendable {
  public var messageClass: MessageClass
  public var method: Method

  public init(_ messageClass: MessageClass, _ method: Method) {
    self.messageClass = messageClass
    self.method = method
  }

  /// `nil` when the two leading bits are not zero.
  init?(wire: UInt16) {
    guard wire & 0xC000 == 0 else { return nil }
    let bits = UInt8(truncatingIfNeeded: (wire >> 4) & 1 | (wire >> 7) & 2)
    guard let messageClass = MessageClass(rawValue: bits) else { return nil }
    self.messageClass = messageClass
    method = Method(rawValue: wire & 0xF | (wire >> 1) & 0x70 | (wire >> 2) & 0xF80)
  }

  var wire: UInt16 {
    let m = method.rawValue
    let c = UInt16(messageClass.rawValue)
    return m & 0xF | (m & 0x70) << 1 | (m & 0xF80) << 2 | (c & 1) << 4 | (c & 2) << 7
  }
}
