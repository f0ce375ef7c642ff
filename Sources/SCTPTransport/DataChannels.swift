public import EdgeCore

/// What kind of channel is wanted (RFC 8831 §6.1, §6.4).
public struct DataChannelOptions: Hashable, Sendable {
  /// At most 1024 bytes of UTF-8.
  public var label: String
  /// A subprotocol's name, or nothing.
  public var protocolName: String
  public var isOrdered: Bool
  public var reliability: SCTPMessage.Reliability
  public var priority: SCTPMessage.Priority

  public init(
    label: String, isOrdered: Bool = true, reliability: SCTPMessage.Reliability = .reliable,
    priority: SCTPMessage.Priority = .media, protocolName: String = ""
  ) {
    self.label = label
    self.isOrdered = isOrdered
    self.reliability = reliability
    self.priority = priority
    self.protocolName = protocolName
  }
}

/// The data channels of one association (RFC 8831, RFC 8832).
///
/// A channel is named by its stream identifier: even ones are opened by the DTLS client, odd ones by the server
/// (RFC 8832 §6). Opening costs no round trip: what is sent may follow the opening message at once.
public final class DataChannels {
  public typealias ID = UInt16

  public enum Event: Hashable, Sendable {
    /// The association is up.
    case connected
    /// The peer opened a channel.
    case opened(ID, DataChannelOptions)
    /// The peer has taken note of a channel opened here.
    case acknowledged(ID)
    case message(ID, [UInt8], isText: Bool)
    /// Closed, by the peer or by both: the identifier may be used again.
    case closed(ID)
    /// Everything queued has been handed to the network.
    case drained
    case ended(SCTPEnd)
  }

  public struct Output {
    public var packets: [[UInt8]] = []
    public var events: [Event] = []

    public init() {}
  }

  private struct Channel {
    var options: DataChannelOptions
    /// RFC 8832 §6: until the peer has acknowledged, messages are sent in order.
    var isAcknowledged: Bool
    /// We asked to close our direction.
    var isClosing = false
    /// The peer closed its direction.
    var isClosedByPeer = false
    /// Our direction is closed.
    var isReset = false
  }

  /// Channels a peer may have open at a time.
  public static let maximumChannels = 256

  public let association: SCTPAssociation
  private let isDTLSClient: Bool
  private var channels: [ID: Channel] = [:]
  private var nextID: ID
  private var outboundStreams: UInt16

  public init(_ association: SCTPAssociation, isDTLSClient: Bool) {
    self.association = association
    self.isDTLSClient = isDTLSClient
    nextID = isDTLSClient ? 0 : 1
    outboundStreams = association.configuration.streams
  }

  // MARK: Channels

  /// `nil` when all streams are taken, the label is too long or the association is over.
  public func open(_ options: DataChannelOptions, at now: Instant, into out: inout Output) -> ID? {
    guard options.label.utf8.count <= DataChannelMessage.maximumLabel,
      options.protocolName.utf8.count <= DataChannelMessage.maximumLabel, !association.isOver,
      let id = freeID()
    else { return nil }
    channels[id] = Channel(options: options, isAcknowledged: false)
    var first = SCTPMessage(
      stream: id, ppid: DataChannelMessage.PPID.control, bytes: DataChannelMessage.open(options).serialized)
    // Ahead of everything, and in order with what follows on the same channel because that has the same priority.
    first.priority = options.priority
    send(first, at: now, into: &out)
    return id
  }

  /// Opens a channel both ends agreed on beforehand: no message travels for it (RFC 8864 §6.4). `false` when the stream
  /// is taken or there is none of that number.
  public func openNegotiated(_ id: ID, _ options: DataChannelOptions) -> Bool {
    guard channels[id] == nil, channels.count < Self.maximumChannels, id < outboundStreams, !association.isOver else {
      return false
    }
    channels[id] = Channel(options: options, isAcknowledged: true)
    return true
  }

  public func isOpen(_ id: ID) -> Bool { channels[id].map { !$0.isClosing && !$0.isClosedByPeer } ?? false }

  public func options(of id: ID) -> DataChannelOptions? { channels[id]?.options }

  /// Whether the message was queued: not when the channel is closed.
  @discardableResult
  public func send(
    _ bytes: [UInt8], isText: Bool = false, on id: ID, at now: Instant, into out: inout Output
  ) -> Bool {
    guard let channel = channels[id], !channel.isClosing, !channel.isClosedByPeer else { return false }
    // RFC 8831 §6.6: SCTP has no empty messages, so one byte stands for none.
    var ppid = isText ? DataChannelMessage.PPID.text : DataChannelMessage.PPID.binary
    if bytes.isEmpty { ppid = isText ? DataChannelMessage.PPID.emptyText : DataChannelMessage.PPID.emptyBinary }
    send(
      SCTPMessage(
        stream: id, ppid: ppid, bytes: bytes.isEmpty ? [0] : bytes,
        isOrdered: channel.options.isOrdered || !channel.isAcknowledged, reliability: channel.options.reliability,
        priority: channel.options.priority),
      at: now, into: &out)
    return true
  }

  /// Bytes of this channel the network has not taken yet.
  public func bufferedAmount(_ id: ID) -> Int { association.queuedBytes(onStream: id) }

  /// Closes a channel when what was sent on it has arrived (RFC 8831 §6.7).
  public func close(_ id: ID, at now: Instant, into out: inout Output) {
    guard let channel = channels[id], !channel.isClosing else { return }
    channels[id]?.isClosing = true
    reset(id, at: now, into: &out)
  }

  // MARK: The association's calls, passed through

  public func connect(at now: Instant, into out: inout Output) {
    step(at: now, into: &out) { association.connect(at: now, into: &$0) }
  }

  public func receive(_ packet: [UInt8], at now: Instant, into out: inout Output) {
    step(at: now, into: &out) { association.receive(packet, at: now, into: &$0) }
  }

  public func tick(at now: Instant, into out: inout Output) {
    step(at: now, into: &out) { association.tick(at: now, into: &$0) }
  }

  public func shutDown(at now: Instant, into out: inout Output) {
    step(at: now, into: &out) { association.shutDown(at: now, into: &$0) }
  }

  public func abort(into out: inout Output) {
    var below = SCTPAssociation.Output()
    association.abort(into: &below)
    out.packets += below.packets
  }

  public var nextDeadline: Instant? { association.nextDeadline }

  // MARK: Inside

  private func send(_ message: SCTPMessage, at now: Instant, into out: inout Output) {
    step(at: now, into: &out) { association.send(message, at: now, into: &$0) }
  }

  private func reset(_ id: ID, at now: Instant, into out: inout Output) {
    step(at: now, into: &out) { association.reset(streams: [id], at: now, into: &$0) }
  }

  private func step(
    at now: Instant, into out: inout Output, _ body: (inout SCTPAssociation.Output) -> Void
  ) {
    var below = SCTPAssociation.Output()
    body(&below)
    out.packets += below.packets
    for event in below.events { handle(event, at: now, into: &out) }
  }

  private func handle(_ event: SCTPAssociation.Event, at now: Instant, into out: inout Output) {
    switch event {
    case .connected(let streams):
      outboundStreams = streams
      out.events.append(.connected)
    case .message(let message): handle(message, at: now, into: &out)
    case .peerReset(let streams):
      for id in streams { peerClosed(id, at: now, into: &out) }
    case .resetDone(let streams):
      for id in streams {
        channels[id]?.isReset = true
        retire(id, into: &out)
      }
    case .drained: out.events.append(.drained)
    case .ended(let end): out.events.append(.ended(end))
    }
  }

  private func handle(_ message: SCTPMessage, at now: Instant, into out: inout Output) {
    let id = message.stream
    switch message.ppid {
    case DataChannelMessage.PPID.control:
      switch DataChannelMessage(message.bytes) {
      case .open(let options): accept(id, options, at: now, into: &out)
      case .acknowledge:
        guard let channel = channels[id], !channel.isAcknowledged else { return }
        channels[id]?.isAcknowledged = true
        out.events.append(.acknowledged(id))
      case nil: reset(id, at: now, into: &out)
      }
    case DataChannelMessage.PPID.text: deliver(id, message.bytes, isText: true, into: &out)
    case DataChannelMessage.PPID.binary: deliver(id, message.bytes, isText: false, into: &out)
    case DataChannelMessage.PPID.emptyText: deliver(id, [], isText: true, into: &out)
    case DataChannelMessage.PPID.emptyBinary: deliver(id, [], isText: false, into: &out)
    default: break
    }
  }

  private func deliver(_ id: ID, _ bytes: [UInt8], isText: Bool, into out: inout Output) {
    guard channels[id] != nil else { return }
    // RFC 8832 §6: any message on the stream shows that the peer knows the channel.
    channels[id]?.isAcknowledged = true
    out.events.append(.message(id, bytes, isText: isText))
  }

  private func accept(_ id: ID, _ options: DataChannelOptions, at now: Instant, into out: inout Output) {
    // RFC 8832 §6: the peer's identifiers are of the other parity than ours, and a stream is opened once.
    let isPeersParity = (id % 2 == 0) != isDTLSClient
    guard isPeersParity, channels[id] == nil, channels.count < Self.maximumChannels, id < outboundStreams else {
      reset(id, at: now, into: &out)
      return
    }
    channels[id] = Channel(options: options, isAcknowledged: true)
    send(
      SCTPMessage(
        stream: id, ppid: DataChannelMessage.PPID.control, bytes: DataChannelMessage.acknowledge.serialized,
        priority: .signalling),
      at: now, into: &out)
    out.events.append(.opened(id, options))
  }

  private func peerClosed(_ id: ID, at now: Instant, into out: inout Output) {
    guard let channel = channels[id], !channel.isClosedByPeer else { return }
    channels[id]?.isClosedByPeer = true
    // RFC 8831 §6.7: "the other side MUST reset its outgoing stream" in turn.
    if !channel.isClosing {
      channels[id]?.isClosing = true
      reset(id, at: now, into: &out)
    }
    retire(id, into: &out)
  }

  private func retire(_ id: ID, into out: inout Output) {
    guard let channel = channels[id], channel.isClosedByPeer, channel.isReset else { return }
    channels[id] = nil
    out.events.append(.closed(id))
  }

  private func freeID() -> ID? {
    for _ in 0..<(outboundStreams / 2) {
      let id = nextID
      nextID = nextID &+ 2 < outboundStreams ? nextID &+ 2 : (isDTLSClient ? 0 : 1)
      if channels[id] == nil, id < outboundStreams { return id }
    }
    return nil
  }
}
