import EdgeCore
import LinuxIO
import PeerSession
import Tunnel

/// Joins one TCP connection and one `tunnel` data channel until both directions are over.
///
/// Reads the socket only while the far end takes what was read: a stalled reader there stops the writer here.
/// Owned by its ``TunnelPool``.
final class TunnelPipe {
  /// Called once; `nil` is an end in order.
  var onEnded: ((TunnelFault?) -> Void)?

  private let channel: PeerChannel
  private let connection: TCPConnection
  private let reactor: Reactor
  private var stream = TunnelStream()
  /// Of the connection's `sentBytes`, what the stream was told of.
  private var told: UInt64 = 0
  private var hasEnded = false

  /// Bytes of this connection that may wait for the network, beyond which the socket is not read.
  private static let channelBudget = 128 * 1024
  /// How long a connection may take to deliver the rest when both directions are over.
  private static let lingering = Duration.seconds(60)

  /// Takes over a connection that is open or being opened, whose handlers are not set.
  init(reactor: Reactor, channel: PeerChannel, connection: TCPConnection) {
    self.reactor = reactor
    self.channel = channel
    self.connection = connection
    connection.allowsHalfClose = true
    connection.maxUnsentBytes = 2 * TunnelStream.window
    connection.limitReceiveBuffer(TunnelStream.window)
    connection.onConnected = { [unowned(unsafe) self] in readMore() }
    connection.onBytes = { [unowned(unsafe) self] bytes in perform { $0.read(bytes, into: &$1) } }
    connection.onEndOfStream = { [unowned(unsafe) self] in perform { $0.readEnd(into: &$1) } }
    connection.onDrained = { [unowned(unsafe) self] in perform { _, _ in } }
    connection.onClosed = { [unowned(unsafe) self] reason in socketClosed(reason) }
    channel.lowThreshold = Self.channelBudget / 2
    channel.onMessage = { [unowned(unsafe) self] bytes, _ in perform { $0.receive(bytes, into: &$1) } }
    channel.onBufferedAmountLow = { [unowned(unsafe) self] in readMore() }
    channel.onClosed = { [unowned(unsafe) self] in perform { $0.channelClosed(into: &$1) } }
    readMore()
  }

  var sentBytes: UInt64 { stream.sentBytes }
  var receivedBytes: UInt64 { stream.receivedBytes }

  /// Tears the connection down: the session under it is over, or the program ends.
  func abandon() { perform { $0.channelClosed(into: &$1) } }

  private func perform(_ step: (inout TunnelStream, inout TunnelStream.Output) -> Void) {
    guard !hasEnded else { return }
    var out = TunnelStream.Output()
    step(&stream, &out)
    for bytes in out.writes { connection.send(Array(bytes)) }
    let taken = connection.sentBytes
    if taken > told {
      stream.took(Int(clamping: taken - told), into: &out)
      told = taken
    }
    for message in out.messages { channel.send(message) }
    if out.finishesWriting { connection.finish() }
    if let end = out.end { finish(end) } else { readMore() }
  }

  private func readMore() {
    guard !hasEnded else { return }
    connection.setReading(stream.wantsRead && channel.bufferedAmount < Self.channelBudget)
  }

  private func socketClosed(_ reason: CloseReason) {
    switch reason {
    // Reading ended after writing had: the order of things in a half-closed connection.
    case .endOfStream: perform { $0.readEnd(into: &$1) }
    case .refused: perform { $0.fail(.refused, into: &$1) }
    case .unreachable: perform { $0.fail(.unreachable, into: &$1) }
    case .timedOut: perform { $0.fail(.timedOut, into: &$1) }
    case .reset: perform { $0.fail(.reset, into: &$1) }
    case .local, .tooSlow, .notFound, .notAllowed, .failed: perform { $0.fail(.failed, into: &$1) }
    }
  }

  private func finish(_ end: TunnelStream.End) {
    guard !hasEnded else { return }
    hasEnded = true
    // The connection or the channel may be what is calling: let it return before this goes.
    reactor.enqueue(.bulk) { [self] in _ = self }
    channel.onMessage = nil
    channel.onBufferedAmountLow = nil
    channel.onClosed = nil
    channel.close()
    connection.onBytes = nil
    connection.onEndOfStream = nil
    connection.onDrained = nil
    connection.onConnected = nil
    connection.onClosed = nil
    let ended = onEnded
    onEnded = nil
    switch end {
    case .done:
      connection.closeAfterSending(within: Self.lingering)
      ended?(nil)
    case .torn(let fault):
      // A cut must not look like the end of what was to be read.
      connection.abort()
      ended?(fault)
    }
  }
}
