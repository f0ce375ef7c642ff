public import Config
import EdgeCore
import LinuxIO
import MSRPTransport
import SIP
import SecureTransport
public import StatusModel
public import Uplink
import UserAgent

/// `edge inbox`: the messages to this account.
public enum InboxProgram {
  /// How long the server may take to hand over what waits, log-in and all.
  private static let patience = Duration.seconds(15)
  /// How long the server may take to call with a large message, once it has said that nothing else waits.
  private static let callPatience = Duration.milliseconds(500)

  /// - Parameters:
  ///   - follows: go on until SIGINT or SIGTERM; else until nothing more waits.
  ///   - includesKept: begin with the messages received earlier.
  ///   - show: called with each message, in order.
  public static func run(
    as configuration: ViewerConfiguration, follows: Bool, includesKept: Bool, progress: Progress,
    show: @escaping (Inbox.Entry) -> Void
  ) -> ExitCode {
    SignalSource.ignoreBrokenPipes()
    do throws(SetupProblem) {
      return try receive(configuration, follows, includesKept, progress, show)
    } catch {
      progress.fail(error.description)
      return error.exitCode
    }
  }

  private static func receive(
    _ configuration: ViewerConfiguration, _ follows: Bool, _ includesKept: Bool, _ progress: Progress,
    _ show: @escaping (Inbox.Entry) -> Void
  ) throws(SetupProblem) -> ExitCode {
    let account = configuration.account
    let directory = StateDirectory.ofViewer(configuration.stateDirectory)
    let material = try AccountMaterial.load(account, stateDirectory: directory, registers: true)
    let inbox: Inbox
    do throws(FileError) {
      inbox = try Inbox(directory: directory)
    } catch {
      throw SetupProblem("the messages cannot be kept: \(error)", exitCode: .no)
    }
    if includesKept { for entry in inbox.entries { show(entry) } }
    var result = ExitCode.unreachable
    do throws(SystemError) {
      let reactor = try Reactor()
      let resolver = NameResolver(reactor: reactor)
      let uplink = Uplink(reactor: reactor, resolver: resolver, configuration: material.uplink)
      var isDone = false
      let finish = { (code: ExitCode, why: String?) in
        guard !isDone else { return }
        isDone = true
        if let why { progress.fail(why) }
        result = code
        uplink.onStopped = { reactor.stop() }
        uplink.stop()
      }
      let signals = try SignalSource(reactor: reactor, signals: [.interrupt, .terminate]) { _ in finish(.fine, nil) }
      var attempts = 0
      let take = { (message: IncomingMessage) -> Bool in
        switch inbox.take(message, now: MonotonicClock.wallClockSeconds, domain: account.domain) {
        case .taken(let entry): show(entry)
        case .known: break
        case .failed(let why):
          finish(.no, "a message cannot be kept: \(why)")
          return false
        }
        return true
      }
      let receiver = MessageReceiver(
        MSRPDialer(uplink: uplink, reactor: reactor, resolver: resolver), take: take)
      // A call with what did not fit into one message may come right behind the last of those, or another call.
      var endsSoon: Reactor.TimerToken?
      let endSoon = {
        guard !follows else { return }
        if let endsSoon { reactor.cancel(endsSoon) }
        endsSoon = reactor.schedule(after: callPatience) { if !receiver.isBusy { finish(.fine, nil) } }
      }
      uplink.onEvent = { event in
        switch event {
        case .messageReceived(let handle, let message):
          let isKept = take(message)
          uplink.perform { $0.answerMessage(handle, isKept ? 200 : 500, at: $1, into: &$2) }
        case .incomingCall(let handle, let call):
          if !receiver.receive(handle, call) { uplink.perform { $0.refuse(handle, 488, at: $1, into: &$2) } }
        case .callEnded(let handle, _): if receiver.ended(handle) { endSoon() }
        case .notified: endSoon()
        case .subscriptionEnded(_, let status):
          let isPassword = status == 401 || status == 407 || status == 403
          finish(
            isPassword ? .notAllowed : .no,
            isPassword
              ? "account '\(account.account)' or its password is refused by \(account.uri)"
              : "the server refused: \(status.map { "\($0.value) \($0.reason)" } ?? "ended")")
        case .linkDown(let failure, let retryIn):
          attempts += 1
          let why = uplink.lastTLSFailure?.description ?? failure.text
          if failure.isPermanent || !follows && attempts > 2 {
            finish(failure == .badPassword ? .notAllowed : .unreachable, why)
          } else if follows {
            progress.say("\(why); trying again in \(retryIn.wholeMilliseconds / 100 * 100) ms")
          }
        default: break
        }
      }
      uplink.start()
      _ = uplink.perform { $0.subscribeToMessages(at: $1, into: &$2) }
      if !follows {
        let limit = patience.components.seconds
        _ = reactor.schedule(after: patience) { finish(.unreachable, "\(account.uri) did not answer in \(limit) s") }
      }
      try reactor.run()
      signals.close()
    } catch {
      throw SetupProblem("\(error)", exitCode: .unreachable)
    }
    return result
  }
}
