public import Config
import EdgeCore
import LinuxIO
import NodeLogic
public import StatusModel
import Uplink

/// `edge view`: one camera, until it is enough.
public enum ViewerProgram {
  /// - Parameter statsFile: gets the figures as JSON at the end, whatever the end is.
  public static func run(
    _ options: ViewerOptions, as configuration: ViewerConfiguration, statsFile: String?, progress: Progress
  ) -> ExitCode {
    SignalSource.ignoreBrokenPipes()
    do throws(SetupProblem) {
      return try watch(options, configuration, statsFile, progress)
    } catch {
      progress.fail(error.description)
      return error.exitCode
    }
  }

  private static func watch(
    _ options: ViewerOptions, _ configuration: ViewerConfiguration, _ statsFile: String?, _ progress: Progress
  ) throws(SetupProblem) -> ExitCode {
    var viewer: Viewer?
    var result = (code: ExitCode.unreachable, stats: ViewStats(serial: options.serial))
    let reactor: Reactor
    let signals: SignalSource
    do throws(SystemError) {
      reactor = try Reactor()
      // Before any thread is made: a thread that does not block a signal gets it with its default action.
      signals = try SignalSource(reactor: reactor, signals: [.interrupt, .terminate]) { [reactor] _ in
        progress.closeLine()
        if let viewer { viewer.stop() } else { reactor.stop() }
      }
    } catch {
      throw SetupProblem("\(error)", exitCode: .unreachable)
    }
    let made = try Viewer(
      reactor: reactor, account: configuration.account,
      stateDirectory: StateDirectory.ofViewer(configuration.stateDirectory), options: options, progress: progress)
    viewer = made
    made.onControl = { control in
      Program.writeOutput(
        Plain.text(
          "\(control.name)=\(control.value)  \(control.kind.rawValue) \(control.minimum)..\(control.maximum), default "
            + "\(control.standard): \(control.text)") + "\n")
    }
    made.onFinished = { code, stats in
      result = (code, stats)
      reactor.stop()
    }
    made.start()
    do throws(SystemError) {
      try reactor.run()
    } catch {
      throw SetupProblem("\(error)", exitCode: .unreachable)
    }
    signals.close()
    if result.stats.frames > 0 { progress.say(result.stats.text) }
    if let statsFile {
      do throws(FileError) {
        try File.writeAtomically(
          Array((JSONWriter.text(result.stats.json, style: .indented) + "\n").utf8), to: statsFile, mode: 0o644)
      } catch {
        throw SetupProblem("the figures cannot be written: \(error)", exitCode: .no)
      }
    }
    return result.code
  }
}

/// Where a person's key pair is kept.
enum StateDirectory {
  /// The configured directory, or the XDG one; `nil` where there is no home: then nothing is kept.
  static func ofViewer(_ configured: String?) -> String? {
    if let configured { return configured }
    if let state = ProcessFacts.environment("XDG_STATE_HOME"), state.hasPrefix("/") { return state + "/edge" }
    if let home = ProcessFacts.environment("HOME"), home.hasPrefix("/"), home != "/" {
      return home + "/.local/state/edge"
    }
    return nil
  }
}
