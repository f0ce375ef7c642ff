import EdgeCore
import Testing
import Tunnel

/// One end with its socket: what was written to it, and how fast it takes that.
private struct End {
  var stream = TunnelStream()
  var channel: [[UInt8]] = []
  var written: [UInt8] = []
  var untaken = 0
  var takes = true
  var isWritingFinished = false
  var end: TunnelStream.End?

  mutating func perform(_ step: (inout TunnelStream, inout TunnelStream.Output) -> Void) {
    var out = TunnelStream.Output()
    step(&stream, &out)
    for bytes in out.writes {
      written += bytes
      untaken += bytes.count
    }
    if takes, untaken > 0 {
      stream.took(untaken, into: &out)
      untaken = 0
    }
    channel += out.messages
    if out.finishesWriting { isWritingFinished = true }
    if let ended = out.end {
      #expect(end == nil, "an end is reported once")
      end = ended
    }
  }

  mutating func read(_ bytes: [UInt8]) {
    perform { $0.read(bytes.span.bytes, into: &$1) }
  }
}

private struct Pair {
  var a = End()
  var b = End()

  /// Delivers what is under way until nothing is.
  mutating func settle() {
    while !a.channel.isEmpty || !b.channel.isEmpty {
      let (fromA, fromB) = (a.channel, b.channel)
      a.channel = []
      b.channel = []
      for message in fromA { b.perform { $0.receive(message, into: &$1) } }
      for message in fromB { a.perform { $0.receive(message, into: &$1) } }
    }
  }
}

@Suite("Tunnelled stream")
struct TunnelStreamTests {
  @Test func `bytes arrive as they were sent, in messages of at most 16 KiB`() {
    var pair = Pair()
    let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    pair.a.read(bytes)
    #expect(pair.a.channel.allSatisfy { $0.count <= TunnelMessage.maximumData + 1 })
    pair.settle()
    #expect(pair.b.written == bytes)
    #expect(pair.a.stream.sentBytes == 100_000)
    #expect(pair.b.stream.receivedBytes == 100_000)
  }

  @Test func `a reader that takes nothing stops the writer after one window`() {
    var pair = Pair()
    pair.b.takes = false
    var sent = 0
    while pair.a.stream.wantsRead, sent < 10_000_000 {
      pair.a.read([UInt8](repeating: 7, count: 50_000))
      sent += 50_000
      pair.settle()
    }
    #expect(pair.b.written.count == TunnelStream.window)
    #expect(sent - TunnelStream.window < 50_000)
    pair.b.takes = true
    pair.b.perform { _, _ in }
    pair.settle()
    #expect(pair.b.written.count == sent)
    #expect(pair.a.stream.wantsRead)
  }

  @Test func `a stream of many windows flows while it is taken`() {
    var pair = Pair()
    for _ in 0..<200 {
      #expect(pair.a.stream.wantsRead)
      pair.a.read([UInt8](repeating: 1, count: 30_000))
      pair.settle()
    }
    #expect(pair.b.written.count == 6_000_000)
  }

  @Test func `one direction may end while the other goes on`() {
    var pair = Pair()
    pair.a.read(Array("question".utf8))
    pair.a.perform { $0.readEnd(into: &$1) }
    pair.settle()
    #expect(pair.b.isWritingFinished)
    #expect(pair.b.end == nil)
    pair.b.read(Array("answer".utf8))
    pair.settle()
    #expect(pair.a.written == Array("answer".utf8))
    pair.b.perform { $0.readEnd(into: &$1) }
    pair.settle()
    #expect(pair.a.end == .done)
    #expect(pair.b.end == .done)
    #expect(pair.a.isWritingFinished)
  }

  @Test func `an end waits for the bytes before it that had no credit`() {
    var pair = Pair()
    pair.b.takes = false
    pair.a.read([UInt8](repeating: 1, count: TunnelStream.window + 10))
    pair.a.perform { $0.readEnd(into: &$1) }
    pair.settle()
    #expect(!pair.b.isWritingFinished)
    pair.b.perform { $0.took(TunnelStream.window, into: &$1) }
    pair.settle()
    #expect(pair.b.written.count == TunnelStream.window + 10)
    #expect(pair.b.isWritingFinished)
  }

  @Test func `a failed socket tears the other down with the same reason`() {
    for fault in TunnelFault.allCases {
      var pair = Pair()
      pair.a.perform { $0.fail(fault, into: &$1) }
      pair.settle()
      #expect(pair.a.end == .torn(fault))
      #expect(pair.b.end == .torn(fault))
    }
  }

  @Test func `a channel that closes before both ends is a cut`() {
    var pair = Pair()
    pair.a.perform { $0.readEnd(into: &$1) }
    pair.settle()
    pair.b.perform { $0.channelClosed(into: &$1) }
    #expect(pair.b.end == .torn(.reset))
  }

  @Test func `a channel that closes after both ends is none`() {
    var pair = Pair()
    pair.a.perform { $0.readEnd(into: &$1) }
    pair.b.perform { $0.readEnd(into: &$1) }
    pair.settle()
    pair.a.perform { $0.channelClosed(into: &$1) }
    #expect(pair.a.end == .done)
  }

  @Test(arguments: [
    [], [0], [4], [0xFF, 1], [2], [2, 0, 0], [3], [2, 0, 0, 0, 1], [2, 0xFF, 0xFF, 0xFF, 0xFF],
    [0] + [UInt8](repeating: 0, count: TunnelMessage.maximumData + 1),
  ])
  func `what no end may send ends the connection`(message: [UInt8]) {
    var end = End()
    end.perform { $0.receive(message, into: &$1) }
    #expect(end.end == .torn(.misbehaved))
    #expect(end.channel == [TunnelMessage.reset(.misbehaved).bytes])
  }

  @Test func `more than the credit, and anything after an end, is refused`() {
    var greedy = End()
    greedy.takes = false
    let message = TunnelMessage.data([UInt8](repeating: 0, count: TunnelMessage.maximumData)[...]).bytes
    for _ in 0..<(TunnelStream.window / TunnelMessage.maximumData) { greedy.perform { $0.receive(message, into: &$1) } }
    #expect(greedy.end == nil)
    greedy.perform { $0.receive(message, into: &$1) }
    #expect(greedy.end == .torn(.misbehaved))

    for late in [message, TunnelMessage.end.bytes] {
      var end = End()
      end.perform { $0.receive(TunnelMessage.end.bytes, into: &$1) }
      end.perform { $0.receive(late, into: &$1) }
      #expect(end.end == .torn(.misbehaved))
    }
  }

  @Test func `messages read as they were written, and later versions may say more`() {
    let messages: [TunnelMessage] = [
      .data([1, 2, 3]), .end, .credit(65_536), .credit(0), .reset(.refused),
    ]
    for message in messages { #expect(TunnelMessage(message.bytes) == message) }
    #expect(TunnelMessage([1, 9, 9]) == .end)
    #expect(TunnelMessage([3, 200]) == .reset(.failed))
    #expect(TunnelMessage([3, 1, 0x41]) == .reset(.refused))
  }

  @Test func `a thousand seeded lives lose no byte and end alike`() {
    for seed in 0..<1000 {
      var random = SeededRandom(seed: UInt64(seed))
      var pair = Pair()
      var sent: (a: [UInt8], b: [UInt8]) = ([], [])
      for _ in 0..<40 {
        let bytes = random.bytes(Int.random(in: 1...60_000, using: &random))
        switch Int.random(in: 0..<5, using: &random) {
        case 0 where pair.a.stream.wantsRead:
          sent.a += bytes
          pair.a.read(bytes)
        case 1 where pair.b.stream.wantsRead:
          sent.b += bytes
          pair.b.read(bytes)
        case 2: pair.settle()
        case 3: pair.b.takes.toggle()
        default: pair.a.takes.toggle()
        }
      }
      pair.a.takes = true
      pair.b.takes = true
      pair.a.perform { $0.readEnd(into: &$1) }
      pair.b.perform { $0.readEnd(into: &$1) }
      pair.settle()
      pair.a.perform { _, _ in }
      pair.b.perform { _, _ in }
      pair.settle()
      #expect(pair.b.written == sent.a && pair.a.written == sent.b, "seed \(seed)")
      #expect(pair.a.end == .done && pair.b.end == .done, "seed \(seed)")
    }
  }
}
