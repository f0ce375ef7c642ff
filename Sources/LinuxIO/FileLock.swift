import CLinux

/// Keeps a name in the file system to one process for as long as this lives; a process that dies lets go of it.
public final class FileLock {
  private let descriptor: FileDescriptor

  /// Makes the file when there is none. `nil` when another process holds it.
  ///
  /// A file system without locks lets everybody in.
  public init?(_ path: String) throws(FileError) {
    do throws(SystemError) {
      descriptor = FileDescriptor(
        owning: try systemCall("open") { edge_open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600) })
    } catch {
      throw FileError(path, error)
    }
    if flock(descriptor.raw, LOCK_EX | LOCK_NB) != 0, edge_errno() == EWOULDBLOCK { return nil }
  }
}
