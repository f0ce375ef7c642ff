import Foundation
import Testing

@testable import LinuxIO

@Suite("Log")
struct LogTests {
  /// Collects lines, at a time of its own.
  final class Recorder: @unchecked Sendable {
    var lines: [String] = []
    var now: Int64 = 0

    func log(_ minimum: Log.Level = .info, _ prefix: Log.Prefix = .none) -> Log {
      Log(minimum: minimum, prefix: prefix, clock: { self.now }, sink: { self.lines.append($0) })
    }
  }

  @Test func `an event is one line of key and value, quoted where needed`() {
    let recorder = Recorder()
    recorder.log().info(
      "link up", ("server", "192.0.2.1:5061"), ("user", ""), ("reason", "a \"b\"\n\u{1b}[31m="), ("name", "Tür"))
    #expect(
      recorder.lines == [
        #"level=info event="link up" server=192.0.2.1:5061 user="" reason="a \"b\"\n\x1b[31m=" name=Tür"# + "\n"
      ])
  }

  @Test func `the journal gets its priority, others the time`() {
    let recorder = Recorder()
    recorder.now = 1_769_860_800
    recorder.log(.info, .journal).error("x")
    recorder.log(.info, .time).warning("x")
    #expect(recorder.lines == ["<3>level=error event=x\n", "time=2026-01-31T12:00:00Z level=warning event=x\n"])
  }

  @Test(arguments: [
    (Int64(0), "1970-01-01T00:00:00Z"), (951_782_399, "2000-02-28T23:59:59Z"), (951_782_400, "2000-02-29T00:00:00Z"),
    (4_107_542_400, "2100-03-01T00:00:00Z"), (-1, "1969-12-31T23:59:59Z"),
  ])
  func `timestamps are right around leap days`(seconds: Int64, text: String) {
    #expect(Log.timestamp(seconds) == text)
  }

  @Test func `events below the level are not written, debug ones not even made`() {
    let recorder = Recorder()
    let log = recorder.log(.notice)
    var made = 0
    func expensive() -> String {
      made += 1
      return "x"
    }
    log.info("quiet")
    log.debug(expensive())
    log.notice("loud")
    #expect(recorder.lines == ["level=notice event=loud\n"])
    #expect(made == 0)
  }

  @Test func `a repeating error is written once and counted once a minute`() {
    let recorder = Recorder()
    let log = recorder.log()
    for second in 0..<60 {
      recorder.now = Int64(second)
      log.error("no route", ("to", "192.0.2.1"))
      if second == 30 { log.error("no route", ("to", "192.0.2.2")) }
    }
    #expect(recorder.lines.count == 2)
    recorder.now = 60
    log.reportRepeats()
    #expect(recorder.lines.count == 3)
    #expect(recorder.lines.last == "level=error event=\"no route\" to=192.0.2.1 repeated=59\n")
    // Another minute, another line; and nothing to count for the one that did not repeat.
    log.error("no route", ("to", "192.0.2.1"))
    log.flush()
    #expect(recorder.lines.count == 4)
  }

  @Test func `information is never held back`() {
    let recorder = Recorder()
    let log = recorder.log()
    for _ in 0..<3 { log.info("registered") }
    #expect(recorder.lines.count == 3)
  }

  @Test func `many different errors are held in bounded memory and no count is lost`() {
    let recorder = Recorder()
    let log = recorder.log()
    for number in 0..<1000 {
      log.error("e", ("n", "\(number)"))
      log.error("e", ("n", "\(number)"))
    }
    log.flush()
    #expect(recorder.lines.filter { $0.contains("repeated=1") }.count == 1000)
    #expect(recorder.lines.count == 2000)
  }
}
