import EdgeCore
import Foundation
import SCTPTransport

/// Two ends joined by a wire in memory that loses packets. libusrsctp has one clock for the whole process, so time is
/// real here; losses follow the seed.
final class SCTPWire {
  enum Side: Int { case a, b }

  let a: DataChannels
  let b: DataChannels
  private(set) var events: [[DataChannels.Event]] = [[], []]
  private(set) var packets = 0
  private(set) var largest = 0
  var lossPercent: Int
  private var random: SeededRandom
  private var queue: [(to: Side, bytes: [UInt8])] = []

  init(
    seed: UInt64 = 1, lossPercent: Int = 0, configuration: SCTPAssociation.Configuration = .init()
  ) throws {
    a = DataChannels(try SCTPAssociation(configuration, at: Self.now), isDTLSClient: true)
    b = DataChannels(try SCTPAssociation(configuration, at: Self.now), isDTLSClient: false)
    random = SeededRandom(seed: seed)
    self.lossPercent = lossPercent
  }

  deinit {
    var out = DataChannels.Output()
    a.abort(into: &out)
    b.abort(into: &out)
  }

  static var now: Instant {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
  }

  func end(_ side: Side) -> DataChannels { side == .a ? a : b }

  func does<Result>(_ side: Side, _ body: (DataChannels, Instant, inout DataChannels.Output) -> Result) -> Result {
    var out = DataChannels.Output()
    let result = body(end(side), Self.now, &out)
    events[side.rawValue] += out.events
    for packet in out.packets {
      packets += 1
      largest = max(largest, packet.count)
      guard Int.random(in: 0..<100, using: &random) >= lossPercent else { continue }
      queue.append((side == .a ? .b : .a, packet))
    }
    return result
  }

  func connect() {
    does(.a) { $0.connect(at: $1, into: &$2) }
    does(.b) { $0.connect(at: $1, into: &$2) }
  }

  /// Delivers packets and runs timers until `condition` holds; `false` after `limit` seconds.
  @discardableResult
  func run(limit: Double = 20, until condition: () -> Bool) -> Bool {
    let deadline = Self.now + .milliseconds(Int64(limit * 1000))
    while !condition() {
      guard Self.now < deadline else { return false }
      if queue.isEmpty { usleep(3000) }
      let batch = queue
      queue = []
      for (side, bytes) in batch { does(side) { $0.receive(bytes, at: $1, into: &$2) } }
      for side in [Side.a, .b] {
        guard let due = end(side).nextDeadline, Self.now >= due else { continue }
        does(side) { $0.tick(at: $1, into: &$2) }
      }
    }
    return true
  }

  func received(_ side: Side) -> [[UInt8]] {
    events[side.rawValue].compactMap { event in
      if case .message(_, let bytes, _) = event { return bytes }
      return nil
    }
  }

  func has(_ side: Side, _ event: DataChannels.Event) -> Bool { events[side.rawValue].contains(event) }

  static func pattern(_ count: Int, _ salt: Int = 0) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ salt &+ $0 >> 8) }
  }
}
