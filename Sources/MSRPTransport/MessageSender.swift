public import CPIM
import EdgeCore
import LinuxIO
import MSRP
import SDP
public import SIP
import SecureStreams
import Uplink
public import UserAgent

/// Sends messages of any size: in one SIP MESSAGE when they fit (RFC 3428), else with a call of their own over MSRP.
///
/// One is under way per receiver; the others wait in order. The owner gives it every event of the link.
public final class MessageSender {
  /// What became of a message.
  public enum Outcome: Hashable, Sendable {
    /// The receiver, or one of its terminals, has it.
    case delivered
    /// The server keeps it until a terminal comes.
    case stored
    /// The final answer to its request; `nil`: none came, and it may have been taken or not.
    case refused(StatusCode?)
    /// There is no way to it, and trying again does not help.
    case barred(String)
    /// MSRP failed with this status (RFC 4975 §10), or could not begin: 0.
    case failed(Int, why: String)
  }

  private struct Pending {
    var message: CPIMMessage
    var done: (Outcome) -> Void
    var page: MessageHandle?
    var call: CallHandle?
    var place: MSRPDialer.Place?
    var stream: MSRPStream?
  }

  private let dialer: MSRPDialer
  private var queues: [String: [Pending]] = [:]

  /// RFC 3428 §8, head of the content included.
  public static let maximumPage = 1300
  /// How long a sender waits for the report that a terminal has what the service has stored.
  private static let reportPatience = Duration.seconds(2)

  public init(_ dialer: MSRPDialer) { self.dialer = dialer }

  /// `done` is called once. The same message may be given again when it is not known whether it was taken: its
  /// Message-ID has it taken once.
  public func send(_ message: CPIMMessage, to receiver: String, done: @escaping (Outcome) -> Void) {
    queues[receiver, default: []].append(Pending(message: message, done: done))
    if queues[receiver]?.count == 1 { begin(receiver) }
  }

  private func begin(_ receiver: String) {
    guard let pending = queues[receiver]?.first else { return queues[receiver] = nil }
    let content = pending.message.serialized
    guard content.count > Self.maximumPage else {
      let handle = dialer.uplink.perform {
        $0.sendMessage(to: receiver, contentType: CPIMMessage.mediaType, body: content, at: $1, into: &$2)
      }
      guard let handle else { return finish(receiver, .refused(nil)) }
      queues[receiver]?[0].page = handle
      return
    }
    invite(receiver)
  }

  private func invite(_ receiver: String) {
    dialer.prepare { [self] place, obstacle in
      guard let place else { return finish(receiver, Self.outcome(obstacle)) }
      invite(receiver, place)
    }
  }

  private func invite(_ receiver: String, _ place: MSRPDialer.Place) {
    var description = dialer.description(place)
    description.direction = .sendonly
    let offer = Array(description.session(id: "1").serialized.utf8)
    let handle = dialer.uplink.perform {
      $0.call(receiver, contentType: "application/sdp", body: offer, at: $1, into: &$2)
    }
    guard let handle else {
      place.pass?.stream.close()
      return finish(receiver, .refused(nil))
    }
    queues[receiver]?[0].call = handle
    queues[receiver]?[0].place = place
  }

  /// Whether the event was about a message this sends.
  public func receive(_ event: UserAgentEvent) -> Bool {
    switch event {
    case .messageAnswered(let handle, let status):
      guard let receiver = receiver({ $0.page == handle }) else { return false }
      // Too large for a MESSAGE on the way there: the other way then.
      if status == 413 { invite(receiver) } else { finish(receiver, Self.outcome(status)) }
    case .callAnswered(let handle, _, let body):
      guard let receiver = receiver({ $0.call == handle }) else { return false }
      answered(receiver, body)
    case .callEnded(let handle, let end):
      guard let receiver = receiver({ $0.call == handle }) else { return false }
      queues[receiver]?[0].call = nil
      if case .refused(let status, _) = end {
        finish(receiver, .refused(status))
      } else {
        finish(receiver, .refused(nil))
      }
    default: return false
    }
    return true
  }

  private func receiver(_ isIt: (Pending) -> Bool) -> String? {
    for (receiver, queue) in queues {
      if let first = queue.first, isIt(first) { return receiver }
    }
    return nil
  }

  private static func outcome(_ status: StatusCode?) -> Outcome {
    guard let status, status.isSuccess else { return .refused(status) }
    return status == 202 ? .stored : .delivered
  }

  private static func outcome(_ obstacle: MSRPObstacle?) -> Outcome {
    guard let obstacle else { return .failed(0, why: "no way to it") }
    return obstacle.isLasting ? .barred(obstacle.why) : .failed(0, why: obstacle.why)
  }

  private func answered(_ receiver: String, _ body: [UInt8]) {
    let span = body.span
    guard let pending = queues[receiver]?.first, let place = pending.place,
      let answer = unsafe try? SessionDescription(parsing: span.bytes), let peer = MSRPDescription(answer)
    else { return finish(receiver, .failed(0, why: "the answer offers no MSRP")) }
    dialer.connect(peer, from: place, .init()) { [self] stream, obstacle in
      guard let stream else { return finish(receiver, Self.outcome(obstacle)) }
      queues[receiver]?[0].stream = stream
      stream.onEvent = { [self] event in receive(event, receiver) }
      stream.onClosed = { [self] why in finish(receiver, .failed(0, why: why)) }
      var message = MSRPSession.Outgoing(contentType: CPIMMessage.mediaType, body: pending.message.serialized)
      message.wantsSuccessReport = true
      stream.send(message)
    }
  }

  private func receive(_ event: MSRPSession.Event, _ receiver: String) {
    switch event {
    case .sent:
      guard let stream = queues[receiver]?.first?.stream else { return }
      _ = dialer.reactor.schedule(after: Self.reportPatience) { [self] in
        // Still the same message.
        guard queues[receiver]?.first?.stream === stream else { return }
        finish(receiver, .stored)
      }
    case .delivered: finish(receiver, .delivered)
    case .failed(_, let status): finish(receiver, .failed(status, why: "MSRP \(status) \(MSRPStatus.comment(status))"))
    case .began, .piece, .received, .abandoned, .progress, .ended: break
    }
  }

  private func finish(_ receiver: String, _ outcome: Outcome) {
    guard let pending = queues[receiver]?.first else { return }
    queues[receiver]?.removeFirst()
    if let stream = pending.stream { stream.close() } else { pending.place?.pass?.stream.close() }
    if let call = pending.call { dialer.uplink.perform { $0.hangUp(call, at: $1, into: &$2) } }
    pending.done(outcome)
    begin(receiver)
  }
}
