import Alarms
import EdgeCore
import FrameCodec
import Glibc
import Picture

/// What the motion detector makes of a picture at rest with a sensor's noise, and then of a small thing that crosses
/// it; of `FRAMES` pictures at 30 a second it is shown every third, as on a node. Prints one JSON object.
enum MotionRun {
  private static let side = 24

  static func run(_ options: Options, sensitivity: Int) throws {
    guard let file = fopen(options.path, "rb") else {
      throw Footage.Failure(description: "cannot open \(options.path)")
    }
    defer { fclose(file) }
    var clean = [UInt8](repeating: 0, count: options.format.byteCount)
    guard fread(&clean, 1, clean.count, file) == clean.count else {
      throw Footage.Failure(description: "\(options.path) has no picture")
    }
    var settings = MotionDetector.Settings()
    settings.sensitivity = sensitivity
    settings.hold = .seconds(2)
    var detector = MotionDetector(settings)
    var encoder = FrameEncoder(format: options.format, instructions: options.instructions)
    var noise = Noise(sigma: options.sigma)
    var falseAlarms = 0
    var milliseconds = 0.0
    var number = 0
    func event(_ picture: [UInt8]) throws -> MotionDetector.Event? {
      let noisy = noise.added(to: picture, options.format)
      let began = FrameBenchmark.cpuMilliseconds()
      defer { milliseconds += FrameBenchmark.cpuMilliseconds() - began }
      _ = try encoder.encode(noisy.span.bytes, captureTimeMicroseconds: 0, sequence: UInt32(number))
      number += 1
      guard let activity = encoder.activity else { return nil }
      return detector.see(
        columns: activity.columns, rows: activity.rows, energies: activity.energies, noise: activity.noise,
        at: Instant(nanoseconds: Int64(number) * 100_000_000))
    }
    for _ in 0..<options.frames / 3 {
      if case .began = try event(clean) { falseAlarms += 1 }
    }
    let rest = milliseconds / Double(number)
    // From left to right, 4 pixels a picture: 40 a second.
    var passes = 0
    var seen = 0
    var delays: [Int] = []
    for row in stride(from: 40, to: options.format.height - 2 * side, by: 100) {
      passes += 1
      for _ in 0..<40 { _ = try event(clean) }
      for step in 0..<30 {
        let picture = with(clean, options.format, boxAt: 100 + 4 * step, row)
        if case .began = try event(picture) {
          seen += 1
          delays.append(step + 1)
          break
        }
      }
    }
    print(
      "{\"pictures\": \(options.frames), \"shown\": \(options.frames / 3), \"sigma\": \(options.sigma), "
        + "\"sensitivity\": \(sensitivity), \"false_alarms\": \(falseAlarms), \"passes\": \(passes), \"seen\": \(seen), "
        + "\"pictures_until_seen\": \(delays.max() ?? 0), \"ms_each\": \((rest * 1000).rounded() / 1000)}")
  }

  /// The picture with a box 40 steps darker.
  private static func with(_ picture: [UInt8], _ format: PictureFormat, boxAt x: Int, _ y: Int) -> [UInt8] {
    var picture = picture
    let plane = format.planes[0]
    for row in y..<y + side {
      for column in x..<x + side {
        let at = plane.offset + row * plane.rowBytes + column * plane.step
        picture[at] = UInt8(max(0, Int(picture[at]) - 40))
      }
    }
    return picture
  }
}
