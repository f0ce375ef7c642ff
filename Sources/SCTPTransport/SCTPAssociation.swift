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
  private let inbox = SCTPInbox()
  private let number: UInt
  private var socket: OpaquePointer?
  private(set) var state = State.idle
  var queue = SendQueue()
  private var reassembly = Reassembly()
  private var resets = StreamResets()
  /// Bytes libusrsctp has and the peer has not acknowledged.
  private var unacknowledged = 0
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

  // MARK: One step

  /// Runs `body` inside libusrsctp, then sends what may be sent, then hands on what happened.
  private func perform(at now: Instant, into out: inout Output, _ body: () -> Void) {
    let hadQueued = queue.bytes > 0
    var items: [SCTPInbox.Item] = []
    SCTPLibrary.locked {
      SCTPLibrary.advance(to: now)
      body()
      pump()
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
  private func pump() {
    if let free = inbox.freeBytes {
      unacknowledged = max(0, sendBuffer - free)
      inbox.freeBytes = nil
    }
    guard let socket, state == .up || state == .connecting || state == .shuttingDown else { return }
    if !queue.isEmpty {
      var room = window() - unacknowledged
      while room > 0, let (piece, isLast) = queue.next(limit: room) {
        let count = transmit(piece, isLast: isLast, socket)
        guard count > 0 else { break }
        queue.consumed(count)
        unacknowledged += count
        room -= count
      }
    }
    // RFC 6525 §5.1.2 waits for what libusrsctp has; what waits here must have left before.
    if state == .up, let streams = resets.next(isDrained: { queue.bytes(onStream: $0) == 0 }) {
      requestReset(streams, socket)
    }
    if state == .shuttingDown, queue.isEmpty { usrsctp_shutdown(socket, Int32(SHUT_WR)) }
  }

  /// How much may be with libusrsctp: the congestion window and half of it again, so that it never runs dry between
  /// two calls, and never hoards more than a round trip.
  private func window() -> Int {
    // Before the window is known: one burst, which leaves with the handshake's last packet.
    guard let status = status() else { return 16 * 1024 }
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

// MARK: The calls into libusrsctp. All inside the lock.

extension SCTPAssociation {
  private func open() -> SCTPError? {
    guard
      let socket = usrsctp_socket(
        AF_CONN, Int32(SOCK_STREAM.rawValue), sctpLevel, receiveThunk, freeSpaceThunk, 1, SCTPLibrary.pointer(number))
    else { return .refused(doing: "open a socket", errno: edge_errno()) }
    self.socket = socket
    usrsctp_set_non_blocking(socket, 1)
    var lingering = linger(l_onoff: 1, l_linger: 0)
    var isSet = set(SOL_SOCKET, SO_LINGER, &lingering)
    var buffers = Int32(configuration.sendBuffer)
    isSet = set(SOL_SOCKET, SO_SNDBUF, &buffers) && isSet
    buffers = Int32(configuration.receiveBuffer)
    isSet = set(SOL_SOCKET, SO_RCVBUF, &buffers) && isSet
    var on: Int32 = 1
    isSet = set(sctpLevel, SCTP_NODELAY, &on) && isSet
    isSet = set(sctpLevel, SCTP_EXPLICIT_EOR, &on) && isSet
    isSet = set(sctpLevel, SCTP_RECVRCVINFO, &on) && isSet
    var resetting = sctp_assoc_value()
    resetting.assoc_id = UInt32(SCTP_ALL_ASSOC)
    resetting.assoc_value = UInt32(SCTP_ENABLE_RESET_STREAM_REQ | SCTP_ENABLE_CHANGE_ASSOC_REQ)
    isSet = set(sctpLevel, SCTP_ENABLE_STREAM_RESET, &resetting) && isSet
    var streams = sctp_initmsg()
    streams.sinit_num_ostreams = configuration.streams
    streams.sinit_max_instreams = configuration.streams
    isSet = set(sctpLevel, SCTP_INITMSG, &streams) && isSet
    // RFC 8261 §5: no path MTU discovery below DTLS; whether the path lives is ICE's to say, so no heartbeats either.
    var path = sctp_paddrparams()
    path.spp_flags = UInt32(SPP_PMTUD_DISABLE | SPP_HB_DISABLE)
    // libusrsctp counts the common header (12 bytes) on top of this.
    path.spp_pathmtu = UInt32(configuration.maximumPacket - 12)
    isSet = set(sctpLevel, SCTP_PEER_ADDR_PARAMS, &path) && isSet
    for type in [
      SCTP_ASSOC_CHANGE, SCTP_STREAM_RESET_EVENT, SCTP_PARTIAL_DELIVERY_EVENT, SCTP_SENDER_DRY_EVENT,
    ] {
      var event = sctp_event()
      event.se_assoc_id = UInt32(SCTP_ALL_ASSOC)
      event.se_type = UInt16(type)
      event.se_on = 1
      isSet = set(sctpLevel, SCTP_EVENT, &event) && isSet
    }
    guard isSet else { return .refused(doing: "set up a socket", errno: edge_errno()) }
    var local = address(configuration.localPort)
    let bound = withUnsafeMutablePointer(to: &local) {
      usrsctp_bind(
        socket, UnsafeMutableRawPointer($0).assumingMemoryBound(to: sockaddr.self),
        socklen_t(MemoryLayout<sockaddr_conn>.size))
    }
    guard bound == 0 else { return .refused(doing: "bind", errno: edge_errno()) }
    return nil
  }

  private func set<Value: BitwiseCopyable>(
    _ level: some BinaryInteger, _ option: some BinaryInteger, _ value: inout Value
  ) -> Bool {
    usrsctp_setsockopt(socket, Int32(level), Int32(option), &value, socklen_t(MemoryLayout<Value>.size)) == 0
  }

  private func address(_ port: UInt16) -> sockaddr_conn {
    var address = sockaddr_conn()
    address.sconn_family = UInt16(AF_CONN)
    address.sconn_port = port.bigEndian
    address.sconn_addr = SCTPLibrary.pointer(number)
    return address
  }

  private func status() -> sctp_status? {
    guard let socket, state == .up || state == .shuttingDown else { return nil }
    var status = sctp_status()
    var size = socklen_t(MemoryLayout<sctp_status>.size)
    guard usrsctp_getsockopt(socket, sctpLevel, Int32(SCTP_STATUS), &status, &size) == 0 else { return nil }
    return status
  }

  /// How many bytes were taken; 0 when none can be now. A message libusrsctp will never take counts as taken.
  private func transmit(_ piece: SendQueue.Piece, isLast: Bool, _ socket: OpaquePointer) -> Int {
    var parameters = sctp_sendv_spa()
    parameters.sendv_flags = UInt32(SCTP_SEND_SNDINFO_VALID)
    parameters.sendv_sndinfo.snd_sid = piece.stream
    parameters.sendv_sndinfo.snd_ppid = piece.ppid.bigEndian
    var flags: Int32 = isLast ? Int32(SCTP_EOR) : 0
    if !piece.isOrdered { flags |= Int32(SCTP_UNORDERED) }
    parameters.sendv_sndinfo.snd_flags = UInt16(flags)
    switch piece.reliability {
    case .reliable: break
    case .retransmissions(let count):
      parameters.sendv_flags |= UInt32(SCTP_SEND_PRINFO_VALID)
      parameters.sendv_prinfo = sctp_prinfo(pr_policy: UInt16(SCTP_PR_SCTP_RTX), pr_value: UInt32(count))
    case .lifetime(let milliseconds):
      parameters.sendv_flags |= UInt32(SCTP_SEND_PRINFO_VALID)
      parameters.sendv_prinfo = sctp_prinfo(pr_policy: UInt16(SCTP_PR_SCTP_TTL), pr_value: UInt32(milliseconds))
    }
    let count = piece.bytes.withUnsafeBytes {
      usrsctp_sendv(
        socket, $0.baseAddress, $0.count, nil, 0, &parameters, socklen_t(MemoryLayout<sctp_sendv_spa>.size),
        UInt32(SCTP_SENDV_SPA), 0)
    }
    if count >= 0 { return count }
    let code = edge_errno()
    return code == EWOULDBLOCK || code == ENOTCONN || code == ENOBUFS ? 0 : piece.bytes.count
  }

  private func requestReset(_ streams: [UInt16], _ socket: OpaquePointer) {
    // struct sctp_reset_streams: association, flags, count, then the streams.
    var bytes = [UInt8](repeating: 0, count: 8 + streams.count * 2)
    let size = bytes.count
    let result = bytes.withUnsafeMutableBytes { raw in
      raw.storeBytes(of: UInt32(SCTP_ALL_ASSOC), toByteOffset: 0, as: UInt32.self)
      raw.storeBytes(of: UInt16(SCTP_STREAM_RESET_OUTGOING), toByteOffset: 4, as: UInt16.self)
      raw.storeBytes(of: UInt16(streams.count), toByteOffset: 6, as: UInt16.self)
      for (index, stream) in streams.enumerated() {
        raw.storeBytes(of: stream, toByteOffset: 8 + index * 2, as: UInt16.self)
      }
      return usrsctp_setsockopt(
        socket, sctpLevel, Int32(SCTP_RESET_STREAMS), raw.baseAddress, socklen_t(size))
    }
    guard result != 0 else { return }
    switch edge_errno() {
    case EALREADY, EAGAIN, EINPROGRESS, ENOMEM: resets.failed(streams)
    // A peer without RFC 6525: the streams stay open on the wire and are closed for us.
    default: inbox.items.append(.resetRefused(streams))
    }
  }
}

/// `IPPROTO_SCTP`, the level of SCTP's socket options.
private let sctpLevel: Int32 = 132
