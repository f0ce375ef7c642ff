public import EdgeCore

/// One MSRP session over one connection or data channel (RFC 4975 §7): both directions, without any I/O.
///
///     receive ─────┐                       ┌─▶ messages: each one MSRP message, in order
///     send, supply ┼─▶ MSRPSession ─Output─┤
///     pull, tick ──┘                       └─▶ events
///
/// **Sending** is pulled by the transport, so that neither a large message nor many small ones are ever buffered:
///
///     while the transport wants more {
///       switch session.pull(at: now, into: &out) {
///       case .sent: write out.messages
///       case .wants(let id, let offset, let count): session.supply(id, bytes at offset, at: now, into: &out)
///       case .idle: stop
///       }
///     }
///
/// Responses and reports come out of ``receive(_:at:into:)`` between two chunks and never wait for a message.
///
/// **Receiving**: see ``Configuration/delivery``. The owner calls ``tick(at:into:)`` no later than ``nextDeadline``.
public struct MSRPSession {
  /// What the owner must do. Complete when the call that filled it returns.
  public struct Output {
    /// For the connection, in order; over a data channel each is one message of the channel (RFC 8873 §5.4).
    public var messages: [[UInt8]] = []
    public var events: [Event] = []

    public init() {}

    public var isEmpty: Bool { messages.isEmpty && events.isEmpty }

    public mutating func removeAll() {
      messages.removeAll(keepingCapacity: true)
      events.removeAll(keepingCapacity: true)
    }
  }

  public enum Event: Hashable, Sendable {
    // Incoming.

    /// The first chunk of a message: ``reject(_:_:into:)`` it now, or take what follows. `total` is in bytes.
    case began(messageID: String, contentType: String, total: UInt64?)
    /// With ``Delivery/pieces(maximum:)``: write these bytes at `offset`, over what may be there already.
    case piece(messageID: String, offset: UInt64, bytes: [UInt8])
    /// All bytes are there; `body` is empty with ``Delivery/pieces(maximum:)``. When the configuration says that the
    /// owner confirms, it owes an ``accept(_:into:)`` or ``reject(_:_:into:)``.
    case received(messageID: String, contentType: String, body: [UInt8], total: UInt64)
    /// The sender gave the message up, or it was rejected: forget its pieces.
    case abandoned(messageID: String)

    // Outgoing.

    /// So many bytes from the beginning were confirmed by the next hop.
    case progress(messageID: String, confirmed: UInt64)
    /// The next hop confirmed all of it, or with Failure-Report no or partial: all of it was handed to the connection.
    case sent(messageID: String)
    /// Success reports cover all of it: it is at its destination.
    case delivered(messageID: String)
    /// Refused (the status of the response or REPORT), or not confirmed within 30 s (408).
    case failed(messageID: String, status: Int)

    /// The session is over for both directions: 481 or 506 from the peer, a range that got lost, or 30 s of silence
    /// (408). Whatever was not reported as sent has failed too, each with its own event before this one.
    case ended(status: Int)
  }

  public enum Delivery: Hashable, Sendable {
    /// Messages are put together in memory, all incomplete ones of at most so many bytes together.
    case whole(maximum: Int)
    /// Bytes are handed on as they come; no message is longer than `maximum`.
    case pieces(maximum: UInt64)
  }

  public struct Configuration: Sendable {
    public var delivery = Delivery.whole(maximum: 1 << 20)
    /// Media types taken, as in `a=accept-types`; `*` and `type/*` too. Others are answered 415.
    public var acceptTypes = ["*"]
    /// The owner answers each complete message, when it has stored it, with ``MSRPSession/accept(_:into:)``.
    public var ownerConfirms = false
    /// Success is reported as soon as a message is confirmed; without, when ``MSRPSession/reportSuccess(_:into:)`` says
    /// that it is where it should be.
    public var reportsAtOnce = true
    /// Body bytes of one chunk: 2048 or more. Over a data channel the peer's `max-message-size` less 4096.
    public var chunkBytes = 16_384
    /// Chunks that may wait for their response; then ``MSRPSession/pull(at:into:)`` is idle until one comes.
    public var maximumUnconfirmed = 256
    /// A message of one chunk may overtake the rest of a longer one.
    public var interleaves = true

    public init() {}
  }

  /// A message to send.
  public struct Outgoing {
    /// 4 to 32 characters, like no other; `nil` has one made.
    public var messageID: String?
    public var contentType: String
    public var content: Content
    public var wantsSuccessReport = false
    public var failureReport = MSRPHead.FailureReport.yes
    /// Other header fields of each chunk, such as Content-Disposition.
    public var fields: [MSRPHead.Field] = []

    public enum Content {
      case bytes([UInt8])
      /// The owner supplies so many bytes when asked, beginning at offset `from`: what was confirmed before a cut need
      /// not be sent again.
      case supplied(total: UInt64, from: UInt64)
    }

    public init(contentType: String, content: Content, messageID: String? = nil) {
      self.contentType = contentType
      self.content = content
      self.messageID = messageID
    }

    public init(contentType: String, body: [UInt8], messageID: String? = nil) {
      self.init(contentType: contentType, content: .bytes(body), messageID: messageID)
    }
  }

  /// What ``pull(at:into:)`` did.
  public enum Pull: Hashable, Sendable {
    /// A chunk is in the output.
    case sent
    /// ``supply(_:_:at:into:)`` exactly `count` bytes of the message from `offset` (both 0 for an empty one).
    case wants(messageID: String, offset: UInt64, count: Int)
    /// Nothing to send, or too many chunks await their response.
    case idle
  }

  /// This end: the last URI of its `a=path`.
  public let local: MSRPURI
  /// To-Path of requests: the relays this end uses, then the peer's `a=path`.
  public let remotePath: [MSRPURI]
  public let configuration: Configuration
  var random: AnyRandom
  var sending = MSRPSendQueue()
  var incoming = MSRPReception()
  /// No more is sent or taken.
  public internal(set) var isEnded = false

  public init(local: MSRPURI, remotePath: [MSRPURI], configuration: Configuration, random: AnyRandom) {
    precondition(!remotePath.isEmpty)
    self.local = local
    self.remotePath = remotePath
    self.configuration = configuration
    self.random = random
  }

  /// When ``tick(at:into:)`` has work to do; `nil` means never.
  public var nextDeadline: Instant? { sending.nextDeadline }

  /// Some message is not sent, not confirmed or not reported yet.
  public var isSending: Bool { !sending.messages.isEmpty }

  /// RFC 4975 §7.1: "at least 64 bits of randomness": 12 characters of 5.95 bits.
  mutating func newTransaction() -> String { random.token(12) }

  mutating func newRequest(_ method: String, to path: [MSRPURI]) -> MSRPHead {
    MSRPHead(transactionID: newTransaction(), kind: .request(method), toPath: path, fromPath: [local])
  }

  /// The connection is gone: what was not confirmed has failed (RFC 4975 §5.4).
  public mutating func connectionLost(into out: inout Output) { end(408, into: &out) }

  mutating func end(_ status: Int, into out: inout Output) {
    guard !isEnded else { return }
    isEnded = true
    for message in sending.removeAll() { out.events.append(.failed(messageID: message.id, status: status)) }
    for id in incoming.removeAll() { out.events.append(.abandoned(messageID: id)) }
    out.events.append(.ended(status: status))
  }
}
