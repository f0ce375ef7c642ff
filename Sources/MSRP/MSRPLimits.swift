/// Hard caps on what this end looks at and keeps. Everything on the wire is hostile until checked.
public enum MSRPLimits {
  /// Start line and header fields of one message together, in bytes.
  public static let headBytes = 16_384
  /// Header fields of one message.
  public static let fields = 64
  /// One URI, in bytes.
  public static let uriBytes = 1_024
  /// URIs of one path: the endpoint and its relays.
  public static let path = 8
  /// RFC 4975 §7.1: "Non-SEND request bodies MUST NOT be larger than 10240 octets."
  public static let reportBodyBytes = 10_240
  /// RFC 4975 §9, `ident`: 4 to 32 characters.
  public static let identifier = 4...32
  /// Messages of one session whose chunks are still coming.
  public static let incompleteMessages = 8
  /// Pieces with holes between them that one incoming message may consist of.
  public static let pieces = 64
  /// Names of finished messages kept per session, to know chunks that come again.
  public static let finishedMessages = 32
}
