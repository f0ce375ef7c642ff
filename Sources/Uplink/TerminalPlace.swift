import EdgeCore
import LinuxIO
import StatusModel

/// Where one terminal of an account keeps what is its own: its instance name and the messages it was given.
///
/// A log-in takes the place of the last one of the same instance (RFC 5626 §6), and a file of messages has one writer:
/// so each of the programs that are logged in from one state directory at the same time has a place to itself. A
/// program that starts again finds the place it had, and with it what it knows already.
public final class TerminalPlace {
  public let directory: String
  private let lock: FileLock

  /// More programs of one kind at a time are an accident.
  private static let maximumCount = 16

  private init(_ directory: String, _ lock: FileLock) {
    self.directory = directory
    self.lock = lock
  }

  /// The state directory itself, for the program that has it to itself by right. `nil` when another is in it.
  public static func whole(_ stateDirectory: String) throws(SetupProblem) -> TerminalPlace? {
    do throws(FileError) {
      try File.makeDirectories(stateDirectory, mode: 0o700)
      guard let lock = try FileLock(stateDirectory + "/terminal.lock") else { return nil }
      return TerminalPlace(stateDirectory, lock)
    } catch {
      throw SetupProblem("\(error); name a directory this user may write as state-dir")
    }
  }

  /// The first free place for a chat: `terminals/chat`, `terminals/chat-2` and so on.
  public static func chat(in stateDirectory: String) throws(SetupProblem) -> TerminalPlace {
    try first(in: stateDirectory, named: "chat", from: 1)
  }

  /// The first free place for an inbox: the state directory itself, `terminals/inbox-2` and so on.
  public static func inbox(in stateDirectory: String) throws(SetupProblem) -> TerminalPlace {
    if let place = try whole(stateDirectory) { return place }
    return try first(in: stateDirectory, named: "inbox", from: 2)
  }

  private static func first(
    in stateDirectory: String, named name: String, from: Int
  ) throws(SetupProblem) -> TerminalPlace {
    for number in from...maximumCount {
      let directory = "\(stateDirectory)/terminals/\(name)\(number == 1 ? "" : "-\(number)")"
      if let place = try whole(directory) { return place }
    }
    throw SetupProblem(
      "\(maximumCount) programs of this kind are logged in from \(stateDirectory): end one", exitCode: .no)
  }

  /// All places there are in a state directory, the directory itself first.
  static func directories(in stateDirectory: String) -> [String] {
    let folder = stateDirectory + "/terminals"
    return [stateDirectory] + (File.names(in: folder) ?? []).map { folder + "/" + $0 }
  }
}
