import CLinux

/// Memory to receive into, shared by all sockets of a reactor: at any moment only one of them reads.
///
/// Mostly untouched pages, so its size is not resident memory.
final class ReceiveArena {
  /// Datagrams fetched by one system call.
  static let batch = 16
  /// The largest UDP payload fits (65,507 bytes).
  static let datagramBytes = 65536
  static let controlBytes = 128
  /// Bytes one read from a stream may fetch.
  static let streamBytes = 256 * 1024

  let bytes = UnsafeMutableRawPointer.allocate(byteCount: batch * datagramBytes, alignment: 4096)
  let messages = UnsafeMutablePointer<edge_message>.allocate(capacity: batch)
  let addresses = UnsafeMutablePointer<sockaddr_storage>.allocate(capacity: batch)
  private let vectors = UnsafeMutablePointer<iovec>.allocate(capacity: batch)
  private let controls = UnsafeMutableRawPointer.allocate(byteCount: batch * controlBytes, alignment: 16)

  init() {
    for index in 0..<Self.batch {
      vectors[index] = iovec(iov_base: bytes + index * Self.datagramBytes, iov_len: Self.datagramBytes)
      addresses[index] = sockaddr_storage()
      messages[index] = edge_message()
    }
  }

  deinit {
    bytes.deallocate()
    messages.deallocate()
    addresses.deallocate()
    vectors.deallocate()
    controls.deallocate()
  }

  /// Makes every message header ready for `recvmmsg`, which overwrites lengths.
  func prepare() {
    for index in 0..<Self.batch {
      messages[index].header.msg_name = UnsafeMutableRawPointer(addresses + index)
      messages[index].header.msg_namelen = socklen_t(MemoryLayout<sockaddr_storage>.size)
      messages[index].header.msg_iov = vectors + index
      messages[index].header.msg_iovlen = 1
      messages[index].header.msg_control = controls + index * Self.controlBytes
      messages[index].header.msg_controllen = Self.controlBytes
      messages[index].header.msg_flags = 0
    }
  }
}
