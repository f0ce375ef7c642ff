import Foundation
import Testing

@testable import Storage

/// The process dies at any instruction; what it was told is stored must be there.
@Suite("Killed while writing")
struct KillTests {
  @Test func `nothing that was reported as done is lost to kill -9, thirty times over`() async throws {
    let scratch = Scratch()
    let path = scratch.path
    let journal = scratch.directory + "/told"
    _ = FileManager.default.createFile(atPath: journal, contents: nil)
    for round in 0..<30 {
      // A different moment each round, from "still opening the file" to "hundreds of commits in".
      let microseconds = UInt32(500 + round * 2_700)
      await #expect(processExitsWith: .signal(SIGKILL)) {
        [
          path = path as String, journal = journal as String, round = round as Int,
          microseconds = microseconds as UInt32
        ] in
        Thread.detachNewThread {
          usleep(microseconds)
          kill(getpid(), SIGKILL)
        }
        let told = open(journal, O_WRONLY | O_APPEND)
        let store = try AccountStore(path: path)
        var index = 0
        while true {
          let name = "u\(round)-\(index)"
          guard
            try store.add(.init(name: name, ha1SHA256: "aa", isNode: true, created: 0)) == .done,
            try store.grant("S\(name)", to: name, now: 0) == .done,
            try store.claim("C\(name)", for: name, now: 0) == .owned
          else { exit(3) }
          let line = Array("\(name)\n".utf8)
          _ = line.withUnsafeBytes { write(told, $0.baseAddress, $0.count) }
          index += 1
        }
      }
    }
    let store = try AccountStore(path: path)
    #expect(try store.integrityProblem() == nil)
    let told = try String(contentsOfFile: journal, encoding: .utf8).split(separator: "\n").map(String.init)
    #expect(told.count > 30, "the child never got to write: the test shows nothing")
    let accounts = Set(try store.accounts().map(\.name))
    let rights = Set(try store.viewingRights().map(\.serial))
    let owned = Set(try store.ownerships().map(\.serial))
    for name in told {
      #expect(accounts.contains(name) && rights.contains("S\(name)") && owned.contains("C\(name)"))
    }
  }
}
