import CLinux
import EdgeCore
import LinuxIO
import Picture
import Testing

@testable import Capture

@Suite("Negotiation with a driver")
struct NegotiationTests {
  @Test func `every layout captured has its driver code, and the code leads back to it`() {
    for format in PixelFormat.allCases where format != .h264 {
      #expect(!format.fourCCs.isEmpty)
      for code in format.fourCCs { #expect(PixelFormat(code) == format) }
    }
    #expect(PixelFormat.y16.fourCCs.map(\.description) == ["Y16", "Z16"])
    #expect(PixelFormat(FourCC("BA81")) == nil)
    #expect(FourCC(0xFF41_0042).description == "B?A?")
  }

  @Test func `the layout wanted is taken or nothing; without a wish the cheapest lossless one`() {
    let offered = [FourCC("MJPG"), FourCC("GREY"), FourCC("NV12")]
    #expect(Negotiation.format(wanted: .mjpeg, offered: offered)?.format == .mjpeg)
    #expect(Negotiation.format(wanted: .yuyv, offered: offered) == nil)
    #expect(Negotiation.format(wanted: nil, offered: offered)?.format == .nv12)
    #expect(Negotiation.format(wanted: nil, offered: [FourCC("MJPG")])?.format == .mjpeg)
    #expect(Negotiation.format(wanted: nil, offered: [FourCC("H264")]) == nil)
    #expect(Negotiation.format(wanted: .y16, offered: [FourCC("Z16 ")])?.code == FourCC("Z16 "))
  }

  @Test(arguments: [
    (640, 480, 640, 480), (650, 470, 640, 480), (1920, 1080, 1280, 720), (1, 1, 320, 240), (1000, 900, 1280, 720),
  ])
  func `of single sizes the wanted one is taken, else the nearest in area`(w: Int, h: Int, width: Int, height: Int) {
    let offered = [SizeOffer(width: 320, height: 240), .init(width: 640, height: 480), .init(width: 1280, height: 720)]
    let size = Negotiation.size(width: w, height: h, offered: offered)
    #expect(size == (width, height))
  }

  @Test func `of a range the nearest step is taken`() {
    let offered = [SizeOffer(minimum: (48, 32), maximum: (1920, 1080), step: (8, 8))]
    #expect(Negotiation.size(width: 641, height: 487, offered: offered) == (640, 480))
    #expect(Negotiation.size(width: 9999, height: 9999, offered: offered) == (1920, 1080))
    #expect(Negotiation.size(width: 1, height: 1, offered: offered) == (48, 32))
  }

  @Test func `without a wish the size is near 640x480, and odd or huge offers are passed over`() {
    let offered = [
      SizeOffer(width: 641, height: 481), .init(width: 8192, height: 4320), .init(width: 352, height: 288),
    ]
    #expect(Negotiation.size(width: nil, height: nil, offered: offered) == (352, 288))
    #expect(Negotiation.size(width: nil, height: nil, offered: []) == (640, 480))
  }

  @Test func `a range of nonsense from a driver is survived`() {
    let offered = [
      SizeOffer(minimum: (Int(UInt32.max), 0), maximum: (0, Int(UInt32.max)), step: (0, 0)),
      SizeOffer(minimum: (0, 0), maximum: (Int(UInt32.max), Int(UInt32.max)), step: (0, Int(UInt32.max))),
    ]
    _ = Negotiation.size(width: 640, height: 480, offered: offered)
  }

  @Test(arguments: [(30, 30), (25, 30), (31, 60), (100, 60), (1, 5), (5, 5)])
  func `the rate is the slowest that suffices, else the fastest`(wanted: Int, got: UInt32) {
    let offered = [60, 30, 5].map { FrameInterval(numerator: 1, denominator: $0) }
    #expect(Negotiation.interval(framesPerSecond: wanted, offered: offered).denominator == got)
  }

  @Test func `a rate nobody offers is still asked for, and invalid offers are passed over`() {
    #expect(
      Negotiation.interval(framesPerSecond: 12, offered: []) == FrameInterval(numerator: 1, denominator: 12))
    let odd = [FrameInterval(numerator: 0, denominator: 30), FrameInterval(numerator: 1001, denominator: 30000)]
    #expect(Negotiation.interval(framesPerSecond: 25, offered: odd).numerator == 1001)
  }

  @Test func `a format is told with its rate`() throws {
    let picture = try #require(PictureFormat(width: 640, height: 480, pixelFormat: .nv12))
    func text(_ numerator: Int, _ denominator: Int) -> String {
      CaptureFormat(picture: picture, rateNumerator: numerator, rateDenominator: denominator).description
    }
    #expect(text(30, 1) == "NV12 640x480 30 fps")
    #expect(text(30000, 1001) == "NV12 640x480 29.97 fps")
    #expect(text(15, 2) == "NV12 640x480 7.50 fps")
    #expect(text(2501, 100) == "NV12 640x480 25.01 fps")
    #expect(text(0, 1) == "NV12 640x480")
  }

  @Test func `retries start at half a second and double to a limit`() {
    let quick = (1...7).map { CaptureProblem.missing.retryDelay(failures: $0) }
    #expect(quick == [500, 1000, 2000, 4000, 5000, 5000, 5000].map { .milliseconds($0) })
    let changed = (1...3).map { CaptureProblem.sourceChanged.retryDelay(failures: $0) }
    #expect(changed == [0, 1000, 2000].map { .milliseconds($0) })
    #expect(CaptureProblem.notAllowed.retryDelay(failures: 1000) == .seconds(30))
  }

  @Test func `every problem says what to do, and has a code of its own`() {
    let problems: [CaptureProblem] = [
      .missing, .notAllowed, .busy, .notACamera, .unsupportedFormat(wanted: "NV12", offered: ["YUYV", "MJPG"]),
      .unsupportedSize(width: 1, height: 1), .unplugged, .stalled(milliseconds: 5000), .noBandwidth, .noSignal,
      .onlyBadFrames, .sourceChanged,
      .badFile("damaged"), .driver(SystemError(call: "VIDIOC_DQBUF", errno: EIO)),
    ]
    #expect(Set(problems.map(\.code)).count == problems.count)
    for problem in problems { #expect(problem.text("/dev/video0").contains("/dev/video0")) }
    #expect(problems[4].text("/dev/video0") == "/dev/video0 does not offer NV12: choose one of YUYV, MJPG")
  }
}
