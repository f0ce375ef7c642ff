import CPIM
import Config
import EdgeCore
import FileTransfer
import LinuxIO
import MSRP
import PeerMessaging
import PeerSession
import SCTPTransport
import SDP
import SIP
import SecureTransport
import StatusModel
import Uplink
import UserAgent

/// A chat with one account: straight from program to program while both run (MSRP on a data channel), over the server's
/// store while the other one is away.
final class ChatClient {
  var onFinished: ((ExitCode) -> Void)?

  let reactor: Reactor
  let configuration: ViewerConfiguration
  let name: String
  let folder: String
  let progress: Progress
  let material: AccountMaterial
  let uplink: Uplink
  private let write: (String) -> Void
  private var input: LineInput?
  private let inbox: Inbox?

  private var call: PeerCall?
  private var channel: MSRPChannel?
  private var isLinkUp = false
  private var isLeaving = false
  private var hasEnded = false
  private var failures = 0
  private var hasToldAbsence = false
  private var retryTimer: Reactor.TimerToken?
  /// Sent over the channel, by Message-ID.
  private var underWay: [(id: String, text: String, isConfirmed: Bool)] = []
  /// Sent over the server.
  private var mailed: [(handle: MessageHandle, text: String)] = []
  /// Typed before there was a way to send it.
  private var waiting: [String] = []

  /// Offers of the other side, by number.
  var offers: [FileOffer] = []
  var lastOffer = 0
  /// Files under way to here, by content.
  var taken: [TakenFile] = []
  /// Files under way from here.
  var transfers: [TransferClient] = []

  /// How long a chat that is left waits for what is under way.
  private static let farewell = Duration.seconds(10)
  /// Between two calls of somebody who is away.
  private static let callInterval = Duration.seconds(15)
  /// RFC 3428 §8, less the wrapper.
  private static let maximumMail = 1000
  private static let maximumText = 64 << 10

  init(
    reactor: Reactor, configuration: ViewerConfiguration, name: String, folder: String, progress: Progress,
    write: @escaping (String) -> Void
  ) throws(SetupProblem) {
    self.reactor = reactor
    self.configuration = configuration
    self.name = name
    self.folder = folder
    self.progress = progress
    self.write = write
    guard name != configuration.account.account else {
      throw SetupProblem("\(name) is this account itself", exitCode: .no)
    }
    guard File.isDirectory(folder) else { throw SetupProblem("\(folder): no such folder", exitCode: .no) }
    let directory = StateDirectory.ofViewer(configuration.stateDirectory)
    var place: TerminalPlace?
    if let directory { place = try TerminalPlace.chat(in: directory) }
    material = try AccountMaterial.load(
      configuration.account, stateDirectory: directory, registers: true, place: place)
    inbox = try? Inbox(place)
    uplink = Uplink(reactor: reactor, resolver: NameResolver(reactor: reactor), configuration: material.uplink)
    uplink.onEvent = { [unowned(unsafe) self] in receive($0) }
  }

  func start() {
    uplink.start()
    if inbox != nil { _ = uplink.perform { $0.subscribeToMessages(at: $1, into: &$2) } }
    input = LineInput(reactor: reactor)
    input?.onLine = { [unowned(unsafe) self] in typed($0) }
    input?.onEnd = { [unowned(unsafe) self] in leave() }
    input?.start()
  }

  func show(_ text: String) {
    progress.closeLine()
    write(text + "\n")
  }

  // MARK: What was typed

  private func typed(_ line: String) {
    guard !isLeaving else { return }
    switch ChatLine(line) {
    case .text(let text): send(text)
    case .file(let path): offer(path)
    case .accept(let number): decide(number, takes: true)
    case .refuse(let number): decide(number, takes: false)
    case .help: show(ChatLine.helpText)
    case .quit: leave()
    case .nothing: break
    case .wrong(let why): show("-- \(ShownText.line(why))")
    }
  }

  private func send(_ text: String) {
    guard text.utf8.count <= Self.maximumText else { return show("-- too long: at most \(Self.maximumText) bytes") }
    if let channel {
      var message = MSRPSession.Outgoing(contentType: "text/plain", body: Array(text.utf8))
      message.wantsSuccessReport = true
      underWay.append((channel.send(message), text, false))
    } else if call == nil, isLinkUp {
      mail(text)
    } else {
      // A call is being made: it is known in a moment which way the text goes.
      waiting.append(text)
    }
  }

  private func mail(_ text: String) {
    guard text.utf8.count <= Self.maximumMail else {
      return tell("not sent, \(name) is away and the server keeps at most \(Self.maximumMail) bytes", text)
    }
    let domain = configuration.account.domain
    var random = SystemRandom()
    let content = CPIMMessage(
      from: "sip:\(configuration.account.account)@\(domain)", to: "sip:\(name)@\(domain)",
      dateTime: Timestamp.text(MonotonicClock.wallClockSeconds), messageID: random.token(24),
      contentType: CPIMMessage.plainText, body: Array(text.utf8)
    ).serialized
    let handle = uplink.perform {
      $0.sendMessage(to: name, contentType: CPIMMessage.mediaType, body: content, at: $1, into: &$2)
    }
    if let handle { mailed.append((handle, text)) } else { waiting.append(text) }
  }

  private func flushWaiting() {
    let texts = waiting
    waiting = []
    for text in texts { send(text) }
  }

  /// What became of a text of ours.
  private func tell(_ outcome: String, _ text: String) {
    let shown = Array(ShownText.line(text).unicodeScalars.prefix(24))
    var short = ""
    for scalar in shown { short.unicodeScalars.append(scalar) }
    show("-- \(outcome): \(short)")
    finishLeaving()
  }

  // MARK: The link

  private func receive(_ event: UserAgentEvent) {
    if call?.receive(event) == true { return }
    for offer in offers where offer.call.receive(event) { return }
    for file in taken where file.call?.receive(event) == true { return }
    switch event {
    case .linkUp:
      isLinkUp = true
      failures = 0
      if call == nil { place() }
    case .linkDown(let failure, _):
      isLinkUp = false
      failures += 1
      let why = uplink.lastTLSFailure?.description ?? failure.text
      if failure.isPermanent { return end(failure == .badPassword ? .notAllowed : .no, why) }
      if failures == 3 { progress.say(why) }
    case .incomingCall(let handle, let incoming): receive(handle, incoming)
    case .messageReceived(let handle, let message): received(handle, message)
    case .messageAnswered(let handle, let status): answered(handle, status)
    default: break
    }
  }

  private func received(_ handle: MessageHandle, _ message: IncomingMessage) {
    guard let inbox else { return uplink.perform { $0.answerMessage(handle, 480, at: $1, into: &$2) } }
    switch inbox.take(message, now: MonotonicClock.wallClockSeconds, domain: configuration.account.domain) {
    case .taken(let entry):
      uplink.perform { $0.answerMessage(handle, 200, at: $1, into: &$2) }
      if entry.type.hasPrefix("text/") { show(entry.from, entry.text) }
    case .known: uplink.perform { $0.answerMessage(handle, 200, at: $1, into: &$2) }
    case .failed(let why):
      uplink.perform { $0.answerMessage(handle, 500, at: $1, into: &$2) }
      show("-- a message cannot be kept: \(why)")
    }
  }

  private func show(_ sender: String, _ text: String) {
    let time = Array(Plain.time(MonotonicClock.wallClockSeconds).utf8)
    show("\(String(decoding: time[11..<16], as: UTF8.self)) \(ShownText.line(sender)): \(ShownText.line(text))")
  }

  private func answered(_ handle: MessageHandle, _ status: StatusCode?) {
    guard let index = mailed.firstIndex(where: { $0.handle == handle }) else { return }
    let text = mailed.remove(at: index).text
    switch status?.value {
    case 202?: tell("stored until \(name) comes", text)
    case .some(200..<300): tell("delivered", text)
    case 404?: tell("not sent, no account \(name), or it is not yours to write to", text)
    case 480?: tell("not sent, \(name) has as many messages waiting as an account may", text)
    case .some(let other): tell("not sent (\(other))", text)
    case nil: tell("perhaps not sent, the server did not answer", text)
    }
  }

  // MARK: The chat's own call

  private func place() {
    guard isLinkUp, call == nil, !isLeaving else { return }
    let made = PeerCall(
      calling: name, reactor: reactor, uplink: uplink, material: material, configuration: peerConfiguration)
    let local = MSRPChannel.newURI()
    made.peer.negotiate(ChatDescription(path: local.text, isActive: true).channel, priority: .signalling) {
      [unowned(unsafe) self, unowned(unsafe) made] channel in
      guard let answer = made.description, let offered = ChatDescription.channel(in: answer),
        let remote = ChatDescription(offered).flatMap({ MSRPURI($0.path) })
      else { return }
      open(channel, made, local, remote)
    }
    made.onAnswer = { [unowned(unsafe) self, unowned(unsafe) made] answer in
      if ChatDescription.channel(in: answer) != nil { return true }
      made.hangUp()
      call = nil
      absent("\(name) cannot chat: its program may be older than this one")
      return false
    }
    adopt(made)
    made.start()
  }

  var peerConfiguration: PeerConfiguration {
    var peer = PeerConfiguration()
    let wanted = configuration.account.stun.flatMap { each in
      NameResolver.numeric(each.host).map { SocketAddress($0, port: each.port) }
    }
    if let server = wanted ?? uplink.serverAddress.map({ SocketAddress($0.ip, port: 3478) }) {
      peer.stunServers = [server]
    }
    peer.openLimit = .seconds(180)
    return peer
  }

  private func adopt(_ made: PeerCall) {
    call = made
    made.onOpen = { [unowned(unsafe) self] in
      hasToldAbsence = false
      progress.say("\(name) is here (path: \(made.peer.path?.kind.text ?? "?"))")
    }
    made.onEnded = { [unowned(unsafe) self, unowned(unsafe) made] why in
      guard call === made else { return }
      dropChannel()
      call = nil
      switch why {
      case .refused(let status) where status == 486: schedulePlace(.seconds(2))
      case .refused(404), .refused(403):
        absent("no \(name), or it is not yours to write to")
      case .refused: absent("\(name) is away: texts are kept until they come")
      case .remote: absent("\(name) left: texts are kept until they come")
      case .lost(let why): absent("\(name): \(why); texts are kept until they come")
      }
    }
  }

  /// Texts take the server's way until there is another call.
  private func absent(_ why: String) {
    if !hasToldAbsence { progress.say(why) }
    hasToldAbsence = true
    schedulePlace(Self.callInterval)
    flushWaiting()
  }

  private func schedulePlace(_ delay: Duration) {
    if let retryTimer { reactor.cancel(retryTimer) }
    retryTimer = reactor.schedule(after: delay) { [unowned(unsafe) self] in
      retryTimer = nil
      place()
    }
  }

  private func open(_ peerChannel: PeerChannel, _ made: PeerCall, _ local: MSRPURI, _ remote: MSRPURI) {
    let channel = MSRPChannel(reactor: reactor, channel: peerChannel, peer: made.peer, local: local, path: remote) {
      $0.delivery = .whole(maximum: Self.maximumText)
      $0.acceptTypes = ChatDescription.types
      $0.ownerConfirms = true
    }
    self.channel = channel
    channel.onEvent = { [unowned(unsafe) self] in receive($0) }
    channel.sayHello()
    flushWaiting()
  }

  private func receive(_ event: MSRPSession.Event) {
    switch event {
    case .received(let id, _, let body, _):
      channel?.accept(id)
      show(name, String(decoding: body, as: UTF8.self))
    case .sent(let id):
      if let index = underWay.firstIndex(where: { $0.id == id }) { underWay[index].isConfirmed = true }
    case .delivered(let id):
      guard let index = underWay.firstIndex(where: { $0.id == id }) else { return }
      tell("delivered", underWay.remove(at: index).text)
    case .failed(let id, let status):
      guard let index = underWay.firstIndex(where: { $0.id == id }) else { return }
      let text = underWay.remove(at: index).text
      // Not heard of: it may have come, and is sent the safe way all the same.
      if status == 408 || status == 481 { waiting.append(text) } else { tell("not delivered (\(status))", text) }
    case .began, .piece, .abandoned, .progress, .ended: break
    }
  }

  private func dropChannel() {
    // Confirmed and not reported: it is there.
    for each in underWay where each.isConfirmed { tell("sent", each.text) }
    waiting += underWay.filter { !$0.isConfirmed }.map { $0.text }
    underWay = []
    channel?.close()
    channel = nil
  }

  // MARK: Calls of the other side

  private func receive(_ handle: CallHandle, _ incoming: IncomingCall) {
    guard incoming.caller == name, !isLeaving,
      let offer = try? DataChannelDescription(parsing: incoming.body.span.bytes)
    else { return uplink.perform { $0.refuse(handle, 486, at: $1, into: &$2) } }
    if FileDescription.channel(in: offer) != nil { return offered(handle, incoming, offer) }
    guard let channel = ChatDescription.channel(in: offer), let remote = ChatDescription(channel),
      let path = MSRPURI(remote.path)
    else { return uplink.perform { $0.refuse(handle, 488, at: $1, into: &$2) } }
    // Both called at once: the call of the lesser name stands.
    if let call, !call.isOpen, configuration.account.account < name {
      return uplink.perform { $0.refuse(handle, 486, at: $1, into: &$2) }
    }
    let made = PeerCall(
      answering: handle, incoming, offer: offer, reactor: reactor, uplink: uplink, material: material,
      configuration: peerConfiguration)
    if let old = call {
      call = nil
      dropChannel()
      old.hangUp()
    }
    if let retryTimer { reactor.cancel(retryTimer) }
    retryTimer = nil
    let local = MSRPChannel.newURI()
    let answer = ChatDescription(path: local.text, isActive: !remote.isActive).channel(on: channel)
    made.peer.negotiate(answer, priority: .signalling) { [unowned(unsafe) self, unowned(unsafe) made] channel in
      open(channel, made, local, path)
    }
    adopt(made)
    made.accept()
  }

  // MARK: The end

  /// Leaves when everything typed has arrived somewhere.
  func leave() {
    if isLeaving { return end(.fine, nil) }
    isLeaving = true
    if retryTimer != nil, call == nil { flushWaiting() }
    _ = reactor.schedule(after: Self.farewell) { [unowned(unsafe) self] in
      end(waiting.isEmpty && underWay.isEmpty && mailed.isEmpty ? .fine : .no, nil)
    }
    finishLeaving()
  }

  func finishLeaving() {
    guard isLeaving, waiting.isEmpty, underWay.isEmpty, mailed.isEmpty, transfers.isEmpty else { return }
    end(.fine, nil)
  }

  private func end(_ code: ExitCode, _ text: String?) {
    guard !hasEnded else { return }
    hasEnded = true
    isLeaving = true
    if let text { progress.fail(text) }
    input?.close()
    if let retryTimer { reactor.cancel(retryTimer) }
    let old = call
    call = nil
    channel?.close()
    channel = nil
    old?.hangUp()
    closeFiles()
    let finished = onFinished
    onFinished = nil
    uplink.onStopped = { [self] in
      uplink.onEvent = nil
      finished?(code)
    }
    // Lets the goodbyes and their answers pass before the flow goes.
    _ = reactor.schedule(after: .milliseconds(200)) { [self] in uplink.stop() }
  }
}
