import EdgeCore
import STUN
import TURN
import Testing

@Suite("Relay frames on a stream")
struct StreamFramerTests {
  static let binding = STUNMessage(.request, .binding, transaction: TransactionID(high: 1, low: 2)).serialized()
  static let frames: [[UInt8]] = [binding, [0x40, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0], [0x4F, 255, 0, 0], binding]

  @Test(arguments: 1...45)
  func `frames come out whole however the stream is cut`(step: Int) throws {
    let stream = Self.frames.flatMap { $0 }
    var framer = TURNStreamFramer()
    var received: [[UInt8]] = []
    for start in stride(from: 0, to: stream.count, by: step) {
      let chunk = Array(stream[start..<min(start + step, stream.count)])
      try framer.receive(chunk.span.bytes) { received.append([UInt8](copying: $0)) }
    }
    #expect(received == Self.frames)
    #expect(framer.pendingByteCount == 0)
  }

  @Test func `what is neither ends the stream`() {
    let bad: [[UInt8]] = [[0x16, 3, 1, 0], [0x80, 0, 0, 0], [0, 1, 0, 3] + Array(repeating: 0, count: 20)]
    for bytes in bad {
      var framer = TURNStreamFramer()
      #expect(throws: TURNStreamFramer.Broken.self) { try framer.receive(bytes.span.bytes) { _ in } }
      var slow = TURNStreamFramer()
      #expect(throws: TURNStreamFramer.Broken.self) {
        for byte in bytes { try slow.receive([byte].span.bytes) { _ in } }
      }
    }
  }

  @Test func `no more than one frame is kept`() throws {
    var framer = TURNStreamFramer()
    let header: [UInt8] = [0x40, 0, 0xFF, 0xFF]
    try framer.receive(header.span.bytes) { _ in }
    var largest = 0
    var count = 0
    for _ in 0..<200 {
      let chunk = Array(repeating: UInt8(0x40), count: 1000)
      try? framer.receive(chunk.span.bytes) { _ in count += 1 }
      largest = max(largest, framer.pendingByteCount)
    }
    #expect(count >= 1 && largest <= 65_555)
  }
}
