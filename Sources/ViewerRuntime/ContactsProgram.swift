public import Config
import EdgeCore
import LinuxIO
import PIDF
import SIP
import SecureTransport
public import StatusModel
import Uplink
import UserAgent
import XMLDocument

/// `edge contacts`: reads or changes the contact list the server keeps for the account.
public enum ContactsProgram {
  public enum Change: Hashable, Sendable { case add, accept, refuse, remove }

  public enum Task: Hashable, Sendable {
    case list(follows: Bool)
    case change(Change, String)
  }

  /// - Parameters:
  ///   - show: called with the list, and when following with each new one.
  ///   - say: called with what became of a change.
  public static func run(
    _ task: Task, as configuration: ViewerConfiguration, progress: Progress, show: @escaping (Roster) -> Void,
    say: @escaping (String) -> Void
  ) -> ExitCode {
    SignalSource.ignoreBrokenPipes()
    do throws(SetupProblem) {
      return try perform(task, configuration, progress, show, say)
    } catch {
      progress.fail(error.description)
      return error.exitCode
    }
  }

  private static func perform(
    _ task: Task, _ configuration: ViewerConfiguration, _ progress: Progress, _ show: @escaping (Roster) -> Void,
    _ say: @escaping (String) -> Void
  ) throws(SetupProblem) -> ExitCode {
    let account = configuration.account
    let material = try AccountMaterial.load(
      account, stateDirectory: StateDirectory.ofViewer(configuration.stateDirectory), registers: false)
    let follows = task == .list(follows: true)
    // No name of an account has a + in it.
    let list = account.account + "+contacts"
    do throws(SystemError) {
      let link = try CommandLink(account, material, follows: follows, progress: progress)
      link.onEvent = { event in
        switch event {
        case .linkUp:
          guard case .change(let change, let name) = task else { return }
          let body = Array(wish(change, "sip:\(name)@\(account.domain)").utf8)
          _ = link.uplink.perform {
            $0.publishOnce(
              to: list, event: "presence", contentType: Presence.contentType, body: body, at: $1, into: &$2)
          }
        case .messageAnswered(_, let status?):
          guard case .change(let change, let name) = task else { return }
          if let done = outcome(change, name, status) {
            say(done)
            return link.finish(.fine)
          }
          status == 401 || status == 407 ? link.finishRefused(status) : link.finish(.no, reason(change, name, status))
        case .notified(_, _, let body):
          guard let presence = try? Presence(parsing: body) else { return }
          show(contacts(in: presence))
          if !follows { link.finish(.fine) }
        case .subscriptionEnded(_, let status): link.finishRefused(status)
        default: break
        }
      }
      return try link.run {
        guard case .list = task else { return }
        _ = link.uplink.perform {
          $0.subscribe(to: list, event: "presence", accept: Presence.contentType, at: $1, into: &$2)
        }
      }
    } catch {
      throw SetupProblem("\(error)", exitCode: .unreachable)
    }
  }

  /// The document that says who is wanted; an answer to a request counts only while that stands.
  private static func wish(_ change: Change, _ uri: String) -> String {
    let isAnswer = change == .accept || change == .refuse
    let isWanted = change == .add || change == .accept
    return Presence(
      entity: uri,
      tuples: [
        Presence.Tuple(serial: "", relation: isAnswer ? "asking" : "", isOpen: isWanted, contact: uri, id: "wish")
      ]
    ).serialized
  }

  private static func contacts(in presence: Presence) -> Roster {
    var list = Roster(contacts: [])
    for tuple in presence.tuples where !tuple.relation.utf8.isEmpty {
      let uri = tuple.contact.flatMap { URI($0) }
      list.contacts.append(
        Roster.Contact(name: uri?.decodedUser ?? "", state: tuple.relation, isOnline: tuple.isOpen))
    }
    return list
  }

  /// `nil` when it did not work.
  private static func outcome(_ change: Change, _ name: String, _ status: StatusCode) -> String? {
    guard status.isSuccess else { return nil }
    switch change {
    case .add, .accept: return status == 202 ? "asked \(name)" : "\(name) is your contact now"
    case .refuse: return "refused \(name)"
    case .remove: return "removed \(name)"
    }
  }

  private static func reason(_ change: Change, _ name: String, _ status: StatusCode) -> String {
    switch (status.value, change) {
    case (404, .add): "there is no account \(name)"
    case (404, .remove): "\(name) is not on the list"
    case (404, _): "\(name) does not ask, or no longer"
    case (403, _): "your contact list or that of \(name) is full"
    case (503, _): "too many contact requests; try again in a few minutes"
    case (400, _): "\(name) cannot be a contact of this account"
    default: "\(name): \(status.value) \(status.reason)"
    }
  }
}
