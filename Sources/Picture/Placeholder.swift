/// What stands for a camera's picture while the camera gives none: dark, with a cross from corner to corner; plain grey in
/// H.264.
public enum Placeholder {
  public static func picture(_ format: PictureFormat) -> [UInt8] {
    switch format.pixelFormat {
    case .mjpeg: return jpeg(format)
    case .h264: return h264(format)
    default: return raw(format)
    }
  }

  private static func raw(_ format: PictureFormat) -> [UInt8] {
    let planes = format.planes
    var canvas = [UInt8](repeating: 0, count: format.byteCount)
    func paint(_ x: Int, _ y: Int, _ width: Int, _ height: Int, _ level: UInt8) {
      TestCard.paint(
        &canvas, format, planes, x: x, y: y, width: width, height: height,
        TestCard.Colour(r: level, g: level, b: level))
    }
    let (w, h) = (format.width, format.height)
    paint(0, 0, w, h, 32)
    let thick = max(2, h / 48)
    for step in 0..<h / thick {
      let y = step * thick
      let x = y * (w - thick) / max(1, h - thick)
      paint(x, y, thick * 2, thick, 128)
      paint(w - thick * 2 - x, y, thick * 2, thick, 128)
    }
    return canvas
  }
}
