import CLinux

/// The one owner of an open descriptor: closed when the value ends its life.
public struct FileDescriptor: ~Copyable {
  public let raw: Int32

  /// Takes over `raw`, which nobody else may close.
  public init(owning raw: Int32) { self.raw = raw }

  deinit {
    // Linux frees the descriptor even when close reports EINTR or EIO: never try again.
    close(raw)
  }
}
