public import Picture

/// What the owner would like of a camera; `nil` leaves it to the driver or to preference.
public struct CaptureRequest: Hashable, Sendable {
  public var pixelFormat: PixelFormat?
  /// Pixels.
  public var width: Int?
  public var height: Int?
  public var framesPerSecond: Int?

  public init(
    pixelFormat: PixelFormat? = nil, width: Int? = nil, height: Int? = nil, framesPerSecond: Int? = nil
  ) {
    self.pixelFormat = pixelFormat
    self.width = width
    self.height = height
    self.framesPerSecond = framesPerSecond
  }
}

/// What a source really delivers.
public struct CaptureFormat: Hashable, Sendable, CustomStringConvertible {
  public var picture: PictureFormat
  /// Frames per second, as a fraction; 0:1 when the source does not say.
  public var rateNumerator: Int
  public var rateDenominator: Int

  public init(picture: PictureFormat, rateNumerator: Int, rateDenominator: Int) {
    self.picture = picture
    self.rateNumerator = rateNumerator
    self.rateDenominator = rateDenominator
  }

  /// Hundredths of frames per second.
  public var centiFramesPerSecond: Int { rateNumerator * 100 / max(1, rateDenominator) }

  /// For example `YUYV 640x480 29.97 fps`.
  public var description: String {
    let (whole, hundredths) = (centiFramesPerSecond / 100, centiFramesPerSecond % 100)
    if rateNumerator == 0 { return picture.description }
    if hundredths == 0 { return "\(picture) \(whole) fps" }
    return "\(picture) \(whole).\(hundredths < 10 ? "0" : "")\(hundredths) fps"
  }
}

/// Time between two frames as the driver writes it, in seconds.
struct FrameInterval: Hashable {
  var numerator: UInt32
  var denominator: UInt32

  var isValid: Bool { numerator > 0 && denominator > 0 }

  func isShorter(than other: Self) -> Bool {
    UInt64(numerator) * UInt64(other.denominator) < UInt64(other.numerator) * UInt64(denominator)
  }
}

/// A size the driver offers: one, or all between two in steps.
struct SizeOffer: Hashable {
  var minimum: (width: Int, height: Int)
  var maximum: (width: Int, height: Int)
  var step: (width: Int, height: Int)

  init(width: Int, height: Int) {
    minimum = (width, height)
    maximum = (width, height)
    step = (1, 1)
  }

  init(minimum: (width: Int, height: Int), maximum: (width: Int, height: Int), step: (width: Int, height: Int)) {
    self.minimum = minimum
    self.maximum = maximum
    self.step = step
  }

  static func == (a: Self, b: Self) -> Bool {
    a.minimum == b.minimum && a.maximum == b.maximum && a.step == b.step
  }

  func hash(into hasher: inout Hasher) {
    hasher.combine(minimum.width)
    hasher.combine(minimum.height)
  }

  /// The size of this offer nearest to the one wanted.
  func nearest(_ width: Int, _ height: Int) -> (width: Int, height: Int) {
    (
      Self.nearest(width, minimum.width, maximum.width, step.width),
      Self.nearest(height, minimum.height, maximum.height, step.height)
    )
  }

  private static func nearest(_ wanted: Int, _ low: Int, _ high: Int, _ step: Int) -> Int {
    guard high > low else { return low }
    let step = max(1, step)
    return low + (min(max(wanted, low), high) - low) / step * step
  }
}

/// The choices made between what is wanted and what a driver offers. Pure, so that each is tested without a camera.
enum Negotiation {
  /// Tried in this order when the owner wants none: no loss and cheap to compress first.
  static let preference: [PixelFormat] = [.yuyv, .nv12, .uyvy, .yu12, .yv12, .rgb24, .bgr24, .grey, .mjpeg, .y16]

  /// The driver code to ask for, with the layout it means; `nil` when nothing offered will do.
  static func format(wanted: PixelFormat?, offered: [FourCC]) -> (code: FourCC, format: PixelFormat)? {
    for format in wanted.map({ [$0] }) ?? preference {
      for code in format.fourCCs where offered.contains(code) { return (code, format) }
    }
    return nil
  }

  /// The size to ask for: the one wanted when it is offered, else the nearest in area.
  ///
  /// Without a wish: the offered size nearest to 640x480, which every camera link carries.
  static func size(width: Int?, height: Int?, offered: [SizeOffer]) -> (width: Int, height: Int) {
    let wanted = (width: width ?? 640, height: height ?? 480)
    var best: (width: Int, height: Int)?
    var bestDistance = Int.max
    for offer in offered {
      let candidate = offer.nearest(wanted.width, wanted.height)
      guard PictureFormat(width: candidate.width, height: candidate.height, pixelFormat: .grey) != nil else { continue }
      let distance =
        candidate == wanted ? -1 : abs(candidate.width * candidate.height - wanted.width * wanted.height)
      if distance < bestDistance {
        best = candidate
        bestDistance = distance
      }
    }
    return best ?? wanted
  }

  /// The interval to ask for: the slowest offered that is at least as fast as wanted, else the fastest.
  static func interval(framesPerSecond: Int, offered: [FrameInterval]) -> FrameInterval {
    let wanted = FrameInterval(numerator: 1, denominator: UInt32(clamping: max(1, framesPerSecond)))
    let valid = offered.filter { $0.isValid }
    let enough = valid.filter { !wanted.isShorter(than: $0) }
    if let slowest = enough.max(by: { $0.isShorter(than: $1) }) { return slowest }
    return valid.min(by: { $0.isShorter(than: $1) }) ?? wanted
  }
}
