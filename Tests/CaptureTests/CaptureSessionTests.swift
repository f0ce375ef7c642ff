import EdgeCore
import Foundation
import LinuxIO
import Picture
import Testing

@testable import Capture

/// What a source's thread delivered, looked at by the test's.
final class Frames: @unchecked Sendable {
  private let lock = NSLock()
  private var infos: [FrameInfo] = []
  private var pictures: [[UInt8]] = []

  func add(_ info: FrameInfo, _ bytes: RawSpan) {
    lock.lock()
    infos.append(info)
    pictures.append([UInt8](copying: bytes))
    lock.unlock()
  }

  var all: [(info: FrameInfo, bytes: [UInt8])] {
    lock.lock()
    defer { lock.unlock() }
    return zip(infos, pictures).map { ($0, $1) }
  }

  var count: Int { all.count }
}

extension Reactor {
  func turn(until condition: () -> Bool, within limit: Duration = .seconds(60)) throws {
    let deadline = MonotonicClock.now + limit
    while !condition() {
      guard MonotonicClock.now < deadline else {
        Issue.record("did not happen within \(limit)")
        return
      }
      try turn(waitingAtMost: .milliseconds(10))
    }
  }
}

@Suite("Capture session")
struct CaptureSessionTests {
  static let small = PictureFormat(width: 64, height: 48, pixelFormat: .yuyv)!

  enum Opening {
    case fails(CaptureProblem)
    case gives(frames: Int, silentAtEnd: Bool = true, flags: UInt32 = 0)
    case driver(ScriptedDriver)
  }

  /// A camera whose openings go as scripted, one entry each; the last one again and again.
  static func camera(_ openings: [Opening], stall: Duration = .seconds(5)) -> CameraProducer {
    var attempt = 0
    return CameraProducer(request: CaptureRequest(), stallLimit: stall) { () throws(CaptureProblem) in
      defer { attempt += 1 }
      switch openings[min(attempt, openings.count - 1)] {
      case .fails(let problem): throw problem
      case .gives(let frames, let silentAtEnd, let flags):
        return try CameraDevice(driver: driver(frames: frames, silentAtEnd: silentAtEnd, flags: flags))
      case .driver(let driver): return try CameraDevice(driver: driver)
      }
    }
  }

  static func driver(frames: Int, silentAtEnd: Bool = true, flags: UInt32 = 0) -> ScriptedDriver {
    let driver = ScriptedDriver()
    driver.modes[0].sizes = [(64, 48)]
    driver.isSilentAtEnd = silentAtEnd
    driver.frames = (0..<frames).map {
      ScriptedDriver.Frame(
        bytes: [UInt8](repeating: UInt8($0 & 255), count: 6144), sequence: UInt32($0), flags: flags)
    }
    return driver
  }

  /// Runs a session over `producer` until `condition`; returns the events.
  static func run(
    _ producer: sending any FrameProducer, frames: Frames = Frames(),
    until condition: ([CaptureEvent], CaptureSession) -> Bool
  ) throws -> [CaptureEvent] {
    let reactor = try Reactor()
    let session = try CaptureSession(reactor: reactor, name: "test", producer: producer) { frames.add($0, $1) }
    var events: [CaptureEvent] = []
    session.onEvent = { events.append($0) }
    session.start()
    try reactor.turn(until: { condition(events, session) })
    session.stop()
    try reactor.turn(until: { session.state == .idle })
    session.close()
    session.join()
    return events
  }

  @Test func `the test card runs at its rate while wanted, and not otherwise`() throws {
    let reactor = try Reactor()
    let frames = Frames()
    let session = try CaptureSession(reactor: reactor, source: .testCard(Self.small, framesPerSecond: 100)) {
      frames.add($0, $1)
    }
    try reactor.turn(waitingAtMost: .milliseconds(50))
    #expect(frames.count == 0)
    session.start()
    let start = MonotonicClock.now
    try reactor.turn(until: { frames.count >= 30 })
    let milliseconds = (MonotonicClock.now - start).wholeMilliseconds
    #expect(milliseconds >= 280, "30 frames at 100 a second")
    session.stop()
    try reactor.turn(until: { session.state == .idle })
    let count = frames.count
    try reactor.turn(waitingAtMost: .milliseconds(60))
    #expect(frames.count == count)
    session.start()
    try reactor.turn(until: { frames.count > count })
    session.close()
    session.join()
    let card = try #require(TestCard(format: Self.small))
    for (info, bytes) in frames.all {
      #expect(info.format == Self.small)
      #expect(bytes == card.picture(info.sequence))
    }
    #expect(session.statistics.frames == UInt64(frames.count))
  }

  @Test func `a slow taker of a paced source misses frames, and is told how many`() throws {
    let reactor = try Reactor()
    let frames = Frames()
    let session = try CaptureSession(reactor: reactor, source: .testCard(Self.small, framesPerSecond: 200)) {
      frames.add($0, $1)
      usleep(60_000)
    }
    session.start()
    try reactor.turn(until: { frames.count >= 4 })
    session.close()
    session.join()
    let infos = frames.all.map(\.info)
    #expect(infos.contains { $0.missed > 0 })
    for (one, next) in zip(infos, infos.dropFirst()) { #expect(next.sequence == one.sequence + 1 + next.missed) }
    #expect(session.statistics.missedFrames == infos.reduce(0) { $0 + UInt64($1.missed) })
  }

  @Test func `a compressed test card is refused in words`() throws {
    let format = try #require(PictureFormat(width: 64, height: 48, pixelFormat: .mjpeg))
    let events = try Self.run(TestCardProducer(format: format, framesPerSecond: 5)) { events, _ in events.count >= 2 }
    guard case .state(.failed(.unsupportedFormat(let wanted, let offered), let delay)) = events[1] else {
      Issue.record("\(events)")
      return
    }
    #expect(wanted == "MJPEG")
    #expect(offered.contains("YUYV") && !offered.contains("MJPEG"))
    #expect(delay == .milliseconds(500))
  }

  @Test func `a camera goes from opening to streaming at its first frame`() throws {
    let frames = Frames()
    let events = try Self.run(Self.camera([.gives(frames: 5)]), frames: frames) { events, _ in
      // The frames come on the camera's thread, the events on this one.
      frames.count == 5 && events.count == 2
    }
    #expect(frames.all.map(\.info.sequence) == [0, 1, 2, 3, 4])
    let format = CaptureFormat(picture: Self.small, rateNumerator: 30, rateDenominator: 1)
    #expect(events == [.state(.opening), .state(.streaming(format)), .state(.idle)])
  }

  @Test func `a busy, then unplugged, then working camera is tried again without help`() throws {
    let frames = Frames()
    let events = try Self.run(
      Self.camera([
        .fails(.busy), .gives(frames: 2, silentAtEnd: false), .gives(frames: 3),
      ]), frames: frames
    ) { events, _ in frames.count == 6 && events.count == 7 }
    let format = CaptureFormat(picture: Self.small, rateNumerator: 30, rateDenominator: 1)
    #expect(
      events == [
        .state(.opening), .state(.failed(.busy, retryAfter: .milliseconds(500))),
        .state(.opening), .state(.streaming(format)), .state(.failed(.unplugged, retryAfter: .milliseconds(500))),
        .state(.opening), .state(.streaming(format)), .state(.idle),
      ])
  }

  @Test func `who watched a camera that went away sees a placeholder, and the picture again`() throws {
    let reactor = try Reactor()
    let frames = Frames()
    let session = try CaptureSession(
      reactor: reactor, name: "test",
      producer: Self.camera([.gives(frames: 3, silentAtEnd: false), .fails(.unplugged), .gives(frames: 2)]),
      onFrame: { frames.add($0, $1) })
    session.start()
    try reactor.turn(until: { frames.all.count { $0.bytes[0] == 1 } == 2 })
    session.close()
    session.join()
    let placeholder = Placeholder.picture(Self.small)
    let seen = frames.all.map { $0.bytes == placeholder }
    #expect(seen.prefix(3) == [false, false, false])
    #expect(seen.dropFirst(3).contains(true))
    #expect(seen.last == false)
    #expect(session.statistics.frames == 5)
  }

  @Test func `a camera that never gave a picture has no placeholder`() throws {
    let reactor = try Reactor()
    let frames = Frames()
    let session = try CaptureSession(
      reactor: reactor, name: "test", producer: Self.camera([.fails(.missing), .fails(.missing), .gives(frames: 1)]),
      onFrame: { frames.add($0, $1) })
    session.start()
    try reactor.turn(until: { frames.count > 0 })
    session.close()
    session.join()
    #expect(frames.all[0].bytes != Placeholder.picture(Self.small))
  }

  @Test func `a camera that says nothing is stalled and opened anew`() throws {
    let frames = Frames()
    let events = try Self.run(
      Self.camera([.gives(frames: 1)], stall: .milliseconds(100)),
      frames: frames
    ) { _, session in session.statistics.reopened == 1 && frames.count == 3 }
    // The second says that there is nothing to see.
    let pictures = frames.all.map(\.bytes)
    #expect(pictures[0] == pictures[2] && pictures[0] != pictures[1])
    #expect(events.contains(.state(.failed(.stalled(milliseconds: 100), retryAfter: .milliseconds(500)))))
  }

  @Test func `bad frames are counted, told once a second, and do not end the stream`() throws {
    let driver = Self.driver(frames: 50)
    for index in 0..<50 where index % 10 != 0 { driver.frames[index].flags = 0x40 }
    let frames = Frames()
    var statistics = CaptureStatistics()
    let events = try Self.run(Self.camera([.driver(driver)]), frames: frames) { events, session in
      statistics = session.statistics
      return statistics.badFrames == 45 && statistics.frames == 5 && events.contains(.badFrame(.damaged))
    }
    #expect(statistics.missedFrames == 0)
    let told = events.count { $0 == .badFrame(.damaged) }
    #expect((1...2).contains(told))
    #expect(!events.contains { if case .state(.failed) = $0 { true } else { false } })
  }

  @Test func `a camera that gives only bad frames is opened anew`() throws {
    let events = try Self.run(Self.camera([.gives(frames: 100, flags: 0x40)])) { events, _ in
      events.contains { if case .state(.failed) = $0 { true } else { false } }
    }
    #expect(events.contains(.state(.failed(.onlyBadFrames, retryAfter: .milliseconds(500)))))
    #expect(!events.contains { if case .state(.streaming) = $0 { true } else { false } })
  }

  @Test func `stopping does not wait for the retry`() throws {
    let reactor = try Reactor()
    let session = try CaptureSession(
      reactor: reactor, source: .camera(path: "/dev/video-none", CaptureRequest()), onFrame: { _, _ in })
    session.start()
    try reactor.turn(until: { session.state == .failed(.missing, retryAfter: .milliseconds(500)) })
    let start = MonotonicClock.now
    session.stop()
    try reactor.turn(until: { session.state == .idle })
    #expect(MonotonicClock.now - start < .milliseconds(400))
    session.close()
    session.join()
  }

  @Test func `a session dropped without a word ends its thread`() throws {
    let reactor = try Reactor()
    let frames = Frames()
    do {
      let session = try CaptureSession(reactor: reactor, source: .testCard(Self.small, framesPerSecond: 500)) {
        frames.add($0, $1)
      }
      session.start()
      try reactor.turn(until: { frames.count > 3 })
    }
    usleep(50_000)
    let count = frames.count
    usleep(50_000)
    #expect(frames.count == count)
    try reactor.turn(waitingAtMost: .zero)
  }

  // MARK: Files

  /// A y4m file of `count` pictures, removed at the end of its life.
  final class Clip {
    let path = NSTemporaryDirectory() + "clip-\(getpid())-\(UInt32.random(in: 0 ... .max)).y4m"
    let pictures: [[UInt8]]

    init(count: Int, format: PictureFormat, rate: (Int, Int) = (500, 1), damage: (inout [UInt8]) -> Void = { _ in })
      throws
    {
      let card = try #require(TestCard(format: format))
      pictures = (0..<UInt32(count)).map { card.picture($0) }
      let writer = try #require(Y4MWriter(format: format))
      var bytes = writer.header(rateNumerator: rate.0, rateDenominator: rate.1)
      for picture in pictures { bytes += try #require(writer.frame(picture)) }
      damage(&bytes)
      try Data(bytes).write(to: URL(fileURLWithPath: path))
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
  }

  @Test(arguments: [PixelFormat.yuyv, .yu12, .grey])
  func `a file gives every picture once, bit for bit, and then ends`(pixelFormat: PixelFormat) throws {
    let format = try #require(PictureFormat(width: 320, height: 240, pixelFormat: pixelFormat))
    let clip = try Clip(count: 7, format: format)
    let frames = Frames()
    let events = try Self.run(FileProducer(path: clip.path, loop: false, framesPerSecond: nil), frames: frames) {
      events, _ in events.contains(.state(.ended))
    }
    #expect(frames.all.map(\.bytes) == clip.pictures)
    #expect(frames.all.map(\.info.sequence) == Array(0..<7))
    #expect(
      events[1]
        == .state(.streaming(CaptureFormat(picture: format, rateNumerator: 500, rateDenominator: 1))))
    #expect(events.last == .state(.idle))
  }

  @Test func `a looped file goes on from its beginning, at the rate given`() throws {
    let clip = try Clip(count: 3, format: Self.small, rate: (1, 1))
    let frames = Frames()
    _ = try Self.run(FileProducer(path: clip.path, loop: true, framesPerSecond: 400), frames: frames) { _, _ in
      frames.count >= 8
    }
    for (index, frame) in frames.all.enumerated() {
      #expect(frame.bytes == clip.pictures[index % 3])
      #expect(frame.info.sequence == UInt32(index))
    }
  }

  @Test func `a file that ended starts anew when stopped and started`() throws {
    let clip = try Clip(count: 2, format: Self.small)
    let reactor = try Reactor()
    let frames = Frames()
    let session = try CaptureSession(
      reactor: reactor, source: .file(path: clip.path, loop: false, framesPerSecond: nil)
    ) { frames.add($0, $1) }
    session.start()
    try reactor.turn(until: { session.state == .ended })
    session.stop()
    session.start()
    try reactor.turn(until: { frames.count == 4 })
    session.close()
    session.join()
    #expect(frames.all.map(\.bytes) == clip.pictures + clip.pictures)
  }

  @Test func `a missing, foreign, empty or damaged file is told in words, and a cut one plays to its cut`() throws {
    func problem(_ path: String) throws -> CaptureProblem? {
      let events = try Self.run(FileProducer(path: path, loop: true, framesPerSecond: nil)) { events, _ in
        events.contains { if case .state(.failed) = $0 { true } else { false } }
      }
      for case .state(.failed(let problem, _)) in events { return problem }
      return nil
    }
    #expect(try problem("/nowhere.y4m") == .missing)
    let foreign = try Clip(count: 1, format: Self.small) { $0[0] = 0 }
    #expect(try problem(foreign.path) == .badFile("not a y4m (YUV4MPEG2), MJPEG or H.264 file"))
    let empty = try Clip(count: 1, format: Self.small) { $0 = [] }
    #expect(try problem(empty.path) == .badFile("no picture in it: give a y4m (YUV4MPEG2), MJPEG or H.264 file"))
    let damaged = try Clip(count: 3, format: Self.small) {
      $0[$0.firstRange(of: Array("FRAME".utf8))!.lowerBound] = 0
    }
    #expect(try problem(damaged.path) == .badFile("damaged: a picture does not begin where it should"))
    #expect(try problem(NSTemporaryDirectory()) != nil)
    let cut = try Clip(count: 3, format: Self.small) { $0.removeLast(10) }
    let frames = Frames()
    _ = try Self.run(FileProducer(path: cut.path, loop: false, framesPerSecond: nil), frames: frames) { events, _ in
      events.contains(.state(.ended))
    }
    #expect(frames.count == 2)
  }

  @Test func `frames are due at even times for hours, whatever the rate`() {
    let pacer = { (numerator: Int, denominator: Int) in
      Pacer(start: .zero, rateNumerator: numerator, rateDenominator: denominator)
    }
    var ntsc = pacer(30000, 1001)
    for _ in 0..<30000 { ntsc.advance() }
    #expect(ntsc.due == .zero + .seconds(1001))
    var slow = pacer(1, 1_000_000_000)
    for _ in 0..<3 { slow.advance() }
    #expect(slow.due == .zero + .seconds(3_000_000_000))
    var late = pacer(100, 1)
    #expect(late.skip(now: .zero + .milliseconds(45), tolerance: 4) == 0)
    #expect(late.skip(now: .zero + .milliseconds(55), tolerance: 4) == 5)
    #expect(late.number == 5)
  }
}
