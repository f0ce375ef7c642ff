public import Config
import EdgeCore
public import LinuxIO
public import StatusModel
import Uplink

/// `edge run`: the daemon on the camera box.
public enum NodeProgram {
  /// Runs until SIGTERM or SIGINT. What keeps it from beginning is printed for the person who started it.
  public static func run(_ configuration: NodeConfiguration, log: Log) -> ExitCode {
    SignalSource.ignoreBrokenPipes()
    // Every viewer's session and tunnel takes some.
    ProcessFacts.raiseDescriptorLimit()
    do throws(SetupProblem) {
      return try serve(configuration, log)
    } catch {
      log.error("node.cannot-start", ("why", error.description))
      return error.exitCode
    }
  }

  private static func serve(_ configuration: NodeConfiguration, _ log: Log) throws(SetupProblem) -> ExitCode {
    var node: Node?
    let reactor: Reactor
    let signals: SignalSource
    do throws(SystemError) {
      reactor = try Reactor()
      // Before any thread is made: a thread that does not block a signal gets it with its default action.
      signals = try SignalSource(reactor: reactor, signals: [.terminate, .interrupt]) { [reactor] signal in
        log.notice("node.stopping", ("signal", signal.name))
        guard let node else { return reactor.stop() }
        node.stop { reactor.stop() }
      }
    } catch {
      throw SetupProblem("\(error)", exitCode: .unreachable)
    }
    let box = try Node(reactor: reactor, configuration: configuration, log: log)
    node = box
    let path = configuration.node.statusSocket
    if let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")), slash != path.startIndex {
      do throws(FileError) {
        // Often below /run, which is empty after every start of the machine.
        try File.makeDirectories(String(path[..<slash]))
      } catch {
        throw SetupProblem("the status socket cannot be opened: \(error)")
      }
    }
    let server: StatusServer
    do throws(UnixListener.Failure) {
      server = try StatusServer(reactor: reactor, path: path) {
        Array(JSONWriter.text(box.status.json).utf8)
      }
    } catch {
      throw SetupProblem("the status socket cannot be opened: \(error)")
    }
    do throws(SystemError) {
      box.start()
      try reactor.run()
    } catch {
      throw SetupProblem("\(error)", exitCode: .unreachable)
    }
    signals.close()
    server.close()
    log.notice("node.stopped")
    log.flush()
    return .fine
  }
}
