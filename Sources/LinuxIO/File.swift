import CLinux

/// A file operation that failed, in words that name the file.
public struct FileError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Kind: Hashable, Sendable {
    case notFound
    case notAllowed
    /// The file is larger than the caller accepts.
    case tooLarge(maxBytes: Int)
    /// The disk, or the user's share of it, is full.
    case diskFull
    case notAFile
    /// Somebody else is at it now.
    case inUse
    case system(SystemError)
  }

  public let path: String
  public let kind: Kind

  public init(path: String, kind: Kind) {
    self.path = path
    self.kind = kind
  }

  init(_ path: String, _ error: SystemError) {
    self.path = path
    switch error.errno {
    case ENOENT, ENOTDIR: kind = .notFound
    case EACCES, EPERM, EROFS: kind = .notAllowed
    // EFBIG is the limit set with RLIMIT_FSIZE or by the file system.
    case ENOSPC, EDQUOT, EFBIG: kind = .diskFull
    case EISDIR: kind = .notAFile
    default: kind = .system(error)
    }
  }

  public var description: String {
    switch kind {
    case .notFound: "\(path): no such file or directory"
    case .notAllowed: "\(path): not allowed to open or change it: check its owner and mode"
    case .tooLarge(let maxBytes): "\(path): larger than \(maxBytes) bytes"
    case .diskFull: "\(path): the disk is full"
    case .notAFile: "\(path): not a regular file"
    case .inUse: "\(path): in use by another transfer"
    case .system(let error): "\(path): \(error)"
    }
  }
}

/// Whole files, read and written with care.
public enum File {
  /// The contents of a file of at most `maxBytes`. Reads what says it is empty too (/proc).
  public static func read(_ path: String, maxBytes: Int) throws(FileError) -> [UInt8] {
    do throws(SystemError) {
      let file = FileDescriptor(
        owning: try systemCall("open") { edge_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0) })
      var status = stat()
      try systemCall("fstat") { fstat(file.raw, &status) }
      if status.st_mode & UInt32(S_IFMT) == UInt32(S_IFDIR) { throw SystemError(call: "open", errno: EISDIR) }
      var bytes: [UInt8] = []
      bytes.reserveCapacity(min(maxBytes, max(0, Int(status.st_size))) + 1)
      try withScratch { (scratch: UnsafeMutableRawBufferPointer) throws(SystemError) in
        // One byte more than the limit is asked for, to tell a full file from a larger one.
        while bytes.count <= maxBytes {
          let wanted = min(scratch.count, maxBytes + 1 - bytes.count)
          let count = try systemCall("read") { CLinux.read(file.raw, scratch.baseAddress, wanted) }
          if count == 0 { break }
          bytes.append(contentsOf: scratch[..<count])
        }
      }
      if bytes.count > maxBytes { throw SystemError(call: "read", errno: EMSGSIZE) }
      return bytes
    } catch {
      if error.errno == EMSGSIZE { throw FileError(path: path, kind: .tooLarge(maxBytes: maxBytes)) }
      throw FileError(path, error)
    }
  }

  /// Replaces or makes a file so that after a crash or power loss it is whole: the old one or the new one.
  ///
  /// Writes a temporary file beside it, flushes that to the disk, renames it over the old one and flushes the directory.
  public static func writeAtomically(_ bytes: [UInt8], to path: String, mode: UInt32 = 0o600) throws(FileError) {
    let temporary = "\(path).\(getpid()).new"
    do throws(SystemError) {
      // Left by a process of the same number that died half way.
      unlink(temporary)
      do throws(SystemError) {
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW
        let file = FileDescriptor(owning: try systemCall("open") { edge_open(temporary, flags, mode) })
        // The mode given to open is cut by the umask.
        try systemCall("fchmod") { fchmod(file.raw, mode) }
        try writeAll(file.raw, bytes.span.bytes)
        try systemCall("fsync") { fsync(file.raw) }
        try systemCall("rename") { rename(temporary, path) }
      } catch {
        unlink(temporary)
        throw error
      }
      let directory = FileDescriptor(
        owning: try systemCall("open") {
          edge_open(UnixPath.directory(of: path), O_RDONLY | O_CLOEXEC | O_DIRECTORY, 0)
        })
      try systemCall("fsync") { fsync(directory.raw) }
    } catch {
      throw FileError(path, error)
    }
  }

  /// Makes the directory and its missing parents; those that exist keep their mode.
  public static func makeDirectories(_ path: String, mode: UInt32 = 0o755) throws(FileError) {
    var end = path.startIndex
    while end < path.endIndex {
      end = path[path.index(after: end)...].firstIndex(of: "/") ?? path.endIndex
      let part = String(path[..<end])
      do throws(SystemError) {
        try systemCall("mkdir") { mkdir(part, mode) }
      } catch {
        guard isDirectory(part) else {
          // Something else is in the way.
          throw error.errno == EEXIST ? FileError(path: part, kind: .notAFile) : FileError(part, error)
        }
      }
    }
  }

  public static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & UInt32(S_IFMT) == UInt32(S_IFDIR)
  }

  /// Bytes a user that is not root may still write where `path` is; `nil` when that cannot be told.
  public static func freeBytes(at path: String) -> Int64? {
    var facts = statvfs()
    guard statvfs(path, &facts) == 0 else { return nil }
    return Int64(clamping: UInt64(facts.f_bavail).multipliedReportingOverflow(by: UInt64(facts.f_frsize)).partialValue)
  }

  /// Bytes of a file; `nil` when there is none.
  public static func size(_ path: String) -> Int? {
    var facts = stat()
    return stat(path, &facts) == 0 ? Int(facts.st_size) : nil
  }

  /// Gives a file another name, in place of what has that name.
  public static func move(_ path: String, to other: String) throws(FileError) {
    do throws(SystemError) {
      try systemCall("rename") { rename(path, other) }
    } catch {
      throw FileError(path, error)
    }
  }

  public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// Removes a file; one that is not there is fine.
  public static func remove(_ path: String) throws(FileError) {
    do throws(SystemError) {
      try systemCall("unlink") { unlink(path) }
    } catch {
      guard error.errno != ENOENT else { return }
      throw FileError(path, error)
    }
  }

  /// Removes a directory and all that is in it, as far as allowed. Links are removed, not followed.
  public static func removeTree(_ path: String) {
    for name in names(in: path) ?? [] {
      let child = path + "/" + name
      if isDirectory(child), !isLink(child) { removeTree(child) } else { unlink(child) }
    }
    rmdir(path)
  }

  private static func isLink(_ path: String) -> Bool {
    var facts = stat()
    return lstat(path, &facts) == 0 && UInt32(facts.st_mode) & UInt32(S_IFMT) == UInt32(S_IFLNK)
  }

  /// The names in a directory, sorted, without `.` and `..`; `nil` when it cannot be read.
  public static func names(in directory: String) -> [String]? {
    guard let stream = opendir(directory) else { return nil }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = String(cString: edge_dirent_name(entry))
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Writes everything to an open blocking descriptor.
  static func writeAll(_ descriptor: Int32, _ bytes: RawSpan) throws(SystemError) {
    try bytes.withUnsafeBytes { (buffer: UnsafeRawBufferPointer) throws(SystemError) in
      var offset = 0
      while offset < buffer.count {
        offset += try systemCall("write") {
          write(descriptor, buffer.baseAddress! + offset, buffer.count - offset)
        }
      }
    }
  }

  private static func withScratch(
    _ body: (UnsafeMutableRawBufferPointer) throws(SystemError) -> Void
  ) throws(SystemError) {
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
    defer { scratch.deallocate() }
    try body(scratch)
  }
}

/// A file read bit by bit, such as a recording.
public final class InputFile {
  public let path: String
  private let descriptor: FileDescriptor

  public init(_ path: String) throws(FileError) {
    self.path = path
    do throws(SystemError) {
      descriptor = FileDescriptor(owning: try systemCall("open") { edge_open(path, O_RDONLY | O_CLOEXEC, 0) })
    } catch {
      throw FileError(path, error)
    }
  }

  /// The next bytes, at most `maxBytes`; none at the end of the file.
  public func read(maxBytes: Int) throws(FileError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: maxBytes)
    do throws(SystemError) {
      let raw = descriptor.raw
      let count = try systemCall("read") { bytes.withUnsafeMutableBytes { CLinux.read(raw, $0.baseAddress, maxBytes) } }
      bytes.removeLast(maxBytes - count)
      return bytes
    } catch {
      throw FileError(path, error)
    }
  }
}

/// A file written bit by bit, such as a viewer's output. Standard output too.
public final class OutputFile {
  public let path: String
  private let descriptor: FileDescriptor?
  private let raw: Int32

  /// Makes or empties the file; `-` is standard output.
  public init(_ path: String, mode: UInt32 = 0o644) throws(FileError) {
    self.path = path
    guard path != "-" else {
      descriptor = nil
      raw = STDOUT_FILENO
      return
    }
    do throws(SystemError) {
      raw = try systemCall("open") { edge_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode) }
    } catch {
      throw FileError(path, error)
    }
    descriptor = FileDescriptor(owning: raw)
  }

  /// Waits until the system took all of it. A closed pipe is ``FileError/Kind/system(_:)`` with EPIPE.
  public func write(_ bytes: [UInt8]) throws(FileError) { try write(bytes.span.bytes) }

  public func write(_ bytes: RawSpan) throws(FileError) {
    do throws(SystemError) {
      try File.writeAll(raw, bytes)
    } catch {
      throw FileError(path == "-" ? "standard output" : path, error)
    }
  }
}
