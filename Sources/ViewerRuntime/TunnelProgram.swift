public import Config
public import EdgeCore
import LinuxIO
import PeerSession
public import StatusModel
import Tunnel
import TunnelTransport
import Uplink

/// What `edge tunnel` is asked to do.
public struct TunnelOptions {
  public var serial: String
  /// Port 0 lets the kernel choose.
  public var listen: SocketAddress
  public var route: ViewerOptions.Route

  public init(serial: String, listen: SocketAddress, route: ViewerOptions.Route = .any) {
    self.serial = serial
    self.listen = listen
    self.route = route
  }
}

/// `edge tunnel`: a published device behind a node, on a port of this machine.
public enum TunnelProgram {
  /// Runs until SIGTERM or SIGINT. The port's address goes to standard output when the device can be reached.
  public static func run(
    _ options: TunnelOptions, as configuration: ViewerConfiguration, progress: Progress
  ) -> ExitCode {
    SignalSource.ignoreBrokenPipes()
    do throws(SetupProblem) {
      return try serve(options, configuration, progress)
    } catch {
      progress.fail(error.description)
      return error.exitCode
    }
  }

  private static func serve(
    _ options: TunnelOptions, _ configuration: ViewerConfiguration, _ progress: Progress
  ) throws(SetupProblem) -> ExitCode {
    var client: TunnelClient?
    var result = ExitCode.unreachable
    let reactor: Reactor
    let signals: SignalSource
    do throws(SystemError) {
      reactor = try Reactor()
      // Before any thread is made: a thread that does not block a signal gets it with its default action.
      signals = try SignalSource(reactor: reactor, signals: [.interrupt, .terminate]) { [reactor] _ in
        if let client { client.stop(.fine) } else { reactor.stop() }
      }
    } catch {
      throw SetupProblem("\(error)", exitCode: .unreachable)
    }
    let made = try TunnelClient(reactor: reactor, configuration: configuration, options: options, progress: progress)
    client = made
    made.onFinished = { code in
      result = code
      reactor.stop()
    }
    made.start()
    do throws(SystemError) {
      try reactor.run()
    } catch {
      throw SetupProblem("\(error)", exitCode: .unreachable)
    }
    signals.close()
    return result
  }
}

/// Accepts connections here and carries each to the device.
final class TunnelClient {
  var onFinished: ((ExitCode) -> Void)?

  private let reactor: Reactor
  private let progress: Progress
  private let session: SerialSession
  private let listener: TCPListener
  private var pool: TunnelPool?
  /// Accepted while there is no session: carried when there is one.
  private var waiting: [TCPConnection] = []
  private var hasSaidAddress = false
  private var isFinishing = false

  init(
    reactor: Reactor, configuration: ViewerConfiguration, options: TunnelOptions, progress: Progress
  ) throws(SetupProblem) {
    self.reactor = reactor
    self.progress = progress
    let material = try AccountMaterial.load(
      configuration.account, stateDirectory: StateDirectory.ofViewer(configuration.stateDirectory), registers: false)
    do throws(SystemError) {
      listener = try TCPListener(reactor: reactor, bind: options.listen)
    } catch {
      throw SetupProblem("\(error); name another address with --listen", exitCode: .no)
    }
    let policy: PeerConfiguration.Policy =
      switch options.route {
      case .any: .all
      case .relayOnly: .relayOnly
      case .noRelay: .noRelay
      }
    session = SerialSession(
      reactor: reactor, account: configuration.account, material: material, serial: options.serial, policy: policy)
    listener.onAccept = { [unowned(unsafe) self] in accept($0) }
    session.onOpen = { [unowned(unsafe) self] in opened($0) }
    session.onChannel = { [unowned(unsafe) self] channel in
      if channel.label == "video" {
        finish(.no, "\(self.session.serial) is a camera: edge view \(self.session.serial) shows it")
      }
    }
    session.onPathChanged = { [unowned(unsafe) self] path in
      self.progress.say("path: \(path.kind.text) \(path.remote)")
    }
    session.onLost = { [unowned(unsafe) self] why in
      self.progress.say("\(why); connecting again")
      closeConnections()
    }
    session.onFailed = { [unowned(unsafe) self] code, why in finish(code, why) }
  }

  func start() {
    progress.say("calling \(session.serial)")
    session.start()
  }

  func stop(_ code: ExitCode) { finish(code, nil) }

  private func opened(_ peer: PeerSession) {
    if let path = peer.path { progress.say("path: \(path.kind.text) \(path.remote)") }
    let pool = TunnelPool(reactor: reactor)
    self.pool = pool
    pool.onFault = { [unowned(unsafe) self] fault in
      // What the local program cut itself is its own affair.
      if fault != .reset { progress.say("\(session.serial): \(fault.text)") }
    }
    if !hasSaidAddress {
      hasSaidAddress = true
      Program.writeOutput("\(listener.localAddress)\n")
    }
    let early = waiting
    waiting = []
    for connection in early {
      connection.onClosed = nil
      carry(connection)
    }
  }

  private func accept(_ connection: TCPConnection) {
    guard !isFinishing else { return connection.abort() }
    guard pool == nil else { return carry(connection) }
    guard waiting.count < TunnelPool.maximumPipes else { return connection.abort() }
    connection.setReading(false)
    waiting.append(connection)
    connection.onClosed = { [unowned(unsafe) self, unowned(unsafe) connection] _ in
      waiting.removeAll { $0 === connection }
    }
  }

  private func carry(_ connection: TCPConnection) {
    guard let pool, let peer = session.peer else { return connection.abort() }
    if !pool.carry(connection, over: peer) { progress.say("a connection was refused: there are too many") }
  }

  private func closeConnections() {
    pool?.closeAll()
    pool = nil
  }

  private func finish(_ code: ExitCode, _ text: String?) {
    guard !isFinishing else { return }
    isFinishing = true
    if let text { progress.fail(text) }
    listener.close()
    for connection in waiting { connection.abort() }
    waiting = []
    closeConnections()
    session.stop { [self] in
      let finished = onFinished
      onFinished = nil
      finished?(code)
    }
  }
}
