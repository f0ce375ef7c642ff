import EdgeCore
import SIP
import Testing

@Suite("Transactions")
struct TransactionTests {
  typealias Layer = TransactionLayer<Int>

  static func request(_ method: Method, branch: String = "z9hG4bKa") -> Message {
    var message = Message(request: method, URI("sip:b@example.com")!)
    message.push(Via(transport: "UDP", host: "192.0.2.1", port: 5060, branch: branch))
    message[.to] = "<sip:b@example.com>"
    message[.from] = "<sip:a@example.com>;tag=1"
    message.callID = "c"
    message.cseq = CSeq(1, method)
    return message
  }

  static func run(_ layer: inout Layer, until end: Duration) -> (sent: [Duration], events: [String]) {
    var sent: [Duration] = []
    var events: [String] = []
    var out = Layer.Outbox()
    for _ in 0..<1000 {
      guard let deadline = layer.nextDeadline, deadline - .zero <= end else { return (sent, events) }
      layer.tick(at: deadline, into: &out)
      sent += out.transmissions.map { _ in deadline - .zero }
      events += out.events.map { "\(name($0)) \(deadline.nanoseconds / 1_000_000)" }
      out.removeAll()
    }
    Issue.record("the layer never comes to rest")
    return (sent, events)
  }

  static func name(_ event: Layer.Outbox.Event) -> String {
    switch event {
    case .request(_, let message, _, let cancels):
      "request \(message.method?.name ?? "")" + (cancels == nil ? "" : " cancels")
    case .acknowledgement: "ack"
    case .response(_, let message): "response \(message.status?.value ?? 0)"
    case .strayResponse: "stray"
    case .timedOut: "timedOut"
    case .acknowledgementMissing: "ackMissing"
    case .ended: "ended"
    }
  }

  static func ms(_ values: Int...) -> [Duration] { values.map { .milliseconds($0) } }

  /// RFC 3261 §17.1.1.2: "0, T1, 3·T1, 7·T1, ..." and timer B at 64·T1.
  @Test func `an unanswered INVITE over UDP is sent seven times in 32 s`() {
    var (layer, out) = (Layer(capacity: 10), Layer.Outbox())
    let sent4 = layer.send(Self.request(.invite), over: 1, isReliable: false, at: .zero, into: &out)
    #expect(sent4 != nil)
    #expect(out.transmissions.count == 1)
    let run = Self.run(&layer, until: .seconds(100))
    #expect(run.sent == Self.ms(500, 1500, 3500, 7500, 15500, 31500))
    #expect(run.events == ["timedOut 32000", "ended 32000"])
    #expect(layer.count == 0)
  }

  /// RFC 3261 §17.1.2.2: timer E is capped at T2.
  @Test func `an unanswered OPTIONS over UDP is sent eleven times in 32 s`() {
    var (layer, out) = (Layer(capacity: 10), Layer.Outbox())
    _ = layer.send(Self.request(.options), over: 1, isReliable: false, at: .zero, into: &out)
    let run = Self.run(&layer, until: .seconds(100))
    #expect(run.sent == Self.ms(500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500))
    #expect(run.events == ["timedOut 32000", "ended 32000"])
  }

  @Test(arguments: [Method.invite, .options])
  func `nothing is sent twice over a reliable transport`(method: Method) {
    var (layer, out) = (Layer(capacity: 10), Layer.Outbox())
    _ = layer.send(Self.request(method), over: 1, isReliable: true, at: .zero, into: &out)
    let run = Self.run(&layer, until: .seconds(100))
    #expect(run.sent.isEmpty)
    #expect(run.events == ["timedOut 32000", "ended 32000"])
  }

  @Test func `an error to an INVITE is acknowledged each time it comes, and told once`() throws {
    var (layer, out) = (Layer(capacity: 10), Layer.Outbox())
    let invite = Self.request(.invite)
    _ = layer.send(invite, over: 1, isReliable: false, at: .zero, into: &out)
    out.removeAll()
    let busy = Message.response(to: invite, status: 486, tag: "x")
    layer.receive(busy, from: 1, isReliable: false, at: .zero, into: &out)
    layer.receive(busy, from: 1, isReliable: false, at: .zero, into: &out)
    #expect(out.events.map(Self.name) == ["response 486"])
    let acks = try out.transmissions.map { try Message(parsing: $0.bytes) }
    #expect(acks.map(\.method) == [.ack, .ack])
    #expect(acks[0].to?.tag == "x")
    #expect(acks[0].topVia == invite.topVia)
    #expect(acks[0].cseq == CSeq(1, .ack))
    #expect(Self.run(&layer, until: .seconds(100)).events == ["ended 32000"])
  }

  @Test func `every 2xx to an INVITE goes up and none is acknowledged below`() {
    var (layer, out) = (Layer(capacity: 10), Layer.Outbox())
    let invite = Self.request(.invite)
    _ = layer.send(invite, over: 1, isReliable: true, at: .zero, into: &out)
    out.removeAll()
    for status in [100, 180, 200, 200] {
      layer.receive(
        Message.response(to: invite, status: StatusCode(status), tag: "x"), from: 1, isReliable: true, at: .zero,
        into: &out)
    }
    #expect(out.events.map(Self.name) == ["response 100", "response 180", "response 200", "response 200"])
    #expect(out.transmissions.isEmpty)
  }

  @Test func `a response from another flow, or to nothing, is a stray`() {
    var (layer, out) = (Layer(capacity: 10), Layer.Outbox())
    let options = Self.request(.options)
    _ = layer.send(options, over: 1, isReliable: true, at: .zero, into: &out)
    layer.receive(Message.response(to: options, status: 200), from: 2, isReliable: true, at: .zero, into: &out)
    let other = Self.request(.options, branch: "z9hG4bKother")
    layer.receive(Message.response(to: other, status: 200), from: 1, isReliable: true, at: .zero, into: &out)
    #expect(out.events.map(Self.name) == ["stray", "stray"])
  }

  @Test func `a CANCEL waits for the first provisional response`() throws {
    var (layer, out) = (Layer(capacity: 10), Layer.Outbox())
    let invite = Self.request(.invite)
    let sent = layer.send(invite, over: 1, isReliable: true, at: .zero, into: &out)
    let id = try #require(sent)
    out.removeAll()
    layer.cancel(id, at: .zero, into: &out)
    #expect(out.transmissions.isEmpty)
    layer.receive(Message.response(to: invite, status: 100), from: 1, isReliable: true, at: .zero, into: &out)
    let cancel = try Message(parsing: #require(out.transmissions.first).bytes)
    #expect(cancel.method == .cancel)
    #expect(cancel.topVia == invite.topVia)
    #expect(cancel.requestURI == invite.requestURI)
    layer.cancel(id, at: .zero, into: &out)
    #expect(out.transmissions.count == 1)
    // Nobody answers: both end after 64·T1.
    let run = Self.run(&layer, until: .seconds(100))
    #expect(run.events.sorted() == ["ended 32000", "ended 32000", "timedOut 32000", "timedOut 32000"])
  }

  @Test func `an INVITE gets a 100 after 200 ms, its final response until the ACK, and each retransmission an answer`()
    throws
  {
    var (layer, out) = (Layer(capacity: 10), Layer.Outbox())
    let invite = Self.request(.invite)
    layer.receive(invite, from: 1, isReliable: false, at: .zero, into: &out)
    guard case .request(let id, _, _, nil) = out.events.first else {
      Issue.record("no request")
      return
    }
    out.removeAll()
    #expect(Self.run(&layer, until: .seconds(1)).sent == Self.ms(200))
    layer.receive(invite, from: 1, isReliable: false, at: .zero + .seconds(1), into: &out)
    #expect(try Message(parsing: #require(out.transmissions.first).bytes).status == 100)
    out.removeAll()
    let answered1 = layer.respond(
      id, Message.response(to: invite, status: 603, tag: "t"), at: .zero + .seconds(1), into: &out)
    #expect(answered1)
    let answered2 = layer.respond(
      id, Message.response(to: invite, status: 200, tag: "t"), at: .zero + .seconds(1), into: &out)
    #expect(!answered2)
    let run = Self.run(&layer, until: .seconds(10))
    #expect(run.sent == Self.ms(1500, 2500, 4500, 8500))
    var ack = Self.request(.ack)
    ack.cseq = CSeq(1, .ack)
    layer.receive(ack, from: 1, isReliable: false, at: .zero + .seconds(10), into: &out)
    let after = Self.run(&layer, until: .seconds(100))
    #expect(after.sent.isEmpty)
    #expect(after.events == ["ended 15000"])
  }

  @Test func `the ACK of a 2xx goes up, and a lost ACK of an error is reported`() {
    var (layer, out) = (Layer(capacity: 10), Layer.Outbox())
    for (branch, status) in [("z9hG4bKa", 200), ("z9hG4bKb", 404)] as [(String, StatusCode)] {
      let invite = Self.request(.invite, branch: branch)
      layer.receive(invite, from: 1, isReliable: true, at: .zero, into: &out)
      guard case .request(let id, _, _, _) = out.events.first else { return }
      layer.respond(id, Message.response(to: invite, status: status, tag: "t"), at: .zero, into: &out)
      out.removeAll()
    }
    layer.receive(Self.request(.ack, branch: "z9hG4bKnew"), from: 1, isReliable: true, at: .zero, into: &out)
    #expect(out.events.map(Self.name) == ["ack"])
    #expect(
      Self.run(&layer, until: .seconds(100)).events.sorted() == ["ackMissing 32000", "ended 32000", "ended 32000"])
  }

  @Test func `a CANCEL names the INVITE it means while that is pending`() throws {
    var (layer, out) = (Layer(capacity: 10), Layer.Outbox())
    let invite = Self.request(.invite)
    layer.receive(invite, from: 1, isReliable: true, at: .zero, into: &out)
    var cancel = try #require(Message.cancel(for: invite))
    layer.receive(cancel, from: 1, isReliable: true, at: .zero, into: &out)
    // The same CANCEL from elsewhere means nothing.
    cancel.topVia?.branch = "z9hG4bKz"
    layer.receive(cancel, from: 2, isReliable: true, at: .zero, into: &out)
    #expect(out.events.map(Self.name) == ["request INVITE", "request CANCEL cancels", "request CANCEL"])
  }

  @Test func `RFC 2543 requests are told apart by what they carry`() {
    var (layer, out) = (Layer(capacity: 10), Layer.Outbox())
    var old = Self.request(.options)
    old.topVia?.branch = nil
    layer.receive(old, from: 1, isReliable: false, at: .zero, into: &out)
    layer.receive(old, from: 1, isReliable: false, at: .zero, into: &out)
    old.cseq = CSeq(2, .options)
    layer.receive(old, from: 1, isReliable: false, at: .zero, into: &out)
    #expect(out.events.map(Self.name) == ["request OPTIONS", "request OPTIONS"])
  }

  @Test func `a full table answers 503 and stays as it is`() throws {
    var (layer, out) = (Layer(capacity: 3), Layer.Outbox())
    for index in 0..<50 {
      layer.receive(
        Self.request(.options, branch: "z9hG4bK\(index)"), from: 1, isReliable: false, at: .zero, into: &out)
    }
    #expect(layer.count == 3)
    #expect(out.transmissions.count == 47)
    #expect(try Message(parsing: out.transmissions[0].bytes).status == 503)
    let sent5 = layer.send(Self.request(.options, branch: "z9hG4bKx"), over: 1, isReliable: true, at: .zero, into: &out)
    #expect(sent5 == nil)
  }

  @Test func `no provisional but 100 and no 408 goes out to a non-INVITE request`() {
    for status in [183, 408] as [StatusCode] {
      var (layer, out) = (Layer(capacity: 3), Layer.Outbox())
      let options = Self.request(.options)
      layer.receive(options, from: 1, isReliable: true, at: .zero, into: &out)
      guard case .request(let id, _, _, _) = out.events.first else { return }
      let answered3 = layer.respond(id, Message.response(to: options, status: status), at: .zero, into: &out)
      #expect(!answered3)
      #expect(out.transmissions.isEmpty)
    }
  }

  @Test func `a lost flow ends its transactions at once`() {
    var (layer, out) = (Layer(capacity: 10), Layer.Outbox())
    _ = layer.send(Self.request(.options), over: 1, isReliable: true, at: .zero, into: &out)
    _ = layer.send(Self.request(.invite, branch: "z9hG4bKb"), over: 2, isReliable: true, at: .zero, into: &out)
    layer.drop(1, into: &out)
    #expect(out.events.map(Self.name) == ["timedOut", "ended"])
    #expect(layer.count == 1)
  }

  /// 300 seeds, two layers over a wire that loses a third of everything: each request is answered once or times out.
  @Test(arguments: UInt64(0)..<300)
  func `each side settles whatever is lost`(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    var sides = [Layer(capacity: 10), Layer(capacity: 10)]
    var wire: [(at: Instant, to: Int, bytes: [UInt8])] = []
    var outcomes: [String] = []
    var requests = 0
    var now = Instant.zero
    var out = Layer.Outbox()
    _ = sides[0].send(Self.request(.invite), over: 0, isReliable: false, at: now, into: &out)
    _ = sides[0].send(Self.request(.options, branch: "z9hG4bKo"), over: 0, isReliable: false, at: now, into: &out)
    func settle(_ side: Int) {
      var index = 0
      while index < out.events.count {
        switch out.events[index] {
        case .request(let id, let message, _, _):
          requests += 1
          let status: StatusCode = message.method == .invite ? 486 : 200
          sides[side].respond(id, .response(to: message, status: status, tag: "t"), at: now, into: &out)
        case .response(_, let message): outcomes.append("\(message.method!) \(message.status!)")
        case .timedOut: outcomes.append("timeout")
        case .acknowledgement, .strayResponse, .acknowledgementMissing, .ended: break
        }
        index += 1
      }
      for sent in out.transmissions where Int.random(in: 0..<3, using: &random) > 0 {
        wire.append((now + .milliseconds(Int.random(in: 1...300, using: &random)), 1 - side, sent.bytes))
      }
      out.removeAll()
    }
    settle(0)
    for _ in 0..<2000 {
      var next = Instant.earliest(sides[0].nextDeadline, sides[1].nextDeadline)
      for item in wire { next = Instant.earliest(next, item.at) }
      guard let next else { break }
      now = next
      for side in 0...1 {
        sides[side].tick(at: now, into: &out)
        settle(side)
        let due = wire.filter { $0.at <= now && $0.to == side }
        wire.removeAll { $0.at <= now && $0.to == side }
        for item in due {
          sides[side].receive(try Message(parsing: item.bytes), from: 0, isReliable: false, at: now, into: &out)
          settle(side)
        }
      }
    }
    #expect(sides[0].count == 0 && sides[1].count == 0 && wire.isEmpty, "seed \(seed)")
    #expect(outcomes.count == 2, "seed \(seed): \(outcomes)")
    #expect(requests <= 2, "seed \(seed)")
  }
}
