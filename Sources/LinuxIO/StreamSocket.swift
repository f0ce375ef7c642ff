import CLinux
import EdgeCore

/// A connected byte stream: what ``TCPConnection`` and ``UnixConnection`` have in common.
///
/// Set the handlers right after making it: none is called before the next step of the reactor.
/// The reactor keeps an open stream and its handlers alive. ``onClosed`` is called once, when the stream ends for a
/// reason other than ``close()``, which is silent; after either, no handler is called and all are let go.
public class StreamSocket {
  public enum State: Hashable, Sendable { case connecting, open, closed }

  /// Only for streams this side opened.
  public final var onConnected: (() -> Void)?
  /// `bytes` is borrowed for the call.
  public final var onBytes: ((_ bytes: RawSpan) -> Void)?
  /// With ``allowsHalfClose``: the peer will send no more, but may still read.
  public final var onEndOfStream: (() -> Void)?
  /// Everything sent has been taken by the kernel, after it had not been.
  public final var onDrained: (() -> Void)?
  public final var onClosed: ((_ reason: CloseReason) -> Void)?

  public final private(set) var state: State
  /// Passing this many unsent bytes ends the stream as ``CloseReason/tooSlow``. Watch ``unsentBytes`` to stay below.
  public final var maxUnsentBytes = 8 << 20
  /// Whether the peer's end of stream leaves the other direction open, until ``finish()``. Else it ends both.
  public final var allowsHalfClose = false
  /// Bytes received since the start.
  public final private(set) var receivedBytes: UInt64 = 0
  /// Bytes taken by the kernel since the start.
  public final private(set) var sentBytes: UInt64 = 0

  final let reactor: Reactor
  final var descriptor: FileDescriptor?
  private final var token: Reactor.Token?
  private final var queue = SendQueue()
  private final var deadline: Reactor.TimerToken?
  private final var isReading = true
  private final var sawEndOfStream = false
  private final var writing = Writing.open

  /// How far this side's direction is.
  private enum Writing { case open, finishing, finished }
  /// Whether the owner is gone and what arrives is dropped until the peer closes too.
  private final var isLingering = false

  /// Reads of one event before others get their turn.
  private static let readsPerEvent = 4

  /// Takes over a non-blocking socket, connected or about to be.
  init(reactor: Reactor, descriptor: consuming FileDescriptor, state: State) throws(SystemError) {
    self.reactor = reactor
    self.state = state
    let raw = descriptor.raw
    self.descriptor = consume descriptor
    token = try reactor.add(raw, interest: state == .connecting ? .write : .read) { self.handle($0) }
  }

  /// A stream that could not be opened: reports `failure` at the next step of the reactor.
  init(reactor: Reactor, failure: CloseReason) {
    self.reactor = reactor
    state = .connecting
    failLater(failure)
  }

  /// Bytes accepted by ``send(_:)-(RawSpan)`` that the kernel has not taken yet.
  public final var unsentBytes: Int { queue.count }

  /// Sends in order; what the kernel does not take at once waits here. Ignored after ``finish()`` or the end.
  public final func send(_ bytes: [UInt8]) {
    let span = bytes.span
    send(span.bytes)
  }

  public final func send(_ bytes: RawSpan) {
    guard state != .closed, writing == .open, bytes.byteCount > 0 else { return }
    let wasEmpty = queue.count == 0
    var taken = 0
    if state == .open, wasEmpty {
      do throws(SystemError) {
        taken = try bytes.withUnsafeBytes { (buffer: UnsafeRawBufferPointer) throws(SystemError) -> Int in
          try write(buffer)
        }
      } catch {
        failLater(CloseReason(error))
        return
      }
    }
    guard taken < bytes.byteCount else { return }
    queue.append(bytes.extracting(taken..<bytes.byteCount))
    if queue.count > maxUnsentBytes {
      failLater(.tooSlow)
    } else {
      updateInterest()
    }
  }

  /// Ends this side's direction once everything is sent; the peer sees the end of the stream.
  public final func finish() {
    guard state != .closed, writing == .open else { return }
    writing = .finishing
    if state == .open, queue.count == 0 { finishWriting() }
  }

  /// Stops or resumes reading; the kernel then makes the peer wait.
  ///
  /// A stream the peer has torn down is read to its end even while paused.
  public final func setReading(_ isOn: Bool) {
    guard isReading != isOn else { return }
    isReading = isOn
    updateInterest()
  }

  /// Ends the stream at once; what is unsent is dropped. No handler is called any more.
  public final func close() { _ = release() }

  /// Ends the stream in order: sends what is left, tells the peer, and waits for it to close too, but not longer than
  /// `limit`. What arrives meanwhile is dropped. ``onClosed`` is called with ``CloseReason/local`` then.
  public final func closeAfterSending(within limit: Duration = .seconds(5)) {
    guard state != .closed, !isLingering else { return }
    isLingering = true
    isReading = true
    updateInterest()
    setDeadline(limit, reason: .local)
    if sawEndOfStream, queue.count == 0 {
      reactor.enqueue(.signalling) { self.end(.local) }
    } else {
      finish()
    }
  }

  /// Ends the stream with `reason` unless it is done with what it does now (connecting) before.
  final func setDeadline(_ limit: Duration, reason: CloseReason) {
    if let deadline { reactor.cancel(deadline) }
    deadline = reactor.schedule(after: limit) { self.end(reason) }
  }

  /// What subclasses do when the connection stands; a reason ends it instead.
  func connected() -> CloseReason? { nil }

  // MARK: Events

  private final func handle(_ ready: Readiness) {
    if state == .connecting {
      finishConnecting()
      return
    }
    if ready.contains(.write) { flush() }
    if state == .open, ready.contains(.read) && isReading || ready.contains(.hangUp) || ready.contains(.error) {
      receive(untilEnd: !ready.contains(.read) || !isReading)
    }
  }

  private final func finishConnecting() {
    guard let socket = descriptor?.raw else { return }
    let code = SocketCall.pendingError(socket)
    guard code == 0 else {
      end(CloseReason(SystemError(call: "connect", errno: code)))
      return
    }
    if let deadline, !isLingering {
      reactor.cancel(deadline)
      self.deadline = nil
    }
    state = .open
    if let reason = connected() {
      end(reason)
      return
    }
    updateInterest()
    if !isLingering { onConnected?() }
    // Sent while connecting, or finished before it began.
    if state == .open, queue.count > 0 || writing == .finishing { flush() }
  }

  private final func receive(untilEnd: Bool) {
    let arena = reactor.arena
    for _ in 0..<Self.readsPerEvent {
      guard state == .open, isReading || untilEnd, !sawEndOfStream || untilEnd, let socket = descriptor?.raw else {
        return
      }
      let count: Int
      do throws(SystemError) {
        count = try systemCall("recv") { recv(socket, arena.bytes, ReceiveArena.streamBytes, Int32(MSG_DONTWAIT)) }
      } catch {
        if error.errno == EAGAIN {
          // Torn down, yet nothing to read: only the pending error says why, and staying would spin.
          if untilEnd { endTornDown(socket) }
          return
        }
        end(isLingering ? .local : CloseReason(error))
        return
      }
      guard count > 0 else {
        handleEndOfStream(isTornDown: untilEnd)
        return
      }
      receivedBytes &+= UInt64(count)
      if !isLingering { onBytes?(UnsafeRawBufferPointer(start: arena.bytes, count: count).bytes) }
      if count < ReceiveArena.streamBytes, !untilEnd { return }
    }
  }

  private final func endTornDown(_ socket: Int32) {
    let code = SocketCall.pendingError(socket)
    if code == 0, !sawEndOfStream, writing != .finished { return }
    end(
      isLingering ? .local : code == 0 ? .endOfStream : CloseReason(SystemError(call: "recv", errno: code)))
  }

  private final func handleEndOfStream(isTornDown: Bool) {
    if isLingering {
      end(.local)
    } else if !allowsHalfClose || writing == .finished || (isTornDown && sawEndOfStream) {
      end(.endOfStream)
    } else if !sawEndOfStream {
      sawEndOfStream = true
      updateInterest()
      onEndOfStream?()
    }
  }

  // MARK: Sending

  private final func flush() {
    guard queue.count > 0 || writing == .finishing else {
      updateInterest()
      return
    }
    let hadUnsent = queue.count > 0
    do throws(SystemError) {
      while queue.count > 0 {
        var taken = 0
        try queue.consume { (bytes: UnsafeRawBufferPointer) throws(SystemError) -> Int in
          taken = try write(bytes)
          return taken
        }
        if taken == 0 { break }
      }
    } catch {
      end(CloseReason(error))
      return
    }
    updateInterest()
    guard queue.count == 0 else { return }
    if writing == .finishing { finishWriting() }
    if hadUnsent, state == .open, !isLingering { onDrained?() }
  }

  /// How many bytes the kernel took: 0 when it takes none now.
  private final func write(_ bytes: UnsafeRawBufferPointer) throws(SystemError) -> Int {
    guard let socket = descriptor?.raw else { return 0 }
    do throws(SystemError) {
      let count = try systemCall("send") { CLinux.send(socket, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL)) }
      sentBytes &+= UInt64(count)
      return count
    } catch {
      if error.errno == EAGAIN { return 0 }
      throw error
    }
  }

  private final func finishWriting() {
    guard let socket = descriptor?.raw else { return }
    writing = .finished
    // Fails only when the peer is gone already, which reading reports.
    shutdown(socket, Int32(SHUT_WR))
    if sawEndOfStream { reactor.enqueue(.signalling) { self.end(self.isLingering ? .local : .endOfStream) } }
  }

  private final func updateInterest() {
    guard state == .open, let token else { return }
    var interest: Readiness = []
    if isReading, !sawEndOfStream { interest.insert(.read) }
    if queue.count > 0 { interest.insert(.write) }
    reactor.update(token, interest: interest)
  }

  // MARK: Ending

  private final func failLater(_ reason: CloseReason) {
    writing = .finished
    queue.removeAll()
    reactor.enqueue(.signalling) { self.end(reason) }
  }

  private final func end(_ reason: CloseReason) { release()?(reason) }

  /// Closes and lets the handlers go; returns the one to tell, the first time.
  private final func release() -> ((CloseReason) -> Void)? {
    guard state != .closed else { return nil }
    state = .closed
    if let token { reactor.remove(token) }
    if let deadline { reactor.cancel(deadline) }
    token = nil
    deadline = nil
    descriptor = nil
    queue.removeAll()
    let handler = onClosed
    onConnected = nil
    onBytes = nil
    onEndOfStream = nil
    onDrained = nil
    onClosed = nil
    return handler
  }
}
