import CLinux

/// A thread of its own, for what blocks: a camera, a name look-up.
///
/// It receives no signal: those are the reactor's (``SignalSource``). Nothing stops it from outside; what it waits on
/// must be closed, then ``join()`` waits for its end.
public final class Thread: @unchecked Sendable {
  private let handle: pthread_t
  private let lock = Lock()
  private var isJoined = false

  private final class Start {
    let body: () -> Void
    init(body: @escaping () -> Void) { self.body = body }
  }

  /// `name` is cut to 15 bytes, what the kernel keeps.
  public init(
    name: String, stackBytes: Int = 512 << 10, _ body: sending @escaping () -> Void
  ) throws(SystemError) {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, stackBytes)
    // A thread inherits the mask of its maker.
    var all = sigset_t()
    var previous = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &previous)
    defer { pthread_sigmask(SIG_SETMASK, &previous, nil) }
    let start = Unmanaged.passRetained(Start(body: body))
    var thread = pthread_t()
    let code = pthread_create(&thread, &attributes, threadEntry, start.toOpaque())
    guard code == 0 else {
      start.release()
      throw SystemError(call: "pthread_create", errno: code)
    }
    handle = thread
    var short = Array(name.utf8.prefix(15)).map { CChar(bitPattern: $0) }
    short.append(0)
    pthread_setname_np(thread, short)
  }

  deinit {
    if !isJoined { pthread_detach(handle) }
  }

  /// Waits until the thread has ended. A second call returns at once.
  public func join() {
    let isFirst = lock.withLock {
      defer { isJoined = true }
      return !isJoined
    }
    if isFirst { pthread_join(handle, nil) }
  }

  fileprivate static func run(_ context: UnsafeMutableRawPointer) {
    Unmanaged<Start>.fromOpaque(context).takeRetainedValue().body()
  }
}

private func threadEntry(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  if let context { Thread.run(context) }
  return nil
}
