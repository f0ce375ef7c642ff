public import EdgeCore

/// Asks a server which address it sees (RFC 8489 §12): once to gather a server-reflexive candidate,
/// or again and again as the keepalive of a UDP flow (RFC 5626 §4.4.2).
///
/// One client, one server, one local socket.
public struct BindingClient<Random: RandomNumberGenerator>: ~Copyable {
  public struct Configuration: Hashable, Sendable {
    public var server: SocketAddress
    /// The local address to send from, `nil` when the socket has only one.
    public var source: SocketAddress?
    public var timing: ClientTransaction.Timing
    /// How long after an answer the next request goes out; `nil` asks once. Each wait is cut by up to
    /// 20 % at random, as RFC 5626 §4.4 does, so that clients of one server spread out.
    public var repeatInterval: Duration?

    public init(
      server: SocketAddress, source: SocketAddress? = nil, timing: ClientTransaction.Timing = .init(),
      repeatInterval: Duration? = nil
    ) {
      self.server = server
      self.source = source
      self.timing = timing
      self.repeatInterval = repeatInterval
    }
  }

  public enum Event: Hashable, Sendable {
    /// The first answer. `roundTrip` is `nil` when a resend makes it ambiguous.
    case mapped(SocketAddress, roundTrip: Duration?)
    /// A later answer with the address of the one before: the flow lives.
    case alive(roundTrip: Duration?)
    /// A later answer with another address: the NAT forgot us (RFC 5626 §4.4.2: the flow has failed).
    case changed(from: SocketAddress, to: SocketAddress, roundTrip: Duration?)
    /// No use in asking further; the client has stopped.
    case failed(Failure)
  }

  public enum Failure: Hashable, Sendable {
    /// Every copy of the request went unanswered.
    case silent
    /// The server refuses. ``BindingClient`` does not follow 300: it was not authenticated (§10).
    case refused(ErrorCode)
  }

  public let configuration: Configuration
  /// What the server saw last.
  public private(set) var mappedAddress: SocketAddress?

  private var random: Random
  private var transaction = ClientTransaction.finished
  private var id: TransactionID
  private var request: [UInt8] = []
  private var nextRequest: Instant?

  public init(_ configuration: Configuration, random: Random) {
    self.configuration = configuration
    self.random = random
    id = TransactionID(high: 0, low: 0)
  }

  /// Sends the first request; later, asks again at once (after a change of network, say).
  public mutating func start(at now: Instant, into out: inout Outbox<Event>) {
    id = TransactionID(using: &random)
    request = STUNMessage(.request, .binding, transaction: id).serialized(fingerprint: true)
    transaction = .unsent(configuration.timing)
    nextRequest = nil
    tick(at: now, into: &out)
  }

  /// Stops asking. Nothing more comes out until ``start(at:into:)``.
  public mutating func stop() {
    transaction = .finished
    nextRequest = nil
  }

  public mutating func tick(at now: Instant, into out: inout Outbox<Event>) {
    if let due = nextRequest, now >= due {
      start(at: now, into: &out)
      return
    }
    switch transaction.tick(at: now) {
    case .send:
      out.datagrams.append(
        Datagram(source: configuration.source, destination: configuration.server, bytes: request))
    case .fail: out.events.append(.failed(.silent))
    case .none: break
    }
  }

  /// Whether the datagram was an answer to this client's request; if not, it belongs to someone else
  /// on the socket. Answers from another address than the server's are not ours either.
  @discardableResult
  public mutating func receive(
    _ datagram: RawSpan, from source: SocketAddress, at now: Instant, into out: inout Outbox<Event>
  ) -> Bool {
    guard source == configuration.server, MuxedProtocol(of: datagram) == .stun,
      let header = try? STUNHeader(parsing: datagram), header.transaction == id,
      header.type.method == .binding,
      header.type.messageClass == .success || header.type.messageClass == .failure
    else { return false }
    guard let message = (try? ReceivedMessage(parsing: datagram))?.message else { return true }
    switch message.type.messageClass {
    case .success:
      // RFC 8489 §6.3.3: a success with unknown comprehension-required attributes is discarded.
      guard message.unknownRequired(known: { $0.isKnownToBinding }).isEmpty,
        let address = message.mappedAddress
      else { return true }
      guard case .accept(let roundTrip) = transaction.receiveAnswer(at: now) else { return true }
      scheduleNext(at: now)
      report(address, roundTrip, into: &out)
    case .failure:
      guard let code = message.errorCode, case .accept = transaction.receiveAnswer(at: now) else { return true }
      out.events.append(.failed(.refused(code)))
    case .request, .indication: break
    }
    return true
  }

  /// When ``tick(at:into:)`` next has work to do; `nil` means never.
  public var nextDeadline: Instant? { Instant.earliest(transaction.nextDeadline, nextRequest) }

  private mutating func scheduleNext(at now: Instant) {
    guard let interval = configuration.repeatInterval else { return }
    let whole = interval.wholeNanoseconds
    nextRequest = now + .nanoseconds(Int64.random(in: (whole - whole / 5)...whole, using: &random))
  }

  private mutating func report(
    _ address: SocketAddress, _ roundTrip: Duration?, into out: inout Outbox<Event>
  ) {
    defer { mappedAddress = address }
    guard let before = mappedAddress else {
      out.events.append(.mapped(address, roundTrip: roundTrip))
      return
    }
    out.events.append(
      before == address
        ? .alive(roundTrip: roundTrip) : .changed(from: before, to: address, roundTrip: roundTrip))
  }
}
