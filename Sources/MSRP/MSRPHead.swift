import EdgeCore

/// Everything of an MSRP message but its body (RFC 4975 §7.1, §7.2).
///
/// Parsing what ``serialized`` wrote gives the same value.
public struct MSRPHead: Hashable, Sendable {
  public enum Kind: Hashable, Sendable {
    /// The method: `SEND`, `REPORT`, `AUTH` or another.
    case request(String)
    /// The status code, 100...999, and its comment.
    case response(Int, comment: String)
  }

  /// What the sender wants to hear about failures (RFC 4975 §7.1.1).
  public enum FailureReport: Hashable, Sendable {
    /// A response to each request; the default.
    case yes
    /// No response and no REPORT at all.
    case no
    /// Responses only when they are errors.
    case partial
  }

  public struct Field: Hashable, Sendable {
    public var name: String
    public var value: String

    public init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  /// 4 to 32 characters; ends the message too.
  public var transactionID: String
  public var kind: Kind
  /// Never empty. In a request to its endpoint: exactly one.
  public var toPath: [MSRPURI]
  /// Never empty. The first is who a response goes to.
  public var fromPath: [MSRPURI]
  public var messageID: String?
  public var wantsSuccessReport = false
  public var failureReport = FailureReport.yes
  public var byteRange: MSRPByteRange?
  /// `Status` of a REPORT; only codes of namespace 000, those of responses, are read.
  public var reportedStatus: Int?
  /// With parameters. Present whenever there is a body.
  public var contentType: String?
  /// All others, in order: what relays and MIME define.
  public var fields: [Field] = []
  /// A header field this end must understand broke its grammar: answer 400.
  public var isIntelligible = true

  public init(transactionID: String, kind: Kind, toPath: [MSRPURI], fromPath: [MSRPURI]) {
    self.transactionID = transactionID
    self.kind = kind
    self.toPath = toPath
    self.fromPath = fromPath
  }

  public var method: String? { if case .request(let method) = kind { method } else { nil } }

  public var responseCode: Int? { if case .response(let code, _) = kind { code } else { nil } }

  /// The value of the first such field of ``fields``; names have no case.
  public func field(_ name: String) -> String? {
    for field in fields where ASCII.equalIgnoringCase(field.name, name) { return field.value }
    return nil
  }

  /// RFC 4975 §7.2: back to the previous hop for a SEND, the whole way back for others.
  public func response(_ code: Int, from local: MSRPURI, comment: String? = nil) -> MSRPHead {
    MSRPHead(
      transactionID: transactionID, kind: .response(code, comment: comment ?? MSRPStatus.comment(code)),
      toPath: method == "SEND" ? [fromPath[0]] : fromPath, fromPath: [local])
  }
}

/// Continuation flag of an end-line (RFC 4975 §7.1).
public enum MSRPFlag: UInt8, Hashable, Sendable {
  /// `$`: these are the last bytes of the message.
  case last = 0x24
  /// `+`: more chunks follow.
  case more = 0x2B
  /// `#`: the message was given up.
  case aborted = 0x23
}

public enum MSRPStatus {
  /// RFC 4975 §10, RFC 4976 §9.
  public static func comment(_ code: Int) -> String {
    switch code {
    case 200: "OK"
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 403: "Forbidden"
    case 408: "Timeout"
    case 413: "Stop Sending Message"
    case 415: "Unsupported Media Type"
    case 423: "Parameter Out of Bounds"
    case 481: "No Such Session"
    case 501: "Unknown Method"
    case 506: "Wrong Connection"
    default: "Failed"
    }
  }
}
