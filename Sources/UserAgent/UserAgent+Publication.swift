public import EdgeCore
import SIP

/// The one document the account publishes (RFC 3903).
struct Publication: Hashable {
  var contentType: String
  var body: [UInt8]
  /// The server's name for what it holds; `nil` before the first 200 of this flow.
  var entityTag: String?
  var refreshAt: Instant?
  /// A PUBLISH is under way.
  var isSending = false
  /// The document changed while one was under way.
  var isStale = false

  /// Seconds to ask for; the server may grant less, and may insist on more.
  var expires: UInt32 = 600
  /// The server's minimum was taken on, and it has not agreed yet.
  var isCorrected = false

  /// After a refusal, unless the server names a longer wait.
  static let retryWait = Duration.seconds(30)
  static let event = "presence"
}

extension UserAgent {
  /// Replaces the published document. It is sent at once when the link is up, after every log-in,
  /// and before it expires.
  public mutating func publish(
    _ body: [UInt8], contentType: String, at now: Instant, into out: inout UserAgentOutbox
  ) {
    if var known = publication {
      guard known.body != body || known.contentType != contentType else { return }
      known.body = body
      known.contentType = contentType
      publication = known
    } else {
      publication = Publication(contentType: contentType, body: body)
    }
    guard state == .ready else { return }
    sendPublish(withBody: true, at: now, into: &out)
  }

  /// After a log-in the server knows nothing of us: what it held went with the old flow.
  mutating func publishAfresh(at now: Instant, into out: inout UserAgentOutbox) {
    guard publication != nil else { return }
    publication?.entityTag = nil
    publication?.isSending = false
    sendPublish(withBody: true, at: now, into: &out)
  }

  mutating func tickPublication(at now: Instant, into out: inout UserAgentOutbox) {
    guard let due = publication?.refreshAt, now >= due else { return }
    publication?.refreshAt = nil
    // RFC 3903 §4.2: a refresh has an entity tag and no body.
    sendPublish(withBody: publication?.entityTag == nil, at: now, into: &out)
  }

  private mutating func sendPublish(withBody: Bool, at now: Instant, into out: inout UserAgentOutbox) {
    guard var current = publication else { return }
    guard !current.isSending else {
      publication?.isStale = true
      return
    }
    current.isSending = true
    current.isStale = false
    current.refreshAt = nil
    publication = current
    var request = newRequest(.publish, to: accountURI)
    request.event = Event(Publication.event)
    request.expires = current.expires
    request.sipIfMatch = current.entityTag
    if withBody { request.setBody(current.body, type: current.contentType) }
    start(request, for: .publish, at: now, into: &out)
  }

  mutating func receivePublishResponse(
    _ response: Message, _ status: StatusCode, to request: Message, at now: Instant, into out: inout UserAgentOutbox
  ) {
    guard var current = publication else { return }
    current.isSending = false
    let minimum = response.minExpires ?? 0
    switch status.value {
    case 200..<300:
      current.entityTag = response.sipETag
      current.isCorrected = false
      let granted = min(max(response.expires ?? current.expires, 10), 86_400)
      current.refreshAt = now + .seconds(Int64(granted / 10 * 8))
      out.events.append(.published)
    case 412 where request.sipIfMatch != nil:
      // RFC 3903 §4.1: the server no longer holds it: start afresh. Said of a request without an entity tag it is
      // nonsense, and a refusal like another.
      current.entityTag = nil
      current.isStale = true
    case 423 where !current.isCorrected && minimum > current.expires && minimum <= 86_400:
      // RFC 3903 §4.1 with RFC 3261 §10.2.8: once more, with the server's minimum.
      current.expires = minimum
      current.isCorrected = true
      current.isStale = true
    default:
      let asked = Duration.seconds(Int64(min(response.retryAfter ?? 0, 3600)))
      current.refreshAt = now + max(Publication.retryWait, asked)
      current.entityTag = nil
      current.isCorrected = false
      out.events.append(.publishRefused(status))
    }
    publication = current
    if current.isStale && state == .ready { sendPublish(withBody: true, at: now, into: &out) }
  }
}
