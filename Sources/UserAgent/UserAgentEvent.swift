import EdgeCore
public import SIP

/// Names one call for as long as the process lives.
public struct CallHandle: Hashable, Sendable {
  public let number: UInt64
}

/// Names one subscription for as long as the process lives.
public struct SubscriptionHandle: Hashable, Sendable {
  public let number: UInt64
}

/// A request for a session that the owner must answer, refuse, or let ring.
public struct IncomingCall: Hashable, Sendable {
  /// The account that calls, as the server authenticated it.
  public var caller: String
  /// The serial asked for.
  public var serial: String
  /// The offer and its media type.
  public var contentType: String
  public var body: [UInt8]
  /// What the server offers for the way to the caller, in its own words: values of X-Edge-Relay.
  public var relays: [String] = []
}

/// Why a call is over.
public enum CallEnd: Hashable, Sendable {
  /// The other side said BYE, or took its request back.
  case remote
  /// A final answer that is no success, with the seconds of its Retry-After.
  case refused(StatusCode, retryAfter: UInt32?)
  /// The link failed before the call was set up.
  case linkLost
  /// No answer within the transaction's time (RFC 3261 timer B: 32 s).
  case timedOut
  /// The credentials were refused.
  case badPassword
}

public enum UserAgentEvent: Hashable, Sendable {
  /// Logged in (or connected, for an agent that does not register).
  case linkUp
  /// The link is down; the next attempt comes after `retryIn`.
  case linkDown(LinkFailure, retryIn: Duration)
  /// A heartbeat was answered.
  case heartbeat(roundTrip: Duration)
  /// The server holds the published document.
  case published
  case publishRefused(StatusCode)

  case incomingCall(CallHandle, IncomingCall)
  /// 180 or 183: the other side is working on it.
  case callProgress(CallHandle, StatusCode)
  /// What the server offers for the way to the other end: values of X-Edge-Relay. While a call or an offer inside it is
  /// under way, and again just before `callAnswered`; and just before `callReoffered`.
  case relaysOffered(CallHandle, [String])
  /// 2xx, with the answer.
  case callAnswered(CallHandle, contentType: String, body: [UInt8])
  /// The ACK to our 2xx came: the caller has our answer. Where the 2xx held our offer, because the INVITE had none, the
  /// body is the answer to that (RFC 3261 §13.2.1).
  case callConfirmed(CallHandle, contentType: String, body: [UInt8])
  case callEnded(CallHandle, CallEnd)
  /// A re-INVITE with a new offer: answer it with `accept`.
  case callReoffered(CallHandle, contentType: String, body: [UInt8])
  /// Our own new offer was refused, 491 when the other side's crossed it; the call stays as it is (RFC 3261 §14.1).
  case reofferRefused(CallHandle, StatusCode)
  case info(CallHandle, contentType: String, body: [UInt8])

  /// The final answer to a message of ours: 200 is delivered, 202 is stored. `nil`: none came, and the message may
  /// have been taken or not.
  case messageAnswered(MessageHandle, StatusCode?)
  /// A message for the account: answer it with `answerMessage` when it is kept.
  case messageReceived(MessageHandle, IncomingMessage)

  /// For messages with no body: all that waited has been given.
  case notified(SubscriptionHandle, contentType: String, body: [UInt8])
  case subscriptionEnded(SubscriptionHandle, StatusCode?)
}

/// What the agent wants done: complete when the call that filled it returns.
public struct UserAgentOutbox {
  public enum Action: Hashable, Sendable {
    /// Open a flow to the server and report `flowOpened` or `flowClosed`.
    case connect
    /// Close the flow; no report is expected.
    case closeFlow
    /// Stream bytes, or one datagram.
    case send([UInt8])
  }

  public var actions: [Action] = []
  public var events: [UserAgentEvent] = []

  public init() {}

  public mutating func removeAll() {
    actions.removeAll(keepingCapacity: true)
    events.removeAll(keepingCapacity: true)
  }
}
