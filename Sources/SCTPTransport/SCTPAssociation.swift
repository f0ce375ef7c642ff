internal import CLinux
internal import CUsrsctp
public import EdgeCore

/// One SCTP association over DTLS with one peer (RFC 8261, RFC 8831), without a socket.
///
///     packets from DTLS ──receive──▶ ┌─────────────────┐ ──Output.events──▶ the owner
///     packets to DTLS ◀─Output.packets│ SCTPAssociation │ ◀──send, reset──── the owner
///                                     └─────────────────┘
///
/// Both ends call ``connect(at:into:)`` as soon as DTLS stands: whoever is first, one association results
/// (RFC 9260 §5.2.1).
///
/// What is sent waits here, in order of priority, and is handed to libusrsctp only as far as the congestion
/// window is worth: ``queuedBytes`` is therefore what the network has not taken, and an owner that sees it grow can
/// leave whole frames out *before* they are sent.
///
/// Must be ended with ``abort(into:)`` or by the peer; an association that is dropped without is ended by `deinit`.
public final class SCTPAssociation {
  public struct Configuration: Hashable, Sendable {
    /// RFC 8841 §5: the ports of the `sctp-port` attributes.
    public var localPort: UInt16 = 5000
    public var remotePort: UInt16 = 5000
    /// The largest packet, in bytes: what fits one DTLS record in a 1200-byte datagram.
    public var maximumPacket = 1163
    /// RFC 8831 §6.2 would like 65535: each stream costs memory on both sides.
    public var streams: UInt16 = 1024
    /// The largest message accepted, in bytes: the `max-message-size` of our description (RFC 8841 §6).
    public var maximumMessage = 262_144
    /// In bytes. The receiver's window is what a sender can have under way.
    public var receiveBuffer = 512 * 1024
    /// In bytes. With a round trip of 50 ms, 256 KiB are 40 Mbit/s.
    public var sendBuffer = 256 * 1024

    public init() {}
  }

  public enum Event: Hashable, Sendable {
    /// Up. `outboundStreams` is how many streams this end may use.
    case connected(outboundStreams: UInt16)
    case message(SCTPMessage)
    /// The peer closed these streams in its direction (RFC 6525 §4.1).
    case peerReset(streams: [UInt16])
    /// Our request to close these streams in our direction was carried out.
    case resetDone(streams: [UInt16])
    /// ``queuedBytes`` has become 0.
    case drained
    case ended(SCTPEnd)
  }

  public struct Output {
    public var packets: [[UInt8]] = []
    public var events: [Event] = []

    public init() {}
  }

  enum State { case idle, connecting, up, shuttingDown, over }

  public static let maximumCount = SCTPLibrary.maximumAssociations

  public let configuration: Configuration
  let inbox = SCTPInbox()
  let number: UInt
  var socket: OpaquePointer?
  private(set) var state = State.idle
  var queue = SendQueue()
  private var reassembly = Reassembly()
  var resets = StreamResets()
  /// Bytes libusrsctp has and the peer has not acknowledged.
  private var unacknowledged = 0
  /// Bytes libusrsctp was given.
  private var handed: Int64 = 0
  private var delivery = DeliveryRate()
  private var sendBuffer: Int
  private var lastActivity: Instant?

  public init(_ configuration: Configuration = .init(), at now: Instant) throws(SCTPError) {
    self.configuration = configuration
    sendBuffer = configuration.sendBuffer
    let inbox = inbox
    guard
      let number = SCTPLibrary.locked({
        SCTPLibrary.advance(to: now)
        return SCTPLibrary.register(inbox)
      })
    else { throw .tooMany }
    self.number = number
    let refusal = SCTPLibrary.locked { open() }
    if let refusal {
      release()
      throw refusal
    }
  }

  deinit { release() }

  // MARK: Commands

  /// Sends an INIT. Both ends do.
  public func connect(at now: Instant, into out: inout Output) {
    guard state == .idle else { return }
    state = .connecting
    lastActivity = now
    perform(at: now, into: &out) {
      var peer = address(configuration.remotePort)
      withUnsafeMutablePointer(to: &peer) {
        let pointer = UnsafeMutableRawPointer($0).assumingMemoryBound(to: sockaddr.self)
        // Not blocking: "in progress" is the expected answer, and the end comes as a notification.
        _ = usrsctp_connect(socket, pointer, socklen_t(MemoryLayout<sockaddr_conn>.size))
      }
    }
  }

  /// Takes the payload of one DTLS record.
  public func receive(_ packet: [UInt8], at now: Instant, into out: inout Output) {
    guard state != .over, !packet.isEmpty else { return }
    lastActivity = now
    perform(at: now, into: &out) {
      packet.withUnsafeBytes { usrsctp_conninput(SCTPLibrary.pointer(number), $0.baseAddress, $0.count, 0) }
    }
  }

  /// Queues a message. Before the association is up it waits, and may travel with the last packet of the handshake.
  public func send(_ message: SCTPMessage, at now: Instant, into out: inout Output) {
    guard state != .over, state != .shuttingDown else { return }
    queue.append(message)
    perform(at: now, into: &out) {}
  }

  /// Asks to close streams in our direction (RFC 6525 §5.1.2) when what was sent on them has arrived.
  public func reset(streams: [UInt16], at now: Instant, into out: inout Output) {
    guard state != .over else { return }
    resets.want(streams)
    perform(at: now, into: &out) {}
  }

  public func tick(at now: Instant, into out: inout Output) {
    guard state != .over else { return }
    perform(at: now, into: &out) {}
  }

  /// Delivers what is queued, then ends the association (RFC 9260 §9.2).
  public func shutDown(at now: Instant, into out: inout Output) {
    guard state == .up || state == .connecting else { return }
    state = .shuttingDown
    perform(at: now, into: &out) {}
  }

  /// Ends the association at once and tells the peer (RFC 9260 §9.1). No event comes of it.
  public func abort(into out: inout Output) {
    guard state != .over else { return }
    SCTPLibrary.locked { closeSocket() }
    out.packets += SCTPLibrary.locked { takePackets() }
    release()
  }

  // MARK: What the owner may ask

  public var isUp: Bool { state == .up }

  public var isOver: Bool { state == .over }

  /// Bytes that wait here and the network has not taken.
  public var queuedBytes: Int { queue.bytes }

  public func queuedBytes(onStream stream: UInt16) -> Int { queue.bytes(onStream: stream) }

  /// Bytes on the way to the peer, or about to be.
  public var unacknowledgedBytes: Int { unacknowledged }

  /// When ``tick(at:into:)`` next has work to do; `nil` means never.
  ///
  /// libusrsctp does not say when its next timer is due, so it is asked every 10 ms while anything is under way.
  public private(set) var nextDeadline: Instant?

  /// Measured by SCTP's own acknowledgements; `nil` before the first.
  public var roundTrip: Duration? {
    let milliseconds = SCTPLibrary.locked { status()?.sstat_primary.spinfo_srtt ?? 0 }
    return milliseconds > 0 ? .milliseconds(Int64(milliseconds)) : nil
  }

  /// Packets take another way from now on.
  public func pathChanged() { delivery.restart() }

  // MARK: One step

  /// Runs `body` inside libusrsctp, then sends what may be sent, then hands on what happened.
  private func perform(at now: Instant, into out: inout Output, _ body: () -> Void) {
    let hadQueued = queue.bytes > 0
    var items: [SCTPInbox.Item] = []
    SCTPLibrary.locked {
      SCTPLibrary.advance(to: now)
      body()
      pump(at: now)
      out.packets += takePackets()
      items = inbox.items
      inbox.items = []
    }
    for item in items { handle(item, into: &out) }
    if hadQueued, queue.bytes == 0, state == .up { out.events.append(.drained) }
    schedule(at: now)
  }

  private func takePackets() -> [[UInt8]] {
    defer { inbox.packets = [] }
    return inbox.packets
  }

  private func schedule(at now: Instant) {
    guard state != .over, state != .idle else {
      nextDeadline = nil
      return
    }
    let isBusy =
      state != .up || unacknowledged > 0 || !queue.isEmpty || resets.isBusy
      || lastActivity.map { now - $0 < .milliseconds(300) } ?? false
    nextDeadline = now + (isBusy ? .milliseconds(10) : .seconds(1))
  }

  /// Inside the lock: hands over what the congestion window is worth.
  private func pump(at now: Instant) {
    if let free = inbox.freeBytes {
      unacknowledged = max(0, sendBuffer - free)
      inbox.freeBytes = nil
    }
    guard let socket, state == .up || state == .connecting || state == .shuttingDown else { return }
    if !queue.isEmpty {
      let status = status()
      // With nothing in flight, no acknowledgement will come: what libusrsctp still has is the begin of a message too
      // short for a packet, and waits for the rest of it.
      if let status, status.sstat_unackdata == 0 { unacknowledged = 0 }
      delivery.note(
        delivered: handed - Int64(unacknowledged), isLimited: true,
        smoothed: Int64(status?.sstat_primary.spinfo_srtt ?? 0), at: now)
      var room = min(window(status), delivery.window ?? .max) - unacknowledged
      // A packet's worth at least, so that no piece waits like that.
      while room > 0, let (piece, isLast) = queue.next(limit: max(room, configuration.maximumPacket)) {
        let count = transmit(piece, isLast: isLast, socket)
        guard count > 0 else { break }
        queue.consumed(count)
        unacknowledged += count
        handed += Int64(count)
        room -= count
      }
    } else if unacknowledged > 0 {
      delivery.note(delivered: handed - Int64(unacknowledged), isLimited: false, smoothed: 0, at: now)
    }
    // RFC 6525 §5.1.2 waits for what libusrsctp has; what waits here must have left before.
    if state == .up, let streams = resets.next(isDrained: { queue.bytes(onStream: $0) == 0 }) {
      requestReset(streams, socket)
    }
    if state == .shuttingDown, queue.isEmpty { usrsctp_shutdown(socket, Int32(SHUT_WR)) }
  }

  /// How much may be with libusrsctp: the congestion window and half of it again, so that it never runs dry between
  /// two calls, and never hoards more than a round trip.
  private func window(_ status: sctp_status?) -> Int {
    // Before the window is known: one burst, which leaves with the handshake's last packet.
    guard let status else { return 16 * 1024 }
    let window = Int(status.sstat_primary.spinfo_cwnd)
    return min(max(window + window / 2, 32 * 1024), sendBuffer)
  }

  private func handle(_ item: SCTPInbox.Item, into out: inout Output) {
    guard state != .over else { return }
    switch item {
    case .fragment(let fragment):
      switch reassembly.add(fragment, limit: configuration.maximumMessage) {
      case .incomplete: break
      case .complete(let message): out.events.append(.message(message))
      case .tooLarge: finish(.messageTooLarge, into: &out)
      }
    case .notification(let bytes): handle(SCTPNotification(bytes), into: &out)
    case .resetRefused(let streams): handle(.streamsReset(streams, .failed), into: &out)
    }
  }

  private func handle(_ notification: SCTPNotification, into out: inout Output) {
    switch notification {
    case .up(let outbound):
      if state == .connecting { state = .up }
      out.events.append(.connected(outboundStreams: outbound))
    case .ended(let end): finish(state == .connecting ? .notEstablished : end, into: &out)
    case .streamsReset(let streams, .byPeer):
      reassembly.forget(streams)
      out.events.append(.peerReset(streams: streams))
    case .streamsReset(let streams, .done), .streamsReset(let streams, .failed):
      resets.finished(streams)
      out.events.append(.resetDone(streams: streams))
    case .partialDeliveryAborted(let stream): reassembly.forget([stream])
    case .dry: unacknowledged = 0
    case .other: break
    }
  }

  private func finish(_ end: SCTPEnd, into out: inout Output) {
    guard state != .over else { return }
    SCTPLibrary.locked { closeSocket() }
    out.packets += SCTPLibrary.locked { takePackets() }
    release()
    out.events.append(.ended(end))
  }

  /// Lets libusrsctp's side go. What it may still say about this number reaches nobody.
  private func release() {
    guard state != .over || socket != nil else { return }
    state = .over
    nextDeadline = nil
    queue.removeAll()
    unacknowledged = 0
    SCTPLibrary.locked {
      closeSocket()
      SCTPLibrary.deregister(number)
    }
  }

  /// Inside the lock. SO_LINGER 0 makes this an ABORT.
  private func closeSocket() {
    guard let socket else { return }
    self.socket = nil
    usrsctp_close(socket)
  }
}
