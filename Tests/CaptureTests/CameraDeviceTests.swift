import CLinux
import EdgeCore
import Foundation
import LinuxIO
import Picture
import Testing

@testable import Capture

@Suite("Camera device")
struct CameraDeviceTests {
  /// One step of the device, with the frame it lent.
  static func next(_ device: CameraDevice) throws -> (CameraDevice.Next, FrameInfo?, [UInt8]) {
    let wakeUp = try WakeUp()
    var info: FrameInfo?
    var picture: [UInt8] = []
    let step = try device.nextFrame(milliseconds: 10, wake: wakeUp.descriptor) {
      info = $0
      picture = [UInt8](copying: $1)
    }
    return (step, info, picture)
  }

  static func pattern(_ count: Int) -> [UInt8] {
    var random = SeededRandom(seed: 3)
    return random.bytes(count)
  }

  @Test func `a device tells its name and what this program can use of it`() throws {
    let driver = ScriptedDriver()
    driver.modes = ["YUYV", "MJPG", "XVID", "JPEG", "NV12"].map { ScriptedDriver.Mode(code: $0) }
    let device = try CameraDevice(driver: driver)
    #expect(device.identity == .init(driver: "script", card: "Scripted camera", bus: "usb-1"))
    #expect(device.pixelFormats() == [.yuyv, .mjpeg, .nv12])
    #expect(device.formatNames() == ["YUYV", "MJPG", "XVID", "JPEG", "NV12"])
  }

  @Test(arguments: [
    // An output device; a camera without streaming; a metadata node beside a camera.
    (UInt32(0x0400_0002), UInt32?.none), (0x1, nil), (0x0420_0001, 0x0480_0000),
  ])
  func `what captures no video by streaming is not a camera`(capabilities: UInt32, own: UInt32?) {
    let driver = ScriptedDriver()
    driver.capabilities = capabilities
    driver.deviceCapabilities = own
    #expect(throws: CaptureProblem.notACamera) { try CameraDevice(driver: driver) }
  }

  @Test func `a file that is no video device, and one that is not there`() {
    #expect(throws: CaptureProblem.notACamera) { try CameraDevice(path: "/dev/null") }
    #expect(throws: CaptureProblem.missing) { try CameraDevice(path: "/dev/video-none") }
  }

  @Test func `what was really got is reported, not what was asked for`() throws {
    let driver = ScriptedDriver()
    driver.modes = [ScriptedDriver.Mode(code: "YUYV", sizes: [(320, 240), (1280, 720)], rates: [30, 20, 10])]
    let device = try CameraDevice(driver: driver)
    let format = try device.configure(.init(pixelFormat: .yuyv, width: 1200, height: 700, framesPerSecond: 15))
    #expect(format.description == "YUYV 1280x720 20 fps")
    driver.forcedSize = (640, 360)
    #expect(try device.configure(.init()).picture.description == "YUYV 640x360")
    driver.knowsRates = false
    #expect(try device.configure(.init(framesPerSecond: 5)).description == "YUYV 640x360")
  }

  @Test func `a layout or size nobody here can use is refused with what is offered`() throws {
    let driver = ScriptedDriver()
    driver.modes = [ScriptedDriver.Mode(code: "BA81"), ScriptedDriver.Mode(code: "UYVY")]
    let device = try CameraDevice(driver: driver)
    #expect(throws: CaptureProblem.unsupportedFormat(wanted: "NV12", offered: ["BA81", "UYVY"])) {
      try device.configure(.init(pixelFormat: .nv12))
    }
    driver.forcedSize = (641, 480)
    #expect(throws: CaptureProblem.unsupportedSize(width: 641, height: 480)) { try device.configure(.init()) }
    driver.forcedSize = (8, 8)
    #expect(throws: CaptureProblem.unsupportedSize(width: 8, height: 8)) { try device.configure(.init()) }
  }

  @Test(arguments: [UInt32(0x0400_0001), 0x0400_1000])
  func `frames come with their numbers, and gaps are counted, on either API`(capabilities: UInt32) throws {
    let driver = ScriptedDriver()
    driver.capabilities = capabilities
    let picture = Self.pattern(64 * 48 * 2)
    driver.frames = [3, 4, 9].map { ScriptedDriver.Frame(bytes: picture, sequence: $0) }
    let device = try CameraDevice(driver: driver)
    driver.modes[0].sizes = [(64, 48)]
    try device.configure(.init())
    try device.start()
    #expect(driver.isStreaming)
    #expect(driver.queuedCount == 4)
    var infos: [FrameInfo] = []
    for _ in 0..<3 {
      let (step, info, bytes) = try Self.next(device)
      #expect(step == .frame)
      #expect(bytes == picture)
      infos.append(try #require(info))
    }
    #expect(infos.map(\.sequence) == [3, 4, 9])
    #expect(infos.map(\.missed) == [0, 0, 4])
    #expect(driver.queuedCount == 4, "every buffer goes back")
    #expect(try Self.next(device).0 == .timedOut)
    device.stop()
    #expect(!driver.isStreaming)
    #expect(driver.mapped == 0)
  }

  @Test(arguments: [("YUYV", 2), ("NV12", 1), ("YU12", 1), ("RGB3", 3), ("GREY", 1)])
  func `padding between the rows is removed`(code: String, bytesPerPixel: Int) throws {
    let (width, height, padding) = (32, 16, 24)
    let driver = ScriptedDriver()
    driver.modes = [
      ScriptedDriver.Mode(code: code, sizes: [(width, height)], padding: padding, bytesPerPixel: bytesPerPixel)
    ]
    let device = try CameraDevice(driver: driver)
    let picture = try device.configure(.init()).picture
    let line = width * bytesPerPixel + padding
    // Rows of each memory area with their length and distance.
    var areas = [(height, width * bytesPerPixel, line)]
    if code == "NV12" { areas.append((height / 2, width, line)) }
    if code == "YU12" { areas += [(height / 2, width / 2, line / 2), (height / 2, width / 2, line / 2)] }
    var padded: [UInt8] = []
    var tight: [UInt8] = []
    var random = SeededRandom(seed: 11)
    for (rows, row, distance) in areas {
      for _ in 0..<rows {
        let bytes = random.bytes(row)
        tight += bytes
        padded += bytes + [UInt8](repeating: 0xEE, count: distance - row)
      }
    }
    #expect(tight.count == picture.byteCount)
    // Some drivers do not count the padding of the last row.
    let least = padded.count - (code == "YU12" ? padding / 2 : padding)
    driver.frames = [
      ScriptedDriver.Frame(bytes: padded, sequence: 0),
      ScriptedDriver.Frame(bytes: padded, bytesUsed: least, sequence: 1),
      ScriptedDriver.Frame(bytes: padded, bytesUsed: least - 1, sequence: 2),
    ]
    try device.start()
    #expect(try Self.next(device).2 == tight)
    #expect(try Self.next(device).2 == tight)
    #expect(try Self.next(device).0 == .bad(.short(bytes: least - 1, expected: least)))
  }

  @Test func `damaged, short and lost frames are told, and the next good one is no gap`() throws {
    let driver = ScriptedDriver()
    driver.modes[0].sizes = [(64, 48)]
    let picture = Self.pattern(64 * 48 * 2)
    driver.frames = [
      .init(bytes: picture, sequence: 0, flags: 0x40),
      .init(bytes: Array(picture.dropLast()), sequence: 1),
      .init(bytes: [], sequence: 2),
      .init(bytes: [], sequence: 3, errno: EIO),
      .init(bytes: [], sequence: 3, errno: EAGAIN),
      .init(bytes: picture + picture, sequence: 3),
    ]
    let device = try CameraDevice(driver: driver)
    try device.configure(.init())
    try device.start()
    #expect(try Self.next(device).0 == .bad(.damaged))
    #expect(try Self.next(device).0 == .bad(.short(bytes: 6143, expected: 6144)))
    #expect(try Self.next(device).0 == .bad(.short(bytes: 0, expected: 6144)))
    #expect(try Self.next(device).0 == .bad(.lost))
    #expect(try Self.next(device).0 == .nothing)
    let (step, info, bytes) = try Self.next(device)
    #expect(step == .frame)
    #expect(info?.missed == 0)
    #expect(bytes == picture, "what is past the picture is cut off")
  }

  @Test func `a claim beyond the buffer is cut to it`() throws {
    let driver = ScriptedDriver()
    driver.modes = [ScriptedDriver.Mode(code: "MJPG", sizes: [(64, 48)], bufferBytes: 4096)]
    let jpeg: [UInt8] = [0xFF, 0xD8, 0xFF, 0xE0] + Self.pattern(4092)
    driver.frames = [.init(bytes: jpeg, bytesUsed: 1 << 20, sequence: 0)]
    let device = try CameraDevice(driver: driver)
    try device.configure(.init())
    try device.start()
    #expect(try Self.next(device).2 == jpeg)
  }

  @Test func `MJPEG passes as it is, and what is no JPEG does not`() throws {
    let driver = ScriptedDriver()
    driver.modes = [ScriptedDriver.Mode(code: "MJPG", bufferBytes: 65536)]
    let jpeg: [UInt8] = [0xFF, 0xD8, 0xFF, 0xDB] + Self.pattern(1000)
    driver.frames = [
      .init(bytes: jpeg, sequence: 0), .init(bytes: [0xFF, 0xD8], sequence: 1),
      .init(bytes: Self.pattern(100), sequence: 2), .init(bytes: [1], sequence: 3),
    ]
    let device = try CameraDevice(driver: driver)
    #expect(try device.configure(.init(pixelFormat: .mjpeg)).picture.pixelFormat == .mjpeg)
    try device.start()
    #expect(try Self.next(device).2 == jpeg)
    #expect(try Self.next(device).0 == .bad(.notCompressed))
    #expect(try Self.next(device).0 == .bad(.notCompressed))
    #expect(try Self.next(device).0 == .bad(.short(bytes: 1, expected: 2)))
  }

  @Test(arguments: [
    (VideoRequest.setFormat, EBUSY, CaptureProblem.busy), (.requestBuffers, EBUSY, .busy),
    (.streamOn, ENOSPC, .noBandwidth), (.streamOn, ENOLINK, .noSignal), (.queryBuffer, ENODEV, .unplugged),
    (.queue, EINVAL, .driver(SystemError(call: "VIDIOC_QBUF", errno: EINVAL))),
  ])
  func `a refusal is named, and leaves nothing behind`(request: VideoRequest, errno: Int32, problem: CaptureProblem)
    throws
  {
    let driver = ScriptedDriver()
    driver.refusals[request] = errno
    let device = try CameraDevice(driver: driver)
    #expect(throws: problem) {
      try device.configure(.init())
      try device.start()
    }
    #expect(driver.mapped == 0)
    #expect(!driver.isStreaming)
    // And it works when the cause is gone.
    driver.refusals = [:]
    try device.configure(.init())
    try device.start()
    #expect(driver.isStreaming)
  }

  @Test func `an unplugged camera is told as such`() throws {
    let driver = ScriptedDriver()
    driver.isSilentAtEnd = false
    let device = try CameraDevice(driver: driver)
    try device.configure(.init())
    try device.start()
    #expect(throws: CaptureProblem.unplugged) { try Self.next(device) }
  }

  @Test func `several memory planes are refused in words`() throws {
    let driver = ScriptedDriver()
    driver.capabilities = 0x0400_1000
    driver.planeCount = 2
    let device = try CameraDevice(driver: driver)
    #expect(throws: CaptureProblem.unsupportedFormat(wanted: "YUYV in one memory plane", offered: ["YUYV"])) {
      try device.configure(.init())
    }
  }

  @Test func `a driver's time stamp is moved to the reactor's clock`() throws {
    let driver = ScriptedDriver()
    driver.modes[0].sizes = [(64, 48)]
    driver.frames = [
      .init(bytes: Self.pattern(6144), sequence: 0, flags: 0x2000), .init(bytes: Self.pattern(6144), sequence: 1),
    ]
    let device = try CameraDevice(driver: driver)
    try device.configure(.init())
    try device.start()
    // The script's stamps are 0, which no real frame has: taken as now.
    let before = MonotonicClock.now
    #expect(try #require(Self.next(device).1).captured >= before)
    #expect(try #require(Self.next(device).1).captured >= before)
  }

  @Test func `a stamp of the past is believed, one a tick ahead is now, and others are not a picture's`() throws {
    let driver = ScriptedDriver()
    driver.modes[0].sizes = [(64, 48)]
    let second: Int64 = 1_000_000
    for (number, age) in [second / 2, -second / 200, -second / 10, 11 * second].enumerated() {
      driver.frames.append(
        .init(bytes: Self.pattern(6144), sequence: UInt32(number), flags: 0x2000, age: age))
    }
    let device = try CameraDevice(driver: driver)
    try device.configure(.init())
    try device.start()
    let began = MonotonicClock.now
    let frames = try (0..<4).map { _ in try #require(Self.next(device).1) }
    #expect(frames.map(\.isStamped) == [true, true, false, false])
    #expect(frames[0].captured < began - .milliseconds(400))
    for frame in frames[1...] { #expect(frame.captured >= began && frame.captured <= MonotonicClock.now) }
  }

  @Test func `devices are listed by number, and what is no camera is left out`() throws {
    let directory = NSTemporaryDirectory() + "capture-\(getpid())"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    for name in ["video10", "video2", "video3", "video1", "null", "video", "video1x"] {
      try Data().write(to: URL(fileURLWithPath: directory + "/" + name))
    }
    let list = VideoDevices.list(directory: directory) { path throws(CaptureProblem) in
      if path.hasSuffix("/video3") { throw .notACamera }
      if path.hasSuffix("/video2") { throw .notAllowed }
      return try CameraDevice(driver: ScriptedDriver())
    }
    #expect(list.map(\.path) == ["1", "2", "10"].map { directory + "/video" + $0 })
    #expect(list.map(\.problem) == [nil, .notAllowed, nil])
    #expect(list.first?.formats == [.yuyv])
    #expect(list.first?.card == "Scripted camera")
  }

  @Test func `the probe says what is wrong and with which code it ends`() {
    #expect(CaptureProbe.run(device: "/dev/video-none", format: "any", size: "any", frames: 1) == 1)
    #expect(CaptureProbe.run(device: "/dev/video-none", format: "XYZ", size: "any", frames: 1) == 64)
    #expect(CaptureProbe.run(device: "/dev/video-none", format: "any", size: "640", frames: 1) == 64)
  }
}
