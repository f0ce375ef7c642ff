/// How long one stage of a picture's way takes: half of the pictures at most ``median``, 95 of 100 at most ``p95``.
public struct StageLatency: Hashable, Sendable {
  public var median: Duration
  public var p95: Duration

  public init(median: Duration, p95: Duration) {
    self.median = median
    self.p95 = p95
  }
}

/// The last pictures' times in one stage.
public struct LatencyMeter: Sendable {
  private var samples: [Int64] = []
  private var next = 0
  /// Pictures looked back on: about ten seconds.
  private static let capacity = 256

  public init() {}

  public mutating func note(_ time: Duration) {
    let (seconds, attoseconds) = time.components
    let nanoseconds = max(
      0, seconds.multipliedReportingOverflow(by: 1_000_000_000).partialValue &+ attoseconds / 1_000_000_000)
    if samples.count < Self.capacity {
      samples.append(nanoseconds)
    } else {
      samples[next] = nanoseconds
      next = (next + 1) % Self.capacity
    }
  }

  /// `nil` before the first picture.
  public var summary: StageLatency? {
    guard !samples.isEmpty else { return nil }
    let sorted = samples.sorted()
    return StageLatency(
      median: .nanoseconds(sorted[sorted.count / 2]),
      p95: .nanoseconds(sorted[min(sorted.count - 1, sorted.count * 95 / 100)]))
  }
}

/// Where the time between a picture's capture and its showing goes. What was not measured is `nil`.
public struct LatencyTrace: Hashable, Sendable {
  /// From the camera's time stamp to the encoder.
  public var capture: StageLatency?
  public var encode: StageLatency?
  /// From the encoder's end until the network has taken the last byte.
  public var queue: StageLatency?
  /// What is left of the whole; with two machines it needs synchronised clocks.
  public var network: StageLatency?
  public var decode: StageLatency?
  /// From the camera's time stamp to the decoded picture, by the two machines' wall clocks.
  public var total: StageLatency?

  public init(
    capture: StageLatency? = nil, encode: StageLatency? = nil, queue: StageLatency? = nil, network: StageLatency? = nil,
    decode: StageLatency? = nil, total: StageLatency? = nil
  ) {
    self.total = total
    self.capture = capture
    self.encode = encode
    self.queue = queue
    self.network = network
    self.decode = decode
  }

  var stages: [(name: String, latency: StageLatency?)] {
    var stages: [(name: String, latency: StageLatency?)] = []
    stages.append((name: "capture", latency: capture))
    stages.append((name: "encode", latency: encode))
    stages.append((name: "queue", latency: queue))
    stages.append((name: "network", latency: network))
    stages.append((name: "decode", latency: decode))
    stages.append((name: "total", latency: total))
    return stages
  }

  public var json: JSONValue {
    var members: [JSONValue.Member] = []
    for (name, latency) in stages {
      guard let latency else {
        members.append(.init(name, .null))
        continue
      }
      members.append(
        .init(
          name, .object([.init("p50_ms", .milliseconds(latency.median)), .init("p95_ms", .milliseconds(latency.p95))])))
    }
    return .object(members)
  }

  public init(_ json: JSONValue) {
    func stage(_ name: String) -> StageLatency? {
      guard let median = json[name]?["p50_ms"]?.duration, let p95 = json[name]?["p95_ms"]?.duration else { return nil }
      return StageLatency(median: median, p95: p95)
    }
    self.init(
      capture: stage("capture"), encode: stage("encode"), queue: stage("queue"), network: stage("network"),
      decode: stage("decode"))
  }

  /// `capture 1 ms, encode 2 ms, ...`: the medians; empty when nothing was measured.
  public var text: String {
    var text = ""
    for (name, latency) in stages {
      guard let latency else { continue }
      text += (text.utf8.isEmpty ? "" : ", ") + name + " " + Plain.milliseconds(latency.median)
    }
    return text
  }
}
