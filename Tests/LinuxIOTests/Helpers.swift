import EdgeCore
import Foundation
import LinuxIO
import Testing

let loopbackV4 = IPAddress.v4(0x7F00_0001)
let loopbackV6 = IPAddress.v6(high: 0, low: 1, scope: 0)

extension Reactor {
  /// Turns until `condition` holds; fails the test when it does not within `limit`.
  func turn(
    until condition: () -> Bool, within limit: Duration = .seconds(10),
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let deadline = MonotonicClock.now + limit
    while !condition() {
      guard MonotonicClock.now < deadline else {
        Issue.record("did not happen within \(limit)", sourceLocation: sourceLocation)
        return
      }
      try turn(waitingAtMost: .milliseconds(50))
    }
  }

  /// Turns for `duration`, to see that something does not happen.
  func turn(for duration: Duration) throws {
    let deadline = MonotonicClock.now + duration
    while MonotonicClock.now < deadline { try turn(waitingAtMost: .milliseconds(5)) }
  }
}

/// A fresh directory, removed at the end of its life.
final class TemporaryDirectory {
  let path: String

  init() {
    path = NSTemporaryDirectory() + "linuxio-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { path + "/" + name }
}

func bytes(_ span: RawSpan) -> [UInt8] { span.withUnsafeBytes { Array($0) } }

/// Bytes that differ everywhere, so that a lost or doubled piece shows.
func pattern(_ count: Int) -> [UInt8] {
  var random = SeededRandom(seed: 7)
  return random.bytes(count)
}
