import EdgeCore
import LinuxIO
import SecureStreams
import SecureTransport
import TURN

/// The TCP and TLS clients of the relay: all of them on the loop of the process, where TLS is.
final class RelayStreams {
  private let reactor: Reactor
  private let loop: RelayLoop
  private let takesOldChannels: Bool
  private var listeners: [TCPListener] = []
  private var streams: [Int: RelayStream] = [:]
  private var streamsBySource: [IPAddress: Int] = [:]
  private var lastLink = 0
  private var isClosed = false

  /// Opened streams of one source, and of all.
  private static let maximumStreamsOfSource = 256
  private static let maximumStreams = 20_000
  /// A stream without an allocation for so long is of no use to anybody.
  private static let idleLimit: Duration = .seconds(30)
  /// Data to a client that does not read is dropped beyond this, as a full queue of a router does it.
  private static let maximumUnsent = 256 << 10

  init(loop: RelayLoop, takesOldChannels: Bool) {
    reactor = loop.reactor
    self.loop = loop
    self.takesOldChannels = takesOldChannels
  }

  func close() {
    isClosed = true
    for listener in listeners { listener.close() }
    for stream in streams.values { stream.connection.close() }
    streams = [:]
  }

  /// Serves a TCP port; `context` makes it TLS.
  func serve(_ listener: TCPListener, context: TLSContext?) {
    listeners.append(listener)
    listener.onAccept = { [unowned self] in accept($0, context) }
  }

  private func accept(_ connection: TCPConnection, _ context: TLSContext?) {
    guard let local = connection.localAddress, hasRoom(for: connection.peerAddress.ip) else {
      return connection.close()
    }
    let security: StreamConnection.ServerSecurity = if let context { .tls(context) } else { .plain }
    let remote = connection.peerAddress
    _ = add(
      StreamConnection.accept(connection, reactor: reactor, security: security), context == nil ? .tcp : .tls,
      local: local, remote: remote)
  }

  /// Takes over a connection that was shared until its first bytes came.
  func adopt(_ connection: StreamConnection, local: SocketAddress, remote: SocketAddress, _ bytes: RawSpan) {
    guard !isClosed, hasRoom(for: remote.ip) else { return connection.close() }
    let stream = add(connection, .tls, local: local, remote: remote)
    receive(bytes, of: stream)
  }

  private func hasRoom(for source: IPAddress) -> Bool {
    streams.count < Self.maximumStreams
      && streamsBySource[source.unmapped, default: 0] < Self.maximumStreamsOfSource
  }

  private func add(
    _ connection: StreamConnection, _ transport: ClientFlow.Transport, local: SocketAddress, remote: SocketAddress
  ) -> RelayStream {
    lastLink += 1
    let link = lastLink
    let flow = ClientFlow(transport, link: link, client: remote, server: local)
    let stream = RelayStream(connection, flow, TURNStreamFramer(takesOldChannels: takesOldChannels))
    streams[link] = stream
    streamsBySource[remote.ip.unmapped, default: 0] += 1
    connection.maxUnsentBytes = Self.maximumUnsent + 128 << 10
    connection.onOpen = nil
    connection.onBytes = { [unowned self, unowned stream] bytes in receive(bytes, of: stream) }
    connection.onClosed = { [unowned self] _ in forget(link) }
    watchIdle(link)
    return stream
  }

  private func receive(_ bytes: RawSpan, of stream: RelayStream) {
    // The frames are cut by a copy of the framer, since handling one may end the stream.
    var framer = stream.framer
    do throws(TURNStreamFramer.Broken) {
      try framer.receive(bytes) { frame in
        if !stream.isEnded { loop.receive(frame, on: stream.flow) }
      }
      stream.framer = framer
    } catch {
      end(stream.flow.link)
    }
  }

  /// Sends an answer.
  func send(_ bytes: [UInt8], on flow: ClientFlow) { streams[flow.link]?.connection.send(bytes) }

  /// Sends relayed data; a stream that is full loses it.
  func deliver(_ bytes: [UInt8], on flow: ClientFlow) {
    guard let stream = streams[flow.link], stream.connection.unsentBytes < Self.maximumUnsent else { return }
    stream.connection.send(bytes)
  }

  /// Gives a stream away, which from now on carries something else.
  func release(_ flow: ClientFlow) -> StreamConnection? {
    guard let stream = streams[flow.link] else { return nil }
    forget(flow.link)
    stream.connection.onBytes = nil
    stream.connection.onClosed = nil
    return stream.connection
  }

  private func watchIdle(_ link: Int) {
    _ = reactor.schedule(after: Self.idleLimit) { [weak self] in
      guard let self, !isClosed, let stream = streams[link] else { return }
      if loop.hasAllocation(stream.flow) { watchIdle(link) } else { end(link) }
    }
  }

  private func end(_ link: Int) {
    guard let stream = streams[link] else { return }
    stream.isEnded = true
    stream.connection.closeAfterSending(within: .seconds(1))
    forget(link)
  }

  /// The stream is gone, and its allocation with it.
  private func forget(_ link: Int) {
    guard let stream = streams.removeValue(forKey: link) else { return }
    stream.isEnded = true
    let source = stream.flow.client.ip.unmapped
    let left = streamsBySource[source, default: 1] - 1
    streamsBySource[source] = left > 0 ? left : nil
    loop.flowClosed(stream.flow)
  }
}

/// A client's stream.
final class RelayStream {
  let connection: StreamConnection
  let flow: ClientFlow
  var framer: TURNStreamFramer
  var isEnded = false

  init(_ connection: StreamConnection, _ flow: ClientFlow, _ framer: TURNStreamFramer) {
    self.framer = framer
    self.connection = connection
    self.flow = flow
  }
}
