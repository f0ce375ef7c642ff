import Config
import EdgeCore
import LinuxIO
import RendezvousLogic
import SecureTransport
import StatusModel
import Storage

/// `edge-rendezvous`: reads the arguments, does what they say, returns the exit code.
public struct RendezvousCommandLine {
  /// Where answers go.
  let out: (String) -> Void
  /// Where everything else goes.
  let err: (String) -> Void
  /// A line of standard input; `nil` at its end.
  let input: () -> String?

  public static let defaultConfiguration = "/etc/edge/rendezvous.yaml"

  /// Runs the program on the process's own arguments and streams, and ends it.
  public static func start() -> Never {
    let commandLine = RendezvousCommandLine(
      out: { Program.writeOutput($0) }, err: { Program.writeError($0) }, input: { readLine(strippingNewline: true) })
    Program.exit(commandLine.run(Program.arguments))
  }

  init(out: @escaping (String) -> Void, err: @escaping (String) -> Void, input: @escaping () -> String?) {
    self.out = out
    self.err = err
    self.input = input
  }

  /// - Parameter arguments: without the program's name.
  /// - Returns: the exit code.
  func run(_ arguments: [String]) -> Int32 { perform(arguments).rawValue }

  func perform(_ arguments: [String]) -> ExitCode {
    do throws(UsageError) {
      let command = try Command(arguments)
      switch command.action {
      case .help(let text): out(text)
      case .version: out("edge-rendezvous \(Version.current)\n")
      case .run: return serve(command)
      case .mediaServer: return serveMedia(command)
      case .status(let json): return status(command, json: json)
      case .addAccount(let name, let isNode, let allowsMD5, let file):
        return withPassword(file, command, of: name) { hashes in
          .addAccount(
            name: name, ha1SHA256: hashes.sha256, ha1MD5: allowsMD5 ? hashes.md5 : nil, isNode: isNode)
        }
      case .setPassword(let name, let allowsMD5, let file):
        return withPassword(file, command, of: name) { hashes in
          .setPassword(name: name, ha1SHA256: hashes.sha256, ha1MD5: allowsMD5 ? hashes.md5 : nil)
        }
      case .store(let request): return perform(request, command)
      }
      return .fine
    } catch {
      err("edge-rendezvous: \(error.text)\nTry: edge-rendezvous \(error.topic)--help\n")
      return .usage
    }
  }

  // MARK: Configuration

  private func configuration(_ command: Command) -> RendezvousConfiguration? {
    let path = command.configuration ?? Self.defaultConfiguration
    guard command.configuration != nil || File.exists(path) else {
      return RendezvousConfiguration(
        domain: ProcessFacts.hostName,
        listen: .init(
          sips: [SocketAddress(.anyV4, port: 5061)], stun: [SocketAddress(.anyV4, port: 3478)],
          natDiscovery: [SocketAddress(.anyV4, port: 3479)], msrps: [SocketAddress(.anyV4, port: 2855)]),
        tls: .init(
          certificate: "/var/lib/edge-rendezvous/server.pem", key: "/var/lib/edge-rendezvous/server.key",
          authority: "/var/lib/edge-rendezvous/ca.pem"),
        database: "/var/lib/edge-rendezvous/rendezvous.sqlite",
        controlSocket: "/run/edge-rendezvous/control.sock")
    }
    do {
      return try RendezvousConfiguration(yaml: try File.read(path, maxBytes: 1 << 20), file: path)
    } catch {
      err("\(error)\n")
      return nil
    }
  }

  // MARK: run

  private func serve(_ command: Command) -> ExitCode {
    guard let configuration = configuration(command) else { return .usage }
    let log = Log.standardError(minimum: configuration.logLevel.level)
    do {
      SignalSource.ignoreBrokenPipes()
      // Every connection and every relayed address is one.
      let descriptors = ProcessFacts.raiseDescriptorLimit()
      let reactor = try Reactor()
      var server: Server?
      let signals = try SignalSource(reactor: reactor, signals: [.interrupt, .terminate, .hangUp]) { signal in
        guard signal != .hangUp else {
          server?.reload()
          return
        }
        log.notice("stopping", ("signal", signal.name))
        server?.close()
        // One more second for goodbyes on connections that are being closed.
        _ = reactor.schedule(after: .milliseconds(200)) { reactor.stop() }
      }
      server = try Server(configuration, reactor: reactor, log: log)
      if command.configuration == nil, !File.exists(Self.defaultConfiguration) {
        log.notice(
          "defaults", ("reason", "there is no \(Self.defaultConfiguration)"), ("domain", configuration.domain))
      }
      for listener in server?.listeners ?? [] {
        log.notice("listening", ("name", listener.name), ("address", listener.address))
      }
      log.notice(
        "ready", ("version", Version.current), ("domain", configuration.domain),
        ("database", configuration.database), ("control", configuration.controlSocket),
        ("descriptors", "\(descriptors)"))
      try reactor.run()
      signals.close()
      log.notice("stopped")
      log.flush()
      return .fine
    } catch {
      err("edge-rendezvous: \(error)\n")
      return .no
    }
  }

  // MARK: media-server

  private func serveMedia(_ command: Command) -> ExitCode {
    guard let configuration = configuration(command) else { return .usage }
    let log = Log.standardError(minimum: configuration.logLevel.level)
    do {
      SignalSource.ignoreBrokenPipes()
      let reactor = try Reactor()
      let program = try MediaProgram(configuration, reactor: reactor, log: log)
      let signals = try SignalSource(reactor: reactor, signals: [.interrupt, .terminate]) { signal in
        log.notice("stopping", ("signal", signal.name))
        program.close()
        _ = reactor.schedule(after: .milliseconds(200)) { reactor.stop() }
      }
      log.notice("ready", ("version", Version.current), ("role", "media-server"), ("database", configuration.database))
      try reactor.run()
      signals.close()
      log.notice("stopped")
      log.flush()
      return .fine
    } catch {
      err("edge-rendezvous: \(error)\n")
      return .no
    }
  }

  // MARK: status

  private func status(_ command: Command, json: Bool) -> ExitCode {
    guard let configuration = configuration(command) else { return .usage }
    do throws(ControlClient.Failure) {
      return deliver(try ControlClient.ask(.status(json: json), path: configuration.controlSocket))
    } catch {
      switch error {
      case .failed(let text): err("edge-rendezvous: \(text)\n")
      case .noServer:
        err(
          "edge-rendezvous: no server runs here (nobody listens on \(configuration.controlSocket)); "
            + "start it with: edge-rendezvous run\(command.configurationHint)\n")
      }
      return .unreachable
    }
  }

  // MARK: Accounts and grants

  /// Reads a password and asks for what is to be done with its hashes.
  private func withPassword(
    _ passwordFile: String?, _ command: Command, of name: String,
    _ request: ((sha256: String, md5: String)) -> StoreRequest
  ) -> ExitCode {
    guard let configuration = configuration(command) else { return .usage }
    let password: String
    switch readPassword(passwordFile) {
    case .success(let text): password = text
    case .failure(let error):
      err("edge-rendezvous: \(error)\n")
      return .usage
    }
    func ha1(_ hash: Hashes.Digest) -> String {
      Hex.encode(hash(Array("\(name):\(configuration.domain):\(password)".utf8)))
    }
    // RFC 7616 §3.4.2: H(name:realm:password) is all that is kept, and all that leaves this process.
    return perform(request((ha1(Hashes.openSSL.sha256), ha1(Hashes.openSSL.md5))), command)
  }

  private func readPassword(_ file: String?) -> Result<String, StartError> {
    let bytes: [UInt8]
    if let file {
      do throws(FileError) {
        bytes = try File.read(file, maxBytes: PasswordFile.maximumBytes + 2)
      } catch {
        return .failure(StartError("cannot read the password: \(error)"))
      }
    } else {
      err("reading the password from standard input\n")
      bytes = Array((input() ?? "").utf8)
    }
    do throws(ConfigError) {
      return .success(try PasswordFile.password(in: bytes, file: file ?? "standard input"))
    } catch {
      return .failure(StartError(error.description))
    }
  }

  /// Through the running server, so that it counts at once; on the database when none runs.
  private func perform(_ request: StoreRequest, _ command: Command) -> ExitCode {
    guard let configuration = configuration(command) else { return .usage }
    do throws(ControlClient.Failure) {
      // A server with another configuration would mix up two realms.
      if request.bindsPassword {
        let realm = try ControlClient.ask(.store(.realm), path: configuration.controlSocket).text
        guard realm == configuration.domain else {
          err(
            "edge-rendezvous: the running server's domain is \(realm), this configuration's is \(configuration.domain); "
              + "name the server's file with --config\n")
          return .usage
        }
      }
      return deliver(try ControlClient.ask(.store(request), path: configuration.controlSocket))
    } catch {
      if case .failed(let text) = error {
        err("edge-rendezvous: \(text)\n")
        return .unreachable
      }
    }
    do throws(StartError) {
      let store = try AccountStore.open(configuration.database)
      try Realm.settle(store, domain: configuration.domain)
      return deliver(request.run(on: store, now: MonotonicClock.wallClockSeconds))
    } catch {
      err("edge-rendezvous: \(error)\n")
      return .no
    }
  }

  private func deliver(_ reply: Reply) -> ExitCode {
    if reply.isAnswer { out(reply.text) } else { err("edge-rendezvous: \(reply.text)") }
    return reply.code
  }
}

extension LogLevel {
  fileprivate var level: Log.Level {
    switch self {
    case .debug: .debug
    case .info: .info
    case .warning: .warning
    case .error: .error
    }
  }
}
