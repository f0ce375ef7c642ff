/// What both programs return to the shell.
public enum ExitCode: Int32, Sendable {
  /// Fine; for `status`: registered and healthy.
  case fine = 0
  /// The answer is no: not registered, no such serial, refused.
  case no = 1
  /// Registered, with health problems.
  case problems = 2
  /// The command line or the configuration is wrong (EX_USAGE).
  case usage = 64
  /// Daemon or server unreachable (EX_UNAVAILABLE).
  case unreachable = 69
  /// Bad password, or no right (EX_NOPERM).
  case notAllowed = 77
}
