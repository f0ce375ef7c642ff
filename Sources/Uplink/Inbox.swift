public import Alarms
import CPIM
import EdgeCore
public import LinuxIO
public import StatusModel
public import UserAgent

/// The messages this terminal has received: one line of JSON each in `messages.jsonl`, kept before they are answered.
///
/// The server gives a message again when it did not hear the answer: what is here already is not taken twice.
public final class Inbox {
  public struct Entry: Hashable, Sendable {
    /// Unique for the sender.
    public var id: String
    /// Account name, or the URI of somebody at another domain.
    public var from: String
    /// Account or group it was sent to; empty when that was not told.
    public var to: String
    /// RFC 3339; when the server took it.
    public var date: String
    /// Type and subtype.
    public var type: String
    /// Of a text; the path of an alarm's picture; Base64 of anything else.
    public var text: String
    /// Of a camera's alarm, and of a picture of it.
    public var alarm: AlarmEvent?
    /// Where content too large for a line is; `text` is empty then.
    public var file = ""

    public var json: JSONValue {
      var members = [
        JSONValue.Member("id", .string(id)), JSONValue.Member("from", .string(from)),
        JSONValue.Member("date", .string(date)), JSONValue.Member("type", .string(type)),
        JSONValue.Member("text", .string(text)), JSONValue.Member("to", .string(to)),
      ]
      if let alarm { members.append(JSONValue.Member("alarm", alarm.referenceJSON)) }
      if !file.utf8.isEmpty { members.append(JSONValue.Member("file", .string(file))) }
      return .object(members)
    }

    /// Not for a group the account is in.
    public func isFor(_ account: String) -> Bool { to.utf8.isEmpty || to == account }
  }

  public enum Verdict {
    case taken(Entry)
    case known
    /// Why it cannot be kept: it is not this terminal's yet.
    case failed(String)
  }

  /// Bytes after which the file is put aside as `messages.1.jsonl`, in place of the one before.
  private static let maximumBytes = 4 << 20

  /// Content of more bytes is a file of its own, in `received` in the state directory.
  private static let maximumInline = 64 << 10

  private let directory: String?
  private let place: TerminalPlace?
  private let path: String?
  private var file: AppendFile?
  private var bytes = 0
  private var known: Set<String> = []
  private var pictures: PictureFolder?

  /// The messages of a terminal, which keeps its place for as long as this lives.
  public convenience init(_ place: TerminalPlace?) throws(FileError) {
    try self.init(directory: place?.directory, place: place)
  }

  /// - Parameter directory: `nil` keeps messages for as long as the process lives. Nobody else may write to it.
  public convenience init(directory: String?) throws(FileError) { try self.init(directory: directory, place: nil) }

  private init(directory: String?, place: TerminalPlace?) throws(FileError) {
    self.directory = directory
    self.place = place
    path = directory.map { $0 + "/messages.jsonl" }
    guard let path, let directory else { return }
    if File.exists(directory + "/messages.1.jsonl") {
      for entry in try Self.load(directory + "/messages.1.jsonl") { known.insert(Self.name(entry)) }
    }
    if File.exists(path) {
      for entry in try Self.load(path) {
        known.insert(Self.name(entry))
        bytes += Self.line(entry).count
      }
    }
    file = try AppendFile(path)
  }

  /// Takes a message to keep; durable when it returns.
  public func take(_ message: IncomingMessage, now: Int64, domain: String) -> Verdict {
    var entry = Entry(id: message.id, from: message.sender, to: "", date: "", type: "", text: "")
    var content = message.body
    var type = message.contentType
    if let wrapped = CPIMMessage(message.body) {
      content = wrapped.body
      type = wrapped.contentType
      entry.from = Self.account(in: wrapped.from, domain)
      entry.to = Self.account(in: wrapped.to, domain)
      entry.date = wrapped.dateTime
      if !wrapped.messageID.utf8.isEmpty { entry.id = wrapped.messageID }
    }
    if entry.date.utf8.isEmpty { entry.date = Timestamp.text(now) }
    // Receipts (RFC 5438) and "is typing" (RFC 3994) say something about messages, and are none.
    let isNotice = type.hasPrefix("message/imdn+xml") || type.hasPrefix("application/im-iscomposing+xml")
    if isNotice { return .known }
    entry.type = ASCII.lowercased(String(decoding: type.utf8.prefix { $0 != 0x3B && $0 != 0x20 }, as: UTF8.self))
    entry.alarm = AlarmEvent(contentType: type)
    guard !known.contains(Self.name(entry)) else { return .known }
    if let alarm = entry.alarm, let suffix = Self.pictureSuffix(entry.type), let directory {
      do throws(FileError) {
        if pictures == nil { pictures = try PictureFolder(directory + "/events") }
        entry.text = try pictures?.keep(content, name: alarm.id + "-" + alarm.serial, suffix: suffix) ?? ""
      } catch {
        return .failed(error.description)
      }
    } else if entry.type.hasPrefix("text/"), let text = String(validating: content, as: UTF8.self) {
      entry.text = text
    } else {
      entry.text = Base64.encode(content)
    }
    do throws(FileError) {
      if entry.alarm == nil, content.count > Self.maximumInline, let directory {
        entry.file = directory + "/received/" + Self.fileName(entry)
        entry.text = ""
        try File.makeDirectories(directory + "/received", mode: 0o700)
        try File.writeAtomically(content, to: entry.file)
      }
      try keep(entry)
    } catch {
      return .failed(error.description)
    }
    known.insert(Self.name(entry))
    return .taken(entry)
  }

  /// What all terminals of a state directory were given, each message once, oldest first.
  public static func everything(in stateDirectory: String) throws(FileError) -> [Entry] {
    var names: Set<String> = []
    var entries: [Entry] = []
    let files = TerminalPlace.directories(in: stateDirectory).map { $0 + "/messages.jsonl" }.filter(File.exists)
    for file in files {
      for entry in try load(file) where names.insert(name(entry)).inserted { entries.append(entry) }
    }
    // One terminal's are in order, whatever their dates say.
    return files.count < 2 ? entries : entries.sorted { $0.date < $1.date }
  }

  private static func pictureSuffix(_ type: String) -> String? {
    type == "image/png" ? ".png" : type == "image/jpeg" ? ".jpg" : nil
  }

  private func keep(_ entry: Entry) throws(FileError) {
    guard let path else { return }
    let line = Self.line(entry)
    if bytes + line.count > Self.maximumBytes {
      try File.writeAtomically(
        try File.read(path, maxBytes: 2 * Self.maximumBytes), to: Self.aside(path), mode: 0o600)
      try File.writeAtomically([], to: path)
      file = try AppendFile(path)
      bytes = 0
    }
    try file?.append(line)
    bytes += line.count
  }

  private static func aside(_ path: String) -> String {
    String(decoding: Array(path.utf8).dropLast("jsonl".utf8.count), as: UTF8.self) + "1.jsonl"
  }

  /// Of the characters of ``Names`` only, whatever the sender called it.
  private static func fileName(_ entry: Entry) -> String {
    let bytes = (entry.from + "-" + entry.id).utf8.prefix(160).map { byte -> UInt8 in
      ASCII.isAlpha(byte) || ASCII.isDigit(byte) ? byte : UInt8(ascii: "_")
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func line(_ entry: Entry) -> [UInt8] { Array((JSONWriter.text(entry.json) + "\n").utf8) }

  /// What tells a message from all others.
  private static func name(_ entry: Entry) -> String { entry.from + " " + entry.id }

  private static func load(_ path: String) throws(FileError) -> [Entry] {
    let bytes = try File.read(path, maxBytes: 2 * maximumBytes)
    var entries: [Entry] = []
    for line in bytes.split(separator: 0x0A) {
      // A line that a crash cut short was never answered: its message comes again.
      guard let value = try? JSONValue(bytes: Array(line)), let id = value["id"]?.text, let from = value["from"]?.text
      else { continue }
      entries.append(
        Entry(
          id: id, from: from, to: value["to"]?.text ?? "", date: value["date"]?.text ?? "",
          type: value["type"]?.text ?? "",
          text: value["text"]?.text ?? "", alarm: value["alarm"].flatMap { AlarmEvent(reference: $0) },
          file: value["file"]?.text ?? ""))
    }
    return entries
  }

  /// `sip:anna@domain` is anna; of another domain the whole address.
  private static func account(in uri: String, _ domain: String) -> String {
    let bytes = Array(uri.utf8)
    guard uri.hasPrefix("sip:"), let at = bytes.lastIndex(of: UInt8(ascii: "@")),
      ASCII.equalIgnoringCase(String(decoding: bytes[(at + 1)...], as: UTF8.self), domain)
    else { return uri }
    return String(decoding: bytes[4..<at], as: UTF8.self)
  }
}
