import EdgeCore
import MSRP
import Testing

/// Two sessions joined by a wire that is cut anywhere.
struct Pair {
  var alice: MSRPLink
  var bob: MSRPLink
  var now = Instant.zero
  var fromAlice: [MSRPSession.Event] = []
  var fromBob: [MSRPSession.Event] = []
  /// Everything that crossed the wire, in order.
  var wire: [String] = []

  init(
    alice: MSRPSession.Configuration = .init(), bob: MSRPSession.Configuration = .init(), seed: UInt64 = 1
  ) {
    let a = MSRPURI(isSecure: false, host: "192.0.2.1", port: 1000, sessionID: "aliceSession")
    let b = MSRPURI(isSecure: false, host: "192.0.2.2", port: 2000, sessionID: "bobSession")
    let random = AnyRandom(SeededRandom(seed: seed))
    self.alice = MSRPLink(.init(local: a, remotePath: [b], configuration: alice, random: random))
    self.bob = MSRPLink(.init(local: b, remotePath: [a], configuration: bob, random: random))
  }

  static func describe(_ bytes: [UInt8]) -> String {
    var framer = MSRPFramer()
    framer.append(bytes)
    guard case .head(let head, let hasBody) = try? framer.next() else { return "?" }
    var count = 0
    while true {
      switch try? framer.next() {
      case .body(let piece): count += piece.count
      case .end(let flag):
        let what = head.method ?? "\(head.responseCode ?? 0)"
        let range = head.byteRange.map { " \($0)" } ?? ""
        let status = head.reportedStatus.map { " status \($0)" } ?? ""
        return what + range + status + (hasBody ? " \(count) bytes " : " ")
          + String(decoding: [flag.rawValue], as: UTF8.self)
      default: return "?"
      }
    }
  }

  /// Carries what one end wrote to the other, and back, until nothing moves.
  mutating func deliver(_ out: MSRPSession.Output, fromAlice isAlice: Bool) {
    if isAlice { fromAlice += out.events } else { fromBob += out.events }
    for message in out.messages {
      wire.append((isAlice ? "A " : "B ") + Self.describe(message))
      var answer = MSRPSession.Output()
      let span = message.span
      if isAlice {
        _ = bob.receive(span.bytes, at: now, into: &answer)
      } else {
        _ = alice.receive(span.bytes, at: now, into: &answer)
      }
      deliver(answer, fromAlice: !isAlice)
    }
  }

  /// Sends what waits; `source` supplies the bytes of messages that are not in memory.
  mutating func pump(source: (UInt64, Int) -> [UInt8] = { _, _ in [] }) {
    var isMoving = true
    while isMoving {
      isMoving = false
      for isAlice in [true, false] {
        var out = MSRPSession.Output()
        let pull = isAlice ? alice.session.pull(at: now, into: &out) : bob.session.pull(at: now, into: &out)
        if case .wants(let id, let offset, let count) = pull {
          if isAlice {
            alice.session.supply(id, source(offset, count), at: now, into: &out)
          } else {
            bob.session.supply(id, source(offset, count), at: now, into: &out)
          }
        }
        isMoving = isMoving || pull != .idle
        deliver(out, fromAlice: isAlice)
      }
    }
  }

  mutating func send(_ message: MSRPSession.Outgoing) -> String {
    var out = MSRPSession.Output()
    let id = alice.session.send(message, into: &out)
    deliver(out, fromAlice: true)
    return id
  }
}

@Suite("MSRP session")
struct SessionTests {
  @Test func `a short message is one SEND, one 200 and one report`() {
    var pair = Pair()
    var message = MSRPSession.Outgoing(contentType: "text/plain", body: Array("hello".utf8), messageID: "m-1234")
    message.wantsSuccessReport = true
    _ = pair.send(message)
    pair.pump()
    #expect(pair.wire == ["A SEND 1-5/5 5 bytes $", "B 200 $", "B REPORT 1-5/5 status 200 $"])
    #expect(
      pair.fromBob == [
        .began(messageID: "m-1234", contentType: "text/plain", total: 5),
        .received(messageID: "m-1234", contentType: "text/plain", body: Array("hello".utf8), total: 5),
      ])
    #expect(
      pair.fromAlice == [
        .progress(messageID: "m-1234", confirmed: 5), .sent(messageID: "m-1234"), .delivered(messageID: "m-1234"),
      ])
    #expect(!pair.alice.session.isSending)
  }

  @Test func `a long message goes in interruptible chunks and a short one overtakes it`() {
    var configuration = MSRPSession.Configuration()
    configuration.chunkBytes = 4000
    var pair = Pair(alice: configuration)
    let long = (0..<10_000).map { UInt8(truncatingIfNeeded: $0) }
    _ = pair.send(.init(contentType: "text/plain", body: long, messageID: "long"))
    var out = MSRPSession.Output()
    #expect(pair.alice.session.pull(at: .zero, into: &out) == .sent)
    pair.deliver(out, fromAlice: true)
    _ = pair.send(.init(contentType: "text/plain", body: Array("hi".utf8), messageID: "short"))
    pair.pump()
    #expect(
      pair.wire.filter { $0.hasPrefix("A") } == [
        "A SEND 1-*/10000 4000 bytes +", "A SEND 1-2/2 2 bytes $", "A SEND 4001-*/10000 4000 bytes +",
        "A SEND 8001-10000/10000 2000 bytes $",
      ])
    #expect(pair.fromBob.last == .received(messageID: "long", contentType: "text/plain", body: long, total: 10_000))
  }

  @Test func `a message of a gigabyte passes without being held anywhere`() {
    var sender = MSRPSession.Configuration()
    sender.chunkBytes = 1 << 24
    var receiver = MSRPSession.Configuration()
    receiver.delivery = .pieces(maximum: 1 << 31)
    var pair = Pair(alice: sender, bob: receiver)
    _ = pair.send(
      .init(contentType: "application/octet-stream", content: .supplied(total: 1 << 30, from: (1 << 30) - 100)))
    pair.pump { _, count in [UInt8](repeating: 7, count: count) }
    // Resumed a hundred bytes before its end: the receiver of these alone waits for the others.
    #expect(pair.wire == ["A SEND \((1 << 30) - 99)-\(1 << 30)/\(1 << 30) 100 bytes $", "B 200 $"])
    #expect(pair.fromAlice.last == .sent(messageID: pair.fromAlice.compactMap(\.id).last ?? ""))
    #expect(!pair.fromBob.contains { if case .received = $0 { true } else { false } })
  }

  @Test func `an empty message has the range 1-0 of 0`() {
    var pair = Pair()
    var message = MSRPSession.Outgoing(contentType: "text/plain", body: [], messageID: "empty")
    message.wantsSuccessReport = true
    _ = pair.send(message)
    pair.pump()
    #expect(pair.wire.first == "A SEND 1-0/0 0 bytes $")
    #expect(pair.fromBob.last == .received(messageID: "empty", contentType: "text/plain", body: [], total: 0))
    #expect(pair.fromAlice.suffix(2) == [.sent(messageID: "empty"), .delivered(messageID: "empty")])
    #expect(!pair.alice.session.isSending)
  }

  @Test func `a failure report of no gets no answer, partial only errors`() {
    for (report, type, answer) in [
      (MSRPHead.FailureReport.no, "text/plain", []), (.partial, "text/plain", []), (.no, "image/png", []),
      (.partial, "image/png", ["B 415 $"]), (.yes, "image/png", ["B 415 $"]),
    ] {
      var receiver = MSRPSession.Configuration()
      receiver.acceptTypes = ["text/*"]
      var pair = Pair(bob: receiver)
      var message = MSRPSession.Outgoing(contentType: type, body: [1])
      message.failureReport = report
      _ = pair.send(message)
      pair.pump()
      #expect(Array(pair.wire.dropFirst()) == answer)
    }
  }

  @Test func `no response for 30 seconds fails the message`() {
    var pair = Pair()
    var out = MSRPSession.Output()
    let id = pair.alice.session.send(.init(contentType: "text/plain", body: [1]), into: &out)
    _ = pair.alice.session.pull(at: .zero, into: &out)
    #expect(pair.alice.session.nextDeadline == .zero + .seconds(30))
    pair.alice.session.tick(at: .zero + .milliseconds(29_999), into: &out)
    #expect(out.events.isEmpty)
    pair.alice.session.tick(at: .zero + .seconds(30), into: &out)
    #expect(out.events == [.failed(messageID: id, status: 408)])
  }

  @Test func `the owner's confirmation is what sends the 200`() {
    var receiver = MSRPSession.Configuration()
    receiver.ownerConfirms = true
    var pair = Pair(bob: receiver)
    let id = pair.send(.init(contentType: "text/plain", body: [1, 2, 3]))
    pair.pump()
    #expect(pair.wire == ["A SEND 1-3/3 3 bytes $"])
    var out = MSRPSession.Output()
    pair.bob.session.accept(id, into: &out)
    pair.deliver(out, fromAlice: false)
    #expect(pair.wire.last == "B 200 $")
    #expect(pair.fromAlice.last == .sent(messageID: id))
    // The same chunk again, as after a lost answer, is confirmed and not taken twice.
    let count = pair.fromBob.count
    _ = pair.send(.init(contentType: "text/plain", body: [1, 2, 3], messageID: id))
    pair.pump()
    #expect(pair.wire.last == "B 200 $")
    #expect(pair.fromBob.count == count)
  }

  @Test func `a rejected message is stopped with 413 and its sender gives it up`() {
    var receiver = MSRPSession.Configuration()
    receiver.delivery = .whole(maximum: 5000)
    var sender = MSRPSession.Configuration()
    sender.chunkBytes = 2048
    var pair = Pair(alice: sender, bob: receiver)
    let id = pair.send(.init(contentType: "text/plain", body: [UInt8](repeating: 1, count: 6000)))
    pair.pump()
    #expect(pair.fromAlice == [.failed(messageID: id, status: 413)])
    #expect(pair.wire == ["A SEND 1-2048/6000 2048 bytes +", "B 413 $", "A SEND 2049-*/6000 0 bytes #", "B 413 $"])
  }

  @Test func `a request for another session is answered 481 and ends the sender's`() {
    var pair = Pair()
    let other = MSRPURI(isSecure: false, host: "192.0.2.2", port: 2000, sessionID: "another")
    pair.alice = MSRPLink(
      .init(
        local: pair.alice.session.local, remotePath: [other], configuration: .init(),
        random: AnyRandom(SeededRandom(seed: 3))))
    let id = pair.send(.init(contentType: "text/plain", body: [1]))
    pair.pump()
    #expect(pair.wire.last == "B 481 $")
    #expect(pair.fromAlice == [.failed(messageID: id, status: 481), .ended(status: 481)])
    #expect(pair.fromBob.isEmpty)
  }

  @Test func `an unknown method is 501 and a report is never answered`() {
    var pair = Pair()
    let a = pair.alice.session.local
    let b = pair.bob.session.local
    for (method, answers) in [("WINK", ["B 501 $"]), ("REPORT", [])] {
      var out = MSRPSession.Output()
      var head = MSRPHead(transactionID: "abcd1234", kind: .request(method), toPath: [b], fromPath: [a])
      head.messageID = "nobody-knows"
      head.reportedStatus = 400
      out.messages.append(head.serialized())
      pair.wire = []
      pair.deliver(out, fromAlice: true)
      #expect(Array(pair.wire.dropFirst()) == answers)
    }
  }

  @Test func `a failure report fails the message and the session`() {
    var pair = Pair()
    var message = MSRPSession.Outgoing(contentType: "text/plain", body: [1, 2], messageID: "lost")
    message.wantsSuccessReport = true
    var out = MSRPSession.Output()
    _ = pair.alice.session.send(message, into: &out)
    _ = pair.alice.session.pull(at: .zero, into: &out)
    out.removeAll()
    var report = MSRPHead(
      transactionID: "abcd1234", kind: .request("REPORT"), toPath: [pair.alice.session.local],
      fromPath: [pair.bob.session.local])
    report.messageID = "lost"
    report.reportedStatus = 408
    report.byteRange = MSRPByteRange(start: 1, end: 2, total: 2)
    let bytes = report.serialized()
    _ = pair.alice.receive(bytes.span.bytes, at: .zero, into: &out)
    #expect(out.events == [.failed(messageID: "lost", status: 408), .ended(status: 408)])
    #expect(out.messages.isEmpty)
  }
}

extension MSRPSession.Event {
  var id: String? {
    switch self {
    case .began(let id, _, _), .piece(let id, _, _), .received(let id, _, _, _), .abandoned(let id),
      .progress(let id, _), .sent(let id), .delivered(let id), .failed(let id, _):
      id
    case .ended: nil
    }
  }
}

/// Chunks of other senders than this one: in any order, over each other, broken off.
@Suite("MSRP reassembly")
struct ReassemblyTests {
  private func feed(
    _ chunks: [(start: UInt64, body: String, flag: MSRPFlag)], delivery: MSRPSession.Delivery = .whole(maximum: 1000)
  ) -> (events: [MSRPSession.Event], statuses: [Int]) {
    let local = MSRPURI(isSecure: false, host: "a", port: 1, sessionID: "s")
    let peer = MSRPURI(isSecure: false, host: "b", port: 1, sessionID: "t")
    var configuration = MSRPSession.Configuration()
    configuration.delivery = delivery
    var link = MSRPLink(
      MSRPSession(
        local: local, remotePath: [peer], configuration: configuration, random: AnyRandom(SeededRandom(seed: 1))))
    var out = MSRPSession.Output()
    for (number, chunk) in chunks.enumerated() {
      var head = MSRPHead(transactionID: "tid\(number)xx", kind: .request("SEND"), toPath: [local], fromPath: [peer])
      head.messageID = "message"
      head.byteRange = MSRPByteRange(start: chunk.start, end: nil, total: nil)
      head.contentType = "text/plain"
      let bytes = head.serialized(body: Array(chunk.body.utf8), flag: chunk.flag)
      let span = bytes.span
      _ = link.receive(span.bytes, at: .zero, into: &out)
    }
    return (out.events, out.messages.compactMap { messages(of: [$0]).complete.first?.head.responseCode })
  }

  private func text(_ events: [MSRPSession.Event]) -> String? {
    for case .received(_, _, let body, _) in events { return String(decoding: body, as: UTF8.self) }
    return nil
  }

  @Test func `chunks in any order make the message, and the last flag says how long it is`() {
    #expect(text(feed([(6, "world", .last), (1, "hello", .more)]).events) == "helloworld")
    #expect(text(feed([(4, "lo", .more), (6, "!", .last), (1, "hel", .more)]).events) == "hello!")
    #expect(text(feed([(1, "hel", .more), (6, "!", .last)]).events) == nil)
  }

  @Test func `of what comes twice the later counts`() {
    #expect(text(feed([(1, "hexxx", .more), (3, "llo", .more), (6, "!", .last)]).events) == "hello!")
  }

  @Test func `a message that is given up is told and forgotten`() {
    let found = feed([(1, "hel", .more), (4, "", .aborted), (4, "lo", .last)])
    #expect(
      found.events == [
        .began(messageID: "message", contentType: "text/plain", total: nil), .abandoned(messageID: "message"),
      ])
    #expect(found.statuses == [200, 200, 200])
  }

  @Test func `more bytes or holes than are allowed are stopped with 413`() {
    #expect(feed([(999, "abc", .more)]).statuses == [413])
    let holes = (0...UInt64(MSRPLimits.pieces)).map { (start: $0 * 3 + 1, body: "x", flag: MSRPFlag.more) }
    #expect(feed(holes).statuses.last == 413)
    #expect(feed(holes, delivery: .pieces(maximum: 10_000)).statuses.last == 413)
  }

  @Test func `pieces are handed on with their places`() {
    let found = feed([(4, "lo", .last), (1, "hel", .more)], delivery: .pieces(maximum: 100))
    #expect(
      found.events == [
        .began(messageID: "message", contentType: "text/plain", total: nil),
        .piece(messageID: "message", offset: 3, bytes: Array("lo".utf8)),
        .piece(messageID: "message", offset: 0, bytes: Array("hel".utf8)),
        .received(messageID: "message", contentType: "text/plain", body: [], total: 5),
      ])
  }
}
