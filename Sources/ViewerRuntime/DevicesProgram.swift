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

/// `edge devices`: asks the server once what this account may see.
public enum DevicesProgram {
  public enum Answer {
    case devices(DeviceList)
    case failed(String, ExitCode)
  }

  /// How long the server may take, log-in and all.
  private static let patience = Duration.seconds(15)

  public static func list(as configuration: ViewerConfiguration) -> Answer {
    do throws(SetupProblem) {
      return try ask(configuration)
    } catch {
      return .failed(error.description, error.exitCode)
    }
  }

  private static func ask(_ configuration: ViewerConfiguration) throws(SetupProblem) -> Answer {
    let account = configuration.account
    let material = try AccountMaterial.load(
      account, stateDirectory: StateDirectory.ofViewer(configuration.stateDirectory), registers: false)
    var answer = Answer.failed("\(account.uri) did not answer in \(patience.components.seconds) s", .unreachable)
    do throws(SystemError) {
      let reactor = try Reactor()
      let resolver = NameResolver(reactor: reactor)
      let uplink = Uplink(reactor: reactor, resolver: resolver, configuration: material.uplink)
      var isDone = false
      let finish = { (result: Answer) in
        guard !isDone else { return }
        isDone = true
        answer = result
        uplink.onStopped = { reactor.stop() }
        uplink.stop()
      }
      var attempts = 0
      uplink.onEvent = { event in
        switch event {
        case .notified(_, _, let body): finish(read(body))
        case .subscriptionEnded(_, let status):
          let isPassword = status == 401 || status == 407 || status == 403
          finish(
            isPassword
              ? .failed("account '\(account.account)' or its password is refused by \(account.uri)", .notAllowed)
              : .failed("the server refused the list: \(status.map { "\($0.value) \($0.reason)" } ?? "ended")", .no))
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
      _ = uplink.perform {
        $0.subscribe(
          to: account.account, event: "presence", accept: Presence.contentType, at: $1, into: &$2)
      }
      _ = reactor.schedule(after: patience) { finish(answer) }
      try reactor.run()
    } catch {
      throw SetupProblem("\(error)", exitCode: .unreachable)
    }
    return answer
  }

  private static func read(_ body: [UInt8]) -> Answer {
    let presence: Presence
    do throws(PresenceError) {
      presence = try Presence(parsing: body)
    } catch {
      return .failed("the server's list makes no sense", .unreachable)
    }
    return .devices(
      DeviceList(
        devices: presence.tuples.map { tuple in
          DeviceList.Device(
            serial: tuple.serial, isOnline: tuple.isOpen, type: tuple.type,
            name: tuple.name.utf8.isEmpty ? nil : tuple.name, ip: tuple.ip.utf8.isEmpty ? nil : tuple.ip,
            port: tuple.port.map { Int($0) }, formats: tuple.formats)
        }))
  }
}
