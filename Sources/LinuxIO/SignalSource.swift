import CLinux

/// Signals the reactor handles as events.
public enum Signal: Int32, Hashable, Sendable, CaseIterable {
  case hangUp = 1
  case interrupt = 2
  case user1 = 10
  case terminate = 15
  case child = 17
  case windowChanged = 28

  public var name: String {
    switch self {
    case .hangUp: "SIGHUP"
    case .interrupt: "SIGINT"
    case .user1: "SIGUSR1"
    case .terminate: "SIGTERM"
    case .child: "SIGCHLD"
    case .windowChanged: "SIGWINCH"
    }
  }
}

/// Delivers signals on the reactor instead of interrupting it, through signalfd.
///
/// Make it before any thread: a thread that does not block a signal gets it with its default action.
public final class SignalSource {
  private let reactor: Reactor
  private var descriptor: FileDescriptor?
  private var token: Reactor.Token?
  private let signals: [Signal]

  public init(
    reactor: Reactor, signals: [Signal], onSignal: @escaping (Signal) -> Void
  ) throws(SystemError) {
    self.reactor = reactor
    self.signals = signals
    var set = Self.set(signals)
    let code = pthread_sigmask(SIG_BLOCK, &set, nil)
    guard code == 0 else { throw SystemError(call: "pthread_sigmask", errno: code) }
    let raw = try systemCall("signalfd") { signalfd(-1, &set, Int32(SFD_CLOEXEC | SFD_NONBLOCK)) }
    descriptor = FileDescriptor(owning: raw)
    token = try reactor.add(raw, interest: .read) { _ in self.receive(onSignal) }
  }

  /// Gives the signals their default action again.
  public func close() {
    guard descriptor != nil else { return }
    if let token { reactor.remove(token) }
    token = nil
    descriptor = nil
    var set = Self.set(signals)
    pthread_sigmask(SIG_UNBLOCK, &set, nil)
  }

  /// Makes writing to a closed pipe an error (EPIPE) instead of the end of the process.
  public static func ignoreBrokenPipes() { edge_ignore_signal(SIGPIPE) }

  private func receive(_ onSignal: (Signal) -> Void) {
    var info = signalfd_siginfo()
    while let raw = descriptor?.raw, read(raw, &info, MemoryLayout<signalfd_siginfo>.size) > 0 {
      if let signal = Signal(rawValue: Int32(bitPattern: info.ssi_signo)) { onSignal(signal) }
    }
  }

  private static func set(_ signals: [Signal]) -> sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in signals { sigaddset(&set, signal.rawValue) }
    return set
  }
}
