import CLinux

/// The kernel's answer to a system call that failed.
public struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Name of the call, with what it was applied to where that helps: `bind 0.0.0.0:5060`.
  public let call: String
  public let errno: Int32

  public init(call: String, errno: Int32) {
    self.call = call
    self.errno = errno
  }

  /// The system's words for ``errno``: `Connection refused`.
  public var reason: String { Self.text(of: errno) }

  public var description: String { "\(call): \(reason)" }

  static func text(of code: Int32) -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
      guard let text = edge_error_text(code, buffer.baseAddress!, buffer.count) else { return "error \(code)" }
      return String(cString: text)
    }
  }
}

/// Runs `body` until it is not interrupted, and turns -1 into ``SystemError``.
///
/// `EBADF` and `EFAULT` are our bugs, not the kernel's answer: carrying on after
/// one means writing to somebody else's descriptor, so they trap.
@discardableResult
public func systemCall<T: SignedInteger>(_ call: @autoclosure () -> String, _ body: () -> T) throws(SystemError) -> T {
  while true {
    let result = body()
    guard result == -1 else { return result }
    switch edge_errno() {
    case EINTR: continue
    case let code where code == EBADF || code == EFAULT:
      preconditionFailure("\(call()): \(SystemError.text(of: code))")
    case let code: throw SystemError(call: call(), errno: code)
    }
  }
}
