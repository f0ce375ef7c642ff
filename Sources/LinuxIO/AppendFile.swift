import CLinux
import EdgeCore

/// A file that only grows, such as a journal. What was appended survives a crash of the process and of the machine.
public final class AppendFile {
  public let path: String
  private let descriptor: FileDescriptor

  /// Makes the file when there is none. An unfinished last line, left by a crash, is ended.
  public init(_ path: String, mode: UInt32 = 0o600) throws(FileError) {
    self.path = path
    do throws(SystemError) {
      descriptor = FileDescriptor(
        owning: try systemCall("open") { edge_open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, mode) })
      let raw = descriptor.raw
      let size = try systemCall("lseek") { lseek(raw, 0, SEEK_END) }
      guard size > 0 else { return }
      var last: UInt8 = 0
      try systemCall("pread") { pread(raw, &last, 1, size - 1) }
      if last != 0x0A { try File.writeAll(raw, [0x0A].span.bytes) }
    } catch {
      throw FileError(path, error)
    }
  }

  /// Durable when it returns.
  public func append(_ bytes: [UInt8]) throws(FileError) {
    do throws(SystemError) {
      let raw = descriptor.raw
      try File.writeAll(raw, bytes.span.bytes)
      try systemCall("fdatasync") { fdatasync(raw) }
    } catch {
      throw FileError(path, error)
    }
  }
}
