internal import EdgeCore
internal import ICE
internal import LinuxIO
internal import SCTPTransport
internal import SDP
internal import STUN
internal import SecureTransport

/// A DTLS datagram that came before its path was validated: the peer was faster than its own description.
struct EarlyDatagram {
  var source: SocketAddress
  var local: SocketAddress
  var bytes: [UInt8]
}

/// What comes from and goes to the network.
extension PeerSession {
  /// Enough for one handshake flight; the rest is repeated by the peer.
  private static let maximumEarly = 4
  /// A congestion window's beginning, and what was asked for meanwhile.
  private static let maximumHeld = 64
  /// The first of what may have been lost: once those have arrived, SCTP knows what else is missing.
  private static let maximumUnanswered = 16

  /// RFC 7983 §7: the first byte tells STUN from DTLS.
  func receive(_ bytes: RawSpan, from source: SocketAddress, to local: SocketAddress) {
    guard phase != .closed else { return }
    receivedDatagrams &+= 1
    receivedBytes &+= UInt64(bytes.byteCount)
    switch MuxedProtocol(of: bytes) {
    case .stun:
      if !receiveForGatherers(bytes, from: source, to: local) {
        var out = Outbox<ICEEvent>()
        agent?.receive(bytes, from: source, to: local, at: reactor.now, into: &out)
        apply(out)
        replayEarly()
      }
    case .dtls: receiveDTLS([UInt8](copying: bytes), from: source, to: local)
    case .zrtp, .turnChannel, .rtp, .unknown: break
    }
    arm()
  }

  /// Anyone can send a ClientHello or an alert to this port: only a checked path is listened to.
  private func receiveDTLS(_ bytes: [UInt8], from source: SocketAddress, to local: SocketAddress) {
    let isValidated = agent?.isValidated(local: local, remote: source) ?? false
    guard isValidated, let dtls else {
      if dtls?.isEstablished != true, earlyDTLS.count < Self.maximumEarly, bytes.count <= 1500 {
        earlyDTLS.append(EarlyDatagram(source: source, local: local, bytes: bytes))
      }
      return
    }
    lastReceivedAt = reactor.now
    doubtAt = nil
    isSilent = false
    if !unanswered.isEmpty { unanswered.removeAll(keepingCapacity: true) }
    var out = DTLSSession.Output()
    dtls.receive(bytes, at: reactor.now, into: &out)
    apply(out)
  }

  private func replayEarly() {
    guard !earlyDTLS.isEmpty, dtls != nil else { return }
    let waiting = earlyDTLS
    earlyDTLS = []
    for datagram in waiting { receiveDTLS(datagram.bytes, from: datagram.source, to: datagram.local) }
  }

  func transmit(_ datagram: Datagram) {
    guard phase != .closed else { return }
    sentDatagrams &+= 1
    sentBytes &+= UInt64(datagram.bytes.count)
    if let source = datagram.source, let relay = relay(at: source) {
      relay.send(datagram.bytes, to: datagram.destination)
      return
    }
    if let source = datagram.source, let socket = guessedSocket(at: source) { return socket.send(datagram) }
    for socket in sockets where socket.localAddress.ip.isV4 == datagram.destination.ip.isV4 {
      socket.send(datagram, timeToLive: datagram.timeToLive.map { Int($0) })
    }
  }

  /// On the path in use; dropped when there is none. On one that was idle the peer is asked first (RFC 7675 §5.1).
  func transmit(_ bytes: [UInt8]) {
    guard agent?.selectedPath != nil else { return }
    var out = Outbox<ICEEvent>()
    let mayLeave = agent?.maySend(at: reactor.now, into: &out) ?? false
    apply(out)
    guard mayLeave, let path = agent?.selectedPath else {
      // SCTP repeats what does not fit.
      if held.count < Self.maximumHeld { held.append(bytes) }
      return
    }
    if unanswered.count < Self.maximumUnanswered { unanswered.append(bytes) }
    transmit(Datagram(source: path.base, destination: path.destination, bytes: bytes))
  }

  /// What went nowhere over a path that had died goes over the new one: SCTP would wait up to a second before it repeats
  /// that. Should it have arrived after all, DTLS drops it (RFC 6347 §4.1.2.6).
  private func repeatUnanswered() {
    let waiting = unanswered
    unanswered.removeAll(keepingCapacity: true)
    for bytes in waiting { transmit(bytes) }
  }

  private func releaseHeld() {
    let waiting = held
    held = []
    for bytes in waiting { transmit(bytes) }
  }

  // MARK: ICE

  func apply(_ out: Outbox<ICEEvent>) {
    for datagram in out.datagrams { transmit(datagram) }
    for event in out.events {
      guard phase != .closed else { return }
      switch event {
      case .selected(let path): pathSelected(path)
      case .completed: releaseUnusedRelays()
      case .consentRenewed: releaseHeld()
      case .consentDoubtful: onPathDoubtful?(true)
      case .consentRestored: onPathDoubtful?(false)
      case .consentLost: end(.consentLost)
      // A restart that finds nothing better leaves the session on the path it has.
      case .failed(let failure): if agent?.selectedPath == nil { end(.noPath(failure)) }
      }
    }
  }

  private func pathSelected(_ path: SelectedPath) {
    let isFirst = trace.path == nil
    if isFirst { trace.path = reactor.now - startedAt }
    if let dtls, !dtls.isEstablished {
      var out = DTLSSession.Output()
      if isFirst {
        dtls.start(at: reactor.now, into: &out)
      } else {
        dtls.repeatLastFlight(into: &out)
      }
      apply(out)
    }
    letOldRelaysGo()
    if !isFirst {
      channels?.association.pathChanged()
      repeatUnanswered()
    }
    releaseHeld()
    if !isFirst, phase != .closed, let current = self.path { onPathChanged?(current) }
  }

  // MARK: DTLS

  func apply(_ out: DTLSSession.Output) {
    for datagram in out.datagrams { transmit(datagram) }
    for event in out.events {
      guard phase != .closed else { return }
      switch event {
      case .established: secured()
      case .received(let packet):
        guard let channels else { continue }
        var below = DataChannels.Output()
        channels.receive(packet, at: reactor.now, into: &below)
        apply(below)
      case .closedByPeer: end(isLeaving ? .local : .closedByPeer)
      case .failed(.fingerprintMismatch(let presented)): end(.fingerprintMismatch(presented: presented))
      case .failed(let failure): end(.dtls(failure))
      }
    }
  }

  /// Both ends open SCTP at once: whoever's INIT is first wins, and nobody waits.
  private func secured() {
    guard let dtls, let remote else { return }
    trace.dtls = reactor.now - startedAt
    earlyDTLS = []
    var sctp = configuration.sctp
    sctp.remotePort = remote.sctpPort
    do throws(SCTPError) {
      let association = try SCTPAssociation(sctp, at: reactor.now)
      let channels = DataChannels(association, isDTLSClient: dtls.role == .client)
      self.channels = channels
      openNegotiated()
      var out = DataChannels.Output()
      channels.connect(at: reactor.now, into: &out)
      apply(out)
    } catch {
      switch error {
      case .tooMany: end(.setup("too many sessions at a time"))
      case .refused(let doing, let errno): end(.setup("SCTP cannot \(doing): errno \(errno)"))
      }
      return
    }
    let wanted = wantedChannels
    wantedChannels = []
    for want in wanted { if let channel = makeChannel(want.options) { want.made(channel) } }
  }

  // MARK: SCTP

  func apply(_ out: DataChannels.Output) {
    seal(out.packets)
    for event in out.events {
      guard phase != .closed else { return }
      switch event {
      case .connected: opened()
      case .opened(let id, let options):
        let channel = PeerChannel(id: id, options: options, session: self)
        peerChannels.append(channel)
        onChannel?(channel)
      case .acknowledged, .drained: break
      case .message(let id, let bytes, let isText):
        if trace.firstMessage == nil { trace.firstMessage = reactor.now - startedAt }
        peerChannels.first { $0.id == id }?.onMessage?(bytes, isText)
      case .closed(let id):
        guard let index = peerChannels.firstIndex(where: { $0.id == id }) else { continue }
        peerChannels.remove(at: index).retire()?()
      case .ended(let end): associationEnded(end)
      }
    }
    for channel in peerChannels where phase != .closed { channel.noteBuffered() }
  }

  func seal(_ packets: [[UInt8]]) {
    guard let dtls else { return }
    var out = DTLSSession.Output()
    for packet in packets { dtls.send(packet, into: &out) }
    for datagram in out.datagrams { transmit(datagram) }
  }

  private func opened() {
    guard !isOpen else { return }
    isOpen = true
    trace.sctp = reactor.now - startedAt
    if let openTimer { reactor.cancel(openTimer) }
    openTimer = nil
    onOpen?()
  }

  private func associationEnded(_ end: SCTPEnd) {
    if isLeaving {
      close()
      return
    }
    switch end {
    // RFC 8831 §6.2 has no orderly end of its own: both are the peer's way to leave.
    case .shutDown, .aborted: self.end(isOpen ? .closedByPeer : .sctp(end))
    case .lost, .notEstablished, .messageTooLarge: self.end(.sctp(end))
    }
  }
}
