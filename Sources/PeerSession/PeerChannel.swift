public import SCTPTransport

/// One data channel of a ``PeerSession``.
///
/// The session keeps it until it is closed, then lets its handlers go.
public final class PeerChannel {
  public let id: UInt16
  public let options: DataChannelOptions

  public var label: String { options.label }

  /// Set it in ``PeerSession/onChannel`` or right after opening: a message without a handler is dropped.
  public var onMessage: ((_ bytes: [UInt8], _ isText: Bool) -> Void)?
  /// ``bufferedAmount`` has fallen to ``lowThreshold`` or below, after it was above.
  public var onBufferedAmountLow: (() -> Void)?
  /// ``bufferedAmount`` has fallen.
  public var onBufferedAmountFell: (() -> Void)?
  /// The channel alone was closed, by either side; not called when the whole session ends.
  public var onClosed: (() -> Void)?
  /// In bytes.
  public var lowThreshold = 0

  private var session: PeerSession?
  private var isAboveThreshold = false
  private var lastAmount = 0

  init(id: UInt16, options: DataChannelOptions, session: PeerSession) {
    self.id = id
    self.options = options
    self.session = session
  }

  public var isOpen: Bool { session?.channels?.isOpen(id) ?? false }

  /// Bytes the network has not taken yet. What it has taken and not delivered (about a round trip's worth) is not in it.
  public var bufferedAmount: Int { session?.channels?.bufferedAmount(id) ?? 0 }

  /// Queues a message of at most ``PeerSession/maximumSendSize`` bytes. `false`: it was not taken, because the channel is
  /// closed or the message too large. Nothing is dropped for being too much: watch ``bufferedAmount``.
  @discardableResult
  public func send(_ bytes: [UInt8]) -> Bool { send(bytes, isText: false) }

  @discardableResult
  public func send(text: String) -> Bool { send(Array(text.utf8), isText: true) }

  /// Closes the channel after what was sent has arrived.
  public func close() { session?.closeChannel(id) }

  private func send(_ bytes: [UInt8], isText: Bool) -> Bool {
    guard let session, bytes.count <= session.maximumSendSize, session.send(bytes, isText: isText, on: id) else {
      return false
    }
    noteBuffered()
    return true
  }

  /// Remembers a rise above the threshold and tells a fall below it.
  func noteBuffered() {
    let amount = bufferedAmount
    if amount < lastAmount { onBufferedAmountFell?() }
    lastAmount = amount
    if amount > lowThreshold {
      isAboveThreshold = true
    } else if isAboveThreshold {
      isAboveThreshold = false
      onBufferedAmountLow?()
    }
  }

  /// Lets everything go; returns the handler to tell.
  func retire() -> (() -> Void)? {
    let handler = onClosed
    session = nil
    onMessage = nil
    onBufferedAmountLow = nil
    onBufferedAmountFell = nil
    onClosed = nil
    return handler
  }
}
