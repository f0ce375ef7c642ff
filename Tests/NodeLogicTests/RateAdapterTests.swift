import EdgeCore
import NodeLogic
import Testing

/// A camera, an adapter, and a path that takes so many bytes a second, in steps of 10 ms of virtual time.
private struct Simulation {
  var adapter: RateAdapter
  var gate = DeliveryGate(budgetBytes: 256 << 10)
  let source: RenditionLadder.Source
  /// Bytes of a lossless picture at full rate.
  let pictureBytes: Int
  /// Bytes a second at a time.
  let capacity: (Instant) -> Int
  var random: SeededRandom
  /// Key frames are this much larger.
  let keyFactor = 2

  var unsent = 0
  var recentFrameBytes = 0
  /// When the last byte of each picture left, with its size, in order.
  var waiting: [(left: Int, rendition: Rendition)] = []
  var shown: [Instant] = []
  var steps: [(Instant, Int)] = []

  init(
    _ wish: StreamWish, _ source: RenditionLadder.Source, pictureBytes: Int, seed: UInt64 = 1,
    capacity: @escaping (Instant) -> Int
  ) {
    self.source = source
    self.pictureBytes = pictureBytes
    self.capacity = capacity
    adapter = RateAdapter(RenditionLadder(wish, of: source))
    random = SeededRandom(seed: seed)
  }

  mutating func run(seconds: Int) {
    var captured = 0
    var needsKey = true
    var held = 0
    var limiter = KeyFrameLimiter()
    for tick in 0..<seconds * 100 {
      let now = Instant.zero + .milliseconds(tick * 10)
      drain(capacity(now) / 100, now)
      if tick % 10 == 0, adapter.observe(unsentBytes: unsent, at: now) {
        steps.append((now, adapter.step))
        // Another rendition has a limit of its own.
        limiter = KeyFrameLimiter()
        needsKey = true
      }
      guard tick * source.framesPerSecond / 100 > captured else { continue }
      captured += 1
      let rendition = adapter.rendition
      guard captured % rendition.divisor == 0 else { continue }
      guard needsKey || gate.hasRoom(bytes: recentFrameBytes, unsentBytes: unsent) else {
        held += 1
        continue
      }
      if needsKey || gate.wantsKeyFrame(unsentBytes: unsent) { limiter.request() }
      let isKey = limiter.isDue(at: now)
      if isKey { limiter.made(at: now) }
      var bytes = pictureBytes
      let scale = RateAdapterScale.frame(rendition)
      // What the guess in the ladder does not know: up to a fifth more or less, and differences that grow.
      bytes = bytes * scale / 1000 * (80 + Int(random.next() % 41)) / 100
      if isKey { bytes *= keyFactor }
      bytes = max(200, bytes)
      recentFrameBytes = max(bytes, recentFrameBytes - recentFrameBytes / 8)
      gate.budgetBytes = adapter.budget(recentFrameBytes: recentFrameBytes)
      gate.spareBytes = 2 * recentFrameBytes
      gate.roomBytes = adapter.room(recentFrameBytes: recentFrameBytes)
      adapter.held(held, recentFrameBytes: recentFrameBytes)
      held = 0
      let sent = gate.admit(bytes: bytes, isKey: isKey, unsentBytes: unsent) == .send
      adapter.offered(bytes: bytes, isKey: isKey, wasSent: sent, unsentBytes: unsent, at: now)
      if sent {
        if isKey { needsKey = false }
        unsent += bytes
        waiting.append((bytes, rendition))
      }
    }
  }

  private mutating func drain(_ bytes: Int, _ now: Instant) {
    var left = bytes
    while left > 0, !waiting.isEmpty {
      let taken = min(left, waiting[0].left)
      waiting[0].left -= taken
      left -= taken
      unsent -= taken
      if waiting[0].left == 0 {
        waiting.removeFirst()
        shown.append(now)
      }
    }
  }

  /// The longest time without a picture between two moments.
  func longestGap(from: Int, to: Int) -> Duration {
    let begin = Instant.zero + .seconds(from)
    let end = Instant.zero + .seconds(to)
    var last = begin
    var longest = Duration.zero
    for at in shown where at > begin && at <= end {
      longest = max(longest, at - last)
      last = at
    }
    return max(longest, end - last)
  }
}

/// What pictures really weigh in the simulation: another guess than the ladder's.
private enum RateAdapterScale {
  static func frame(_ rendition: Rendition) -> Int {
    var scale =
      switch rendition.quality {
      case .lossless: 1000
      case .maximumError(1): 600
      case .maximumError(2): 480
      case .maximumError: 380
      case .gate: 300
      }
    for _ in 0..<rendition.halvings { scale = scale * 27 / 100 }
    return scale + scale * min(rendition.divisor - 1, 4) / 10
  }
}

private let vga = RenditionLadder.Source(width: 640, height: 480, framesPerSecond: 25)

@Suite("Rate adapter")
struct RateAdapterTests {
  @Test func `a path that carries the stream leaves it as it is`() {
    var link = Simulation(StreamWish(quality: .auto), vga, pictureBytes: 180_000) { _ in 50_000_000 / 8 }
    link.run(seconds: 60)
    #expect(link.adapter.step == 0)
    #expect(link.adapter.changes == 0)
    #expect(link.gate.framesDropped == 0)
    #expect(link.shown.count > 1450)
  }

  @Test(arguments: [2, 4, 10, 20, 50], [1, 2, 3, 4, 5])
  func `a slow path never stalls for a second`(megabits: Int, seed: UInt64) {
    var link = Simulation(StreamWish(quality: .auto), vga, pictureBytes: 180_000, seed: seed) { _ in megabits * 125_000
    }
    link.run(seconds: 60)
    print(
      "\(megabits) Mbit/s, seed \(seed): longest gap \(link.longestGap(from: 4, to: 60)), \(link.adapter.changes) changes"
    )
    #expect(link.longestGap(from: 4, to: 60) <= .seconds(1))
    // It does not swing: a try upwards now and then.
    #expect(link.adapter.changes <= 24)
    #expect(link.shown.count > 60 * 3)
  }

  @Test(arguments: [50, 10, 5], [1, 2, 3])
  func `a drop to a tenth is answered within a second, and the way back is found`(megabits: Int, seed: UInt64) {
    var link = Simulation(StreamWish(quality: .auto), vga, pictureBytes: 60_000, seed: seed) { now in
      let second = (now - .zero).wholeMilliseconds / 1000
      return second >= 20 && second < 40 ? megabits * 12_500 : megabits * 125_000
    }
    link.run(seconds: 140)
    print(
      "\(megabits) Mbit/s, seed \(seed): longest gap \(link.longestGap(from: 4, to: 140)), steps \(link.steps.map { $0.1 })"
    )
    // A key frame on its way when the path shrinks takes ten times as long: on a thin path that is seconds.
    #expect(link.longestGap(from: 4, to: 140) <= (megabits > 5 ? .seconds(1) : .seconds(3)))
    #expect(link.longestGap(from: 25, to: 140) <= .seconds(1))
    let before = link.steps.last { $0.0 < .zero + .seconds(20) }?.1 ?? 0
    let after = link.steps.filter { $0.0 > .zero + .seconds(60) }.map { $0.1 }.min() ?? link.adapter.step
    #expect(after <= before)
  }

  @Test(arguments: [1, 2, 3])
  func `an outage costs the outage and no more than a second`(seed: UInt64) {
    var link = Simulation(StreamWish(quality: .auto), vga, pictureBytes: 60_000, seed: seed) { now in
      let second = (now - .zero).wholeMilliseconds / 1000
      return second >= 20 && second < 23 ? 0 : 10 * 125_000
    }
    link.run(seconds: 60)
    #expect(link.longestGap(from: 4, to: 19) <= .seconds(1))
    #expect(link.longestGap(from: 19, to: 60) <= .seconds(4))
  }

  @Test func `a viewer that wants the camera's quality gets fewer pictures, never worse or smaller ones`() {
    let ladder = RenditionLadder(StreamWish(), of: vga)
    for step in ladder.steps {
      #expect(step.quality == .lossless)
      #expect(step.halvings == 0)
    }
    var link = Simulation(StreamWish(), vga, pictureBytes: 30_000) { _ in 2 * 125_000 }
    link.run(seconds: 60)
    #expect(link.longestGap(from: 4, to: 60) <= .seconds(1))
    #expect(link.adapter.rendition.quality == .lossless)
  }

  @Test func `rate gives way first, then exactness, then size`() {
    let ladder = RenditionLadder(StreamWish(quality: .auto), of: vga)
    var last = ladder.steps[0]
    for step in ladder.steps.dropFirst() {
      if step.halvings > last.halvings { #expect(step.quality == .maximumError(4)) }
      if step.quality != last.quality { #expect(step.halvings == 0) }
      last = step
    }
    #expect(ladder.steps.map { $0.divisor }.prefix(2) == [1, 2])
    #expect(last.halvings == 3)
  }

  @Test func `a wish for size and rate is kept to`() {
    let ladder = RenditionLadder(
      StreamWish(quality: .lossless, width: 320, height: 240, framesPerSecond: 10), of: vga)
    #expect(ladder.steps[0] == Rendition(quality: .lossless, divisor: 3, halvings: 1))
    let compressed = RenditionLadder.Source(width: 640, height: 480, framesPerSecond: 30, isCompressed: true)
    let passed = RenditionLadder(StreamWish(quality: .auto, width: 320, height: 240), of: compressed)
    for step in passed.steps {
      #expect(step.quality == .lossless)
      #expect(step.halvings == 0)
    }
  }

  @Test func `H264 is passed whole whatever is wished, because a picture left out spoils those after it`() {
    let source = RenditionLadder.Source(
      width: 640, height: 480, framesPerSecond: 30, isCompressed: true, isInterCoded: true)
    let ladder = RenditionLadder(StreamWish(quality: .auto, width: 320, height: 240, framesPerSecond: 5), of: source)
    #expect(ladder.steps == [Rendition(quality: .lossless)])
  }
}
