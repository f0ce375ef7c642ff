import EdgeCore
import NodeLogic
import Testing

@Suite("Delivery gate")
struct DeliveryGateTests {
  @Test func `nothing is sent before the first key frame, and that is no loss`() {
    var gate = DeliveryGate(budgetBytes: 1000)
    #expect(gate.wantsKeyFrame(unsentBytes: 0))
    #expect(gate.admit(bytes: 10, isKey: false, unsentBytes: 0) == .drop)
    #expect(gate.framesDropped == 0)
    #expect(gate.admit(bytes: 10, isKey: true, unsentBytes: 0) == .send)
    #expect(gate.admit(bytes: 10, isKey: false, unsentBytes: 10) == .send)
    #expect(gate.framesSent == 2)
    #expect(gate.bytesSent == 20)
  }

  @Test func `a full queue drops whole frames until a key frame fits`() {
    var gate = DeliveryGate(budgetBytes: 1000)
    #expect(gate.admit(bytes: 500, isKey: true, unsentBytes: 0) == .send)
    #expect(gate.admit(bytes: 501, isKey: false, unsentBytes: 500) == .drop)
    #expect(gate.admit(bytes: 1, isKey: false, unsentBytes: 0) == .drop)
    #expect(!gate.wantsKeyFrame(unsentBytes: 500))
    #expect(gate.wantsKeyFrame(unsentBytes: 250))
    #expect(gate.admit(bytes: 500, isKey: true, unsentBytes: 100) == .send)
    #expect(gate.admit(bytes: 1, isKey: false, unsentBytes: 600) == .send)
    #expect(gate.framesDropped == 2)
  }

  @Test func `a picture is made only where it has room, and one already on its way is still sent`() {
    var gate = DeliveryGate(budgetBytes: 1000)
    gate.spareBytes = 400
    #expect(gate.hasRoom(bytes: 5000, unsentBytes: 0))
    #expect(gate.admit(bytes: 900, isKey: true, unsentBytes: 0) == .send)
    #expect(gate.hasRoom(bytes: 100, unsentBytes: 900))
    #expect(!gate.hasRoom(bytes: 101, unsentBytes: 900))
    #expect(gate.admit(bytes: 200, isKey: false, unsentBytes: 900) == .send)
    #expect(gate.admit(bytes: 301, isKey: false, unsentBytes: 1100) == .drop)
    #expect(gate.framesDropped == 1)
    // Those that were not made are told too.
    gate.held(3)
    #expect(gate.framesDropped == 4)
  }

  @Test func `a key frame larger than the budget still goes out on an empty queue`() {
    var gate = DeliveryGate(budgetBytes: 100)
    #expect(gate.admit(bytes: 5000, isKey: true, unsentBytes: 1) == .drop)
    #expect(gate.admit(bytes: 5000, isKey: true, unsentBytes: 0) == .send)
  }

  @Test func `a viewer that lost its reference gets a key frame next`() {
    var gate = DeliveryGate(budgetBytes: 1000)
    #expect(gate.admit(bytes: 5, isKey: true, unsentBytes: 0) == .send)
    gate.requireKeyFrame()
    #expect(gate.admit(bytes: 5, isKey: false, unsentBytes: 0) == .drop)
    #expect(gate.wantsKeyFrame(unsentBytes: 0))
    #expect(gate.admit(bytes: 5, isKey: true, unsentBytes: 0) == .send)
  }
}

@Suite("Key frame limiter")
struct KeyFrameLimiterTests {
  /// Asks with every tenth of a second; returns the tenths at which a key frame was made.
  private func forced(_ limiter: inout KeyFrameLimiter, _ tenths: Range<Int>) -> [Int] {
    var forced: [Int] = []
    for tenth in tenths {
      limiter.request()
      if limiter.takesEffect(at: .zero + .milliseconds(tenth * 100)) { forced.append(tenth) }
    }
    return forced
  }

  @Test func `many requests make one key frame a second after the first few, and none is forgotten`() {
    var limiter = KeyFrameLimiter()
    #expect(forced(&limiter, 0..<60) == [0, 1, 2, 3, 10, 20, 30, 40, 50])
    #expect(limiter.takesEffect(at: .zero + .seconds(6)) == true)
    #expect(limiter.takesEffect(at: .zero + .seconds(20)) == false)
  }

  @Test func `a viewer that joins right behind another gets its key frame at once`() {
    var limiter = KeyFrameLimiter()
    #expect(forced(&limiter, 0..<1) == [0])
    #expect(forced(&limiter, 1..<2) == [1])
    // Quiet time gives back no more than the burst.
    #expect(forced(&limiter, 1000..<1012) == [1000, 1001, 1002, 1003, 1010])
  }

  @Test func `an allowance of one is one a second`() {
    var limiter = KeyFrameLimiter(burst: 1)
    #expect(forced(&limiter, 0..<31) == [0, 10, 20, 30])
  }
}
