import LinuxIO
import StatusModel
import Uplink

/// A player with a window, fed through a named pipe with a y4m stream, or with MJPEG or H.264 as the camera made it.
final class ExternalPlayer {
  /// Where the stream is to be written.
  let path: String
  private let folder: String
  private let process: ChildProcess

  /// The players known, in the order tried, and what each needs to hear.
  private static let players: [(name: String, arguments: [String])] = [
    (name: "mpv", arguments: ["--no-terminal", "--profile=low-latency", "--untimed"]),
    (name: "ffplay", arguments: ["-loglevel", "error", "-fflags", "nobuffer"]),
  ]

  /// `nil` without a display or a player.
  static func find() -> (name: String, path: String, arguments: [String])? {
    guard ProcessFacts.environment("DISPLAY") != nil || ProcessFacts.environment("WAYLAND_DISPLAY") != nil else {
      return nil
    }
    for player in players {
      if let path = Program.find(player.name) { return (name: player.name, path: path, arguments: player.arguments) }
    }
    return nil
  }

  init(_ player: (name: String, path: String, arguments: [String])) throws(SetupProblem) {
    folder = (ProcessFacts.environment("XDG_RUNTIME_DIR") ?? "/tmp") + "/edge-play-\(ProcessFacts.id)"
    path = folder + "/stream"
    do throws(FileError) {
      try File.makeDirectories(folder, mode: 0o700)
    } catch {
      throw SetupProblem("the player cannot be started: \(error)", exitCode: .no)
    }
    do throws(SystemError) {
      try Terminal.makePipe(path)
      process = try ChildProcess(path: player.path, arguments: player.arguments + [path], log: folder + "/player.log")
    } catch {
      File.removeTree(folder)
      throw SetupProblem("\(player.name) cannot be started: \(error)", exitCode: .no)
    }
  }

  func close() {
    process.end()
    File.removeTree(folder)
  }
}
