import CommandLine
import Foundation
import LinuxIO
import StatusModel
import Testing

/// A daemon that answers whatever it is asked with the same bytes, on a thread of its own.
private final class FakeDaemon: @unchecked Sendable {
  let path = FileManager.default.temporaryDirectory.appendingPathComponent("edge-\(UUID().uuidString.prefix(8)).sock")
    .path
  private let stopped = DispatchSemaphore(value: 0)
  private var isStopping = false
  private let lock = NSLock()
  private(set) var questions: [String] = []

  init(answer: String) throws {
    let ready = DispatchSemaphore(value: 0)
    Foundation.Thread.detachNewThread {
      do {
        let reactor = try Reactor()
        let listener = try UnixListener(reactor: reactor, path: self.path)
        listener.onAccept = { connection in
          connection.onBytes = { bytes in
            let question = String(decoding: bytes.withUnsafeBytes { [UInt8]($0) }, as: UTF8.self)
            self.lock.withLock { self.questions.append(question) }
            connection.send(Array(answer.utf8))
            connection.closeAfterSending()
          }
        }
        ready.signal()
        while !self.lock.withLock({ self.isStopping }) { try reactor.turn(waitingAtMost: .milliseconds(20)) }
        listener.close()
      } catch {
        Issue.record("\(error)")
        ready.signal()
      }
      self.stopped.signal()
    }
    ready.wait()
  }

  func stop() -> [String] {
    lock.withLock { isStopping = true }
    stopped.wait()
    return questions
  }
}

@Suite("edge status")
struct StatusCommandTests {
  static let status = NodeStatus(
    version: "0.1.0", node: "gate-box",
    link: .init(state: .connected, server: "sips:rv.example.org:5061", transport: "tls"))

  private func ask(_ answer: String, _ options: String...) throws -> (ExitCode, TestProgram, [String]) {
    let daemon = try FakeDaemon(answer: answer)
    let program = TestProgram()
    let code = program(["status", "--socket", daemon.path] + options)
    return (code, program, daemon.stop())
  }

  @Test func `the daemon's answer is printed as text`() throws {
    let (code, program, questions) = try ask(JSONWriter.text(Self.status.json) + "\n")
    #expect(code == .fine)
    #expect(program.output == Self.status.text)
    #expect(program.error.isEmpty)
    #expect(questions == ["status\n"])
  }

  @Test func `JSON keeps fields this program does not know`() throws {
    let line = JSONWriter.text(Self.status.json).dropLast() + ",\"later\":[1]}\n"
    let (code, program, _) = try ask(String(line), "--json")
    #expect(code == .fine)
    #expect(try JSONValue(program.output)["later"] == .array([.number("1")]))
    #expect(program.output.hasPrefix("{\n  \"version\": \"0.1.0\","))
  }

  @Test func `the exit code is the node's state`() throws {
    var status = Self.status
    status.health = [.init(code: "camera-busy", severity: .error, text: "close the other program")]
    #expect(try ask(JSONWriter.text(status.json) + "\n").0 == .problems)
    status.link.state = .down
    #expect(try ask(JSONWriter.text(status.json) + "\n").0 == .no)
  }

  @Test func `an answer longer than one read arrives whole`() throws {
    var status = Self.status
    status.sessions = (0..<2000).map { .init(viewer: "viewer-\($0)", serial: "C", since: 0) }
    let (code, program, _) = try ask(JSONWriter.text(status.json) + "\n")
    #expect(code == .fine)
    #expect(program.output.contains("viewer-1999"))
  }

  @Test(arguments: ["", "{\"version\":", "hello\n", "{}\n", "[]\n"])
  func `an answer that is none returns 69`(answer: String) throws {
    let (code, program, _) = try ask(answer.isEmpty ? "\n" : answer)
    #expect(code == .unreachable)
    #expect(program.output.isEmpty)
    #expect(!program.error.isEmpty)
  }

  @Test func `without a daemon it says so and how to start it`() {
    let program = TestProgram()
    #expect(program("status", "--socket", "/nonexistent/status.sock") == .unreachable)
    #expect(program.output.isEmpty)
    #expect(program.error.contains("/nonexistent/status.sock"))
    // Another test's machine may well run one.
    #expect(program.error.contains("edge run") || program.error.contains("--config FILE"))
  }

  @Test func `a configuration that is named must be there and right`() throws {
    let program = TestProgram()
    #expect(program("status", "--config", "/nonexistent/edge.yaml") == .usage)
    #expect(program.error.hasPrefix("edge: /nonexistent/edge.yaml"))
  }
}
