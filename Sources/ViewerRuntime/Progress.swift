import LinuxIO

/// Tells the person at the terminal how it goes, on standard error. On a terminal the figures of
/// the second are rewritten in place; in a log only what changes is written.
public final class Progress {
  private let write: (String) -> Void
  private let isTerminal: Bool
  private let isQuiet: Bool
  private var hasOpenLine = false

  public init(isTerminal: Bool, isQuiet: Bool = false, write: @escaping (String) -> Void) {
    self.isTerminal = isTerminal
    self.isQuiet = isQuiet
    self.write = write
  }

  /// Something happened.
  func say(_ text: String) {
    guard !isQuiet else { return }
    closeLine()
    write("edge: \(text)\n")
  }

  /// The end, and why.
  func fail(_ text: String) {
    closeLine()
    write("edge: \(text)\n")
  }

  /// The figures of the last second.
  func tick(_ text: String) {
    guard isTerminal, !isQuiet else { return }
    write("\r\u{1B}[K\(text)")
    hasOpenLine = true
  }

  /// Leaves the terminal with a fresh line.
  public func closeLine() {
    guard hasOpenLine else { return }
    hasOpenLine = false
    write("\n")
  }
}
