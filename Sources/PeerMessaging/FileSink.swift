import EdgeCore
public import FileTransfer
public import LinuxIO
import SecureTransport

/// Keeps a file that is being received: on a thread of its own, so that a slow disk holds up nothing else.
///
///     part ──finish──▶ complete, its hash right ──▶ renamed to a name nothing has
///
/// What a cut, a crash or a full disk leaves is a part and its journal (``TransferJournal``): the next sink for the same
/// content goes on from there.
public final class FileSink {
  public enum Report: Sendable {
    /// So many bytes from the start are written.
    case written(UInt64)
    /// It is there under this path.
    case finished(path: String)
    /// What came is not the file that was announced; the part is gone.
    case wrongHash
    /// The disk would not take it; the part stays.
    case failed(FileError)
    /// Everything that came is on the disk.
    case stopped
  }

  private enum Stage { case open, finishing, over }

  public var onReport: ((Report) -> Void)?
  public let journal: TransferJournal
  /// Where the transfer goes on.
  public let offset: UInt64
  /// What the next byte written will be.
  public private(set) var next: UInt64
  /// Bytes given and not yet written.
  public private(set) var backlog = 0
  private var stage = Stage.open

  /// It takes no more: finished, failed or stopped.
  public var isOver: Bool { stage == .over }
  /// All of it was given, and is being looked at.
  public var isFinishing: Bool { stage == .finishing }

  private let queue = WorkQueue<Step>(capacity: 4096)
  private var mailbox: Mailbox<Report>?
  private var told: UInt64

  enum Step: Sendable {
    case bytes([UInt8])
    case sync
    case finish
    case stop
  }

  /// The most bytes that may wait; the giver stops before.
  public static let maximumBacklog = 8 << 20

  /// - Parameters:
  ///   - folder: exists, and may be written.
  ///   - journal: what is to come; what is there of it already is looked up.
  public init(reactor: Reactor, folder path: String, journal: TransferJournal) throws(FileError) {
    let folder = try Folder(path)
    let part = try folder.write(TransferJournal.partName(sha256: journal.sha256))
    guard part.lock() else { throw FileError(path: part.path, kind: .inUse) }
    var kept = journal
    let journalName = TransferJournal.journalName(sha256: journal.sha256)
    let there = Self.journal(in: folder, name: journalName)
    let begun = there.map { $0.sha256 == journal.sha256 && $0.size == journal.size } == true
    kept.durable = begun ? there?.resumeOffset(partBytes: part.facts?.size ?? 0) ?? 0 : 0
    self.journal = kept
    offset = kept.durable
    next = offset
    told = offset
    do throws(SystemError) {
      mailbox = try Mailbox(reactor: reactor, capacity: 4096) { [unowned(unsafe) self] in receive($0) }
    } catch {
      throw FileError(path: part.path, kind: .system(error))
    }
    let mailbox = mailbox
    let writer = FileWriter(
      folder: folder, part: part, journalPath: path + "/" + journalName, journalName: journalName, journal: kept)
    try writer.begin()
    let queue = queue
    do throws(SystemError) {
      _ = try Thread(name: "file") {
        writer.run(queue) { _ = mailbox?.post($0) }
      }
    } catch {
      throw FileError(path: part.path, kind: .system(error))
    }
  }

  /// Journals of a folder, as far as they can be read.
  public static func journals(in path: String) -> [TransferJournal] {
    guard let folder = try? Folder(path) else { return [] }
    var found: [TransferJournal] = []
    for name in folder.names(limit: 10_000).names where TransferJournal.isJournalName(name) {
      guard let journal = journal(in: folder, name: name) else { continue }
      found.append(journal)
    }
    return found
  }

  /// Forgets what is there of a content nobody can send any more.
  public static func forget(_ sha256: [UInt8], in path: String) {
    guard let folder = try? Folder(path) else { return }
    folder.remove(TransferJournal.partName(sha256: sha256))
    folder.remove(TransferJournal.journalName(sha256: sha256))
  }

  private static func journal(in folder: Folder, name: String) -> TransferJournal? {
    guard let file = try? folder.read(name), let size = file.facts?.size, size <= UInt64(TransferJournal.maximumBytes),
      let bytes = try? file.read(at: 0, count: Int(size))
    else { return nil }
    return TransferJournal(bytes)
  }

  // MARK: From the network

  /// `false` when the sink is over or has too much to do: the bytes were not taken.
  public func write(_ bytes: [UInt8]) -> Bool {
    guard stage == .open, UInt64(bytes.count) <= journal.size - next else { return false }
    let count = bytes.count
    guard queue.push(.bytes(bytes)) else { return false }
    next += UInt64(count)
    backlog += count
    return true
  }

  /// The transfer was cut and may go on: what came is made durable.
  public func flush() { if stage == .open { _ = queue.push(.sync) } }

  /// All of it was given: `finished`, `wrongHash` or `failed` follows.
  public func finish() {
    guard stage == .open else { return }
    stage = .finishing
    if !queue.push(.finish) { fail() }
  }

  /// No more comes for now: `stopped` or `failed` follows.
  public func stop() { if stage == .open, !queue.push(.stop) { fail() } }

  private func fail() { receive(.failed(FileError(path: journal.name, kind: .inUse))) }

  private func receive(_ report: Report) {
    guard !isOver else { return }
    switch report {
    case .written(let count):
      backlog -= Int(count - told)
      told = count
    case .finished, .wrongHash, .failed, .stopped: close()
    }
    onReport?(report)
  }

  /// Lets go without waiting for what is still to be written: the journal knows how far it got.
  public func abandon() {
    guard !isOver else { return }
    onReport = nil
    close()
  }

  private func close() {
    stage = .over
    queue.close()
    mailbox?.close()
    mailbox = nil
  }

  deinit { queue.close() }
}

/// The thread's side of a ``FileSink``.
private final class FileWriter: @unchecked Sendable {
  private let folder: Folder
  private let part: RandomAccessFile
  private let journalPath: String
  private let journalName: String
  private var journal: TransferJournal
  private var log: AppendFile?
  private var lines = 0
  private let digest = SHA256Digest()
  private var written: UInt64

  /// Bytes after which what was written is made durable: what a crash costs at most.
  private static let stride: UInt64 = 8 << 20
  private static let pieceBytes = 256 << 10
  /// A journal of more lines is written anew.
  private static let maximumLines = 4096

  init(
    folder: Folder, part: RandomAccessFile, journalPath: String, journalName: String, journal: TransferJournal
  ) {
    self.folder = folder
    self.part = part
    self.journalPath = journalPath
    self.journalName = journalName
    self.journal = journal
    written = journal.durable
  }

  /// A journal there is before the first byte.
  func begin() throws(FileError) {
    try part.truncate(to: written)
    try beginJournal()
  }

  private func beginJournal() throws(FileError) {
    log = nil
    try File.writeAtomically(
      Array((journal.firstLine + TransferJournal.line(durable: journal.durable)).utf8), to: journalPath)
    log = try AppendFile(journalPath)
    lines = 0
  }

  func run(_ queue: WorkQueue<FileSink.Step>, _ post: (FileSink.Report) -> Void) {
    do throws(FileError) {
      try hashWhatIsThere()
      while let step = queue.pop() {
        switch step {
        case .bytes(let bytes):
          try part.write(bytes, at: written)
          digest.update(bytes)
          written += UInt64(bytes.count)
          if written - journal.durable >= Self.stride { try makeDurable() }
          post(.written(written))
        case .sync: try makeDurable()
        case .finish: return post(try finish())
        case .stop:
          try makeDurable()
          return post(.stopped)
        }
      }
      // Abandoned: what is written is kept all the same.
      try makeDurable()
    } catch {
      // What could be written before is worth keeping.
      try? makeDurable()
      post(.failed(error))
    }
  }

  private func hashWhatIsThere() throws(FileError) {
    var offset: UInt64 = 0
    while offset < written {
      let bytes = try part.read(at: offset, count: Int(min(UInt64(Self.pieceBytes), written - offset)))
      guard !bytes.isEmpty else { throw FileError(path: part.path, kind: .notFound) }
      digest.update(bytes)
      offset += UInt64(bytes.count)
    }
  }

  private func makeDurable() throws(FileError) {
    guard written > journal.durable else { return }
    try part.sync()
    journal.durable = written
    lines += 1
    if lines > Self.maximumLines { return try beginJournal() }
    try log?.append(Array(TransferJournal.line(durable: written).utf8))
  }

  private func finish() throws(FileError) -> FileSink.Report {
    try part.sync()
    guard written == journal.size, digest.finish() == journal.sha256 else {
      folder.remove(TransferJournal.partName(sha256: journal.sha256))
      folder.remove(journalName)
      return .wrongHash
    }
    part.setMode(0o644)
    var name = journal.name
    for number in 1...10_000 {
      if try folder.rename(TransferJournal.partName(sha256: journal.sha256), to: name) {
        folder.remove(journalName)
        return .finished(path: folder.path + "/" + name)
      }
      name = SafeName.numbered(journal.name, number)
    }
    throw FileError(path: folder.path + "/" + name, kind: .inUse)
  }
}
