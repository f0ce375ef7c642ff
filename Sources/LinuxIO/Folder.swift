import CLinux

/// A folder of which only what is below it can be reached: each part of a path is opened in the folder before it, and
/// no link is followed.
public final class Folder {
  public let path: String
  private let descriptor: FileDescriptor

  /// What there is to know of a file or folder.
  public struct Facts: Hashable, Sendable {
    public var isFolder: Bool
    /// Neither a folder nor a regular file: a link, a device, a pipe.
    public var isOther: Bool
    /// Bytes.
    public var size: UInt64
    /// Unix seconds.
    public var modified: Int64
    /// Tells one state of one file from all others, as far as the system can: device, inode, size and times.
    public var identity: [UInt64]

    init(_ status: stat) {
      let kind = UInt32(status.st_mode) & UInt32(S_IFMT)
      isFolder = kind == UInt32(S_IFDIR)
      isOther = !isFolder && kind != UInt32(S_IFREG)
      size = UInt64(max(0, status.st_size))
      modified = Int64(status.st_mtim.tv_sec)
      identity = [
        UInt64(status.st_dev), UInt64(status.st_ino), size, UInt64(bitPattern: Int64(status.st_mtim.tv_sec)),
        UInt64(status.st_mtim.tv_nsec), UInt64(bitPattern: Int64(status.st_ctim.tv_sec)),
        UInt64(status.st_ctim.tv_nsec),
      ]
    }
  }

  /// The folder itself may be a link.
  public init(_ path: String) throws(FileError) {
    self.path = path
    do throws(SystemError) {
      descriptor = FileDescriptor(
        owning: try systemCall("open") { edge_open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY, 0) })
    } catch {
      throw FileError(path, error)
    }
  }

  private init(_ path: String, descriptor: consuming FileDescriptor) {
    self.path = path
    self.descriptor = descriptor
  }

  /// A folder below this one; the parts are names, not paths.
  public func folder(_ parts: some Collection<String>) throws(FileError) -> Folder {
    var folder = self
    for part in parts { folder = try folder.child(part) }
    return folder
  }

  private func child(_ name: String) throws(FileError) -> Folder {
    let flags = O_RDONLY | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW
    return Folder(path + "/" + name, descriptor: try open(name, flags, 0))
  }

  private func open(_ name: String, _ flags: Int32, _ mode: UInt32) throws(FileError) -> FileDescriptor {
    let full = path + "/" + name
    guard Self.isName(name) else { throw FileError(path: full, kind: .notFound) }
    do throws(SystemError) {
      let raw = descriptor.raw
      return FileDescriptor(owning: try systemCall("openat") { edge_openat(raw, name, flags, mode) })
    } catch {
      // A link in the way is as good as nothing there.
      if error.errno == ELOOP { throw FileError(path: full, kind: .notFound) }
      throw FileError(full, error)
    }
  }

  private static func isName(_ name: String) -> Bool {
    !name.utf8.isEmpty && name != "." && name != ".." && !name.utf8.contains(UInt8(ascii: "/"))
      && !name.utf8.contains(0)
  }

  /// What is there under this name, not following a link; `nil` when nothing is.
  public func facts(_ name: String) -> Facts? {
    guard Self.isName(name) else { return nil }
    var status = stat()
    guard fstatat(descriptor.raw, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { return nil }
    return Facts(status)
  }

  /// The names in it, unsorted, at most `limit`, without `.` and `..`; `isCut` when there are more.
  public func names(limit: Int) -> (names: [String], isCut: Bool) {
    // A descriptor of its own: the place in the list is the descriptor's.
    let raw = edge_openat(descriptor.raw, ".", O_RDONLY | O_CLOEXEC | O_DIRECTORY, 0)
    guard raw >= 0, let stream = fdopendir(raw) else { return ([], false) }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = String(cString: edge_dirent_name(entry))
      if name == "." || name == ".." { continue }
      guard names.count < limit else { return (names, true) }
      names.append(name)
    }
    return (names, false)
  }

  /// A regular file, to be read.
  public func read(_ name: String) throws(FileError) -> RandomAccessFile {
    let file = RandomAccessFile(
      path + "/" + name, descriptor: try open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0))
    guard let facts = file.facts, !facts.isFolder, !facts.isOther else {
      throw FileError(path: path + "/" + name, kind: .notAFile)
    }
    return file
  }

  /// A regular file to be read and written, made when there is none.
  public func write(_ name: String, mode: UInt32 = 0o600) throws(FileError) -> RandomAccessFile {
    let flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
    let file = RandomAccessFile(path + "/" + name, descriptor: try open(name, flags, mode))
    guard let facts = file.facts, !facts.isFolder, !facts.isOther else {
      throw FileError(path: path + "/" + name, kind: .notAFile)
    }
    return file
  }

  /// Gives a file of this folder another name in it, which nothing has. `false` when something has.
  public func rename(_ name: String, to new: String) throws(FileError) -> Bool {
    guard Self.isName(name), Self.isName(new) else { throw FileError(path: path + "/" + new, kind: .notFound) }
    let raw = descriptor.raw
    do throws(SystemError) {
      do throws(SystemError) {
        try systemCall("renameat2") { edge_rename_new(raw, name, new) }
      } catch {
        guard error.errno == EINVAL || error.errno == ENOSYS else { throw error }
        // A file system without it: a second name, then the first one goes.
        try systemCall("linkat") { linkat(raw, name, raw, new, 0) }
        unlinkat(raw, name, 0)
      }
      try systemCall("fsync") { fsync(raw) }
      return true
    } catch {
      if error.errno == EEXIST { return false }
      throw FileError(path + "/" + new, error)
    }
  }

  /// Removes a file; one that is not there is fine.
  public func remove(_ name: String) {
    guard Self.isName(name) else { return }
    unlinkat(descriptor.raw, name, 0)
  }

  /// Makes the names of what is in it durable.
  public func sync() { _ = fsync(descriptor.raw) }
}

/// An open file read and written at any place.
public final class RandomAccessFile: @unchecked Sendable {
  public let path: String
  private let descriptor: FileDescriptor

  init(_ path: String, descriptor: consuming FileDescriptor) {
    self.path = path
    self.descriptor = descriptor
  }

  /// A file anywhere, to be read.
  public convenience init(reading path: String) throws(FileError) {
    do throws(SystemError) {
      self.init(
        path, descriptor: FileDescriptor(owning: try systemCall("open") { edge_open(path, O_RDONLY | O_CLOEXEC, 0) }))
    } catch {
      throw FileError(path, error)
    }
    guard let facts, !facts.isFolder, !facts.isOther else { throw FileError(path: path, kind: .notAFile) }
  }

  public var facts: Folder.Facts? {
    var status = stat()
    guard fstat(descriptor.raw, &status) == 0 else { return nil }
    return Folder.Facts(status)
  }

  /// The bytes at `offset`: fewer than `count` only at the end of the file.
  public func read(at offset: UInt64, count: Int) throws(FileError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var filled = 0
    do throws(SystemError) {
      let raw = descriptor.raw
      while filled < count {
        let got = try systemCall("pread") {
          bytes.withUnsafeMutableBytes {
            pread(raw, $0.baseAddress! + filled, count - filled, Int(offset) + filled)
          }
        }
        if got == 0 { break }
        filled += got
      }
    } catch {
      throw FileError(path, error)
    }
    if filled < count { bytes.removeLast(count - filled) }
    return bytes
  }

  public func write(_ bytes: [UInt8], at offset: UInt64) throws(FileError) {
    var done = 0
    do throws(SystemError) {
      let raw = descriptor.raw
      while done < bytes.count {
        done += try systemCall("pwrite") {
          bytes.withUnsafeBytes { pwrite(raw, $0.baseAddress! + done, bytes.count - done, Int(offset) + done) }
        }
      }
    } catch {
      throw FileError(path, error)
    }
  }

  /// What was written is on the disk when it returns.
  public func sync() throws(FileError) { try call("fdatasync") { fdatasync($0) } }

  /// Cuts the file to `size` bytes.
  public func truncate(to size: UInt64) throws(FileError) { try call("ftruncate") { ftruncate($0, Int(size)) } }

  /// Keeps all others that ask away from it until it is closed. `false` when another has it.
  public func lock() -> Bool { flock(descriptor.raw, LOCK_EX | LOCK_NB) == 0 }

  /// The mode a file made by this user has: by default what others may read.
  public func setMode(_ mode: UInt32) { fchmod(descriptor.raw, mode) }

  private func call(_ name: String, _ body: (Int32) -> Int32) throws(FileError) {
    do throws(SystemError) {
      let raw = descriptor.raw
      try systemCall(name) { body(raw) }
    } catch {
      throw FileError(path, error)
    }
  }
}
