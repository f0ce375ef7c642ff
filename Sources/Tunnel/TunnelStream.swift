/// One end of one TCP connection carried over one data channel.
///
///     socket ──read, readEnd──▶ ┌──────────────┐ ──Output.messages──▶ channel
///     socket ◀──Output.writes── │ TunnelStream │ ◀──receive────────── channel
///     socket ──took────────────▶└──────────────┘
///
/// Both ends are alike. A direction may carry ``window`` bytes that the far socket has not taken: the receiver hands out
/// more with `credit` messages as its socket takes them. So a reader that stalls holds up its own connection and no
/// other, and costs each end at most a window of memory.
public struct TunnelStream {
  /// What the owner must do, in this order. Complete when the call that filled it returns.
  public struct Output {
    /// For the channel.
    public var messages: [[UInt8]] = []
    /// For the socket.
    public var writes: [ArraySlice<UInt8>] = []
    /// Ends the socket's writing direction after what was written.
    public var finishesWriting = false
    public var end: End?

    public init() {}
  }

  /// How the connection ended; reported once.
  public enum End: Hashable, Sendable {
    /// Both directions ended in order: the channel may be closed, the socket closes when it has taken the rest.
    case done
    /// Tear the socket down and close the channel.
    case torn(TunnelFault)
  }

  /// What either end may send before the first `credit`, in bytes.
  public static let window = 256 * 1024

  private var sendCredit = window
  /// Read from the socket beyond the credit; at most one read's worth, as the owner reads only when ``wantsRead``.
  private var waiting: [UInt8] = []
  private var waitingStart = 0
  private var hasReadEnd = false
  private var hasSentEnd = false
  private var hasReceivedEnd = false
  private var isOver = false
  /// What the peer may still send.
  private var receiveCredit = window
  /// Taken by the socket and not yet given back to the peer.
  private var ungranted = 0
  /// Bytes of the stream, of both directions.
  public private(set) var sentBytes: UInt64 = 0
  public private(set) var receivedBytes: UInt64 = 0

  public init() {}

  /// Whether the socket should be read now.
  public var wantsRead: Bool { !isOver && !hasReadEnd && waitingStart == waiting.count && sendCredit > 0 }

  /// Both directions ended, or it was torn down.
  public var isFinished: Bool { isOver }

  // MARK: From the socket

  /// Bytes the socket delivered.
  public mutating func read(_ bytes: RawSpan, into out: inout Output) {
    guard !isOver, !hasReadEnd, bytes.byteCount > 0 else { return }
    unsafe bytes.withUnsafeBytes { unsafe waiting.append(contentsOf: $0) }
    flush(into: &out)
  }

  /// The socket's peer will send no more.
  public mutating func readEnd(into out: inout Output) {
    guard !isOver, !hasReadEnd else { return }
    hasReadEnd = true
    flush(into: &out)
  }

  /// The kernel took so many bytes of what was written.
  public mutating func took(_ count: Int, into out: inout Output) {
    guard !isOver, !hasReceivedEnd, count > 0 else { return }
    ungranted += count
    // A quarter at a time: few messages, and the sender never runs dry while the socket keeps up.
    guard ungranted >= Self.window / 4 else { return }
    receiveCredit += ungranted
    out.messages.append(TunnelMessage.credit(UInt32(clamping: ungranted)).bytes)
    ungranted = 0
  }

  /// The socket is gone otherwise than in order.
  public mutating func fail(_ fault: TunnelFault, into out: inout Output) {
    guard !isOver else { return }
    out.messages.append(TunnelMessage.reset(fault).bytes)
    finish(.torn(fault), into: &out)
  }

  // MARK: From the channel

  public mutating func receive(_ bytes: [UInt8], into out: inout Output) {
    guard !isOver else { return }
    switch TunnelMessage(bytes) {
    case .data(let data):
      guard !hasReceivedEnd, data.count <= receiveCredit else { return fail(.misbehaved, into: &out) }
      receiveCredit -= data.count
      receivedBytes &+= UInt64(data.count)
      out.writes.append(data)
    case .end:
      guard !hasReceivedEnd else { return fail(.misbehaved, into: &out) }
      hasReceivedEnd = true
      out.finishesWriting = true
      endIfDone(into: &out)
    case .credit(let count):
      // No receiver has more to give back than it was sent.
      guard Int(count) <= Self.window - sendCredit else { return fail(.misbehaved, into: &out) }
      sendCredit += Int(count)
      flush(into: &out)
    case .reset(let fault): finish(.torn(fault), into: &out)
    case nil: fail(.misbehaved, into: &out)
    }
  }

  /// The channel was closed, or the session under it ended.
  public mutating func channelClosed(into out: inout Output) {
    guard !isOver else { return }
    finish(.torn(.reset), into: &out)
  }

  // MARK: Inside

  private mutating func flush(into out: inout Output) {
    while waitingStart < waiting.count, sendCredit > 0 {
      let count = min(waiting.count - waitingStart, sendCredit, TunnelMessage.maximumData)
      out.messages.append(TunnelMessage.data(waiting[waitingStart..<waitingStart + count]).bytes)
      waitingStart += count
      sendCredit -= count
      sentBytes &+= UInt64(count)
    }
    guard waitingStart == waiting.count else { return }
    waiting.removeAll(keepingCapacity: waiting.count <= TunnelMessage.maximumData)
    waitingStart = 0
    if hasReadEnd, !hasSentEnd {
      hasSentEnd = true
      out.messages.append(TunnelMessage.end.bytes)
      endIfDone(into: &out)
    }
  }

  private mutating func endIfDone(into out: inout Output) {
    if hasSentEnd, hasReceivedEnd { finish(.done, into: &out) }
  }

  private mutating func finish(_ end: End, into out: inout Output) {
    isOver = true
    waiting = []
    waitingStart = 0
    out.end = end
  }
}
