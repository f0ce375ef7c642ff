import CLinux
import EdgeCore
import LinuxIO
import Picture
import Testing

@testable import Capture

@Suite("Source change")
struct SourceChangeTests {
  /// A digital input with a source of each size in turn, and what the driver has to give.
  static func driver(_ signals: [(Int, Int)], _ frames: [ScriptedDriver.Frame]) -> ScriptedDriver {
    let driver = ScriptedDriver()
    driver.modes[0].sizes = []
    driver.signals = signals
    driver.frames = frames
    return driver
  }

  static func frame(_ width: Int, _ height: Int, _ sequence: UInt32) -> ScriptedDriver.Frame {
    .init(bytes: [UInt8](repeating: UInt8(sequence), count: width * height * 2), sequence: sequence)
  }

  static let change = ScriptedDriver.Frame(bytes: [], sequence: 0, changes: 1)

  @Test func `a digital input is asked for what comes in, and told to tell of changes`() throws {
    let driver = Self.driver([(320, 240)], [])
    driver.input = 2
    let device = try CameraDevice(driver: driver)
    #expect(try device.configure(.init()).picture.description == "YUYV 320x240")
    #expect(driver.subscribed == 2)
    // A webcam has no such thing.
    let other = ScriptedDriver()
    other.refusals[.subscribeEvent] = ENOTTY
    let webcam = try CameraDevice(driver: other)
    #expect(try webcam.configure(.init()).picture.description == "YUYV 640x480")
  }

  @Test(arguments: [(ENOLINK, CaptureProblem.noSignal), (ENOLCK, .noSignal)])
  func `an input with nothing to lock on to has no signal`(code: Int32, problem: CaptureProblem) throws {
    let driver = Self.driver([(320, 240)], [])
    driver.signalError = code
    let device = try CameraDevice(driver: driver)
    #expect(throws: problem) { try device.configure(.init()) }
  }

  @Test(arguments: [UInt32?.some(1), nil])
  func `another signal, or a stream that is over, ends the stream before a picture is misread`(
    changes: UInt32?
  ) throws {
    var end = ScriptedDriver.Frame(bytes: [], sequence: 1, errno: EPIPE)
    if changes != nil { end = Self.change }
    let driver = Self.driver([(64, 48)], [Self.frame(64, 48, 0), end, Self.frame(64, 48, 1)])
    let device = try CameraDevice(driver: driver)
    try device.configure(.init())
    try device.start()
    #expect(try CameraDeviceTests.next(device).0 == .frame)
    #expect(throws: CaptureProblem.sourceChanged) { try CameraDeviceTests.next(device) }
  }

  @Test func `an event of another kind of change costs nothing`() throws {
    var other = Self.change
    other.changes = 0
    let driver = Self.driver([(64, 48)], [other, Self.frame(64, 48, 0)])
    let device = try CameraDevice(driver: driver)
    try device.configure(.init())
    try device.start()
    #expect(try CameraDeviceTests.next(device).0 == .frame)
  }

  @Test func `the event that agreeing on a signal raises is none, a change in between is one`() throws {
    let same = Self.driver([(64, 48)], [Self.change, Self.frame(64, 48, 0)])
    let device = try CameraDevice(driver: same)
    try device.configure(.init())
    try device.start()
    #expect(try CameraDeviceTests.next(device).0 == .frame)
    let other = Self.driver([(64, 48), (128, 96)], [Self.change])
    let changed = try CameraDevice(driver: other)
    try changed.configure(.init())
    #expect(throws: CaptureProblem.sourceChanged) { try changed.start() }
    #expect(!other.isStreaming)
  }

  @Test func `a driver that may have lost all its buffers is opened anew`() throws {
    let lost = ScriptedDriver.Frame(bytes: [], sequence: 0, errno: EIO)
    let driver = Self.driver([(64, 48)], [lost, lost, lost, Self.frame(64, 48, 0), lost, lost, lost, lost])
    let device = try CameraDevice(driver: driver)
    try device.configure(.init())
    try device.start()
    for _ in 0..<3 { #expect(try CameraDeviceTests.next(device).0 == .bad(.lost)) }
    #expect(try CameraDeviceTests.next(device).0 == .frame)
    for _ in 0..<3 { #expect(try CameraDeviceTests.next(device).0 == .bad(.lost)) }
    #expect(throws: CaptureProblem.onlyBadFrames) { try CameraDeviceTests.next(device) }
  }

  @Test func `the session goes on in the new size at once, without a placeholder`() throws {
    let first = Self.driver([(64, 48)], [Self.frame(64, 48, 0), Self.frame(64, 48, 1), Self.change])
    let second = Self.driver([(128, 96)], [Self.frame(128, 96, 0), Self.frame(128, 96, 1)])
    let frames = Frames()
    let events = try CaptureSessionTests.run(
      CaptureSessionTests.camera([.driver(first), .driver(second)]), frames: frames
    ) { events, _ in frames.count == 4 && events.count == 5 }
    #expect(frames.all.map { $0.info.format.width } == [64, 64, 128, 128])
    #expect(!frames.all.contains { $0.info.isPlaceholder })
    let formats = [(64, 48), (128, 96)].map {
      CaptureFormat(
        picture: PictureFormat(width: $0.0, height: $0.1, pixelFormat: .yuyv)!, rateNumerator: 30, rateDenominator: 1)
    }
    #expect(
      events == [
        .state(.opening), .state(.streaming(formats[0])), .state(.failed(.sourceChanged, retryAfter: .zero)),
        .state(.opening), .state(.streaming(formats[1])), .state(.idle),
      ])
  }

  @Test func `a source that changes without ever giving a picture is not tried without a pause`() throws {
    let events = try CaptureSessionTests.run(
      CaptureSessionTests.camera([
        .driver(Self.driver([(64, 48)], [Self.frame(64, 48, 0), Self.change])),
        .driver(Self.driver([(64, 48), (128, 96)], [Self.change])),
      ])
    ) { events, _ in
      events.contains(.state(.failed(.sourceChanged, retryAfter: .seconds(1))))
    }
    #expect(events.contains(.state(.failed(.sourceChanged, retryAfter: .zero))))
  }
}
