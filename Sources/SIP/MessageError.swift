/// Why bytes did not become a ``Message``. All of it is the peer's doing.
public enum MessageError: Error, Hashable, Sendable {
  /// Not SIP, or not enough of it to answer: drop and count. `offset` is in bytes.
  case malformed(Malformation, offset: Int)
  /// A request one can answer, and must not act upon.
  case refused(Refusal)
}

public enum Malformation: Hashable, Sendable {
  /// Nothing but line ends.
  case empty
  case startLine
  case version
  case statusCode
  case headerName
  /// A carriage return without a line feed or the other way round.
  case bareLineEnd
  case notUTF8
  /// The input ended inside the start line or the header fields.
  case truncated
  /// One of ``Limits`` was passed.
  case tooLarge
  /// A response with a header field that would have had a request refused.
  case badResponse(StatusCode)
  /// RFC 3261 §18.3: on a stream there must be exactly one numeric Content-Length.
  case contentLength
}

/// A request that is answered with an error before anybody looks at what it wants (RFC 3261 §8.2).
public struct Refusal: Error, Hashable, Sendable {
  public var status: StatusCode
  /// Good enough to make the answer from: `Message.response(to: refusal.request, status: refusal.status)`.
  /// Its Request-URI may be a stand-in.
  public var request: Message
}
