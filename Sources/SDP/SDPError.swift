/// Why a session description, candidate or trickle fragment was refused. All cases are the sender's doing.
public enum SDPError: Error, Hashable, Sendable {
  /// Larger than ``SDPLimits`` allows; nothing was parsed.
  case tooLarge(Limit)
  /// Breaks RFC 8866 at this line, counted from 1.
  case malformed(Defect, line: Int)
  /// Well-formed, but says nothing about a data channel association (RFC 8841).
  case noDataChannel
  /// The data channel section lacks an attribute that must be there.
  case missing(Field)
  /// The attribute is there, and its value breaks its grammar.
  case invalid(Field)

  public enum Limit: Hashable, Sendable { case bytes, lines, lineBytes, media }

  public enum Defect: Hashable, Sendable {
    case notTypeEqualsValue, controlCharacter, notUTF8, version, origin, sessionName, mediaLine, connection, attribute
    /// A line that RFC 8866 §5 allows once came twice, or before the lines it must follow.
    case order
  }

  public enum Field: Hashable, Sendable {
    case iceUfrag, icePassword, fingerprint, setup, sctpPort, maxMessageSize, mid, tlsID
  }
}

extension SDPError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .tooLarge: "session description too large"
    case .malformed(_, let line): "malformed session description at line \(line)"
    case .noDataChannel: "no data channel in the session description"
    case .missing(let field): "session description without \(field.name)"
    case .invalid(let field): "session description with a bad \(field.name)"
    }
  }
}

extension SDPError.Field {
  /// The name of the SDP attribute.
  public var name: String {
    switch self {
    case .iceUfrag: "ice-ufrag"
    case .icePassword: "ice-pwd"
    case .fingerprint: "sha-256 fingerprint"
    case .setup: "setup"
    case .sctpPort: "sctp-port"
    case .maxMessageSize: "max-message-size"
    case .mid: "mid"
    case .tlsID: "tls-id"
    }
  }
}

/// What a parser takes before it gives up. A browser's largest offer is about 10 kB.
public enum SDPLimits {
  public static let bytes = 65_535
  public static let lines = 1_000
  public static let lineBytes = 4_096
  public static let media = 32
  /// Candidates kept of one section; more are dropped without an error.
  public static let candidates = 64
  /// Negotiated data channels kept of one section, and attributes of each; more are dropped without an error.
  public static let channels = 16
  public static let channelAttributes = 32
  /// Of what is wanted of a camera; longer is none.
  public static let wishBytes = 128
}
