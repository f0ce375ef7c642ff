import EdgeCore
import LinuxIO
import Picture
import Testing

@testable import Capture

@Suite("Camera settings")
struct CameraSettingsTests {
  static func driver() -> ScriptedDriver {
    let driver = ScriptedDriver()
    driver.controls = [
      .init(id: 0x98_0001, name: "User Controls", type: 6),
      .init(id: 0x98_0900, name: "Brightness", value: 100),
      .init(id: 0x98_0902, name: "Saturation", flags: 1),
      .init(id: 0x98_090C, name: "White Balance, Automatic", type: 2, value: 1),
      .init(id: 0x98_0918, name: "Power Line Frequency", type: 3, value: 2),
    ]
    return driver
  }

  @Test func `what is a setting and not disabled is listed with its value`() {
    let settings = CameraSettings(driver: Self.driver()).list()
    #expect(
      settings.map { String(decoding: $0.text, as: UTF8.self) } == [
        "Brightness", "White Balance, Automatic", "Power Line Frequency",
      ])
    #expect(settings.map { $0.value } == [100, 1, 2])
    #expect(settings.map { $0.kind } == [.integer, .boolean, .menu])
    #expect(settings[0].maximum == 255)
    #expect(settings[0].standard == 128)
  }

  @Test func `a value is set, and a refusal told`() throws {
    let driver = Self.driver()
    let settings = CameraSettings(driver: driver)
    try settings.set(0x98_0900, to: 12)
    #expect(settings.list()[0].value == 12)
    driver.refusals[.setControl] = 16
    #expect(throws: SystemError(call: "VIDIOC_S_CTRL", errno: 16)) { try settings.set(0x98_0900, to: 13) }
    #expect(settings.list()[0].value == 12)
  }

  @Test(arguments: [
    ([0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x65, 0x88], true),
    ([0, 0, 1, 0x41, 0x9A, 0, 0, 1, 0x65, 1], false),
    ([0, 0, 0, 1, 0x09, 0xF0, 0, 0, 1, 0x41, 1], false),
    ([0, 0, 1], false), ([], false),
  ])
  func `an H.264 picture that needs no other is known by its slices`(bytes: [UInt8], isKey: Bool) {
    let found = H264.isKeyFrame(bytes.span.bytes)
    #expect(found == isKey)
  }

  @Test func `H.264 pictures pass as they are, and anything else does not`() throws {
    let driver = ScriptedDriver()
    driver.modes = [.init(code: "H264", sizes: [(64, 48)], bufferBytes: 4096)]
    let unit: [UInt8] = [0, 0, 0, 1, 0x65, 1, 2, 3]
    driver.frames = [
      .init(bytes: unit, bytesUsed: unit.count, sequence: 0),
      .init(bytes: [9, 9, 9, 9, 9, 9], bytesUsed: 6, sequence: 1),
    ]
    let device = try CameraDevice(driver: driver)
    #expect(try device.configure(CaptureRequest(pixelFormat: .h264)).picture.pixelFormat == .h264)
    try device.start()
    var got: [UInt8] = []
    let first = try device.nextFrame(milliseconds: 10, wake: -1) { _, bytes in got = [UInt8](copying: bytes) }
    #expect(first == .frame)
    #expect(got == unit)
    let second = try device.nextFrame(milliseconds: 10, wake: -1) { _, _ in }
    #expect(second == .bad(.notCompressed))
  }
}
