public import EdgeCore
public import LinuxIO
public import PeerSession
import SCTPTransport
public import Tunnel

/// The tunnelled connections of one session.
public final class TunnelPool {
  /// The label of the data channels, one per connection; docs/tunnel-protocol.md.
  public static let label = "tunnel"
  /// The version of what is spoken on them.
  public static let protocolName = "edge-tunnel-1"
  /// Connections of one session at a time. Each may cost a window of memory at either end.
  public static let maximumPipes = 64

  /// Told of every connection that did not end in order.
  public var onFault: ((TunnelFault) -> Void)?
  /// Since the session began.
  public private(set) var connections: UInt64 = 0

  private let reactor: Reactor
  private var pipes: [TunnelPipe] = []
  private var endedSent: UInt64 = 0
  private var endedReceived: UInt64 = 0

  public init(reactor: Reactor) { self.reactor = reactor }

  public var isFull: Bool { pipes.count >= Self.maximumPipes }
  public var count: Int { pipes.count }

  public var sentBytes: UInt64 {
    var sum = endedSent
    for pipe in pipes { sum &+= pipe.sentBytes }
    return sum
  }

  public var receivedBytes: UInt64 {
    var sum = endedReceived
    for pipe in pipes { sum &+= pipe.receivedBytes }
    return sum
  }

  /// Carries an accepted connection over a channel of its own. `false`: the session has no room for it, and it is closed.
  @discardableResult
  public func carry(_ connection: TCPConnection, over peer: PeerSession) -> Bool {
    guard !isFull,
      let channel = peer.openChannel(
        DataChannelOptions(label: Self.label, priority: .bulk, protocolName: Self.protocolName))
    else {
      connection.abort()
      return false
    }
    join(channel, connection)
    return true
  }

  /// Carries what the peer opened a channel for to the one address it may reach.
  public func carry(_ channel: PeerChannel, to address: SocketAddress) {
    guard !isFull else {
      channel.send(TunnelMessage.reset(.tooMany).bytes)
      channel.close()
      return
    }
    join(channel, TCPConnection.connect(reactor: reactor, to: address))
  }

  /// Tears down all of them: the session is over.
  public func closeAll() {
    let open = pipes
    onFault = nil
    for pipe in open { pipe.abandon() }
  }

  private func join(_ channel: PeerChannel, _ connection: TCPConnection) {
    let pipe = TunnelPipe(reactor: reactor, channel: channel, connection: connection)
    pipes.append(pipe)
    connections &+= 1
    pipe.onEnded = { [unowned(unsafe) self, unowned(unsafe) pipe] fault in
      endedSent &+= pipe.sentBytes
      endedReceived &+= pipe.receivedBytes
      pipes.removeAll { $0 === pipe }
      if let fault { onFault?(fault) }
    }
  }
}
