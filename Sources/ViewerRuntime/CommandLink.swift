import Config
import EdgeCore
import LinuxIO
import SIP
import SecureTransport
import StatusModel
import Uplink
import UserAgent

/// The link of a command that asks the server something, or follows it until Ctrl-C, and then ends.
final class CommandLink {
  let account: AccountConfiguration
  let reactor: Reactor
  let resolver: NameResolver
  let uplink: Uplink
  /// What the agent found, but for the link's going down.
  var onEvent: (UserAgentEvent) -> Void = { _ in }

  private let follows: Bool
  private let progress: Progress
  private var result = ExitCode.unreachable
  private var isDone = false
  private var attempts = 0

  /// How long the server may take, log-in and all.
  private static let patience = Duration.seconds(15)

  /// - Parameter follows: go on until SIGINT or SIGTERM, whatever becomes of the link.
  init(
    _ account: AccountConfiguration, _ material: AccountMaterial, follows: Bool, progress: Progress
  ) throws(SystemError) {
    self.account = account
    self.follows = follows
    self.progress = progress
    reactor = try Reactor()
    resolver = NameResolver(reactor: reactor)
    uplink = Uplink(reactor: reactor, resolver: resolver, configuration: material.uplink)
  }

  /// Logs in, does what `begin` says, and returns when ``finish(_:_:)`` was called.
  func run(begin: () -> Void) throws(SystemError) -> ExitCode {
    let signals = try SignalSource(reactor: reactor, signals: [.interrupt, .terminate]) { [self] _ in
      finish(follows ? .fine : .no)
    }
    listen()
    uplink.start()
    begin()
    if !follows {
      let limit = Self.patience.components.seconds
      _ = reactor.schedule(after: Self.patience) { [self] in
        finish(.unreachable, "\(account.uri) did not answer in \(limit) s")
      }
    }
    try reactor.run()
    signals.close()
    return result
  }

  /// - Parameter why: for people; `nil` when all is well.
  func finish(_ code: ExitCode, _ why: String? = nil) {
    guard !isDone else { return }
    isDone = true
    if let why { progress.fail(why) }
    result = code
    uplink.onStopped = { [self] in reactor.stop() }
    uplink.stop()
  }

  /// The server does not want what was asked.
  func finishRefused(_ status: StatusCode?) {
    guard status == 401 || status == 407 || status == 403 else {
      return finish(.no, "the server refused: \(status.map { "\($0.value) \($0.reason)" } ?? "ended")")
    }
    finish(.notAllowed, "account '\(account.account)' or its password is refused by \(account.uri)")
  }

  private func listen() {
    uplink.onEvent = { [self] event in
      guard case .linkDown(let failure, let retryIn) = event else { return onEvent(event) }
      attempts += 1
      let why = uplink.lastTLSFailure?.description ?? failure.text
      if failure.isPermanent || !follows && attempts > 2 {
        finish(failure == .badPassword ? .notAllowed : .unreachable, why)
      } else if follows {
        progress.say("\(why); trying again in \(retryIn.wholeMilliseconds / 100 * 100) ms")
      }
    }
  }
}
