import Alarms
import EdgeCore
import StatusModel
import Testing

@Suite("Alarm messages")
struct AlarmDeskTests {
  private func event(_ kind: AlarmEvent.Kind, _ phase: AlarmEvent.Phase = .begin) -> AlarmEvent {
    AlarmEvent(id: "e1", kind: kind, phase: phase, serial: "CAM-1", microseconds: 1_700_000_000_123_456)
  }

  @Test func `motion is told once in an interval, and the next message says how often it was not`() {
    var desk = AlarmDesk(interval: .seconds(30))
    var now = Instant.zero
    var sent: [AlarmEvent] = []
    for _ in 0..<100 {
      if let message = desk.take(event(.motion), at: now) { sent.append(message) }
      #expect(desk.take(event(.motion, .end), at: now) == nil)
      now = now + .seconds(1)
    }
    #expect(sent.map(\.suppressed) == [0, 29, 29, 29])
    #expect(desk.suppressedTotal == 96)
    #expect(sent[1].text == "CAM-1: motion (29 more since the last message)")
  }

  @Test func `that a camera is lost is told later rather than not at all, if it is still so`() throws {
    var desk = AlarmDesk(interval: .seconds(30))
    #expect(desk.take(event(.motion), at: .zero) != nil)
    #expect(desk.take(event(.lost), at: .zero + .seconds(1)) == nil)
    let due = try #require(desk.nextDeadline)
    #expect(due == .zero + .seconds(30))
    #expect(desk.tick(at: .zero + .seconds(29)) == nil)
    #expect(desk.tick(at: due)?.kind == .lost)
    // Back, lost and back again within the interval: the owner knows it as lost.
    #expect(desk.take(event(.lost, .end), at: due + .seconds(1)) == nil)
    #expect(desk.take(event(.lost), at: due + .seconds(2)) == nil)
    #expect(desk.nextDeadline == nil)
    #expect(desk.take(event(.lost, .end), at: due + .seconds(3)) == nil)
    #expect(desk.tick(at: due + .seconds(30))?.phase == .end)
  }

  @Test func `an end that nobody heard the beginning of is told to nobody`() {
    var desk = AlarmDesk(interval: .seconds(30))
    #expect(desk.take(event(.lost, .end), at: .zero) == nil)
    #expect(desk.nextDeadline == nil)
  }

  @Test func `the content type says everything, and nothing else is taken for an alarm`() throws {
    var event = event(.tamper)
    let read = try #require(AlarmEvent(contentType: event.contentType))
    #expect(read == event)
    #expect(AlarmEvent(contentType: event.contentType(ofPicture: "image/png"))?.id == "e1")
    for wrong in [
      "text/plain", "text/plain; alarm=motion", event.contentType.replacing("CAM-1", "../x"),
      event.contentType.replacing("e1", "../e1"), event.contentType.replacing("time=1", "time=-1"),
      event.contentType.replacing("tamper", "coffee"),
    ] { #expect(AlarmEvent(contentType: wrong) == nil) }
    event.name = "Gate"
    #expect(event.text == "Gate (CAM-1): the lens is covered")
    #expect(event.json["time"]?.text == "2023-11-14T22:13:20Z")
  }
}

extension String {
  fileprivate func replacing(_ old: String, _ new: String) -> String {
    var parts: [Substring] = []
    var rest = self[...]
    while let range = rest.firstRange(of: old) {
      parts.append(rest[..<range.lowerBound])
      rest = rest[range.upperBound...]
    }
    return parts.map { $0 + new }.joined() + rest
  }
}
