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
  /// How long the server may take to call with a large message, once it has said that nothing else waits.
  private static let callPatience = Duration.milliseconds(500)
  /// After which a server of another make, which has no broker to say so, has nothing more.
  private static let silence = Duration.seconds(2)

  /// RFC 6665 §4.2.1.1: 489; servers without any events say 405 or 501, and some proxies look for a user: 404.
  private static func isUnknownPackage(_ status: StatusCode?) -> Bool {
    status == 489 || status == 405 || status == 501 || status == 404
  }

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
    var place: TerminalPlace?
    if let directory { place = try TerminalPlace.inbox(in: directory) }
    let material = try AccountMaterial.load(account, stateDirectory: directory, registers: true, place: place)
    let inbox: Inbox
    do throws(FileError) {
      inbox = try Inbox(place)
      if includesKept, let directory { for entry in try Inbox.everything(in: directory) { show(entry) } }
    } catch {
      throw SetupProblem("the messages cannot be kept: \(error)", exitCode: .no)
    }
    do throws(SystemError) {
      let link = try CommandLink(account, material, follows: follows, progress: progress)
      let uplink = link.uplink
      let take = { (message: IncomingMessage) -> Bool in
        switch inbox.take(message, now: MonotonicClock.wallClockSeconds, domain: account.domain) {
        case .taken(let entry): show(entry)
        case .known: break
        case .failed(let why):
          link.finish(.no, "a message cannot be kept: \(why)")
          return false
        }
        return true
      }
      let receiver = MessageReceiver(
        MSRPDialer(uplink: uplink, reactor: link.reactor, resolver: link.resolver), take: take)
      var isPlain = false
      // A call with what did not fit into one message may come right behind the last of those, or another call.
      var endsSoon: Reactor.TimerToken?
      let endSoon = {
        guard !follows else { return }
        if let endsSoon { link.reactor.cancel(endsSoon) }
        endsSoon = link.reactor.schedule(after: isPlain ? silence : callPatience) {
          if !receiver.isBusy { link.finish(.fine) }
        }
      }
      link.onEvent = { event in
        switch event {
        case .messageReceived(let handle, let message):
          let isKept = take(message)
          uplink.perform { $0.answerMessage(handle, isKept ? 200 : 500, at: $1, into: &$2) }
          if isPlain { endSoon() }
        case .incomingCall(let handle, let call):
          if !receiver.receive(handle, call) { uplink.perform { $0.refuse(handle, 488, at: $1, into: &$2) } }
        case .callEnded(let handle, _): if receiver.ended(handle) { endSoon() }
        case .notified: endSoon()
        case .subscriptionEnded(_, let status) where !isPlain && isUnknownPackage(status):
          isPlain = true
          progress.say("\(account.uri) has no message broker: logged in as a plain SIP client")
          endSoon()
        case .subscriptionEnded(_, let status): link.finishRefused(status)
        default: break
        }
      }
      return try link.run { _ = uplink.perform { $0.subscribeToMessages(at: $1, into: &$2) } }
    } catch {
      throw SetupProblem("\(error)", exitCode: .unreachable)
    }
  }
}
