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

  @Test func `a key frame and what was made since are sent together or not at all`() {
    var gate = DeliveryGate(budgetBytes: 1000)
    #expect(gate.admitBacklog(count: 3, bytes: 5000, unsentBytes: 0, isPathKnown: false) == true)
    #expect(gate.framesSent == 3)
    #expect(gate.bytesSent == 5000)
    // What is left of it is not held against what comes behind it; once it is gone the budget is what it was.
    #expect(gate.admit(bytes: 500, isKey: false, unsentBytes: 5000) == .send)
    #expect(gate.admit(bytes: 400, isKey: false, unsentBytes: 3500) == .send)
    #expect(gate.admit(bytes: 101, isKey: false, unsentBytes: 900) == .drop)
    gate.requireKeyFrame()
    #expect(gate.admitBacklog(count: 2, bytes: 1901, unsentBytes: 100, isPathKnown: false) == false)
    #expect(gate.admit(bytes: 5, isKey: false, unsentBytes: 100) == .drop)
    #expect(gate.admitBacklog(count: 2, bytes: 1900, unsentBytes: 100, isPathKnown: true) == true)
    #expect(gate.admit(bytes: 5, isKey: false, unsentBytes: 100) == .send)
    #expect(gate.framesDropped == 2)
    // What is too much for a narrow path at once; a key frame alone could never be less.
    gate.requireKeyFrame()
    #expect(gate.admitBacklog(count: 2, bytes: 2001, unsentBytes: 0, isPathKnown: true) == false)
    #expect(gate.admitBacklog(count: 1, bytes: 2001, unsentBytes: 0, isPathKnown: true) == true)
  }
}
