import EdgeCore
import NodeLogic
import Testing

@Suite("Control messages")
struct ControlMessageTests {
  @Test(arguments: [
    ControlMessage.keyFrame,
    .report(.init(frames: 120, lost: 3, delayMilliseconds: 35)),
    .camera(state: "stalled", text: "no picture for 2 s; state=odd"),
    .camera(state: "ok", text: ""),
  ])
  func `what is written is read back`(message: ControlMessage) {
    #expect(ControlMessage(message.bytes) == message)
  }

  @Test(arguments: [
    "", "dance", "report frames=x lost=1", "report frames=1", "camera", "report frames=99999999999999999999 lost=0",
    "key-frame\n",
  ])
  func `what makes no sense is ignored`(text: String) {
    #expect(ControlMessage(Array(text.utf8)) == nil)
  }

  @Test func `words of a newer version are passed over`() {
    #expect(
      ControlMessage(Array("report colour=blue frames=1 lost=2 x".utf8))
        == .report(.init(frames: 1, lost: 2, delayMilliseconds: 0)))
    #expect(ControlMessage([UInt8](repeating: 65, count: 4000)) == nil)
  }
}
