import CPIM
public import Config
import EdgeCore
import LinuxIO
import MSRPTransport
import SIP
import SecureTransport
public import StatusModel
import Uplink
import UserAgent

/// `edge send`: one message to one account.
public enum SendProgram {
  /// What became of a message that was taken.
  public enum Outcome: String, Hashable, Sendable {
    /// One of the receiver's terminals has it.
    case delivered
    /// The server keeps it until one comes.
    case stored
  }

  public enum Answer {
    case sent(Outcome)
    case failed(String, ExitCode)
  }

  /// Bytes of one message, whatever carries it.
  public static let maximumBytes = 8 << 20
  /// How long a server may take, one that restarts meanwhile included.
  private static let patience = Duration.seconds(20)
  /// And how long for each MiB more.
  private static let patiencePerMiB = Duration.seconds(20)

  /// Sends `content`, which is of `contentType`: in one SIP message when it fits, else over MSRP.
  public static func send(
    _ content: [UInt8], contentType: String, to account: String,
    as configuration: ViewerConfiguration
  ) -> Answer {
    guard content.count <= maximumBytes else {
      return .failed("that is too long: a message has at most \(maximumBytes >> 20) MiB", .no)
    }
    do throws(SetupProblem) {
      return try ask(content, contentType, account, configuration)
    } catch {
      return .failed(error.description, error.exitCode)
    }
  }

  private static func ask(
    _ content: [UInt8], _ contentType: String, _ receiver: String, _ configuration: ViewerConfiguration
  ) throws(SetupProblem) -> Answer {
    let account = configuration.account
    let material = try AccountMaterial.load(
      account, stateDirectory: StateDirectory.ofViewer(configuration.stateDirectory), registers: false)
    // The same name however often it is sent: it is taken once.
    var random = SystemRandom()
    let message = CPIMMessage(
      from: "sip:\(account.account)@\(account.domain)", to: "sip:\(receiver)@\(account.domain)",
      dateTime: Timestamp.text(MonotonicClock.wallClockSeconds), messageID: random.token(24),
      contentType: contentType, body: content)
    let patience = patience + patiencePerMiB * (content.count >> 20)
    var answer = Answer.failed("\(account.uri) did not answer in \(patience.components.seconds) s", .unreachable)
    do throws(SystemError) {
      let reactor = try Reactor()
      let resolver = NameResolver(reactor: reactor)
      let uplink = Uplink(reactor: reactor, resolver: resolver, configuration: material.uplink)
      let sender = MessageSender(MSRPDialer(uplink: uplink, reactor: reactor, resolver: resolver))
      var isDone = false
      let finish = { (result: Answer) in
        guard !isDone else { return }
        isDone = true
        answer = result
        uplink.onStopped = { reactor.stop() }
        uplink.stop()
      }
      var isUp = false
      var isSending = false
      var retry: (() -> Void)?
      // A plain SIP client, reached through a server that passes on what it gets, may know nothing of CPIM.
      var isPlain = false
      let send = {
        guard isUp, !isSending, !isDone else { return }
        isSending = true
        sender.send(message, to: receiver) { outcome in
          isSending = false
          switch outcome {
          // The server is in trouble, or the way to it is: it is asked again, and knows the message if it has it.
          case .refused(nil), .refused(503), .refused(408): retry?()
          case .failed(0, let why), .failed(408, let why):
            answer = .failed("\(receiver): \(why), tried for \(patience.components.seconds) s", .unreachable)
            retry?()
          case .refused(415) where message.serialized.count <= MessageSender.maximumPage:
            isPlain = true
            _ = uplink.perform {
              $0.sendMessage(to: receiver, contentType: contentType, body: content, at: $1, into: &$2)
            }
          default: finish(self.answer(outcome, receiver, account.account, isLarge: message.serialized.count > 1300))
          }
        }
      }
      retry = { _ = reactor.schedule(after: .seconds(1)) { send() } }
      var attempts = 0
      uplink.onEvent = { event in
        if sender.receive(event) { return }
        switch event {
        case .linkUp:
          isUp = true
          send()
        case .messageAnswered(_, let status) where isPlain:
          let outcome: MessageSender.Outcome =
            status == 202 ? .stored : status?.isSuccess == true ? .delivered : .refused(status)
          finish(self.answer(outcome, receiver, account.account, isLarge: false))
        case .incomingCall(let handle, _): uplink.perform { $0.refuse(handle, 480, at: $1, into: &$2) }
        case .linkDown(let failure, _):
          isUp = false
          attempts += 1
          guard attempts > 2 || failure.isPermanent else { return }
          finish(
            .failed(
              uplink.lastTLSFailure?.description ?? failure.text,
              failure == .badPassword ? .notAllowed : .unreachable))
        default: break
        }
      }
      uplink.start()
      _ = reactor.schedule(after: patience) { finish(answer) }
      try reactor.run()
      retry = nil
    } catch {
      throw SetupProblem("\(error)", exitCode: .unreachable)
    }
    return answer
  }

  private static func answer(
    _ outcome: MessageSender.Outcome, _ receiver: String, _ account: String, isLarge: Bool
  ) -> Answer {
    switch outcome {
    case .delivered: return .sent(.delivered)
    case .stored: return .sent(.stored)
    case .barred(let why): return .failed("\(receiver): \(why)", .no)
    case .failed(413, _): return .failed("\(receiver) has as much waiting as an account may", .no)
    case .failed(_, let why): return .failed("\(receiver): \(why)", .no)
    case .refused(let status):
      switch status?.value ?? 408 {
      case 401, 403, 407: return .failed("account '\(account)' or its password is refused by the server", .notAllowed)
      case 404: return .failed("no account \(receiver), or it is not yours to write to", .no)
      case 413: return .failed("the text is too long", .no)
      case 480 where !isLarge:
        return .failed("\(receiver) has as many messages waiting as an account may", .no)
      case 405, 406, 415, 480, 488, 501:
        return .failed(
          "that is too long for one message, and neither \(receiver) nor the server takes longer ones now", .no)
      case 603: return .failed("\(receiver) declined", .no)
      default: return .failed("\(receiver): \(status?.value ?? 408) \(status?.reason ?? "no answer")", .no)
      }
    }
  }
}
