/// Hard caps on what the parser looks at. Everything on the wire is hostile until checked.
public enum Limits {
  /// RFC 3261 §18.1.1: "Implementations MUST be able to handle messages up to the maximum
  /// datagram packet size", 65 535 bytes with the IP and UDP headers.
  public static let messageBytes = 65_535
  /// Start line and header fields together, in bytes.
  public static let headBytes = 32_768
  /// One header field value, unfolded, in bytes.
  public static let fieldBytes = 8_192
  /// Header fields in a message, counted after comma lists of routing headers are taken apart.
  public static let fields = 256
  /// One URI, in bytes.
  public static let uriBytes = 1_024
  /// Via values, so also hops. RFC 3261 §8.1.1.6 starts Max-Forwards at 70.
  public static let vias = 70
  /// Parameters of one URI or one header field value.
  public static let parameters = 32
  /// Values in one comma list (Contact, Supported, ...).
  public static let listValues = 64
}
