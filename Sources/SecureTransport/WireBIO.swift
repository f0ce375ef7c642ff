internal import COpenSSL

/// The network side of one OpenSSL session: a BIO over two Swift arrays.
///
/// OpenSSL holds the BIO and the BIO points back here without owning: the session that owns this object
/// also owns the `SSL`, and frees the `SSL` (which frees the BIO) in its `deinit`, before this object can go.
///
/// OpenSSL's own memory BIO would join datagrams that must stay apart and never gives memory back.
final class WireBIO {
  enum Kind { case stream, datagram }

  let raw: OpaquePointer
  private let kind: Kind
  private var inbound: [UInt8] = []
  private var offset = 0
  private var outbound: [[UInt8]] = []

  init(_ kind: Kind) {
    guard let raw = BIO_new(Self.method) else { preconditionFailure("out of memory for a BIO") }
    self.kind = kind
    self.raw = raw
    BIO_set_data(raw, Unmanaged.passUnretained(self).toOpaque())
    BIO_set_init(raw, 1)
  }

  /// Hands in what came from the network. For datagrams: one at a time, read to its end or lost.
  func receive(_ bytes: [UInt8]) {
    if kind == .datagram || offset == inbound.count {
      inbound = bytes
      offset = 0
    } else {
      inbound.removeFirst(offset)
      inbound += bytes
      offset = 0
    }
  }

  /// Lets go of the input buffer once all of it was read.
  func releaseInput() {
    guard offset == inbound.count else { return }
    inbound = []
    offset = 0
  }

  /// What OpenSSL wrote, one entry for each write: for DTLS, one datagram each.
  func takeOutput() -> [[UInt8]] {
    defer { outbound = [] }
    return outbound
  }

  // MARK: Called by OpenSSL

  private func read(into buffer: UnsafeMutableRawBufferPointer) -> Int32 {
    let count = min(buffer.count, inbound.count - offset)
    guard count > 0 else { return -1 }
    inbound.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count])) }
    // A datagram is never read in two goes: what did not fit is gone, as with recv().
    offset = kind == .datagram ? inbound.count : offset + count
    return Int32(count)
  }

  private func write(_ bytes: UnsafeRawBufferPointer) -> Int32 {
    if kind == .stream, !outbound.isEmpty {
      outbound[outbound.count - 1] += bytes
    } else {
      outbound.append([UInt8](bytes))
    }
    return Int32(bytes.count)
  }

  private static func of(_ bio: OpaquePointer?) -> WireBIO {
    Unmanaged<WireBIO>.fromOpaque(BIO_get_data(bio)!).takeUnretainedValue()
  }

  /// Never changed after it is made, and made once.
  nonisolated(unsafe) private static let method: OpaquePointer = {
    let type = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK
    guard let method = BIO_meth_new(type, "edge wire") else { preconditionFailure("out of memory for a BIO method") }
    BIO_meth_set_read(method) { bio, buffer, count in
      BIO_clear_flags(bio, retryFlags)
      guard let buffer, count > 0 else { return 0 }
      let result = WireBIO.of(bio).read(into: UnsafeMutableRawBufferPointer(start: buffer, count: Int(count)))
      if result < 0 { BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY) }
      return result
    }
    BIO_meth_set_write(method) { bio, buffer, count in
      BIO_clear_flags(bio, retryFlags)
      guard let buffer, count > 0 else { return 0 }
      return WireBIO.of(bio).write(UnsafeRawBufferPointer(start: buffer, count: Int(count)))
    }
    BIO_meth_set_ctrl(method) { bio, command, _, _ in
      switch command {
      case BIO_CTRL_FLUSH: 1
      case BIO_CTRL_PENDING: WireBIO.of(bio).inbound.count - WireBIO.of(bio).offset
      default: 0
      }
    }
    return method
  }()
}

/// `BIO_clear_retry_flags` is a macro Swift does not see.
private let retryFlags = BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_IO_SPECIAL | BIO_FLAGS_SHOULD_RETRY
