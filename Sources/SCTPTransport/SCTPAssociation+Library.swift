internal import CLinux
internal import CUsrsctp
internal import EdgeCore

// MARK: The calls into libusrsctp. All inside the lock.

extension SCTPAssociation {
  func open() -> SCTPError? {
    guard
      let socket = usrsctp_socket(
        AF_CONN, Int32(SOCK_STREAM.rawValue), sctpLevel, receiveThunk, freeSpaceThunk, 1, SCTPLibrary.pointer(number))
    else { return .refused(doing: "open a socket", errno: edge_errno()) }
    self.socket = socket
    usrsctp_set_non_blocking(socket, 1)
    var lingering = linger(l_onoff: 1, l_linger: 0)
    var isSet = set(SOL_SOCKET, SO_LINGER, &lingering)
    var buffers = Int32(configuration.sendBuffer)
    isSet = set(SOL_SOCKET, SO_SNDBUF, &buffers) && isSet
    buffers = Int32(configuration.receiveBuffer)
    isSet = set(SOL_SOCKET, SO_RCVBUF, &buffers) && isSet
    var on: Int32 = 1
    isSet = set(sctpLevel, SCTP_NODELAY, &on) && isSet
    isSet = set(sctpLevel, SCTP_EXPLICIT_EOR, &on) && isSet
    isSet = set(sctpLevel, SCTP_RECVRCVINFO, &on) && isSet
    var resetting = sctp_assoc_value()
    resetting.assoc_id = UInt32(SCTP_ALL_ASSOC)
    resetting.assoc_value = UInt32(SCTP_ENABLE_RESET_STREAM_REQ | SCTP_ENABLE_CHANGE_ASSOC_REQ)
    isSet = set(sctpLevel, SCTP_ENABLE_STREAM_RESET, &resetting) && isSet
    var streams = sctp_initmsg()
    streams.sinit_num_ostreams = configuration.streams
    streams.sinit_max_instreams = configuration.streams
    isSet = set(sctpLevel, SCTP_INITMSG, &streams) && isSet
    // RFC 8261 §5: no path MTU discovery below DTLS; whether the path lives is ICE's to say, so no heartbeats either.
    var path = sctp_paddrparams()
    path.spp_flags = UInt32(SPP_PMTUD_DISABLE | SPP_HB_DISABLE)
    // libusrsctp counts the common header (12 bytes) on top of this.
    path.spp_pathmtu = UInt32(configuration.maximumPacket - 12)
    isSet = set(sctpLevel, SCTP_PEER_ADDR_PARAMS, &path) && isSet
    for type in [
      SCTP_ASSOC_CHANGE, SCTP_STREAM_RESET_EVENT, SCTP_PARTIAL_DELIVERY_EVENT, SCTP_SENDER_DRY_EVENT,
    ] {
      var event = sctp_event()
      event.se_assoc_id = UInt32(SCTP_ALL_ASSOC)
      event.se_type = UInt16(type)
      event.se_on = 1
      isSet = set(sctpLevel, SCTP_EVENT, &event) && isSet
    }
    guard isSet else { return .refused(doing: "set up a socket", errno: edge_errno()) }
    var local = address(configuration.localPort)
    let bound = withUnsafeMutablePointer(to: &local) {
      usrsctp_bind(
        socket, UnsafeMutableRawPointer($0).assumingMemoryBound(to: sockaddr.self),
        socklen_t(MemoryLayout<sockaddr_conn>.size))
    }
    guard bound == 0 else { return .refused(doing: "bind", errno: edge_errno()) }
    return nil
  }

  private func set<Value: BitwiseCopyable>(
    _ level: some BinaryInteger, _ option: some BinaryInteger, _ value: inout Value
  ) -> Bool {
    usrsctp_setsockopt(socket, Int32(level), Int32(option), &value, socklen_t(MemoryLayout<Value>.size)) == 0
  }

  func address(_ port: UInt16) -> sockaddr_conn {
    var address = sockaddr_conn()
    address.sconn_family = UInt16(AF_CONN)
    address.sconn_port = port.bigEndian
    address.sconn_addr = SCTPLibrary.pointer(number)
    return address
  }

  func status() -> sctp_status? {
    guard let socket, state == .up || state == .shuttingDown else { return nil }
    var status = sctp_status()
    var size = socklen_t(MemoryLayout<sctp_status>.size)
    guard usrsctp_getsockopt(socket, sctpLevel, Int32(SCTP_STATUS), &status, &size) == 0 else { return nil }
    return status
  }

  /// Of retransmissions: more than any association lives to make.
  private static let noLimit = UInt32(Int32.max)

  /// How many bytes were taken; 0 when none can be now. A message libusrsctp will never take counts as taken.
  func transmit(_ piece: SendQueue.Piece, isLast: Bool, _ socket: OpaquePointer) -> Int {
    var parameters = sctp_sendv_spa()
    parameters.sendv_flags = UInt32(SCTP_SEND_SNDINFO_VALID)
    parameters.sendv_sndinfo.snd_sid = piece.stream
    parameters.sendv_sndinfo.snd_ppid = piece.ppid.bigEndian
    var flags: Int32 = isLast ? Int32(SCTP_EOR) : 0
    if !piece.isOrdered { flags |= Int32(SCTP_UNORDERED) }
    parameters.sendv_sndinfo.snd_flags = UInt16(flags)
    let policy: (kind: Int, value: UInt32)
    switch piece.reliability {
    case .reliable:
      // Sent again as often as it takes, which is said in this way for the sake of the timer: libusrsctp 0.9.5 has a
      // short way through an acknowledgement that leaves T3-rtx running where RFC 9260 §6.3.2 R3 restarts it, so that
      // it expires every two RTOs while anything is in flight and the congestion window falls to one packet though
      // nothing was lost. While a message under a limit of retransmissions is in flight it takes the long way.
      policy = (Int(SCTP_PR_SCTP_RTX), Self.noLimit)
    case .retransmissions(let count): policy = (Int(SCTP_PR_SCTP_RTX), UInt32(count))
    case .lifetime(let milliseconds): policy = (Int(SCTP_PR_SCTP_TTL), UInt32(milliseconds))
    }
    parameters.sendv_flags |= UInt32(SCTP_SEND_PRINFO_VALID)
    parameters.sendv_prinfo = sctp_prinfo(pr_policy: UInt16(policy.kind), pr_value: policy.value)
    let count = piece.bytes.withUnsafeBytes {
      usrsctp_sendv(
        socket, $0.baseAddress, $0.count, nil, 0, &parameters, socklen_t(MemoryLayout<sctp_sendv_spa>.size),
        UInt32(SCTP_SENDV_SPA), 0)
    }
    if count >= 0 { return count }
    let code = edge_errno()
    return code == EWOULDBLOCK || code == ENOTCONN || code == ENOBUFS ? 0 : piece.bytes.count
  }

  func requestReset(_ streams: [UInt16], _ socket: OpaquePointer) {
    // struct sctp_reset_streams: association, flags, count, then the streams.
    var bytes = [UInt8](repeating: 0, count: 8 + streams.count * 2)
    let size = bytes.count
    let result = bytes.withUnsafeMutableBytes { raw in
      raw.storeBytes(of: UInt32(SCTP_ALL_ASSOC), toByteOffset: 0, as: UInt32.self)
      raw.storeBytes(of: UInt16(SCTP_STREAM_RESET_OUTGOING), toByteOffset: 4, as: UInt16.self)
      raw.storeBytes(of: UInt16(streams.count), toByteOffset: 6, as: UInt16.self)
      for (index, stream) in streams.enumerated() {
        raw.storeBytes(of: stream, toByteOffset: 8 + index * 2, as: UInt16.self)
      }
      return usrsctp_setsockopt(
        socket, sctpLevel, Int32(SCTP_RESET_STREAMS), raw.baseAddress, socklen_t(size))
    }
    guard result != 0 else { return }
    switch edge_errno() {
    case EALREADY, EAGAIN, EINPROGRESS, ENOMEM: resets.failed(streams)
    // A peer without RFC 6525: the streams stay open on the wire and are closed for us.
    default: inbox.items.append(.resetRefused(streams))
    }
  }
}

/// `IPPROTO_SCTP`, the level of SCTP's socket options.
let sctpLevel: Int32 = 132
