/// A message to or from the peer.
public struct SCTPMessage: Hashable, Sendable {
  /// What keeps a message from being retransmitted forever (RFC 3758, RFC 7496).
  public enum Reliability: Hashable, Sendable {
    case reliable
    /// Given up after so many retransmissions.
    case retransmissions(UInt16)
    /// Given up after so many milliseconds.
    case lifetime(milliseconds: UInt16)
  }

  /// Which of several waiting messages goes first.
  public enum Priority: Int, Hashable, Sendable, CaseIterable {
    case signalling, media, bulk
  }

  public var stream: UInt16
  /// Payload protocol identifier: tells text from binary (RFC 8831 §8).
  public var ppid: UInt32
  public var bytes: [UInt8]
  public var isOrdered: Bool
  public var reliability: Reliability
  public var priority: Priority

  public init(
    stream: UInt16, ppid: UInt32, bytes: [UInt8], isOrdered: Bool = true, reliability: Reliability = .reliable,
    priority: Priority = .media
  ) {
    self.stream = stream
    self.ppid = ppid
    self.bytes = bytes
    self.isOrdered = isOrdered
    self.reliability = reliability
    self.priority = priority
  }
}

/// Why an association could not be made.
public enum SCTPError: Error, Hashable, Sendable {
  /// ``SCTPAssociation/maximumCount`` exist already.
  case tooMany
  /// libusrsctp refused; an `errno` value.
  case refused(doing: String, errno: Int32)
}

/// Why an association ended.
public enum SCTPEnd: Hashable, Sendable {
  /// The peer ended it in order.
  case shutDown
  /// The peer broke it off (ABORT), or restarted.
  case aborted
  /// The peer no longer answers.
  case lost
  /// It never came up.
  case notEstablished
  /// The peer sent a message larger than it may.
  case messageTooLarge
}
