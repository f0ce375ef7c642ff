import EdgeCore

/// The name of a header field: case-insensitive, compact forms already spelled out.
///
/// Make one from text with ``init(_:)``; use ``other(_:)`` only to match.
public enum HeaderName: Sendable {
  case accept, acceptEncoding, acceptLanguage, allow, allowEvents, authenticationInfo, authorization
  case callID, callInfo, contact, contentDisposition, contentEncoding, contentLanguage, contentLength
  case contentType, cseq, date, event, expires, flowTimer, from, infoPackage, maxForwards, mimeVersion
  case minExpires, path, proxyAuthenticate, proxyAuthorization, proxyRequire, reason, recordRoute, recvInfo
  case referTo, replyTo, require, retryAfter, route, server, serviceRoute, sipETag, sipIfMatch, subject
  case subscriptionState, supported, timestamp, to, unsupported, userAgent, via, warning, wwwAuthenticate
  /// Any other, spelled as it came.
  case other(String)

  /// The name a text means; compact forms of RFC 3261 §7.3.3 and RFC 6665 §8.4 included.
  public init(_ text: String) {
    let lower = ASCII.lowercased(text)
    self = Self.known(lower) ?? .other(text)
  }

  /// By length first: a header field is looked up for every line of every message.
  private static func known(_ lower: String) -> HeaderName? {
    switch lower.utf8.count {
    case 1: compact(lower.utf8.first ?? 0)
    case 2: lower == "to" ? .to : nil
    case 3: lower == "via" ? .via : nil
    case 4...5: short(lower)
    case 6...7: medium(lower)
    case 8...10: long(lower)
    case 11...13: longer(lower)
    default: longest(lower)
    }
  }

  private static func compact(_ letter: UInt8) -> HeaderName? {
    switch letter {
    case UInt8(ascii: "c"): .contentType
    case UInt8(ascii: "e"): .contentEncoding
    case UInt8(ascii: "f"): .from
    case UInt8(ascii: "i"): .callID
    case UInt8(ascii: "k"): .supported
    case UInt8(ascii: "l"): .contentLength
    case UInt8(ascii: "m"): .contact
    case UInt8(ascii: "o"): .event
    case UInt8(ascii: "r"): .referTo
    case UInt8(ascii: "s"): .subject
    case UInt8(ascii: "t"): .to
    case UInt8(ascii: "u"): .allowEvents
    case UInt8(ascii: "v"): .via
    default: nil
    }
  }

  private static func short(_ lower: String) -> HeaderName? {
    switch lower {
    case "from": .from
    case "cseq": .cseq
    case "date": .date
    case "path": .path
    case "route": .route
    case "allow": .allow
    case "event": .event
    default: nil
    }
  }

  private static func medium(_ lower: String) -> HeaderName? {
    switch lower {
    case "accept": .accept
    case "reason": .reason
    case "server": .server
    case "call-id": .callID
    case "contact": .contact
    case "expires": .expires
    case "require": .require
    case "subject": .subject
    case "warning": .warning
    default: nil
    }
  }

  private static func long(_ lower: String) -> HeaderName? {
    switch lower {
    case "reply-to": .replyTo
    case "refer-to": .referTo
    case "sip-etag": .sipETag
    case "call-info": .callInfo
    case "recv-info": .recvInfo
    case "supported": .supported
    case "timestamp": .timestamp
    case "flow-timer": .flowTimer
    case "user-agent": .userAgent
    default: nil
    }
  }

  private static func longer(_ lower: String) -> HeaderName? {
    switch lower {
    case "min-expires": .minExpires
    case "retry-after": .retryAfter
    case "unsupported": .unsupported
    case "allow-events": .allowEvents
    case "content-type": .contentType
    case "info-package": .infoPackage
    case "max-forwards": .maxForwards
    case "mime-version": .mimeVersion
    case "record-route": .recordRoute
    case "sip-if-match": .sipIfMatch
    case "authorization": .authorization
    case "proxy-require": .proxyRequire
    case "service-route": .serviceRoute
    default: nil
    }
  }

  private static func longest(_ lower: String) -> HeaderName? {
    switch lower {
    case "content-length": .contentLength
    case "accept-encoding": .acceptEncoding
    case "accept-language": .acceptLanguage
    case "content-encoding": .contentEncoding
    case "content-language": .contentLanguage
    case "www-authenticate": .wwwAuthenticate
    case "proxy-authenticate": .proxyAuthenticate
    case "subscription-state": .subscriptionState
    case "authentication-info": .authenticationInfo
    case "content-disposition": .contentDisposition
    case "proxy-authorization": .proxyAuthorization
    default: nil
    }
  }

  /// The canonical spelling of a known name, or the text of another one.
  public var text: String {
    switch self {
    case .accept: "Accept"
    case .acceptEncoding: "Accept-Encoding"
    case .acceptLanguage: "Accept-Language"
    case .allow: "Allow"
    case .allowEvents: "Allow-Events"
    case .authenticationInfo: "Authentication-Info"
    case .authorization: "Authorization"
    case .callID: "Call-ID"
    case .callInfo: "Call-Info"
    case .contact: "Contact"
    case .contentDisposition: "Content-Disposition"
    case .contentEncoding: "Content-Encoding"
    case .contentLanguage: "Content-Language"
    case .contentLength: "Content-Length"
    case .contentType: "Content-Type"
    case .cseq: "CSeq"
    case .date: "Date"
    case .event: "Event"
    case .expires: "Expires"
    case .flowTimer: "Flow-Timer"
    case .from: "From"
    case .infoPackage: "Info-Package"
    case .maxForwards: "Max-Forwards"
    case .mimeVersion: "MIME-Version"
    case .minExpires: "Min-Expires"
    case .path: "Path"
    case .proxyAuthenticate: "Proxy-Authenticate"
    case .proxyAuthorization: "Proxy-Authorization"
    case .proxyRequire: "Proxy-Require"
    case .reason: "Reason"
    case .recordRoute: "Record-Route"
    case .recvInfo: "Recv-Info"
    case .referTo: "Refer-To"
    case .replyTo: "Reply-To"
    case .require: "Require"
    case .retryAfter: "Retry-After"
    case .route: "Route"
    case .server: "Server"
    case .serviceRoute: "Service-Route"
    case .sipETag: "SIP-ETag"
    case .sipIfMatch: "SIP-If-Match"
    case .subject: "Subject"
    case .subscriptionState: "Subscription-State"
    case .supported: "Supported"
    case .timestamp: "Timestamp"
    case .to: "To"
    case .unsupported: "Unsupported"
    case .userAgent: "User-Agent"
    case .via: "Via"
    case .warning: "Warning"
    case .wwwAuthenticate: "WWW-Authenticate"
    case .other(let text): text
    }
  }

  /// Headers whose comma lists the parser takes apart into one field per value, so that hops can
  /// be pushed and popped and contacts compared one by one.
  var isTakenApart: Bool {
    switch self {
    case .via, .route, .recordRoute, .path, .serviceRoute, .contact: true
    default: false
    }
  }
}

extension HeaderName: Hashable {
  public static func == (a: HeaderName, b: HeaderName) -> Bool {
    switch (a, b) {
    case (.other(let left), .other(let right)): ASCII.equalIgnoringCase(left, right)
    default: a.index == b.index
    }
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(index)
    if case .other(let text) = self { hasher.combine(ASCII.lowercased(text)) }
  }

  /// A number for each known name: the compact letter's worth of a comparison.
  private var index: UInt8 {
    switch self {
    case .accept: 1
    case .acceptEncoding: 2
    case .acceptLanguage: 3
    case .allow: 4
    case .allowEvents: 5
    case .authenticationInfo: 6
    case .authorization: 7
    case .callID: 8
    case .callInfo: 9
    case .contact: 10
    case .contentDisposition: 11
    case .contentEncoding: 12
    case .contentLanguage: 13
    case .contentLength: 14
    case .contentType: 15
    case .cseq: 16
    case .date: 17
    case .event: 18
    case .expires: 19
    case .flowTimer: 20
    case .from: 21
    case .infoPackage: 22
    case .maxForwards: 23
    case .mimeVersion: 24
    case .minExpires: 25
    case .path: 26
    case .proxyAuthenticate: 27
    case .proxyAuthorization: 28
    case .proxyRequire: 29
    case .reason: 30
    case .recordRoute: 31
    case .recvInfo: 32
    case .referTo: 33
    case .replyTo: 34
    case .require: 35
    case .retryAfter: 36
    case .route: 37
    case .server: 38
    case .serviceRoute: 39
    case .sipETag: 40
    case .sipIfMatch: 41
    case .subject: 42
    case .subscriptionState: 43
    case .supported: 44
    case .timestamp: 45
    case .to: 46
    case .unsupported: 47
    case .userAgent: 48
    case .via: 49
    case .warning: 50
    case .wwwAuthenticate: 51
    case .other: 0
    }
  }
}

/// One header field, or one value of a comma list that was taken apart.
public struct Header: Hashable, Sendable {
  public var name: HeaderName
  /// Unfolded, without white space at its ends.
  public var value: String

  public init(_ name: HeaderName, _ value: String) {
    self.name = name
    self.value = value
  }
}
