public import Config
import EdgeCore
import LinuxIO
public import StatusModel
import Uplink

/// `edge chat`: lines to and from one account, and files.
public enum ChatProgram {
  /// - Parameters:
  ///   - folder: where accepted files go.
  ///   - write: shows a line.
  public static func run(
    with name: String, as configuration: ViewerConfiguration, folder: String, progress: Progress,
    write: @escaping (String) -> Void
  ) -> ExitCode {
    SignalSource.ignoreBrokenPipes()
    var result = ExitCode.fine
    var client: ChatClient?
    do throws(SystemError) {
      let reactor = try Reactor()
      let signals = try SignalSource(reactor: reactor, signals: [.interrupt, .terminate]) { _ in client?.leave() }
      defer { signals.close() }
      do throws(SetupProblem) {
        client = try ChatClient(
          reactor: reactor, configuration: configuration, name: name, folder: folder, progress: progress, write: write)
      } catch {
        progress.fail(error.description)
        return error.exitCode
      }
      client?.onFinished = { code in
        result = code
        reactor.stop()
      }
      client?.start()
      try reactor.run()
    } catch {
      progress.fail("\(error)")
      return .unreachable
    }
    return result
  }
}
