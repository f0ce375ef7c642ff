import EdgeCore

/// What a viewer asks of a camera's stream. On the control channel:
///
///     want quality=auto size=640x480 fps=15
public struct StreamWish: Hashable, Sendable {
  public enum Quality: Hashable, Sendable {
    /// As the camera is configured. On a slow path there are fewer pictures, never worse ones.
    case camera
    /// Whatever keeps the picture moving: fewer, then less exact, then smaller pictures.
    case auto
    case lossless
    /// No sample is off by more than this, 1...4.
    case maximumError(Int)
    case gate
  }

  public var quality: Quality
  /// The largest picture wanted, in pixels. A camera's picture is halved until it fits.
  public var width: Int?
  public var height: Int?
  /// The most pictures wanted in a second.
  public var framesPerSecond: Int?

  public init(quality: Quality = .camera, width: Int? = nil, height: Int? = nil, framesPerSecond: Int? = nil) {
    self.quality = quality
    self.width = width
    self.height = height
    self.framesPerSecond = framesPerSecond
  }
}

extension StreamWish.Quality {
  /// `auto`, `camera`, `lossless`, `gate`, `max-error:1` to `max-error:4`.
  public var name: String {
    switch self {
    case .camera: "camera"
    case .auto: "auto"
    case .lossless: "lossless"
    case .gate: "gate"
    case .maximumError(let error): "max-error:\(error)"
    }
  }

  public init?(name: String) {
    for quality: Self in [
      .camera, .auto, .lossless, .gate, .maximumError(1), .maximumError(2), .maximumError(3), .maximumError(4),
    ] where quality.name == name {
      self = quality
      return
    }
    return nil
  }
}

extension StreamWish {
  var text: String {
    var text = "want quality=\(quality.name)"
    if let width, let height { text += " size=\(width)x\(height)" }
    if let framesPerSecond { text += " fps=\(framesPerSecond)" }
    return text
  }

  init?(_ words: ControlWords) {
    guard let name = words.text("quality"), let quality = Quality(name: name) else { return nil }
    self.init(quality: quality)
    if let size = words.text("size") {
      let sides = Array(size.utf8).split(separator: UInt8(ascii: "x"))
      guard sides.count == 2, let width = ASCII.decimal(sides[0], max: 8192),
        let height = ASCII.decimal(sides[1], max: 8192),
        width >= 16, height >= 16
      else { return nil }
      self.width = Int(width)
      self.height = Int(height)
    }
    framesPerSecond = words.number("fps").map { Int(min(max(1, $0), 1000)) }
  }
}
