import EdgeCore
public import LinuxIO
public import MSRP
public import PeerSession
import SCTPTransport
import SecureTransport

/// One MSRP session on a data channel of its own (RFC 8873).
///
/// Nothing is made before the network wants it: a message of any length costs a few chunks of memory. A receiver that
/// cannot keep up holds its confirmations back (``isHolding``), and the sender stops when too many are missing.
public final class MSRPChannel {
  public var onEvent: ((MSRPSession.Event) -> Void)?
  /// The bytes of a message that is supplied; `nil` gives the message up.
  public var onWants: ((_ messageID: String, _ offset: UInt64, _ count: Int) -> [UInt8]?)?
  /// The channel was closed by the other side, or what came on it was no MSRP. Not called when the session under it ends.
  public var onClosed: (() -> Void)?

  /// Confirmations wait while it is `true`.
  public var isHolding = false {
    didSet { if !isHolding { release() } }
  }

  private let reactor: Reactor
  private let channel: PeerChannel
  private var link: MSRPLink
  private var held: [[UInt8]] = []
  private var timer: Reactor.TimerToken?
  private var isClosed = false
  private var isPumping = false

  /// Bytes that may wait for the network before the next chunk is made.
  private static let budget = 256 * 1024
  /// Body bytes of a chunk: one SCTP message holds up all others while it is sent.
  private static let chunkBytes = 60 * 1024
  /// Chunks that may lack their confirmation: 3.8 MB, 50 ms of round trip at 600 Mbit/s.
  private static let unconfirmedChunks = 64

  /// - Parameters:
  ///   - path: the other side's URI.
  public init(
    reactor: Reactor, channel: PeerChannel, peer: PeerSession, local: MSRPURI, path: MSRPURI,
    _ configure: (inout MSRPSession.Configuration) -> Void
  ) {
    self.reactor = reactor
    self.channel = channel
    var configuration = MSRPSession.Configuration()
    // RFC 8873 §5.4: a chunk is one message of the channel; its head needs room too.
    configuration.chunkBytes = max(2048, min(Self.chunkBytes, peer.maximumSendSize - 4096))
    configuration.maximumUnconfirmed = Self.unconfirmedChunks
    configure(&configuration)
    link = MSRPLink(
      MSRPSession(
        local: local, remotePath: [path], configuration: configuration, random: AnyRandom(SystemRandom())))
    channel.lowThreshold = Self.budget / 2
    channel.onMessage = { [unowned(unsafe) self] bytes, _ in receive(bytes) }
    channel.onBufferedAmountLow = { [unowned(unsafe) self] in pump() }
    channel.onClosed = { [unowned(unsafe) self] in lost() }
  }

  /// A URI for a session of this end: nobody can guess it (RFC 4975 §14.1), and nobody connects to it (RFC 8873 §4.2).
  public static func newURI() -> MSRPURI {
    var random = SystemRandom()
    return MSRPURI(
      isSecure: true, host: random.token(12) + ".invalid", port: 2855, sessionID: random.token(20), transport: "dc")
  }

  // MARK: Commands

  @discardableResult
  public func send(_ message: MSRPSession.Outgoing) -> String {
    var id = ""
    perform { link, out in id = link.session.send(message, into: &out) }
    return id
  }

  public func accept(_ messageID: String) { perform { $0.session.accept(messageID, into: &$1) } }

  public func reject(_ messageID: String, _ status: Int) { perform { $0.session.reject(messageID, status, into: &$1) } }

  public func abort(_ messageID: String) {
    let now = reactor.now
    perform { $0.session.abort(messageID, at: now, into: &$1) }
  }

  /// RFC 8873 §5.2: the first word of the active end, when it has nothing else to say.
  public func sayHello() {
    let now = reactor.now
    perform { $0.session.sendEmpty(at: now, into: &$1) }
  }

  /// Something is on its way that the other side has not confirmed.
  public var isSending: Bool { link.session.isSending }

  /// Lets everything go. No handler is called any more.
  public func close() {
    guard !isClosed else { return }
    isClosed = true
    if let timer { reactor.cancel(timer) }
    timer = nil
    // Whoever is calling may be one of these: they outlive the call.
    let handlers = (onEvent, onWants, onClosed)
    reactor.enqueue(.bulk) { [self] in _ = (self, handlers) }
    onEvent = nil
    onWants = nil
    onClosed = nil
    channel.onMessage = nil
    channel.onBufferedAmountLow = nil
    channel.onClosed = nil
    channel.close()
  }

  // MARK: Inside

  private func receive(_ bytes: [UInt8]) {
    let now = reactor.now
    var out = MSRPSession.Output()
    let isMSRP = link.receive(bytes.span.bytes, at: now, into: &out)
    if isHolding {
      held += out.messages
      out.messages = []
    }
    apply(out)
    if !isMSRP { lost() } else { pump() }
  }

  private func release() {
    let waiting = held
    held = []
    for message in waiting { channel.send(message) }
  }

  private func lost() {
    guard !isClosed else { return }
    var out = MSRPSession.Output()
    link.session.connectionLost(into: &out)
    apply(out)
    let handler = onClosed
    close()
    handler?()
  }

  private func perform(_ step: (inout MSRPLink, inout MSRPSession.Output) -> Void) {
    guard !isClosed else { return }
    var out = MSRPSession.Output()
    step(&link, &out)
    apply(out)
    pump()
  }

  private func apply(_ out: MSRPSession.Output) {
    for message in out.messages { channel.send(message) }
    for event in out.events {
      guard !isClosed else { return }
      onEvent?(event)
    }
    arm()
  }

  /// Makes chunks as long as the network takes them.
  private func pump() {
    guard !isPumping else { return }
    isPumping = true
    defer { isPumping = false }
    while !isClosed, channel.bufferedAmount < Self.budget {
      let now = reactor.now
      var out = MSRPSession.Output()
      switch link.session.pull(at: now, into: &out) {
      case .idle: return
      case .sent: apply(out)
      case .wants(let id, let offset, let count):
        if let bytes = onWants?(id, offset, count), bytes.count == count {
          link.session.supply(id, bytes, at: now, into: &out)
        } else {
          link.session.abort(id, at: now, into: &out)
        }
        apply(out)
      }
    }
  }

  private func arm() {
    guard timer == nil, !isClosed, let deadline = link.session.nextDeadline else { return }
    timer = reactor.schedule(at: deadline) { [unowned(unsafe) self] in
      timer = nil
      let now = reactor.now
      perform { $0.session.tick(at: now, into: &$1) }
    }
  }
}
