public import EdgeCore

/// Chooses, for one viewer, the step of its ladder that the path carries.
///
/// Measured is what was delivered: bytes handed to the channel less those that wait in it. A queue that would take long
/// to drain, or pictures left out, mean that the path carries less than is sent; then the step is chosen whose bytes and
/// whose key frame fit what was delivered. Upwards it goes one step at a time, after a while without a queue; when that
/// proves too much, the while doubles.
///
/// Where only the rate may give way, pictures that are not made while there is no room for them are all it takes
/// (``room(recentFrameBytes:)``): another rendition would cost a key frame. The step then changes for a viewer that
/// shares a rendition with a faster one.
public struct RateAdapter: Sendable {
  public private(set) var ladder: RenditionLadder
  public private(set) var step = 0
  /// Bytes a second the path took while it had a queue to take from; `nil` while it never was the limit.
  public private(set) var capacity: Int64?
  /// Changes of step since the start.
  public private(set) var changes = 0

  private struct Sample {
    var at: Instant
    var delivered: Int64
    var isBusy: Bool
  }

  private var samples: [Sample] = []
  private var accepted: Int64 = 0
  /// Bytes of all pictures offered in this step, sent or not, and since when.
  private var offered: Int64 = 0
  private var stepBegan: Instant?
  /// Bytes a second of a full-rate lossless stream, as this stream lets guess.
  private var fullLoad: Int64?
  /// The same of one key frame.
  private var fullKey: Int64 = 0
  private var lastTrouble: Instant?
  private var queueBegan: Instant?
  private var dropped = false
  private var hold = Self.shortestHold
  private var wentUpAt: Instant?
  private var leastDelay: Int64?
  private var isDelayed = false

  static let shortestHold = Duration.seconds(3)
  static let longestHold = Duration.seconds(48)
  /// A queue longer than this, in time, is trouble.
  static let longestQueue = Duration.milliseconds(300)
  /// No step is judged before it was in force for so long.
  static let settling = Duration.milliseconds(700)
  private static let window = Duration.milliseconds(1000)
  private static let shortestStretch = Duration.milliseconds(250)

  public init(_ ladder: RenditionLadder) { self.ladder = ladder }

  public var rendition: Rendition { ladder.steps[step] }

  /// The viewer wants something else, or the camera changed: begins anew with what is known of the path.
  public mutating func use(_ ladder: RenditionLadder, at now: Instant) {
    guard ladder != self.ladder else { return }
    self.ladder = ladder
    step = 0
    begin(at: now)
    if let capacity, let fullLoad, ladder.steps.count > 1 { step = fitting(capacity, fullLoad) ?? 0 }
  }

  /// A picture of the current rendition was sent or left out.
  ///
  /// - Parameter unsentBytes: what waited in the channel: a picture left out while nothing waited was left out for want
  ///   of a key frame, which says nothing of the path.
  public mutating func offered(bytes: Int, isKey: Bool, wasSent: Bool, unsentBytes: Int, at now: Instant) {
    offered += Int64(bytes)
    if wasSent { accepted += Int64(bytes) } else if unsentBytes > 0 { dropped = true }
    if isKey { fullKey = Int64(bytes) * 1_000_000 / rendition.frameCost }
    if stepBegan == nil { stepBegan = now }
  }

  /// The viewer's own measure, from capture to shown: a queue in the network, which the channel does not see.
  public mutating func reported(delayMilliseconds: Int64) {
    let least = min(leastDelay ?? delayMilliseconds, delayMilliseconds)
    leastDelay = least
    isDelayed = delayMilliseconds - least > 1200
  }

  /// Unsent bytes a viewer's channel may hold: half a second of what the path takes, and a few pictures in any case.
  public func budget(recentFrameBytes: Int) -> Int {
    let pictures = max(64 << 10, 2 * recentFrameBytes)
    guard let capacity else { return max(256 << 10, pictures) }
    return min(max(pictures, Int(clamping: capacity / 2)), 8 << 20)
  }

  /// Unsent bytes up to which another picture is made. Where only the rate may give way that is a short queue, for
  /// pictures that are never late; elsewhere the whole budget, as a picture left out says that less must be sent.
  public func room(recentFrameBytes: Int) -> Int {
    let budget = budget(recentFrameBytes: recentFrameBytes)
    return canShrink ? budget : min(budget, max(recentFrameBytes * 3 / 2, Int(clamping: (capacity ?? 0) / 5)))
  }

  /// So many pictures were not made for want of room.
  public mutating func held(_ count: Int, recentFrameBytes: Int) {
    guard canShrink, count > 0 else { return }
    offered += Int64(count) * Int64(recentFrameBytes)
    dropped = true
  }

  /// Call about ten times a second. `true` when ``step`` changed.
  public mutating func observe(unsentBytes: Int, at now: Instant) -> Bool {
    let began = stepBegan ?? now
    stepBegan = began
    let delivered = accepted - Int64(unsentBytes)
    if let last = samples.last, now - last.at < .milliseconds(50) { return false }
    samples.append(Sample(at: now, delivered: delivered, isBusy: unsentBytes > 0))
    while samples.count > 2, now - samples[1].at >= Self.window { samples.removeFirst() }
    let rate = measure()
    let queueTime = unsentBytes == 0 ? .zero : Duration.milliseconds(Int64(unsentBytes) * 1000 / max(1000, rate))
    if queueTime > Self.longestQueue {
      if queueBegan == nil { queueBegan = now }
    } else {
      queueBegan = nil
    }
    let age = now - began
    if age >= .seconds(1) { fullLoad = offered * 1_000_000 / rendition.cost * 1000 / max(1, age.wholeMilliseconds) }
    let isQueueing = canShrink && queueBegan.map { now - $0 >= .milliseconds(200) } ?? false
    if isQueueing || dropped || isDelayed {
      lastTrouble = now
      // A picture left out needs a key frame, and another rendition begins with one at once.
      let isFrozen = dropped && age >= .milliseconds(200)
      dropped = false
      if isFrozen || age >= Self.settling || unsentBytes > 0 && queueTime > .seconds(1) && age >= .milliseconds(400) {
        return stepDown(max(rate, 1), at: now)
      }
      return false
    }
    return stepUp(at: now)
  }

  /// Bytes a second taken, and remembers it as the capacity when there was always something to take.
  ///
  /// As soon as that was so for a while it counts alone: what a path took before it shrank says nothing of the queue.
  private mutating func measure() -> Int64 {
    guard let first = samples.first, let last = samples.last, last.at > first.at else { return capacity ?? 0 }
    var busy = samples.count - 1
    while busy > 0, samples[busy].isBusy, samples[busy - 1].isBusy { busy -= 1 }
    if last.isBusy, last.at - samples[busy].at >= Self.shortestStretch {
      let rate = Self.rate(samples[busy], last)
      capacity = rate
      return rate
    }
    let rate = Self.rate(first, last)
    if let known = capacity, rate > known { capacity = rate }
    return rate
  }

  private static func rate(_ from: Sample, _ to: Sample) -> Int64 {
    max(0, to.delivered - from.delivered) * 1_000_000_000 / max(1, (to.at - from.at).wholeNanoseconds)
  }

  private mutating func stepDown(_ rate: Int64, at now: Instant) -> Bool {
    isDelayed = false
    if let went = wentUpAt, now - went < .seconds(8) {
      hold = min(hold * 2, Self.longestHold)
    } else if let began = stepBegan, now - began > .seconds(20) {
      // The path has changed: what was learnt of it is of no use.
      hold = Self.shortestHold
    }
    wentUpAt = nil
    guard step + 1 < ladder.steps.count else { return false }
    let age = max(1, (now - (stepBegan ?? now)).wholeMilliseconds)
    let load = fullLoad ?? offered * 1_000_000 / rendition.cost * 1000 / max(200, age)
    let target = fitting(rate, load) ?? ladder.steps.count - 1
    return change(to: max(step + 1, target), at: now)
  }

  /// The best step whose bytes a second are less than `rate`, and whose key frame is through in half a second.
  private func fitting(_ rate: Int64, _ load: Int64) -> Int? {
    for (index, rendition) in ladder.steps.enumerated() {
      let bytes = load / 1000 * rendition.cost / 1000
      // Where nothing but the rate may give way, no step makes the key frame smaller.
      let isSmaller = rendition.frameCost < ladder.steps[0].frameCost || index == 0
      let key = fullKey / 1000 * rendition.frameCost / 1000
      let keyFits = key <= rate / 2 || !canShrink || (!isSmaller && key <= rate)
      if bytes <= rate * 8 / 10, keyFits { return index }
    }
    return nil
  }

  private var canShrink: Bool {
    ladder.steps[ladder.steps.count - 1].frameCost < ladder.steps[0].frameCost
  }

  private mutating func stepUp(at now: Instant) -> Bool {
    if let went = wentUpAt, now - went > .seconds(15) { hold = max(Self.shortestHold, hold / 2); wentUpAt = now }
    guard step > 0 else { return false }
    let quietSince = max(lastTrouble ?? stepBegan ?? now, stepBegan ?? now)
    guard now - quietSince >= hold else { return false }
    let began = now
    guard change(to: step - 1, at: now) else { return false }
    wentUpAt = began
    return true
  }

  private mutating func change(to next: Int, at now: Instant) -> Bool {
    guard next != step else { return false }
    step = next
    changes += 1
    begin(at: now)
    return true
  }

  private mutating func begin(at now: Instant) {
    offered = 0
    stepBegan = now
    queueBegan = nil
    dropped = false
    leastDelay = nil
  }
}
