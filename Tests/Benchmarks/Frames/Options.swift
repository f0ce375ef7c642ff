import FrameCodec
import Picture

struct Options {
  let path: String
  let format: PictureFormat
  let frames: Int
  let sigma: Double
  var isStatic = false
  var timesZlib = false
  /// How often the clip is encoded and decoded, each time from a key frame on.
  var repeats = 1
  var instructions = InstructionSet.common
  var quality = FrameQuality.lossless
  /// Looks for motion instead of timing the coder.
  var motionSensitivity: Int?
  var planarPath: String?
  var partsPath: String?

  init?(_ arguments: [String]) {
    guard arguments.count >= 5, let kind = PixelFormat(name: arguments[1]), let frames = Int(arguments[3]),
      frames >= 2, let sigma = Double(arguments[4])
    else { return nil }
    let sides = arguments[2].split(separator: "x").compactMap { Int($0) }
    guard sides.count == 2, let format = PictureFormat(width: sides[0], height: sides[1], pixelFormat: kind),
      !kind.isCompressed
    else { return nil }
    path = arguments[0]
    self.format = format
    self.frames = frames
    self.sigma = sigma
    var rest = arguments.dropFirst(5)
    while let option = rest.popFirst() {
      switch option {
      case "--static": isStatic = true
      case "--v3": instructions = .x86v3
      case "--zlib": timesZlib = true
      case "--repeat":
        guard let text = rest.popFirst(), let count = Int(text), count > 0 else { return nil }
        repeats = count
      case "--motion":
        guard let value = rest.popFirst().flatMap({ Int($0) }), (1...100).contains(value) else { return nil }
        motionSensitivity = value
      case "--write":
        guard let value = rest.popFirst() else { return nil }
        planarPath = value
      case "--write-parts":
        guard let value = rest.popFirst() else { return nil }
        partsPath = value
      case "--quality":
        switch rest.popFirst() {
        case "lossless": quality = .lossless
        case "gate": quality = .gate
        case .some(let text):
          guard let error = Int(text), (1...4).contains(error) else { return nil }
          quality = .maximumError(error)
        case nil: return nil
        }
      default: return nil
      }
    }
  }
}
