import EdgeCore

/// What a viewer asks of a camera's stream. In its offer, so that the first picture is as wanted, and on the control
/// channel, when it wants something else:
///
///     a=x-edge-wish:quality=auto size=640x480 fps=15
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
  /// The words of it, as they are in an offer.
  public var words: String {
    var text = "quality=\(quality.name)"
    if let width, let height { text += " size=\(width)x\(height)" }
    if let framesPerSecond { text += " fps=\(framesPerSecond)" }
    return text
  }

  /// Words it does not know are passed over, for a viewer may be newer than the node; a known one that makes no sense
  /// or comes twice makes the whole no wish.
  public init?(words: String) {
    var quality: Quality?
    var size: (width: Int, height: Int)?
    var rate: Int?
    for word in Array(words.utf8).split(separator: UInt8(ascii: " ")) {
      guard let equals = word.firstIndex(of: UInt8(ascii: "=")) else { continue }
      let value = word[(equals + 1)...]
      switch String(decoding: word[..<equals], as: UTF8.self) {
      case "quality":
        guard quality == nil, let known = Quality(name: String(decoding: value, as: UTF8.self)) else { return nil }
        quality = known
      case "size":
        guard size == nil, let known = Self.size(value) else { return nil }
        size = known
      case "fps":
        guard rate == nil, let known = ASCII.decimal(value, max: 1000), known > 0 else { return nil }
        rate = Int(known)
      default: continue
      }
    }
    guard let quality else { return nil }
    self.init(quality: quality, width: size?.width, height: size?.height, framesPerSecond: rate)
  }

  private static func size(_ value: ArraySlice<UInt8>) -> (width: Int, height: Int)? {
    let sides = value.split(separator: UInt8(ascii: "x"), omittingEmptySubsequences: false)
    guard sides.count == 2, let width = ASCII.decimal(sides[0], max: 8192),
      let height = ASCII.decimal(sides[1], max: 8192), width >= 16, height >= 16
    else { return nil }
    return (Int(width), Int(height))
  }

  var text: String { "want " + words }

  init?(_ words: ControlWords) {
    guard let name = words.text("quality"), let quality = Quality(name: name) else { return nil }
    self.init(quality: quality)
    if let size = words.text("size") {
      guard let known = Self.size(Array(size.utf8)[...]) else { return nil }
      width = known.width
      height = known.height
    }
    framesPerSecond = words.number("fps").map { Int(min(max(1, $0), 1000)) }
  }
}
