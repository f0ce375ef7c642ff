import Foundation
import LinuxIO
import StatusModel
import Testing
import UserAgent

@testable import Uplink

@Suite("Terminal places")
final class TerminalPlaceTests {
  private let directory = NSTemporaryDirectory() + "/edge-places-\(UUID().uuidString)"

  deinit { File.removeTree(directory) }

  @Test func eachProgramHasAPlaceAndFindsItAgain() throws {
    let state = directory
    var first: TerminalPlace? = try TerminalPlace.inbox(in: state)
    let second = try TerminalPlace.inbox(in: state)
    let chat = try TerminalPlace.chat(in: state)
    #expect(first?.directory == state)
    #expect(second.directory == state + "/terminals/inbox-2")
    #expect(chat.directory == state + "/terminals/chat")
    #expect(try TerminalPlace.chat(in: state).directory == state + "/terminals/chat-2")
    first = nil
    #expect(try TerminalPlace.inbox(in: state).directory == state)
    #expect(second.directory != chat.directory)
  }

  @Test func tooManyAreRefusedWithAReason() throws {
    var places: [TerminalPlace] = []
    for _ in 0..<16 { places.append(try TerminalPlace.inbox(in: directory)) }
    #expect(throws: SetupProblem.self) { try TerminalPlace.inbox(in: directory) }
    #expect(places.count == 16)
  }

  @Test func whatSeveralTerminalsWereGivenIsListedOnce() throws {
    let places = [try TerminalPlace.inbox(in: directory), try TerminalPlace.chat(in: directory)]
    for (number, place) in places.enumerated() {
      let inbox = try Inbox(place)
      for id in [["a", "b"], ["b", "c"]][number] {
        let message = IncomingMessage(sender: "anna", id: id, contentType: "text/plain", body: Array(id.utf8))
        guard case .taken = inbox.take(message, now: 1_000_000, domain: "d") else {
          Issue.record("\(id) was not taken")
          return
        }
      }
    }
    #expect(try Inbox.everything(in: directory).map { $0.text } == ["a", "b", "c"])
  }
}
