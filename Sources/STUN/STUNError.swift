/// Why a received datagram was refused. All cases are the peer's doing; our own
/// misuse of the API is a precondition failure, never one of these.
public enum STUNError: Error, Hashable, Sendable {
  /// Not STUN at all: hand the datagram to the next protocol on the socket.
  case notSTUN(Reason)
  /// The datagram ended inside a field. Both values are in bytes.
  case truncated(offset: Int, wanted: Int)
  /// STUN, but it breaks a MUST. Drop it, and count it.
  case malformed(Defect, offset: Int)

  public enum Reason: Hashable, Sendable { case leadingBits, magicCookie }

  public enum Defect: Hashable, Sendable {
    /// RFC 8489 §5: the length is not a multiple of four.
    case lengthNotPadded
    /// The length does not end where the datagram ends.
    case lengthMismatch
    /// An attribute's value runs past the end of the message.
    case attributeOverrun
    /// More than ``STUNMessage/maxAttributes`` attributes.
    case tooManyAttributes
    /// RFC 8489 §14.5, §14.6, §14.7: a MAC or checksum attribute of the wrong size.
    case wrongSize(AttributeType)
    /// RFC 8489 §14.7: FINGERPRINT is not the last attribute.
    case fingerprintNotLast
    /// RFC 8489 §14.7: the checksum does not match. Most likely not STUN at all.
    case fingerprintMismatch
  }
}
