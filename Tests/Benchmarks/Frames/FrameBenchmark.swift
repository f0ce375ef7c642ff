import Deflate
import EdgeCore
import FrameCodec
import Glibc
import Picture

/// Times the frame coder on raw footage, one core, CPU time, and prints one JSON object.
///
///     frame-benchmark FILE FORMAT WIDTHxHEIGHT FRAMES SIGMA [--static] [--quality lossless|1..4|gate]
///                     [--v3] [--zlib] [--repeat N] [--write FILE] [--write-parts FILE] [--motion SENSITIVITY]
///
/// `SIGMA` is the standard deviation of the white Gaussian noise added to luma; chroma gets 0.7 of it.
/// `--v3` uses the instructions of x86-64-v3, which the processor must have.
/// `--write` keeps the noisy pictures as planar 4:2:2, for other coders to be measured on.
@main
enum FrameBenchmark {
  static func main() throws {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard let options = Options(arguments) else {
      print(
        """
        usage: frame-benchmark FILE FORMAT WIDTHxHEIGHT FRAMES SIGMA [--static] [--quality Q] [--v3] [--zlib]
                               [--repeat N] [--write FILE] [--write-parts FILE] [--motion SENSITIVITY]
        """)
      exit(64)
    }
    if let sensitivity = options.motionSensitivity { return try MotionRun.run(options, sensitivity: sensitivity) }
    let pictures = try Footage.load(options)
    if let path = options.planarPath { try Footage.writePlanar(pictures, options.format, to: path) }

    var encodeTimes: [Double] = []
    var decodeTimes: [Double] = []
    var frames: [EncodedFrame] = []
    var errors = 0.0
    // Where each picture is put before the clock starts, as a driver does, and as ffmpeg does in the time that is
    // subtracted from its coders': the clip itself is too long for any cache.
    var captured = [UInt8](repeating: 0, count: options.format.byteCount)
    for _ in 0..<options.repeats {
      frames = []
      errors = 0
      var encoder = FrameEncoder(
        format: options.format, configuration: .init(quality: options.quality), instructions: options.instructions)
      for (index, picture) in pictures.enumerated() {
        captured.withUnsafeMutableBytes { to in picture.withUnsafeBytes { to.copyMemory(from: $0) } }
        let start = cpuMilliseconds()
        frames.append(
          try encoder.encode(
            captured.span.bytes, captureTimeMicroseconds: UInt64(index) * 33_333, sequence: UInt32(index)))
        encodeTimes.append(cpuMilliseconds() - start)
      }
      var decoder = FrameDecoder(instructions: options.instructions)
      for (index, frame) in frames.enumerated() {
        var decoded: DecodedFrame?
        let start = cpuMilliseconds()
        for part in frame.parts { decoded = try decoder.receive(part.span.bytes) }
        decodeTimes.append(cpuMilliseconds() - start)
        guard let picture = decoded?.picture else { fatalError("frame \(index) did not decode") }
        if options.quality == .lossless {
          guard picture == pictures[index] else { fatalError("frame \(index) is not what was encoded") }
        } else {
          errors += squaredError(picture, pictures[index])
        }
      }
    }
    if let path = options.partsPath { try Footage.writeParts(frames, to: path) }

    // The first frame is a key frame and has cold caches: told apart.
    let rawBytes = options.format.byteCount * (pictures.count - 1)
    let codedBytes = frames.dropFirst().reduce(0) { $0 + $1.byteCount }
    let parts = frames.dropFirst().reduce(0) { $0 + $1.parts.count }
    var fields = [
      "\"format\": \"\(options.format)\"", "\"sigma\": \(options.sigma)", "\"frames\": \(pictures.count)",
      "\"ratio\": \(rounded(Double(rawBytes) / Double(codedBytes)))",
      "\"encode_ms\": \(rounded(median(encodeTimes.dropFirst())))",
      "\"decode_ms\": \(rounded(median(decodeTimes.dropFirst())))",
      "\"key_ratio\": \(rounded(Double(options.format.byteCount) / Double(frames[0].byteCount)))",
      "\"parts_per_frame\": \(rounded(Double(parts) / Double(pictures.count - 1)))",
    ]
    fields.append("\"encode_least_ms\": \(rounded(leastMedian(encodeTimes, pictures.count)))")
    fields.append("\"decode_least_ms\": \(rounded(leastMedian(decodeTimes, pictures.count)))")
    if options.quality != .lossless {
      let mean = errors / Double(pictures.count * options.format.byteCount)
      fields.append("\"psnr_db\": \(rounded(mean > 0 ? 10 * log10(255 * 255 / mean) : 99))")
    }
    if options.timesZlib { fields += zlibFields(pictures) }
    print("{" + fields.joined(separator: ", ") + "}")
  }

  private static func zlibFields(_ pictures: [[UInt8]]) -> [String] {
    var fields: [String] = []
    // zlib needs tens of milliseconds for a picture: a few are enough.
    let some = pictures.prefix(8)
    for level in [1, 6] {
      var deflateTimes: [Double] = []
      var inflateTimes: [Double] = []
      var bytes = 0
      for picture in some {
        let start = cpuMilliseconds()
        let stream = Zlib.deflate(picture, level: level)
        let middle = cpuMilliseconds()
        guard (try? Zlib.inflate(stream, limit: picture.count)) == picture else { fatalError("zlib") }
        deflateTimes.append(middle - start)
        inflateTimes.append(cpuMilliseconds() - middle)
        bytes += stream.count
      }
      fields += [
        "\"zlib\(level)_ratio\": \(rounded(Double(some.reduce(0) { $0 + $1.count }) / Double(bytes)))",
        "\"zlib\(level)_encode_ms\": \(rounded(median(deflateTimes[...])))",
        "\"zlib\(level)_decode_ms\": \(rounded(median(inflateTimes[...])))",
      ]
    }
    return fields
  }

  private static func squaredError(_ a: [UInt8], _ b: [UInt8]) -> Double {
    var sum = 0
    for index in a.indices {
      let difference = Int(a[index]) - Int(b[index])
      sum += difference * difference
    }
    return Double(sum)
  }

  private static func median(_ values: ArraySlice<Double>) -> Double {
    let sorted = values.sorted()
    return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
  }

  /// The median over all pictures but the first, of the round in which that is least: the machine may be shared.
  private static func leastMedian(_ times: [Double], _ pictures: Int) -> Double {
    stride(from: 0, to: times.count, by: pictures).map { median(times[$0 + 1..<$0 + pictures]) }.min() ?? 0
  }

  private static func rounded(_ value: Double) -> Double { (value * 1000).rounded() / 1000 }

  /// CPU time of this thread.
  static func cpuMilliseconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1000 + Double(time.tv_nsec) / 1_000_000
  }
}
