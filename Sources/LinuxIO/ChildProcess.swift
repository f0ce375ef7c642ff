import CLinux

/// Another program, started and ended by this one.
public final class ChildProcess {
  public let id: Int32
  private var hasEnded = false

  /// Starts `path` with standard output and standard error going to the file `log`, and standard input coming
  /// from `input` or from nowhere. The environment is this program's.
  public init(path: String, arguments: [String], input: String? = nil, log: String) throws(SystemError) {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, input ?? "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
    // Signals the reactor has blocked for itself are not blocked for others.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    var words: [UnsafeMutablePointer<CChar>?] = []
    for word in [path] + arguments { words.append(strdup(word)) }
    words.append(nil)
    defer { for word in words { free(word) } }
    var child: pid_t = 0
    let code = posix_spawn(&child, path, &actions, &attributes, words, edge_environment())
    guard code == 0 else { throw SystemError(call: "posix_spawn", errno: code) }
    id = child
  }

  deinit { end() }

  /// Waits for its end; `nil` when it was killed by a signal.
  public func wait() -> Int32? {
    guard !hasEnded else { return nil }
    hasEnded = true
    var status: Int32 = 0
    while waitpid(id, &status, 0) == -1 && edge_errno() == EINTR {}
    return status & 0x7F == 0 ? status >> 8 & 0xFF : nil
  }

  /// Whether it still runs. One that has ended is forgotten.
  public var isRunning: Bool {
    guard !hasEnded else { return false }
    var status: Int32 = 0
    guard waitpid(id, &status, WNOHANG) == id else { return true }
    hasEnded = true
    return false
  }

  /// SIGTERM, and SIGKILL after two seconds.
  public func end() {
    guard isRunning else { return }
    kill(id, SIGTERM)
    for _ in 0..<200 where isRunning { usleep(10_000) }
    guard isRunning else { return }
    kill(id, SIGKILL)
    _ = wait()
  }

  /// Lets this thread rest. Only for programs that have nothing else to do.
  public static func pause(milliseconds: UInt32) { usleep(milliseconds * 1000) }
}
