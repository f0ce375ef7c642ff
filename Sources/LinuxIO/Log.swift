import CLinux

/// One `key=value` line per event.
///
/// An error or warning that repeats word for word is written once; its repeats are counted and the count is written
/// when the period is over. May be used from any thread. Never hand it a secret: nothing here can tell.
public final class Log: @unchecked Sendable {
  /// syslog(3) numbers, which journald understands as a prefix.
  public enum Level: Int, Comparable, Sendable, CaseIterable {
    case error = 3
    case warning = 4
    case notice = 5
    case info = 6
    case debug = 7

    /// More severe is greater.
    public static func < (a: Self, b: Self) -> Bool { a.rawValue > b.rawValue }

    public var name: String {
      switch self {
      case .error: "error"
      case .warning: "warning"
      case .notice: "notice"
      case .info: "info"
      case .debug: "debug"
      }
    }
  }

  public enum Prefix: Sendable {
    /// `<3>`: journald adds the time itself.
    case journal
    /// `time=2026-01-31T12:00:00Z`.
    case time
    case none
  }

  private struct Repeat {
    var text: String
    var level: Level
    var count: Int
    var since: Int64
  }

  public let minimum: Level
  private let prefix: Prefix
  private let sink: (String) -> Void
  private let clock: () -> Int64
  private let lock = Lock()
  private var repeats: [Repeat] = []

  /// How long a repeating error is only counted.
  public static let repeatSeconds: Int64 = 60
  /// Distinct errors watched for repeats; the oldest makes room.
  private static let maxRepeats = 64

  /// `sink` gets whole lines with their line feed; `clock` is seconds since 1970.
  public init(
    minimum: Level = .info, prefix: Prefix = .time, clock: @escaping @Sendable () -> Int64,
    sink: @escaping @Sendable (String) -> Void
  ) {
    self.minimum = minimum
    self.prefix = prefix
    self.clock = clock
    self.sink = sink
  }

  /// Lines on stderr, with journald's prefix when stderr is connected to the journal.
  public static func standardError(minimum: Level = .info) -> Log {
    Log(
      minimum: minimum, prefix: isJournal ? .journal : .time, clock: { MonotonicClock.wallClockSeconds },
      sink: { line in
        var line = line
        // One write per line, so that lines of several threads do not mix. A full pipe loses the line.
        line.withUTF8 { _ = CLinux.write(STDERR_FILENO, $0.baseAddress, $0.count) }
      })
  }

  /// Where nothing is of interest, such as most tests.
  public static func silent() -> Log { Log(minimum: .error, prefix: .none, clock: { 0 }, sink: { _ in }) }

  public func isEnabled(_ level: Level) -> Bool { level >= minimum }

  public func error(_ event: String, _ fields: (String, String)...) { log(.error, event, fields) }
  public func warning(_ event: String, _ fields: (String, String)...) { log(.warning, event, fields) }
  public func notice(_ event: String, _ fields: (String, String)...) { log(.notice, event, fields) }
  public func info(_ event: String, _ fields: (String, String)...) { log(.info, event, fields) }

  /// `event` and `fields` are not evaluated unless debugging.
  public func debug(_ event: @autoclosure () -> String, _ fields: @autoclosure () -> [(String, String)] = []) {
    if isEnabled(.debug) { log(.debug, event(), fields()) }
  }

  public func log(_ level: Level, _ event: String, _ fields: [(String, String)]) {
    guard isEnabled(level) else { return }
    var text = "level=\(level.name) event=\(Self.quoted(event))"
    for (key, value) in fields { text += " \(key)=\(Self.quoted(value))" }
    lock.withLock {
      let now = clock()
      reportRepeats(before: now - Self.repeatSeconds)
      if level >= .warning {
        if let index = repeats.firstIndex(where: { $0.text == text }) {
          repeats[index].count += 1
          return
        }
        if repeats.count == Self.maxRepeats { report(repeats.removeFirst()) }
        repeats.append(Repeat(text: text, level: level, count: 0, since: now))
      }
      write(level, text)
    }
  }

  /// Writes the counts that are due. Called by every event; a process with nothing to say calls it now and then.
  public func reportRepeats() {
    lock.withLock { reportRepeats(before: clock() - Self.repeatSeconds) }
  }

  /// Writes all counts, as at the end of the process.
  public func flush() {
    lock.withLock { reportRepeats(before: .max) }
  }

  private func reportRepeats(before limit: Int64) {
    for entry in repeats where entry.since <= limit { report(entry) }
    repeats.removeAll { $0.since <= limit }
  }

  private func report(_ entry: Repeat) {
    if entry.count > 0 { write(entry.level, "\(entry.text) repeated=\(entry.count)") }
  }

  private func write(_ level: Level, _ text: String) {
    switch prefix {
    case .journal: sink("<\(level.rawValue)>\(text)\n")
    case .time: sink("time=\(Self.timestamp(clock())) \(text)\n")
    case .none: sink("\(text)\n")
    }
  }

  /// The value itself, or in quotes when it is empty or has a space, a quote, `=` or anything that is not printable.
  static func quoted(_ value: String) -> String {
    let isPlain =
      !value.isEmpty && value.utf8.allSatisfy { $0 > 0x20 && $0 != 0x22 && $0 != 0x3D && $0 != 0x5C && $0 != 0x7F }
    guard !isPlain else { return value }
    var text: [UInt8] = [0x22]
    for byte in value.utf8 {
      switch byte {
      case 0x22, 0x5C: text += [0x5C, byte]
      case 0x0A: text += Array("\\n".utf8)
      case 0x0D: text += Array("\\r".utf8)
      case 0x09: text += Array("\\t".utf8)
      // No control byte of a peer's reaches a terminal.
      case 0..<0x20, 0x7F: text += Array("\\x\(byte < 16 ? "0" : "")\(String(byte, radix: 16))".utf8)
      default: text.append(byte)
      }
    }
    text.append(0x22)
    return String(decoding: text, as: UTF8.self)
  }

  /// RFC 3339, UTC.
  public static func timestamp(_ seconds: Int64) -> String {
    func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
    var days = seconds / 86400
    var rest = seconds % 86400
    if rest < 0 {
      rest += 86400
      days -= 1
    }
    // Days since 0000-03-01, so that the leap day is the last of its year; 146,097 days are 400 years.
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    let time = "\(two(rest / 3600)):\(two(rest / 60 % 60)):\(two(rest % 60))"
    return "\(year)-\(two(month))-\(two(day))T\(time)Z"
  }

  /// systemd sets JOURNAL_STREAM to device:inode of the stream it connected stderr to; a shell may have moved it since.
  private static var isJournal: Bool {
    guard let stream = ProcessFacts.environment("JOURNAL_STREAM") else { return false }
    var status = stat()
    guard fstat(STDERR_FILENO, &status) == 0 else { return false }
    return stream == "\(status.st_dev):\(status.st_ino)"
  }
}
