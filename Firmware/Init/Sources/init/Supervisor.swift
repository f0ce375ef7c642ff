import CInit

/// Keeps one program running, buries every orphan, and obeys the machine's signals.
struct Supervisor {
  let program: [String]
  let once: Bool

  func run() -> Never {
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in [SIGCHLD, SIGINT, SIGTERM, SIGUSR2] { sigaddset(&signals, number) }
    sigprocmask(SIG_BLOCK, &signals, nil)
    // Without this the kernel restarts on Ctrl-Alt-Del by itself, and nothing is ended in order.
    reboot(Int32(RB_DISABLE_CAD))

    var child = start()
    while true {
      // A program that could not be started is tried again soon; a running one needs no look.
      var patience = timespec(tv_sec: child > 0 ? 3600 : 1, tv_nsec: 0)
      switch sigtimedwait(&signals, nil, &patience) {
      case SIGINT, SIGTERM: Machine.restart()
      case SIGUSR2: Machine.powerOff()
      default: break
      }
      var status: Int32 = 0
      while true {
        let ended = waitpid(-1, &status, WNOHANG)
        guard ended > 0 else { break }
        guard ended == child else { continue }
        tell(status)
        if once { Machine.powerOff() }
        var pause = timespec(tv_sec: 1, tv_nsec: 0)
        nanosleep(&pause, nil)
        child = 0
      }
      if child <= 0 { child = start() }
    }
  }

  private func tell(_ status: Int32) {
    if init_exited(status) != 0 {
      say("\(program[0]) ended with exit status \(init_exit_status(status))")
    } else {
      say("\(program[0]) was ended by signal \(init_signal(status))")
    }
  }

  /// The process number, or 0 when the program could not be started.
  private func start() -> pid_t {
    var arguments: [UnsafeMutablePointer<CChar>?] = program.map { strdup($0) }
    arguments.append(nil)
    defer { for argument in arguments { free(argument) } }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // The blocked signals are init's own affair.
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID))
    var child: pid_t = 0
    let failure = posix_spawn(&child, program[0], nil, &attributes, arguments, [nil])
    guard failure == 0 else {
      say("\(program[0]): \(String(cString: strerror(failure)))")
      return 0
    }
    return child
  }
}
