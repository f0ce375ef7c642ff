import EdgeCore
import ICE
import LinuxIO
import PeerSession
import SCTPTransport
import SDP
import SecureTransport
import Testing

/// Two sessions on one reactor, over this machine's loopback interface, with signalling by hand.
final class PeerPair {
  let reactor: Reactor
  let offerer: PeerSession
  let answerer: PeerSession
  let offererIdentity: Identity
  let answererIdentity: Identity
  var opened: [String] = []
  var closed: [String: PeerCloseReason] = [:]
  var offererChannels: [PeerChannel] = []
  var answererChannels: [PeerChannel] = []
  /// Messages by who received them.
  var received: [String: [[UInt8]]] = ["offerer": [], "answerer": []]
  var editOffer: (inout DataChannelDescription) -> Void = { _ in }
  var editAnswer: (inout DataChannelDescription) -> Void = { _ in }

  init(
    offerer: PeerConfiguration? = nil, answerer: PeerConfiguration? = nil
  ) throws {
    reactor = try Reactor()
    offererIdentity = try Identity()
    answererIdentity = try Identity()
    self.offerer = PeerSession(
      reactor: reactor, identity: offererIdentity, configuration: offerer ?? Self.loopback)
    self.answerer = PeerSession(
      reactor: reactor, identity: answererIdentity, configuration: answerer ?? Self.loopback)
    for (name, session) in [("offerer", self.offerer), ("answerer", self.answerer)] {
      session.onOpen = { [unowned self] in opened.append(name) }
      session.onClosed = { [unowned self] reason in closed[name] = reason }
      session.onChannel = { [unowned self] channel in take(channel, by: name) }
    }
  }

  static var loopback: PeerConfiguration {
    var configuration = PeerConfiguration()
    configuration.includesLoopback = true
    return configuration
  }

  func take(_ channel: PeerChannel, by name: String) {
    if name == "offerer" { offererChannels.append(channel) } else { answererChannels.append(channel) }
    channel.onMessage = { [unowned self] bytes, _ in received[name, default: []].append(bytes) }
  }

  /// Carries offer and answer across, through their text forms.
  func signal() {
    offerer.offer { [self] description in
      var offer = description
      editOffer(&offer)
      guard let read = try? DataChannelDescription(offer.serialized) else {
        Issue.record("the offer cannot be read: \(offer.serialized)")
        return
      }
      answerer.answer(read) { [self] description in
        var answer = description
        editAnswer(&answer)
        guard let read = try? DataChannelDescription(answer.serialized) else {
          Issue.record("the answer cannot be read: \(answer.serialized)")
          return
        }
        offerer.accept(read)
      }
    }
  }

  /// A channel opened by the offerer, known to both.
  func open(_ options: DataChannelOptions = .init(label: "video")) throws -> PeerChannel {
    offerer.openChannel(options) { [self] channel in take(channel, by: "offerer") }
    signal()
    try run("opening") { opened.count == 2 && offererChannels.count == 1 && answererChannels.count == 1 }
    return try #require(offererChannels.first)
  }

  func run(_ what: String = "", limit: Duration = .seconds(15), until condition: () -> Bool) throws {
    let end = reactor.now + limit
    while !condition() {
      guard reactor.now < end else {
        Issue.record("timed out: \(what) \(closed)")
        return
      }
      try reactor.turn(waitingAtMost: .milliseconds(20))
    }
  }

  func finish() throws {
    offerer.close()
    answerer.close()
    try run("closing") { closed.count == 2 }
  }

  static func pattern(_ count: Int, _ salt: Int = 0) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 13 &+ salt &+ $0 >> 9) }
  }
}
