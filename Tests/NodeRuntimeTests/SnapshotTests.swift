import Capture
import Config
import EdgeCore
import Foundation
import LinuxIO
import Testing

@testable import NodeRuntime

@Suite("Snapshots")
struct SnapshotTests {
  private func feed(
    _ reactor: Reactor, _ source: NodeConfiguration.Camera.Source = .testCard, format: String? = nil
  ) throws -> CameraFeed {
    try CameraFeed(
      configuration: .init(
        serial: "CAM-1", source: source, format: format, size: .init(width: 640, height: 480), framesPerSecond: 50),
      reactor: reactor, log: .silent())
  }

  private func take(_ feed: CameraFeed, _ reactor: Reactor, maxWidth: Int, within limit: Duration = .seconds(30)) throws
    -> (file: Snapshot?, why: String)
  {
    var result: (file: Snapshot?, why: String)?
    feed.snapshot(maxWidth: maxWidth, within: limit) { result = ($0, $1) }
    let deadline = MonotonicClock.now + .seconds(60)
    while result == nil, MonotonicClock.now < deadline { try reactor.turn(waitingAtMost: .milliseconds(20)) }
    return try #require(result)
  }

  @Test(arguments: [("YUYV", 640, 640), ("NV12", 320, 320), ("GREY", 200, 160), ("RGB24", 160, 160)])
  func `a camera nobody watches is opened for one picture, no wider than asked`(
    format: String, maxWidth: Int, width: Int
  ) throws {
    let reactor = try Reactor()
    let feed = try feed(reactor, format: format)
    let file = try #require(try take(feed, reactor, maxWidth: maxWidth).file)
    #expect(file.contentType == "image/png")
    #expect(file.bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]))
    // The width and height of IHDR.
    #expect(
      file.bytes[16..<24].elementsEqual(
        [0, 0, UInt8(width >> 8), UInt8(width & 255)]
          + [0, 0, UInt8(file.height >> 8), UInt8(file.height & 255)]))
    #expect((file.width, file.height) == (width, width * 3 / 4))
    #expect(file.bytes.count < 64 << 10)
    #expect(file.capturedMicroseconds > 1_700_000_000_000_000)
    // It is closed again.
    let deadline = MonotonicClock.now + .seconds(60)
    while feed.state != .idle, MonotonicClock.now < deadline { try reactor.turn(waitingAtMost: .milliseconds(20)) }
    #expect(feed.state == .idle)
    feed.close()
  }

  @Test func `a camera that is not there is told, in its words`() throws {
    let reactor = try Reactor()
    let feed = try feed(reactor, .device(path: "/nonexistent/video9"))
    let (file, why) = try take(feed, reactor, maxWidth: 640, within: .milliseconds(300))
    #expect(file == nil)
    #expect(why.contains("/nonexistent/video9 does not exist"))
    feed.close()
  }
}
