public import Config
import EdgeCore
public import FileTransfer
import LinuxIO
import PeerMessaging
public import StatusModel
import Uplink

/// What `edge get`, `edge put` and `edge send --file` do.
public struct TransferOptions: Hashable, Sendable {
  public enum Job: Hashable, Sendable {
    /// Fetches a file into a folder, or under a name in it.
    case fetch(path: String, folder: String, name: String?)
    case list(path: String)
    case send(file: String)
  }

  /// Whom it is fetched from or sent to: a serial or an account.
  public var name: String
  public var job: Job
  public var route: ViewerOptions.Route

  public init(name: String, job: Job, route: ViewerOptions.Route = .any) {
    self.name = name
    self.job = job
    self.route = route
  }
}

/// What came of a transfer.
public struct TransferResult: Hashable, Sendable {
  /// Where the file is now, at this end; of a listing nothing.
  public var path: String
  public var size: UInt64
  public var sha256: [UInt8]
  /// What was here, or there, before this run.
  public var resumedFrom: UInt64
  /// Bytes of the file that crossed in this run.
  public var transferred: UInt64
  /// How often the session was made.
  public var sessions: Int
  public var duration: Duration
  public var listing: FileListing?

  public var json: JSONValue {
    .object([
      .init("path", .string(path)), .init("size", .integer(size)), .init("sha256", .string(Hex.encode(sha256))),
      .init("resumed_from", .integer(resumedFrom)), .init("transferred_bytes", .integer(transferred)),
      .init("sessions", .integer(sessions)), .init("duration_ms", .milliseconds(duration)),
    ])
  }
}

public enum TransferProgram {
  /// - Parameter show: called with what came of it, when it went well.
  public static func run(
    _ options: TransferOptions, as configuration: ViewerConfiguration, progress: Progress,
    show: @escaping (TransferResult) -> Void
  ) -> ExitCode {
    SignalSource.ignoreBrokenPipes()
    do throws(SetupProblem) {
      return try transfer(options, configuration, progress, show)
    } catch {
      progress.fail(error.description)
      return error.exitCode
    }
  }

  private static func transfer(
    _ options: TransferOptions, _ configuration: ViewerConfiguration, _ progress: Progress,
    _ show: @escaping (TransferResult) -> Void
  ) throws(SetupProblem) -> ExitCode {
    var result = ExitCode.fine
    var client: TransferClient?
    do throws(SystemError) {
      let reactor = try Reactor()
      // Before any thread is made: a thread that does not block a signal gets it with its default action.
      let signals = try SignalSource(reactor: reactor, signals: [.interrupt, .terminate]) { _ in client?.interrupt() }
      defer { signals.close() }
      do throws(SetupProblem) {
        client = try TransferClient(
          reactor: reactor, configuration: configuration, options: options, progress: progress)
      } catch {
        progress.fail(error.description)
        return error.exitCode
      }
      client?.onFinished = { code, outcome in
        result = code
        if let outcome { show(outcome) }
        reactor.stop()
      }
      client?.start()
      try reactor.run()
    } catch {
      throw SetupProblem("\(error)", exitCode: .unreachable)
    }
    return result
  }
}
