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

/// Fetches or sends one file: over as many sessions as it takes, each going on where the one before was cut.
///
///     looking ──▶ calling ──accepted──▶ transferring ──all there, hash right──▶ done
///                   ▲                        │
///                   └───────── cut ──────────┘
final class TransferClient {
  var onFinished: ((ExitCode, TransferResult?) -> Void)?

  private let reactor: Reactor
  private let progress: Progress
  private let options: TransferOptions
  private let session: SerialSession
  private let policy: PeerConfiguration.Policy
  private var networkWatch: NetworkWatch?

  // What is fetched.
  private var folder = ""
  private var sink: FileSink?
  private var receiver: FileReceiver?
  /// Of an earlier run or session: what to ask for by its hash.
  private var known: TransferJournal?
  private var listing: [UInt8] = []

  // What is sent.
  private var source: FileSource?
  private var file: RandomAccessFile?
  private var hasher: FileHasher?
  private var sender: FileSender?
  private var sendRange: Range<UInt64> = 0..<0

  private var channel: MSRPChannel?
  private var offered: FileDescription?
  private var local = MSRPChannel.newURI()
  private var isStarted = false
  private var isFinishing = false
  private var startedAt: Instant
  private var meter: TransferMeter?
  private var lastShown: Instant
  private var result = TransferResult(
    path: "", size: 0, sha256: [], resumedFrom: 0, transferred: 0, sessions: 0, duration: .zero)
  /// Where the present session began.
  private var sessionStart: UInt64 = 0
  private var reached: UInt64 = 0

  /// A person may be asked first.
  private static let patience = Duration.seconds(180)

  init(
    reactor: Reactor, configuration: ViewerConfiguration, options: TransferOptions, progress: Progress
  ) throws(SetupProblem) {
    self.reactor = reactor
    self.options = options
    self.progress = progress
    startedAt = reactor.now
    lastShown = reactor.now
    let material = try AccountMaterial.load(
      configuration.account, stateDirectory: StateDirectory.ofViewer(configuration.stateDirectory), registers: false)
    policy =
      switch options.route {
      case .any: .all
      case .relayOnly: .relayOnly
      case .noRelay: .noRelay
      }
    session = SerialSession(
      reactor: reactor, account: configuration.account, material: material, serial: options.name, policy: policy)
    session.openLimit = Self.patience
    do throws(FileError) {
      try prepareFiles()
    } catch {
      throw SetupProblem("\(error)", exitCode: .no)
    }
    session.onPrepare = { [unowned(unsafe) self] in prepare($0) }
    session.onAnswer = { [unowned(unsafe) self] in answered($0) }
    session.onRinging = { [unowned(unsafe) self] in
      if case .send = self.options.job { self.progress.say("waiting for \(session.serial) to take it") }
    }
    session.onRefused = { [unowned(unsafe) self] in refused($0) }
    session.onOpen = { [unowned(unsafe) self] peer in
      if let path = peer.path { self.progress.say("path: \(path.kind.text) \(path.remote)") }
    }
    session.onPathChanged = { [unowned(unsafe) self] path in
      self.progress.say("path: \(path.kind.text) \(path.remote)")
    }
    session.onLost = { [unowned(unsafe) self] why in lost(why) }
    session.onFailed = { [unowned(unsafe) self] code, why in finish(code, why) }
  }

  private func prepareFiles() throws(FileError) {
    switch options.job {
    case .fetch(let path, let folder, _):
      self.folder = folder
      guard path.utf8.count <= FileSelector.maximumName else {
        throw FileError(path: "the path", kind: .tooLarge(maxBytes: FileSelector.maximumName))
      }
      guard File.isDirectory(folder) else { throw FileError(path: folder, kind: .notFound) }
      let wanted = Self.sourceName(options.name, path)
      known = FileSink.journals(in: folder).first { $0.source == wanted }
    case .list: break
    case .send(let path): file = try RandomAccessFile(reading: path)
    }
  }

  private static func sourceName(_ name: String, _ path: String) -> String { name + " " + path }

  func start() {
    networkWatch = try? NetworkWatch(reactor: reactor) { [unowned(unsafe) self] in networkChanged() }
    guard case .send(let path) = options.job, let file, let facts = file.facts else { return begin() }
    let name = String(decoding: Array(path.utf8).split(separator: UInt8(ascii: "/")).last ?? [], as: UTF8.self)
    do throws(NameRefusal) {
      try SafeName.check(name)
    } catch {
      return finish(.no, "\(path): the other side would not take it: \(error)")
    }
    if facts.size > 64 << 20 { progress.say("reading \(path)") }
    hasher = FileHasher(reactor: reactor, file) { [unowned(unsafe) self] answer in
      hasher = nil
      switch answer {
      case .success(let sha256):
        source = FileSource(
          name: name, type: FileSource.type(of: name), file: file, facts: facts, sha256: sha256)
        result.path = path
        result.size = facts.size
        result.sha256 = sha256
        begin()
      case .failure(let error): finish(.no, error.description)
      }
    }
    if hasher == nil { finish(.no, "no thread could be started") }
  }

  private func begin() {
    progress.say("calling \(options.name)")
    isStarted = true
    startedAt = reactor.now
    session.start()
  }

  func interrupt() {
    if case .list = options.job { return finish(.no, "stopped") }
    finish(.no, "stopped: the same command goes on from there")
  }

  /// An address that is gone takes its session with it: the next one is made at once.
  private func networkChanged() {
    guard let peer = session.peer, peer.isOpen, !peer.hasPresentAddress, !isFinishing else { return }
    session.renew("this machine's address changed")
  }

  // MARK: Offer and answer

  private func prepare(_ peer: PeerSession) {
    dropChannel()
    local = MSRPChannel.newURI()
    var random = SystemRandom()
    var description: FileDescription
    switch options.job {
    case .fetch(let path, _, _):
      description = FileDescription(
        direction: .receives, selector: FileSelector(name: path), transferID: random.token(32), path: local.text)
      if sink?.isOver == true { sink = nil }
      if let known {
        // RFC 5547 §8.2.2: by its hash, so that it is the same file as before.
        description.selector.size = known.size
        description.selector.sha256 = known.sha256
        description.range = FileRange(first: (sink?.next ?? resumeOffset(known)) + 1)
      }
    case .list(let path):
      description = FileDescription(
        direction: .receives, selector: FileSelector(name: path, type: FileListing.mediaType),
        transferID: random.token(32), path: local.text)
    case .send:
      guard let source else { return }
      description = FileDescription(
        direction: .sends, selector: source.selector, transferID: random.token(32), path: local.text)
      description.modified = source.modified
      description.range = FileRange(first: 1, last: source.size)
      description.canResume = true
    }
    offered = description
    peer.negotiate(description.channel, priority: .bulk) { [unowned(unsafe) self, unowned(unsafe) peer] channel in
      opened(channel, peer)
    }
  }

  private func resumeOffset(_ journal: TransferJournal) -> UInt64 {
    guard let folder = try? Folder(folder),
      let facts = folder.facts(TransferJournal.partName(sha256: journal.sha256)), !facts.isOther, !facts.isFolder
    else { return 0 }
    return journal.resumeOffset(partBytes: facts.size)
  }

  private func answered(_ answer: DataChannelDescription) -> Bool {
    guard let offered, let file = FileDescription.find(in: answer), file.transferID == offered.transferID,
      file.direction != offered.direction
    else {
      finish(.no, "\(options.name) cannot transfer files: its program may be older than this one")
      return false
    }
    self.offered = file
    result.sessions += 1
    switch options.job {
    case .fetch(let path, _, let name): return prepareSink(file, path, name)
    case .list:
      guard let size = file.selector.size, size <= UInt64(FileListing.maximumBytes) else {
        finish(.no, "the listing is too long")
        return false
      }
      listing = []
      return true
    case .send:
      guard let source, let range = (file.range ?? .whole).offsets(in: source.size), range.upperBound == source.size
      else {
        finish(.no, "\(options.name) asks for what the file does not have")
        return false
      }
      sendRange = range
      note(start: range.lowerBound)
      return true
    }
  }

  private func prepareSink(_ file: FileDescription, _ path: String, _ wantedName: String?) -> Bool {
    guard let size = file.selector.size, let sha256 = file.selector.sha256, sha256.count == 32 else {
      finish(.no, "\(options.name) does not say how long the file is and what its hash is")
      return false
    }
    let name = wantedName ?? ((try? SharedPath(path))?.name ?? "")
    do throws(NameRefusal) {
      try SafeName.check(name)
    } catch {
      finish(.no, "it cannot be kept under its name: \(error); name a file with --output")
      return false
    }
    let start = (file.range ?? .whole).first - 1
    if let sink, !sink.isOver {
      guard sink.journal.sha256 == sha256, sink.next == start, sink.journal.size == size else {
        finish(.no, "\(options.name) would send something else than it was asked for")
        return false
      }
      note(start: start)
      return true
    }
    let journal = TransferJournal(
      name: name, size: size, sha256: sha256, peer: options.name, source: Self.sourceName(options.name, path))
    if let free = File.freeBytes(at: folder), size > start, UInt64(max(0, free)) < size - start {
      let missing = Plain.byteCount(Int64(clamping: size - start))
      finish(.no, "\(folder): the file needs \(missing) more and there is room for \(Plain.byteCount(free))")
      return false
    }
    do throws(FileError) {
      let sink = try FileSink(reactor: reactor, folder: folder, journal: journal)
      guard sink.offset == start else {
        sink.abandon()
        finish(.no, "\(options.name) would begin at another place than it was asked to")
        return false
      }
      self.sink = sink
      known = journal
    } catch {
      finish(.no, error.description)
      return false
    }
    result.size = size
    result.sha256 = sha256
    note(start: start)
    return true
  }

  private func note(start: UInt64) {
    if result.sessions == 1 {
      result.resumedFrom = start
      if start > 0 { progress.say("going on at \(Plain.byteCount(Int64(clamping: start))) of \(sizeText)") }
    } else {
      progress.say("going on at \(Plain.byteCount(Int64(clamping: start))) of \(sizeText)")
    }
    sessionStart = start
    reached = start
    if meter == nil { meter = TransferMeter(size: result.size, bytes: start, at: reactor.now) }
    meter?.note(start, at: reactor.now)
  }

  private var sizeText: String { Plain.byteCount(Int64(clamping: result.size)) }

  private func refused(_ status: StatusCode) -> SerialSession.Refusal? {
    let name = options.name
    switch (status.value, options.job) {
    case (488, .fetch) where known != nil:
      // What was begun is not there any more: whatever is there now is fetched from its start.
      if let known { FileSink.forget(known.sha256, in: folder) }
      known = nil
      return .callAgain("the file at \(name) is another one now: from the start")
    case (488, .fetch(let path, _, _)): return .final(.no, "\(name) has no file \(path): edge get \(name) lists them")
    case (488, .list(let path)): return .final(.no, "\(name) has no folder \(path)")
    case (488, .send): return .final(.no, "\(name) does not take the file: its name or hash is not to its liking")
    case (403, .send): return .final(.no, "\(name) takes no files: its configuration names no inbox")
    case (403, _): return .final(.no, "\(name) shares no files: its configuration names no folder to share")
    case (413, _): return .final(.no, "\(name) does not take files of this size")
    case (500, _): return .final(.no, "\(name) cannot store it: its disk is full or fails")
    case (603, _): return .final(.no, "\(name) refused the file")
    case (480, .send) where result.sessions == 0:
      return .final(.no, "\(name) is not there now; files are sent only to who is there")
    case (404, .send): return .final(.no, "no \(name), or it is not yours to write to")
    default: return nil
    }
  }

  // MARK: The transfer

  private func opened(_ channel: PeerChannel, _ peer: PeerSession) {
    guard let offered, let remote = MSRPURI(offered.path), !isFinishing else {
      return finish(.no, "\(options.name) gave no address for its session")
    }
    let limit = max(result.size, UInt64(FileListing.maximumBytes))
    let made = MSRPChannel(reactor: reactor, channel: channel, peer: peer, local: local, path: remote) {
      if case .list = options.job {
        $0.delivery = .whole(maximum: FileListing.maximumBytes)
      } else {
        $0.delivery = .pieces(maximum: limit)
        $0.ownerConfirms = true
      }
    }
    self.channel = made
    switch options.job {
    case .fetch:
      guard let sink else { return }
      let receiver = FileReceiver(channel: made, sink: sink)
      self.receiver = receiver
      receiver.onEvent = { [unowned(unsafe) self] in receive($0) }
    case .list:
      made.onEvent = { [unowned(unsafe) self] event in
        if case .received(_, _, let body, _) = event { listed(body) }
      }
    case .send:
      guard let source else { return }
      let sender = FileSender(channel: made, source: source, range: sendRange)
      self.sender = sender
      sender.onEvent = { [unowned(unsafe) self] in receive($0) }
      sender.start()
    }
  }

  private func receive(_ event: FileReceiver.Event) {
    switch event {
    case .progress(let bytes): reach(bytes)
    case .finished(let path):
      reach(result.size)
      result.path = path
      done()
    case .failed(let why): finish(.no, why)
    // The session says when the next one is made.
    case .cut: break
    }
  }

  private func receive(_ event: FileSender.Event) {
    switch event {
    case .progress(let bytes): reach(bytes)
    case .delivered:
      reach(result.size)
      done()
    case .failed(let why): finish(.no, why)
    case .cut: session.renew("the transfer was cut")
    }
  }

  private func listed(_ body: [UInt8]) {
    guard let listing = FileListing(body) else { return finish(.no, "the listing makes no sense") }
    result.listing = listing
    result.size = UInt64(body.count)
    done()
  }

  private func reach(_ bytes: UInt64) {
    if bytes > reached {
      result.transferred += bytes - reached
      reached = bytes
    }
    meter?.note(bytes, at: reactor.now)
    guard reactor.now - lastShown >= .milliseconds(200), let meter else { return }
    lastShown = reactor.now
    progress.tick(meter.text(at: reactor.now))
  }

  private func done() {
    if let meter { progress.tick(meter.text(at: reactor.now)) }
    result.duration = reactor.now - startedAt
    // The confirmation of the last chunk leaves before the session ends.
    finish(.fine, nil)
  }

  private func lost(_ why: String) {
    dropChannel()
    progress.say("\(why); connecting again")
  }

  private func dropChannel() {
    sender = nil
    if let receiver {
      // The sink stays for the next session; one that has it all ends the transfer.
      receiver.cut()
      if sink?.isFinishing != true { self.receiver = nil }
      reactor.enqueue(.bulk) { _ = receiver }
    }
    channel?.close()
    channel = nil
  }

  private func finish(_ code: ExitCode, _ text: String?) {
    guard !isFinishing else { return }
    isFinishing = true
    if let text { progress.fail(text) } else { progress.closeLine() }
    hasher?.cancel()
    hasher = nil
    networkWatch?.close()
    networkWatch = nil
    let end = { [self] in
      let finished = onFinished
      onFinished = nil
      finished?(code, code == .fine ? result : nil)
    }
    // Later: the owner may not be waiting yet.
    guard isStarted else { return reactor.enqueue(.bulk) { end() } }
    session.stop { [self] in
      if let receiver { receiver.onEvent = nil }
      dropChannel()
      guard let sink, !sink.isOver else { return end() }
      // What came is made durable before the program ends.
      sink.onReport = { _ in if sink.isOver { end() } }
      sink.stop()
    }
  }
}
