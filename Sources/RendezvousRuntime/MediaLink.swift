import EdgeCore
import LinuxIO
import SIP
import SecureStreams

/// The connections to one media server: SIP, kept up for as long as the process lives, and the control channel.
final class MediaLink {
  var onConnected: ((Int) -> Void)?
  var onLost: ((Int) -> Void)?
  var onMessage: ((Message, Int) -> Void)?
  var onControlOpened: ((Int) -> Void)?
  var onControl: (([UInt8], Int) -> Void)?
  private let index: Int
  private let address: SocketAddress
  private let reactor: Reactor
  private var sip: StreamConnection?
  private var control: StreamConnection?
  private var framer = StreamFramer(side: .client)
  private var isClosed = false

  private static let retryDelay = Duration.seconds(1)

  init(_ index: Int, _ address: SocketAddress, reactor: Reactor) {
    self.index = index
    self.address = address
    self.reactor = reactor
  }

  func connect() {
    guard !isClosed else { return }
    framer = StreamFramer(side: .client)
    let stream = StreamConnection.connect(reactor: reactor, to: [address], security: .plain)
    sip = stream
    stream.onOpen = { [weak self] in
      guard let self else { return }
      onConnected?(index)
    }
    stream.onBytes = { [weak self] bytes in self?.receive(bytes) }
    stream.onClosed = { [weak self] _ in self?.fail() }
  }

  private func receive(_ bytes: RawSpan) {
    framer.append(bytes)
    do throws(StreamFramer.FramingError) {
      while let item = try framer.next() {
        if case .message(let message) = item { onMessage?(message, index) }
      }
    } catch {
      fail()
    }
  }

  func send(_ bytes: [UInt8]) { sip?.send(bytes) }

  func openControl(_ port: UInt16) {
    let stream = StreamConnection.connect(
      reactor: reactor, to: [SocketAddress(address.ip, port: port)], security: .plain)
    control?.close()
    control = stream
    stream.onOpen = { [weak self] in
      guard let self else { return }
      onControlOpened?(index)
    }
    stream.onBytes = { [weak self] bytes in
      guard let self else { return }
      onControl?([UInt8](copying: bytes), index)
    }
    stream.onClosed = { [weak self] _ in self?.fail() }
  }

  func sendControl(_ bytes: [UInt8]) { control?.send(bytes) }

  /// Both connections go, and come again.
  func fail() {
    guard !isClosed, sip != nil else { return }
    sip?.close()
    control?.close()
    sip = nil
    control = nil
    onLost?(index)
    _ = reactor.schedule(after: Self.retryDelay) { [weak self] in self?.connect() }
  }

  func close() {
    isClosed = true
    sip?.closeAfterSending(within: .seconds(1))
    control?.closeAfterSending(within: .seconds(1))
  }
}
