/// One way to encode a camera's pictures. Viewers with the same rendition share its encoder.
public struct Rendition: Hashable, Sendable {
  public enum Quality: Hashable, Sendable {
    case lossless
    /// No sample is off by more than this, 1...4.
    case maximumError(Int)
    case gate
  }

  public var quality: Quality
  /// Every n-th picture of the camera.
  public var divisor: Int
  /// How often each side is halved.
  public var halvings: Int

  public static let mostHalvings = 3

  public init(quality: Quality, divisor: Int = 1, halvings: Int = 0) {
    self.quality = quality
    self.divisor = divisor
    self.halvings = halvings
  }

  /// Bytes a second against those of the lossless, whole, full-rate stream, in millionths: a guess from footage with
  /// a camera's noise, good enough to choose a step by. What is sent is measured.
  var cost: Int64 {
    // Pictures further apart differ more.
    var growth: Int64 = 100
    var doubled = 2
    while doubled <= divisor {
      growth += 12
      doubled *= 2
    }
    return frameCost * growth / 100 / Int64(max(1, divisor))
  }

  public func isCheaper(than other: Self) -> Bool { cost < other.cost }

  public func isDearer(than other: Self) -> Bool { cost > other.cost }

  /// The same for one picture.
  var frameCost: Int64 {
    var cost: Int64 =
      switch quality {
      case .lossless: 1_000_000
      case .maximumError(1): 550_000
      case .maximumError(2): 430_000
      case .maximumError(3): 360_000
      case .maximumError: 310_000
      case .gate: 350_000
      }
    for _ in 0..<halvings { cost = cost * 3 / 10 }
    return cost
  }
}

extension Rendition: CustomStringConvertible {
  /// `lossless`, `max-error:1, 1 of 3 pictures, 1/2 size`.
  public var description: String {
    var text =
      switch quality {
      case .lossless: "lossless"
      case .maximumError(let error): "max-error:\(error)"
      case .gate: "gate"
      }
    if divisor > 1 { text += ", 1 of \(divisor) pictures" }
    if halvings > 0 { text += ", 1/\(1 << halvings) size" }
    return text
  }
}

/// The renditions one viewer may get, best first.
public struct RenditionLadder: Hashable, Sendable {
  /// What is known of a camera.
  public struct Source: Hashable, Sendable {
    public var width: Int
    public var height: Int
    public var framesPerSecond: Int
    /// MJPEG or H.264: passed through, so that only whole pictures can be left out.
    public var isCompressed: Bool
    public var quality: Rendition.Quality
    /// H.264: a picture builds on the one before, so that none can be left out.
    public var isInterCoded: Bool

    public init(
      width: Int, height: Int, framesPerSecond: Int, isCompressed: Bool = false,
      quality: Rendition.Quality = .lossless, isInterCoded: Bool = false
    ) {
      self.isInterCoded = isInterCoded
      self.width = width
      self.height = height
      self.framesPerSecond = framesPerSecond
      self.isCompressed = isCompressed
      self.quality = quality
    }
  }

  /// Never empty.
  public let steps: [Rendition]

  /// Fewer pictures than this a second are no moving picture: something else gives way first, where it may.
  private static let leastPictures = 12
  private static let smallestSide = 64

  public init(_ wish: StreamWish, of source: Source) {
    guard !source.isInterCoded else {
      steps = [Rendition(quality: .lossless)]
      return
    }
    let rate = max(1, source.framesPerSecond)
    let first = wish.framesPerSecond.map { max(1, (rate + $0 - 1) / max(1, $0)) } ?? 1
    var quality: Rendition.Quality =
      switch wish.quality {
      case .camera, .auto: source.quality
      case .lossless: .lossless
      case .gate: .gate
      case .maximumError(let error): .maximumError(error)
      }
    var halvings = 0
    if let width = wish.width, let height = wish.height, !source.isCompressed {
      while halvings < Rendition.mostHalvings, source.width >> halvings > width || source.height >> halvings > height,
        Self.canHalve(source, halvings)
      { halvings += 1 }
    }
    if source.isCompressed { quality = .lossless }
    var steps = [Rendition(quality: quality, divisor: first, halvings: halvings)]
    func add(_ change: (inout Rendition) -> Void) {
      var next = steps[steps.count - 1]
      change(&next)
      steps.append(next)
    }
    let isAdaptive = wish.quality == .auto && !source.isCompressed
    let least = isAdaptive ? Self.leastPictures : 1
    for factor in [2, 3, 4, 6, 8, 12, 16, 24, 32] where rate / (first * factor) >= least {
      add { $0.divisor = first * factor }
    }
    if isAdaptive {
      for error in [1, 2, 4] where quality == .lossless || quality == .maximumError(1) && error > 1 {
        add { $0.quality = .maximumError(error) }
      }
      while halvings < Rendition.mostHalvings, Self.canHalve(source, halvings) {
        halvings += 1
        add { $0.halvings = halvings }
      }
      var slowest = steps[steps.count - 1].divisor * 2
      while rate / slowest >= 2 {
        add { $0.divisor = slowest }
        slowest *= 2
      }
    }
    self.steps = steps
  }

  private static func canHalve(_ source: Source, _ halvings: Int) -> Bool {
    source.width >> (halvings + 1) >= smallestSide && source.height >> (halvings + 1) >= smallestSide / 2
  }
}
