import CLinux
public import EdgeCore

/// The UDP sockets of a relay: datagrams are received many at a time (recvmmsg, UDP_GRO) and what is made of them is
/// sent many at a time (sendmmsg, UDP_SEGMENT), once in each turn of the reactor, from where they were received.
///
/// One pump for each reactor, which keeps it alive until ``close()``. What keeps a datagram from leaving is loss: counted, not reported.
public final class DatagramPump {
  /// Where the last datagram of a kind went, so that the next one may join it. One for each pair of ends.
  public struct Lane {
    var epoch: UInt32 = 0
    var train: Int32 = 0

    public init() {}

    init(epoch: UInt32, train: Int32) {
      self.epoch = epoch
      self.train = train
    }
  }

  /// An ICMP error about a datagram sent before.
  public struct Unreachable: Hashable, Sendable {
    public var type: UInt8
    public var code: UInt8
    /// The path's MTU in bytes where the error tells it, else 0.
    public var mtu: UInt32
    /// Whereto the datagram was sent.
    public var destination: SocketAddress
  }

  /// `bytes` is borrowed until ``flush()``; `to` is the local address it came to.
  public var onDatagram: ((_ port: DatagramPort, _ bytes: RawSpan, _ from: SocketAddress, _ to: SocketAddress) -> Void)?
  public var onUnreachable: ((_ port: DatagramPort, Unreachable) -> Void)?

  let reactor: Reactor
  let trains = DatagramTrains()
  private let slots = UnsafeMutableRawPointer.allocate(byteCount: slotCount * slotStride, alignment: 4096)
  private let messages = UnsafeMutablePointer<edge_message>.allocate(capacity: slotCount)
  private let vectors = UnsafeMutablePointer<iovec>.allocate(capacity: slotCount)
  private let names = UnsafeMutableRawPointer.allocate(byteCount: slotCount * 32, alignment: 8)
  private let controls = UnsafeMutableRawPointer.allocate(byteCount: slotCount * controlBytes, alignment: 8)
  /// Slots that hold what was received since the last flush.
  private var used = 0
  /// What is sent and was not received, until the next flush.
  private var copies: [[UInt8]] = []
  private var coalescing: Coalescing?

  private static let slotCount = 64
  /// A whole datagram; not a power of two, so that slots do not compete for the same lines of the cache.
  private static let slotStride = 65_536 + 17 * 64
  private static let controlBytes = 64
  /// Datagrams fetched from one socket by one call.
  private static let batch = 32
  private static let batchesPerEvent = 4

  /// When packets come often, the loop rests for so short a time that nobody notices it, and takes what came meanwhile
  /// at once, as network interfaces moderate their interrupts.
  public struct Coalescing: Hashable, Sendable {
    /// Datagrams worth waiting for.
    public var wanted = 16
    /// When fewer than two come in that time there is no resting.
    public var longest: Duration = .microseconds(400)

    public init() {}
  }

  /// `coalescing` is for a reactor that does nothing else.
  public init(reactor: Reactor, coalescing: Coalescing? = nil) {
    self.reactor = reactor
    self.coalescing = coalescing
    for index in 0..<Self.slotCount {
      vectors[index] = iovec(iov_base: slots + index * Self.slotStride, iov_len: 65_536)
      messages[index] = edge_message()
      prepare(index)
    }
    reactor.onTurnEnd = { self.endTurn() }
  }

  deinit {
    slots.deallocate()
    messages.deallocate()
    vectors.deallocate()
    names.deallocate()
    controls.deallocate()
  }

  /// Close its ports before.
  public func close() {
    flush()
    reactor.onTurnEnd = nil
    onDatagram = nil
    onUnreachable = nil
  }

  public var unsentDatagrams: UInt64 { trains.unsentDatagrams }

  // MARK: Sending

  /// Sends a part of a datagram that was received in this turn: `header`, at most 64 bytes, then `payload`, then
  /// `padding` zeros.
  public func forward(
    _ payload: RawSpan, header: [UInt8], padding: Int, over port: DatagramPort, to destination: SocketAddress,
    from source: IPAddress? = nil, lane: inout Lane
  ) {
    payload.withUnsafeBytes { add($0, header, padding, port, destination, source, &lane) }
  }

  private func add(
    _ payload: UnsafeRawBufferPointer, _ header: [UInt8], _ padding: Int, _ port: DatagramPort,
    _ destination: SocketAddress, _ source: IPAddress?, _ lane: inout Lane
  ) {
    guard port.isOpen, destination.ip.isV4 == port.localAddress.ip.isV4 else { return }
    if trains.isFull { trains.flush() }
    trains.add(
      payload, header: header, padding: padding, to: destination, from: port.isWildcard ? source : nil,
      over: port.raw, isShared: port.isShared, lane: &lane)
  }

  /// Sends other bytes, behind what was forwarded before.
  public func send(
    _ bytes: [UInt8], over port: DatagramPort, to destination: SocketAddress, from source: IPAddress? = nil
  ) {
    // An array that is kept does not move.
    copies.append(bytes)
    var lane = Lane()
    copies[copies.count - 1].withUnsafeBytes { add($0, [], 0, port, destination, source, &lane) }
  }

  /// Sends what waits. Done at the end of every turn.
  public func flush() {
    trains.flush()
    if !copies.isEmpty { copies.removeAll(keepingCapacity: true) }
  }

  // MARK: Receiving

  func receive(_ port: DatagramPort) {
    for _ in 0..<Self.batchesPerEvent {
      if used + Self.batch > Self.slotCount { recycle() }
      guard port.isOpen else { return }
      let first = used
      let count = edge_recvmmsg(port.raw, messages + first, UInt32(Self.batch), Int32(MSG_DONTWAIT))
      // Nothing left, interrupted, or an ICMP error, which the error queue tells of.
      guard count > 0 else { return }
      used += Int(count)
      received += Int(count)
      for index in first..<first + Int(count) {
        // Closed by the handler of an earlier one, the rest is nobody's.
        if port.isOpen { deliver(port, index) }
        prepare(index)
      }
      if Int(count) < Self.batch { return }
    }
  }

  /// Sends what waits, after which the slots are free. Never while what was received is being handed on.
  private func recycle() {
    flush()
    used = 0
  }

  /// Makes a message header ready for `recvmmsg`, which overwrites lengths and flags of those it fills.
  private func prepare(_ index: Int) {
    messages[index].header.msg_name = names + index * 32
    messages[index].header.msg_namelen = 32
    messages[index].header.msg_iov = vectors + index
    messages[index].header.msg_iovlen = 1
    messages[index].header.msg_control = controls + index * Self.controlBytes
    messages[index].header.msg_controllen = Self.controlBytes
    messages[index].header.msg_flags = 0
  }

  private func deliver(_ port: DatagramPort, _ index: Int) {
    guard let source = SocketAddress(kernelAddress: names + index * 32) else { return }
    var local = port.localAddress
    var segment = 0
    if messages[index].header.msg_controllen > 0 {
      let header = UnsafeMutableRawPointer(messages + index).assumingMemoryBound(to: msghdr.self)
      if port.isWildcard, let ip = ControlReader.localAddress(header) { local.ip = ip }
      segment = ControlReader.segmentBytes(header)
    }
    let start = UnsafeRawPointer(slots + index * Self.slotStride)
    let count = Int(messages[index].length)
    guard segment > 0, segment < count else {
      onDatagram?(port, UnsafeRawBufferPointer(start: start, count: count).bytes, source, local)
      return
    }
    // Several datagrams of one sender, merged on their way in.
    var offset = 0
    while offset < count, port.isOpen {
      let length = min(segment, count - offset)
      // Sending them away may have emptied the queue, never the slot.
      onDatagram?(port, UnsafeRawBufferPointer(start: start + offset, count: length).bytes, source, local)
      offset += length
      received += 1
    }
  }

  /// Reads the error queue (`IP_RECVERR`).
  func receiveErrors(_ port: DatagramPort) {
    for _ in 0..<Self.batch {
      guard port.isOpen, let error = ControlReader.nextError(port.raw) else { return }
      onUnreachable?(port, error)
    }
  }

  // MARK: Coalescing

  private var received = 0
  private var windowStart = Instant.zero
  private var windowCount: Int64 = 0
  /// Nanoseconds; 0 while little comes.
  private var rest: Int64 = 0

  private static let window: Int64 = 10_000_000

  private func endTurn() {
    recycle()
    guard let coalescing else { return }
    let taken = received
    received = 0
    windowCount += Int64(taken)
    let elapsed = reactor.now.nanoseconds - windowStart.nanoseconds
    if elapsed >= Self.window {
      let longest = coalescing.longest.wholeNanoseconds
      rest = windowCount * longest < 2 * elapsed ? 0 : min(longest, Int64(coalescing.wanted) * elapsed / windowCount)
      windowStart = reactor.now
      windowCount = 0
    }
    guard rest > 0, taken < coalescing.wanted else { return }
    var time = timespec(tv_sec: 0, tv_nsec: Int(rest))
    nanosleep(&time, nil)
  }
}
