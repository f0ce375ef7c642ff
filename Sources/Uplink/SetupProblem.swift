public import StatusModel

/// Why a program cannot begin its work: for the person who started it.
public struct SetupProblem: Error, Hashable, CustomStringConvertible {
  /// What is wrong and what to do.
  public let description: String
  public let exitCode: ExitCode

  public init(_ description: String, exitCode: ExitCode = .usage) {
    self.description = description
    self.exitCode = exitCode
  }
}
