import CPIM
public import Config
import EdgeCore
import LinuxIO
import SIP
import SecureTransport
public import StatusModel
import Uplink
import UserAgent

/// `edge send`: one text to one account.
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

  /// RFC 3428 §8, head of the content included.
  public static let maximumBytes = 1300
  /// How long a server may take, one that restarts meanwhile included.
  private static let patience = Duration.seconds(20)

  public static func send(_ text: String, to account: String, as configuration: ViewerConfiguration) -> Answer {
    do throws(SetupProblem) {
      return try ask(text, account, configuration)
    } catch {
      return .failed(error.description, error.exitCode)
    }
  }

  private static func ask(
    _ text: String, _ receiver: String, _ configuration: ViewerConfiguration
  ) throws(SetupProblem) -> Answer {
    let account = configuration.account
    let material = try AccountMaterial.load(
      account, stateDirectory: StateDirectory.ofViewer(configuration.stateDirectory), registers: false)
    // The same name however often it is sent: the server takes it once.
    var random = SystemRandom()
    let content = CPIMMessage(
      from: "sip:\(account.account)@\(account.domain)", to: "sip:\(receiver)@\(account.domain)",
      dateTime: Timestamp.text(MonotonicClock.wallClockSeconds), messageID: random.token(24),
      contentType: CPIMMessage.plainText, body: Array(text.utf8)
    ).serialized
    guard content.count <= maximumBytes else {
      return .failed(
        "the text is too long: a message has at most \(maximumBytes - content.count + text.utf8.count) bytes", .no)
    }
    var answer = Answer.failed("\(account.uri) did not answer in \(patience.components.seconds) s", .unreachable)
    do throws(SystemError) {
      let reactor = try Reactor()
      let uplink = Uplink(
        reactor: reactor, resolver: NameResolver(reactor: reactor), configuration: material.uplink)
      var isDone = false
      let finish = { (result: Answer) in
        guard !isDone else { return }
        isDone = true
        answer = result
        uplink.onStopped = { reactor.stop() }
        uplink.stop()
      }
      let send = {
        _ = uplink.perform {
          $0.sendMessage(to: receiver, contentType: CPIMMessage.mediaType, body: content, at: $1, into: &$2)
        }
      }
      var attempts = 0
      uplink.onEvent = { event in
        switch event {
        case .linkUp: send()
        case .messageAnswered(_, let status?):
          if status == 503 || status == 408 {
            // The server is in trouble and says so: it is asked again, and knows the message if it has it.
            _ = reactor.schedule(after: .seconds(1)) { if !isDone { send() } }
          } else {
            finish(outcome(status, receiver, account.account))
          }
        case .linkDown(let failure, _):
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
    } catch {
      throw SetupProblem("\(error)", exitCode: .unreachable)
    }
    return answer
  }

  private static func outcome(_ status: StatusCode, _ receiver: String, _ account: String) -> Answer {
    switch status.value {
    case 202: .sent(.stored)
    case 200..<300: .sent(.delivered)
    case 401, 403, 407: .failed("account '\(account)' or its password is refused by the server", .notAllowed)
    case 404: .failed("no account \(receiver), or it is not yours to write to", .no)
    case 413: .failed("the text is too long", .no)
    case 480: .failed("\(receiver) has as many messages waiting as an account may", .no)
    default: .failed("\(receiver): \(status.value) \(status.reason)", .no)
    }
  }
}
