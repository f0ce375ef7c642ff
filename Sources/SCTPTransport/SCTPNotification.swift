internal import CUsrsctp

/// What libusrsctp says about the association, out of its `union sctp_notification`.
enum SCTPNotification {
  enum ResetKind { case byPeer, done, failed }

  case up(outboundStreams: UInt16)
  case ended(SCTPEnd)
  case streamsReset([UInt16], ResetKind)
  case partialDeliveryAborted(stream: UInt16)
  /// Everything sent has been acknowledged.
  case dry
  case other

  init(_ bytes: [UInt8]) {
    self = bytes.withUnsafeBytes { raw in
      guard raw.count >= 8 else { return .other }
      switch Int32(raw.loadUnaligned(as: UInt16.self)) {
      case SCTP_ASSOC_CHANGE: return Self.change(raw)
      case SCTP_STREAM_RESET_EVENT: return Self.reset(raw)
      case SCTP_PARTIAL_DELIVERY_EVENT:
        guard raw.count >= MemoryLayout<sctp_pdapi_event>.size else { return .other }
        let stream = raw.loadUnaligned(as: sctp_pdapi_event.self).pdapi_stream
        return .partialDeliveryAborted(stream: UInt16(truncatingIfNeeded: stream))
      case SCTP_SENDER_DRY_EVENT: return .dry
      default: return .other
      }
    }
  }

  private static func change(_ raw: UnsafeRawBufferPointer) -> SCTPNotification {
    // sac_type, sac_flags, sac_length, sac_state, sac_error, sac_outbound_streams, sac_inbound_streams, sac_assoc_id
    guard raw.count >= 20 else { return .other }
    let error = raw.loadUnaligned(fromByteOffset: 10, as: UInt16.self)
    switch Int32(raw.loadUnaligned(fromByteOffset: 8, as: UInt16.self)) {
    case SCTP_COMM_UP: return .up(outboundStreams: raw.loadUnaligned(fromByteOffset: 12, as: UInt16.self))
    // With a cause the peer said why; without one it fell silent.
    case SCTP_COMM_LOST: return .ended(error == 0 && raw.count <= 20 ? .lost : .aborted)
    case SCTP_RESTART: return .ended(.aborted)
    case SCTP_SHUTDOWN_COMP: return .ended(.shutDown)
    case SCTP_CANT_STR_ASSOC: return .ended(.notEstablished)
    default: return .other
    }
  }

  private static func reset(_ raw: UnsafeRawBufferPointer) -> SCTPNotification {
    // strreset_type, strreset_flags, strreset_length, strreset_assoc_id, then the streams.
    guard raw.count >= 12 else { return .other }
    let flags = Int32(raw.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
    var streams: [UInt16] = []
    var offset = 12
    while offset + 2 <= raw.count {
      streams.append(raw.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
      offset += 2
    }
    if flags & (SCTP_STREAM_RESET_DENIED | SCTP_STREAM_RESET_FAILED) != 0 { return .streamsReset(streams, .failed) }
    if flags & SCTP_STREAM_RESET_INCOMING_SSN != 0 { return .streamsReset(streams, .byPeer) }
    if flags & SCTP_STREAM_RESET_OUTGOING_SSN != 0 { return .streamsReset(streams, .done) }
    return .other
  }
}
