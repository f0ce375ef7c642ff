import EdgeCore
import NodeLogic
import StatusModel
import Testing

@Suite("Control messages")
struct ControlMessageTests {
  @Test(arguments: [
    ControlMessage.keyFrame,
    .report(.init(frames: 120, lost: 3, delayMilliseconds: 35)),
    .camera(state: "stalled", text: "no picture for 2 s; state=odd"),
    .camera(state: "ok", text: ""),
    .want(StreamWish()),
    .want(StreamWish(quality: .maximumError(2), width: 320, height: 240, framesPerSecond: 5)),
    .report(
      .init(
        frames: 1, lost: 0, delayMilliseconds: -3,
        network: StageLatency(median: .microseconds(12_345), p95: .microseconds(99_999)),
        decode: StageLatency(median: .microseconds(1), p95: .microseconds(2)))),
    .latency(LatencyTrace(encode: StageLatency(median: .microseconds(800), p95: .milliseconds(2)))),
    .listControls,
    .setControl(name: "brightness", value: -12),
    .control(
      CameraControl(
        name: "gain_automatic", kind: .boolean, minimum: 0, maximum: 1, step: 1, standard: 1, value: 0,
        text: "Gain, Automatic")),
    .controlsEnd(failure: nil),
    .controlsEnd(failure: "no such setting"),
  ])
  func `what is written is read back`(message: ControlMessage) {
    #expect(ControlMessage(message.bytes) == message)
  }

  @Test(arguments: [
    "", "dance", "report frames=x lost=1", "report frames=1", "camera", "report frames=99999999999999999999 lost=0",
    "key-frame\n", "want", "want quality=best", "want quality=auto size=1x1", "set name=x", "control name=x kind=odd",
  ])
  func `what makes no sense is ignored`(text: String) {
    #expect(ControlMessage(Array(text.utf8)) == nil)
  }

  @Test(arguments: [
    StreamWish(quality: .auto), StreamWish(quality: .lossless, width: 640, height: 480),
    StreamWish(quality: .maximumError(3), width: 16, height: 8192, framesPerSecond: 1000),
  ])
  func `a wish in an offer is read back, and what a newer viewer says beside it is passed over`(wish: StreamWish) {
    #expect(StreamWish(words: wish.words) == wish)
    #expect(StreamWish(words: "colour=grey " + wish.words + "  layers 3d=") == wish)
  }

  @Test(arguments: [
    "", "size=640x480", "quality=best", "quality=", "quality=auto quality=auto", "quality=auto size=640x480x2",
    "quality=auto size=640", "quality=auto size=x480", "quality=auto size=15x480", "quality=auto size=8193x480",
    "quality=auto fps=0", "quality=auto fps=1001", "quality=auto fps=-1", "quality=auto fps=5 fps=5", "Quality=auto",
  ])
  func `what is not quite a wish is none`(words: String) {
    #expect(StreamWish(words: words) == nil)
  }

  @Test func `words of a newer version are passed over`() {
    #expect(
      ControlMessage(Array("report colour=blue frames=1 lost=2 x".utf8))
        == .report(.init(frames: 1, lost: 2, delayMilliseconds: 0)))
    #expect(ControlMessage([UInt8](repeating: 65, count: 4000)) == nil)
  }
}
