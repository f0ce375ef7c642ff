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
import StatusModel
import Uplink
import UserAgent

/// What a node shares and takes, and texts of those who chat with it: one call each.
///
/// Who may call at all is the server's decision; what a call is let to have is made here.
final class FileService {
  /// Takes a text to keep it: id, sender, media type, content.
  var onText: ((IncomingMessage) -> Bool)?

  private let reactor: Reactor
  private let uplink: Uplink
  private let material: AccountMaterial
  private let files: NodeConfiguration.Files
  private let log: Log
  private(set) var calls: [FileCall] = []
  /// Hashes of files that were read: what they were like then, and the hash.
  private var hashes: [(identity: [UInt64], sha256: [UInt8])] = []
  /// Of files being received, by content: good for the next session of the same sender.
  private var sinks: [Kept] = []
  /// Files that were received lately.
  private var arrived: [(sender: String, sha256: [UInt8], path: String)] = []

  private struct Kept {
    var sender: String
    var sink: FileSink
    var cutAt: Instant?
  }

  private static let maximumHashes = 256
  private static let maximumArrived = 64
  /// How long the part of a file that was cut stays open.
  private static let patience = Duration.seconds(120)
  private static let maximumText = 64 << 10

  init(reactor: Reactor, uplink: Uplink, material: AccountMaterial, files: NodeConfiguration.Files, log: Log) {
    self.reactor = reactor
    self.uplink = uplink
    self.material = material
    self.files = files
    self.log = log
  }

  // MARK: Calls

  /// Whether the offer is for a file or a chat; then the call is taken care of.
  func take(
    _ handle: CallHandle, _ call: IncomingCall, _ offer: DataChannelDescription, _ configuration: PeerConfiguration
  ) -> Bool {
    guard offer.channels.contains(where: { $0.protocolName == FileDescription.subprotocol }) else { return false }
    guard let offered = FileDescription.channel(in: offer) ?? ChatDescription.channel(in: offer) else {
      log.info("file.refused", ("peer", call.caller), ("why", "neither a file nor a chat"))
      uplink.perform { $0.refuse(handle, 488, at: $1, into: &$2) }
      return true
    }
    let file = FileDescription(offered)
    let peerCall = PeerCall(
      answering: handle, call, offer: offer, reactor: reactor, uplink: uplink, material: material,
      configuration: configuration)
    let made = FileCall(
      call: peerCall, called: call.serial, subject: file.map { $0.selector.name ?? "" } ?? "chat",
      since: reactor.wallClockSeconds)
    calls.append(made)
    peerCall.onEnded = { [unowned(unsafe) self, unowned(unsafe) made] why in
      if case .lost(let text) = why { log.info("file.cut", ("peer", made.call.name), ("why", text)) }
      end(made)
    }
    switch file {
    case .some(let file) where file.direction == .receives: share(file, offered, made)
    case .some(let file): receive(file, offered, made)
    case nil: chat(offered, made)
    }
    return true
  }

  /// Whether the event was for one of the calls here.
  func receive(_ event: UserAgentEvent) -> Bool {
    for each in calls where each.call.receive(event) { return true }
    return false
  }

  func stop() {
    for each in calls {
      each.call.hangUp()
      end(each)
    }
    for kept in sinks { kept.sink.stop() }
  }

  private func refuse(_ made: FileCall, _ status: StatusCode, _ why: String) {
    log.info("file.refused", ("peer", made.call.name), ("file", made.subject), ("why", why))
    made.call.refuse(status)
    end(made)
  }

  private func end(_ made: FileCall) {
    guard calls.contains(where: { $0 === made }) else { return }
    calls.removeAll { $0 === made }
    made.close()
    if let sink = made.sink { noteCut(sink) }
    reactor.enqueue(.bulk) { _ = made }
  }

  private func open(
    _ made: FileCall, _ channel: NegotiatedChannel, remote: String,
    _ configure:
      @escaping (
        inout MSRPSession.Configuration
      ) -> Void, local: MSRPURI, _ ready: @escaping (MSRPChannel) -> Void
  ) {
    guard let path = MSRPURI(remote) else { return refuse(made, 488, "no MSRP URI") }
    let peer = made.call.peer
    peer.negotiate(channel, priority: .bulk) { [unowned(unsafe) self, unowned(unsafe) made] channel in
      let session = MSRPChannel(
        reactor: reactor, channel: channel, peer: made.call.peer, local: local, path: path, configure)
      made.channel = session
      ready(session)
    }
    made.call.accept()
  }

  // MARK: Files from here

  private func share(_ file: FileDescription, _ offered: NegotiatedChannel, _ made: FileCall) {
    guard let share = files.share else { return refuse(made, 403, "nothing is shared") }
    do throws(NameRefusal) {
      let path = try SharedPath(file.selector.name ?? "/")
      do throws(FileError) {
        let root = try Folder(files.isBySerial ? share + "/" + made.called : share)
        if path.isFolder || file.selector.type == FileListing.mediaType {
          let folder = try root.folder(path.components)
          return promise(list(folder, path), file, offered, made)
        }
        let folder = try root.folder(path.components.dropLast())
        let opened = try folder.read(path.name)
        guard let facts = opened.facts else { return refuse(made, 488, "it cannot be read") }
        hash(opened, facts, made) { [unowned(unsafe) self] sha256 in
          let source = FileSource(
            name: path.name, type: FileSource.type(of: path.name), file: opened, facts: facts, sha256: sha256)
          promise(source, file, offered, made)
        }
      } catch {
        refuse(made, 488, error.description)
      }
    } catch {
      refuse(made, 488, error.description)
    }
  }

  private func list(_ folder: Folder, _ path: SharedPath) -> FileSource {
    let found = folder.names(limit: FileListing.maximumEntries)
    var entries: [FileListing.Entry] = []
    for name in found.names.sorted() {
      guard (try? SafeName.check(name)) != nil, let facts = folder.facts(name), !facts.isOther else { continue }
      entries.append(
        FileListing.Entry(
          name: name, isFolder: facts.isFolder, size: facts.isFolder ? 0 : facts.size, modified: facts.modified))
    }
    return FileSource(
      name: path.text, type: FileListing.mediaType, bytes: FileListing(entries: entries, isCut: found.isCut).bytes,
      modified: reactor.wallClockSeconds)
  }

  /// The hash of a file as it is now; the caller waits while it is read.
  private func hash(
    _ file: RandomAccessFile, _ facts: Folder.Facts, _ made: FileCall, _ completion: @escaping ([UInt8]) -> Void
  ) {
    if let known = hashes.first(where: { $0.identity == facts.identity }) { return completion(known.sha256) }
    made.call.ring()
    made.hasher = FileHasher(reactor: reactor, file) { [unowned(unsafe) self, unowned(unsafe) made] result in
      made.hasher = nil
      guard case .success(let sha256) = result else { return refuse(made, 488, "it cannot be read") }
      if hashes.count == Self.maximumHashes { hashes.removeFirst() }
      hashes.append((facts.identity, sha256))
      completion(sha256)
    }
    if made.hasher == nil { refuse(made, 500, "no thread could be started") }
  }

  private func promise(
    _ source: FileSource, _ file: FileDescription, _ offered: NegotiatedChannel, _ made: FileCall
  ) {
    // RFC 5547 §8.3.2: "If a hash value computed by the file sender differs ..., the file sender can ... reject".
    if let wanted = file.selector.sha256, wanted != source.sha256 { return refuse(made, 488, "it is another file now") }
    if let wanted = file.selector.size, wanted != source.size { return refuse(made, 488, "it is another file now") }
    guard let range = (file.range ?? .whole).offsets(in: source.size) else {
      return refuse(made, 488, "the file is not that long")
    }
    let local = MSRPChannel.newURI()
    var answer = FileDescription(
      direction: .sends, selector: source.selector, transferID: file.transferID, path: local.text)
    answer.modified = source.modified
    answer.range = FileRange(first: range.lowerBound + 1, last: range.upperBound)
    made.kind = .sends(source, range)
    open(made, answer.channel(answering: offered), remote: file.path, { _ in }, local: local) {
      [unowned(unsafe) self, unowned(unsafe) made] channel in
      let sender = FileSender(channel: channel, source: source, range: range)
      made.sender = sender
      sender.onEvent = { [unowned(unsafe) self, unowned(unsafe) made] event in
        switch event {
        case .progress(let bytes): made.sentBytes = bytes - range.lowerBound
        case .delivered:
          made.sentBytes = UInt64(range.count)
          log.notice(
            "file.sent", ("peer", made.call.name), ("serial", made.called), ("file", made.subject),
            ("from", "\(range.lowerBound)"), ("bytes", "\(range.count)"))
        case .failed(let why):
          log.info("file.not-sent", ("peer", made.call.name), ("file", made.subject), ("why", why))
          made.call.hangUp()
          end(made)
        case .cut: break
        }
      }
      sender.start()
    }
  }

  // MARK: Files to here

  private func receive(_ file: FileDescription, _ offered: NegotiatedChannel, _ made: FileCall) {
    guard let inbox = files.inbox else { return refuse(made, 403, "no files are taken") }
    let name = file.selector.name ?? ""
    do throws(NameRefusal) {
      try SafeName.check(name)
    } catch {
      return refuse(made, 488, error.description)
    }
    guard let size = file.selector.size, let sha256 = file.selector.sha256 else {
      return refuse(made, 488, "no size or no SHA-256")
    }
    guard size <= files.maximumSize else { return refuse(made, 413, "\(size) bytes are too many") }
    let isHere = arrived.contains {
      $0.sender == made.call.name && $0.sha256 == sha256 && File.exists($0.path)
    }
    if isHere, file.canResume { return confirm(file, offered, size, made) }
    do throws(FileError) {
      try File.makeDirectories(inbox, mode: 0o700)
      let sink = try sink(
        TransferJournal(name: name, size: size, sha256: sha256, peer: made.call.name), in: inbox, file, made)
      let free = UInt64(max(0, File.freeBytes(at: inbox) ?? Int64.max))
      guard free >= size - sink.next else {
        made.kind = .receives(sink)
        return refuse(made, 500, "the disk is full: \(free) bytes are free")
      }
      made.kind = .receives(sink)
      answer(file, offered, first: sink.next, size: size, made) {
        [unowned(unsafe) self, unowned(unsafe) made] channel in
        let receiver = FileReceiver(channel: channel, sink: sink)
        made.receiver = receiver
        receiver.onEvent = { [unowned(unsafe) self, unowned(unsafe) made] in receive($0, sink, made) }
      }
    } catch {
      refuse(made, error.kind == .inUse ? 486 : 500, error.description)
    }
  }

  private func answer(
    _ file: FileDescription, _ offered: NegotiatedChannel, first: UInt64, size: UInt64, _ made: FileCall,
    _ ready: @escaping (MSRPChannel) -> Void
  ) {
    let local = MSRPChannel.newURI()
    var answer = FileDescription(
      direction: .receives, selector: file.selector, transferID: file.transferID, path: local.text)
    answer.range = FileRange(first: first + 1, last: size)
    open(
      made, answer.channel(answering: offered), remote: file.path,
      {
        $0.delivery = .pieces(maximum: size)
        $0.ownerConfirms = true
      }, local: local, ready)
  }

  /// A sink at the place this transfer goes on from.
  private func sink(
    _ journal: TransferJournal, in folder: String, _ file: FileDescription, _ made: FileCall
  ) throws(FileError) -> FileSink {
    let first = (file.range ?? .whole).first - 1
    if let kept = sinks.first(where: { $0.sink.journal.sha256 == journal.sha256 }) {
      guard kept.sender == made.call.name, !kept.sink.isFinishing else {
        throw FileError(path: journal.name, kind: .inUse)
      }
      // The session before is dead, and nobody has noticed: its sender has.
      for other in calls where other.sink === kept.sink {
        other.call.hangUp()
        end(other)
      }
      if !kept.sink.isOver, file.canResume || kept.sink.next == first {
        note(kept.sink, cutAt: nil)
        return kept.sink
      }
      kept.sink.abandon()
      forget(kept.sink)
    }
    if !file.canResume, first == 0 { FileSink.forget(journal.sha256, in: folder) }
    let sink = try FileSink(reactor: reactor, folder: folder, journal: journal)
    guard file.canResume || sink.next == first else {
      sink.abandon()
      throw FileError(path: journal.name, kind: .notFound)
    }
    sinks.append(Kept(sender: made.call.name, sink: sink, cutAt: nil))
    return sink
  }

  private func receive(_ event: FileReceiver.Event, _ sink: FileSink, _ made: FileCall) {
    switch event {
    case .progress, .cut: break
    case .finished(let path):
      forget(sink)
      if arrived.count == Self.maximumArrived { arrived.removeFirst() }
      arrived.append((made.call.name, sink.journal.sha256, path))
      log.notice(
        "file.received", ("peer", made.call.name), ("path", path), ("bytes", "\(sink.journal.size)"),
        ("resumed_from", "\(sink.offset)"))
    case .failed(let why):
      forget(sink)
      log.warning("file.not-received", ("peer", made.call.name), ("file", made.subject), ("why", why))
    }
  }

  private func note(_ sink: FileSink, cutAt: Instant?) {
    guard let index = sinks.firstIndex(where: { $0.sink === sink }) else { return }
    sinks[index].cutAt = cutAt
  }

  private func forget(_ sink: FileSink) { sinks.removeAll { $0.sink === sink } }

  /// The sender may come again; if it does not, the part is closed, and goes on from the disk later.
  private func noteCut(_ sink: FileSink) {
    guard !sink.isOver else { return forget(sink) }
    let now = reactor.now
    note(sink, cutAt: now)
    _ = reactor.schedule(after: Self.patience) { [self] in
      guard let kept = sinks.first(where: { $0.sink === sink }), kept.cutAt == now else { return }
      forget(sink)
      sink.stop()
    }
  }

  private func confirm(_ file: FileDescription, _ offered: NegotiatedChannel, _ size: UInt64, _ made: FileCall) {
    made.kind = .confirms
    answer(file, offered, first: size, size: size, made) { channel in
      channel.onEvent = { [unowned(unsafe) channel] event in
        if case .received(let id, _, _, _) = event { channel.accept(id) }
      }
    }
  }

  // MARK: Chat

  private func chat(_ offered: NegotiatedChannel, _ made: FileCall) {
    guard let remote = ChatDescription(offered) else { return refuse(made, 488, "no MSRP URI") }
    made.kind = .chat
    let local = MSRPChannel.newURI()
    let answer = ChatDescription(path: local.text, isActive: !remote.isActive).channel(on: offered)
    open(
      made, answer, remote: remote.path,
      {
        $0.delivery = .whole(maximum: Self.maximumText)
        $0.acceptTypes = ChatDescription.types
        $0.ownerConfirms = true
      }, local: local
    ) { [unowned(unsafe) self, unowned(unsafe) made] channel in
      channel.onEvent = { [unowned(unsafe) self, unowned(unsafe) channel] event in
        guard case .received(let id, let type, let body, _) = event else { return }
        let message = IncomingMessage(sender: made.call.name, id: id, contentType: type, body: body)
        if onText?(message) == true { channel.accept(id) } else { channel.reject(id, 413) }
      }
    }
  }
}
