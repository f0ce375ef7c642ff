import CLinux
import EdgeCore

/// A connection over a unix-domain socket, opened here or accepted by a ``UnixListener``.
public final class UnixConnection: StreamSocket {
  /// The user at the other end, as the kernel knows it; `nil` until connected.
  public private(set) var peerUserID: UInt32?

  /// Never fails at once: whatever goes wrong arrives through ``StreamSocket/onClosed``.
  public static func connect(reactor: Reactor, path: String) -> UnixConnection {
    do throws(SystemError) {
      let socket = try SocketCall.open(family: AF_UNIX, type: SOCK_STREAM.rawValue)
      try UnixPath.connect(socket.raw, path)
      return try UnixConnection(reactor: reactor, descriptor: socket, state: .connecting)
    } catch {
      return UnixConnection(reactor: reactor, failure: CloseReason(error))
    }
  }

  override init(reactor: Reactor, descriptor: consuming FileDescriptor, state: State) throws(SystemError) {
    if state == .open { peerUserID = Self.userID(descriptor.raw) }
    try super.init(reactor: reactor, descriptor: descriptor, state: state)
  }

  override init(reactor: Reactor, failure: CloseReason) { super.init(reactor: reactor, failure: failure) }

  override func connected() -> CloseReason? {
    if let socket = descriptor?.raw { peerUserID = Self.userID(socket) }
    return nil
  }

  private static func userID(_ socket: Int32) -> UInt32? {
    var credentials = edge_credentials()
    var length = socklen_t(MemoryLayout<edge_credentials>.size)
    guard getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0 else { return nil }
    return credentials.uid
  }
}

/// Listens on a unix-domain socket that only its own user may open (mode 0600).
///
/// A socket file left behind by a process that died is replaced; one somebody listens on is not.
/// The reactor keeps it alive until ``close()``, which removes the file.
public final class UnixListener {
  /// Why the socket could not be made; the text says what to do.
  public enum Failure: Error, Hashable, Sendable, CustomStringConvertible {
    case inUse(path: String)
    case notASocket(path: String)
    case noDirectory(path: String)
    case notAllowed(path: String)
    /// More than 107 bytes.
    case pathTooLong(path: String)
    case system(SystemError)

    public var description: String {
      switch self {
      case .inUse(let path): "another process listens on \(path): stop it, or choose another socket path"
      case .notASocket(let path): "\(path) exists and is not a socket: remove it, or choose another socket path"
      case .noDirectory(let path): "the directory of \(path) does not exist: create it"
      case .notAllowed(let path): "not allowed to create \(path): change the directory's owner, or run as its user"
      case .pathTooLong(let path): "the socket path \(path) is longer than \(UnixPath.maxBytes) bytes: choose another"
      case .system(let error): error.description
      }
    }
  }

  public let path: String
  /// Set its handlers at once; drop it with ``StreamSocket/close()``.
  public var onAccept: ((UnixConnection) -> Void)?
  public private(set) var acceptFailures: UInt64 = 0

  private let reactor: Reactor
  private var acceptor: Acceptor?
  /// Device and inode of the file made, to remove that one only.
  private let file: UnixPath.File?

  public init(reactor: Reactor, path: String) throws(Failure) {
    self.reactor = reactor
    self.path = path
    let socket = try Self.bind(path)
    file = UnixPath.File(path)
    do throws(SystemError) {
      acceptor = try Acceptor(
        reactor: reactor, descriptor: socket, onFailure: { self.acceptFailures += 1 }, onAccept: { self.accept($0) })
    } catch {
      throw .system(error)
    }
  }

  public func close() {
    guard acceptor != nil else { return }
    acceptor?.close()
    acceptor = nil
    onAccept = nil
    if let file, file == UnixPath.File(path) { unlink(path) }
  }

  private func accept(_ socket: consuming FileDescriptor) {
    guard let onAccept else { return }
    do throws(SystemError) {
      onAccept(try UnixConnection(reactor: reactor, descriptor: socket, state: .open))
    } catch {
      acceptFailures += 1
    }
  }

  private static func bind(_ path: String) throws(Failure) -> FileDescriptor {
    guard path.utf8.count <= UnixPath.maxBytes, !path.isEmpty else { throw .pathTooLong(path: path) }
    do throws(SystemError) {
      let socket = try SocketCall.open(family: AF_UNIX, type: SOCK_STREAM.rawValue)
      // Set before binding, so that the file never exists with a wider mode (and no process-wide umask is touched).
      try systemCall("fchmod") { fchmod(socket.raw, 0o600) }
      // Two processes starting at once would each take the other's new file for a stale one.
      let directory = FileDescriptor(
        owning: try systemCall("open") {
          edge_open(UnixPath.directory(of: path), O_RDONLY | O_CLOEXEC | O_DIRECTORY, 0)
        })
      try systemCall("flock") { flock(directory.raw, LOCK_EX) }
      do throws(SystemError) {
        try UnixPath.bind(socket.raw, path)
      } catch {
        guard error.errno == EADDRINUSE else { throw error }
        guard UnixPath.isSocket(path) else { throw SystemError(call: "bind", errno: ENOTSOCK) }
        guard try !UnixPath.isAlive(path) else { throw error }
        unlink(path)
        try UnixPath.bind(socket.raw, path)
      }
      try systemCall("listen \(path)") { listen(socket.raw, SOMAXCONN) }
      return socket
    } catch {
      switch error.errno {
      case EADDRINUSE: throw .inUse(path: path)
      case ENOTSOCK: throw .notASocket(path: path)
      case ENOENT, ENOTDIR: throw .noDirectory(path: path)
      case EACCES, EPERM, EROFS: throw .notAllowed(path: path)
      default: throw .system(error)
      }
    }
  }
}

/// Socket files.
enum UnixPath {
  /// struct sockaddr_un holds 108 bytes with the closing zero.
  static let maxBytes = 107

  struct File: Equatable {
    let device: UInt64
    let inode: UInt64

    init?(_ path: String) {
      var status = stat()
      guard lstat(path, &status) == 0 else { return nil }
      device = UInt64(status.st_dev)
      inode = UInt64(status.st_ino)
    }
  }

  static func directory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  static func isSocket(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0 && status.st_mode & UInt32(S_IFMT) == UInt32(S_IFSOCK)
  }

  /// Whether somebody listens on the socket file.
  static func isAlive(_ path: String) throws(SystemError) -> Bool {
    let probe = try SocketCall.open(family: AF_UNIX, type: SOCK_STREAM.rawValue)
    do throws(SystemError) {
      try connect(probe.raw, path)
      return true
    } catch {
      switch error.errno {
      case ECONNREFUSED, ENOENT: return false
      // Alive, but its backlog is full, or it belongs to somebody else.
      default: return true
      }
    }
  }

  static func connect(_ socket: Int32, _ path: String) throws(SystemError) {
    try withAddress(path) { (address, length) throws(SystemError) in
      try systemCall("connect \(path)") { edge_connect(socket, address, length) }
    }
  }

  static func bind(_ socket: Int32, _ path: String) throws(SystemError) {
    try withAddress(path) { (address, length) throws(SystemError) in
      try systemCall("bind \(path)") { edge_bind(socket, address, length) }
    }
  }

  private static func withAddress(
    _ path: String, _ body: (UnsafeRawPointer, socklen_t) throws(SystemError) -> Void
  ) throws(SystemError) {
    let bytes = Array(path.utf8)
    guard bytes.count <= maxBytes else { throw SystemError(call: "connect \(path)", errno: ENAMETOOLONG) }
    var storage = sockaddr_storage()
    try withUnsafeMutableBytes(of: &storage) { (buffer: UnsafeMutableRawBufferPointer) throws(SystemError) in
      buffer.storeBytes(of: UInt16(AF_UNIX), as: UInt16.self)
      for (index, byte) in bytes.enumerated() { buffer[2 + index] = byte }
      try body(UnsafeRawPointer(buffer.baseAddress!), socklen_t(2 + bytes.count + 1))
    }
  }
}
