public import EdgeCore
public import SIP

/// Names one message, sent or received, for as long as the process lives.
public struct MessageHandle: Hashable, Sendable {
  public let number: UInt64
}

/// A message for the account (RFC 3428, or a NOTIFY of its topic at the server's broker).
public struct IncomingMessage: Hashable, Sendable {
  /// The account that sent it, as the server says; for `message/cpim` the content tells it.
  public var sender: String
  /// The request's Call-ID: a name for content that has none of its own.
  public var id: String
  public var contentType: String
  public var body: [UInt8]

  public init(sender: String, id: String, contentType: String, body: [UInt8]) {
    self.sender = sender
    self.id = id
    self.contentType = contentType
    self.body = body
  }
}

/// One that waits for the owner to say that it is kept.
struct UnansweredMessage {
  var transaction: TransactionHandle
  var request: Message
}

// Page-mode messages (RFC 3428). What was received is answered only when the owner has it in safety, so that nothing is
// lost between an answer and a crash.
extension UserAgent {
  /// The event package of the account's messages.
  static var messagePackage: String { "im" }

  /// Sends a message of at most 1300 bytes (RFC 3428 §8); `nil` when there is no link or too much is under way. One
  /// event ``UserAgentEvent/messageAnswered(_:_:)`` follows. The next message to the same account waits for it.
  public mutating func sendMessage(
    to user: String, contentType: String, body: [UInt8], at now: Instant, into out: inout UserAgentOutbox
  ) -> MessageHandle? {
    guard state == .ready else { return nil }
    let handle = MessageHandle(number: nextNumber())
    var request = newRequest(.message, to: URI(.sip, user: user, host: configuration.domain))
    request.setBody(body, type: contentType)
    return start(request, for: .message(handle), at: now, into: &out) == nil ? nil : handle
  }

  /// Publishes to one of the account's own presentities what is no state of this agent, such as a change of its contact
  /// list (RFC 3903). As ``sendMessage(to:contentType:body:at:into:)`` otherwise.
  public mutating func publishOnce(
    to user: String, event: String, contentType: String, body: [UInt8], at now: Instant, into out: inout UserAgentOutbox
  ) -> MessageHandle? {
    guard state == .ready else { return nil }
    let handle = MessageHandle(number: nextNumber())
    var request = newRequest(.publish, to: URI(.sip, user: user, host: configuration.domain))
    request.event = Event(event)
    request.setBody(body, type: contentType)
    return start(request, for: .message(handle), at: now, into: &out) == nil ? nil : handle
  }

  /// Subscribes to what is sent to the account, for as long as the agent lives.
  public mutating func subscribeToMessages(
    at now: Instant, into out: inout UserAgentOutbox
  ) -> SubscriptionHandle? {
    subscribe(
      to: configuration.account, event: Self.messagePackage, accept: "message/cpim", at: now, into: &out)
  }

  /// Answers a message that was received: with 200 it is the owner's to keep.
  public mutating func answerMessage(
    _ handle: MessageHandle, _ status: StatusCode, at now: Instant, into out: inout UserAgentOutbox
  ) {
    guard let waiting = unanswered.removeValue(forKey: handle) else { return }
    respond(waiting.transaction, .response(to: waiting.request, status: status), at: now, into: &out)
  }

  mutating func receiveMessage(
    _ request: Message, in id: TransactionHandle, at now: Instant, into out: inout UserAgentOutbox
  ) {
    guard unanswered.count < Self.maximumUnanswered else {
      var busy = Message.response(to: request, status: 503)
      busy.retryAfter = 5
      respond(id, busy, at: now, into: &out)
      return
    }
    let handle = MessageHandle(number: nextNumber())
    unanswered[handle] = UnansweredMessage(transaction: id, request: request)
    out.events.append(
      .messageReceived(
        handle,
        IncomingMessage(
          sender: request.from?.uri.decodedUser ?? "", id: request.callID ?? "",
          contentType: request[.contentType] ?? "", body: request.body)))
  }

  /// Messages the owner may leave unanswered at a time.
  private static var maximumUnanswered: Int { 16 }
}
