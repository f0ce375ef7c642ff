import CLinux
import EdgeCore
import FrameCodec
import Picture

/// Prints checksums of streams and of the pictures they decode to, one line for every sequence of pictures.
///
///     frame-checksums common|v3                              pictures made from seeds, all formats and qualities
///     frame-checksums common|v3 FORMAT WIDTH HEIGHT FILE     raw pictures from a file
@main
enum FrameChecksums {
  static func main() {
    let arguments = readArguments()
    guard let first = arguments.first, first == "common" || first == "v3" else { exit(64) }
    let instructions: InstructionSet = first == "v3" ? .x86v3 : .common
    if arguments.count == 1 {
      seeded(instructions)
    } else {
      guard arguments.count == 5, let kind = PixelFormat(name: arguments[1]), let width = Int(arguments[2]),
        let height = Int(arguments[3]), let format = PictureFormat(width: width, height: height, pixelFormat: kind)
      else { exit(64) }
      clip(arguments[4], format, instructions)
    }
  }

  /// Embedded Swift has no `CommandLine`; the kernel keeps the arguments, each with a zero byte behind it.
  private static func readArguments() -> [String] {
    let file = edge_open("/proc/self/cmdline", O_RDONLY, 0)
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = bytes.withUnsafeMutableBytes { read(file, $0.baseAddress!, $0.count) }
    close(file)
    return bytes.prefix(max(0, count)).split(separator: 0).dropFirst().map { String(decoding: $0, as: UTF8.self) }
  }

  /// 1,008 pictures in sequences of 7.
  private static func seeded(_ instructions: InstructionSet) {
    var random = SeededRandom(seed: 4)
    for kind in PixelFormat.allCases where !kind.isCompressed {
      for quality in [FrameQuality.lossless, .lossless, .maximumError(1), .gate] {
        for source in 0..<4 {
          let width = 16 + 2 * Int(random.next() % 72)
          let height = 16 + 2 * Int(random.next() % 40)
          guard let format = PictureFormat(width: width, height: height, pixelFormat: kind) else { exit(70) }
          var sums = Sums(format, quality, instructions)
          for number in 0..<7 { sums.add(picture(source, number, format, &random)) }
          sums.tell()
        }
      }
    }
  }

  /// A test card, one with noise, random bytes, or a slow gradient.
  private static func picture(
    _ source: Int, _ number: Int, _ format: PictureFormat, _ random: inout SeededRandom
  ) -> [UInt8] {
    guard source < 2 else {
      var picture = [UInt8](repeating: 0, count: format.byteCount)
      for index in picture.indices {
        picture[index] =
          source == 2
          ? UInt8(truncatingIfNeeded: random.next()) : UInt8(truncatingIfNeeded: index / 3 + number * 2)
      }
      return picture
    }
    var picture = TestCard(format: format)!.picture(UInt32(number))
    guard source == 1 else { return picture }
    for index in picture.indices {
      let noisy = Int(picture[index]) + Int(random.next() % 5) - 2
      picture[index] = UInt8(max(0, min(255, noisy)))
    }
    return picture
  }

  private static func clip(_ path: String, _ format: PictureFormat, _ instructions: InstructionSet) {
    let file = edge_open(path, O_RDONLY, 0)
    guard file >= 0 else { exit(66) }
    var sums = Sums(format, .lossless, instructions)
    var picture = [UInt8](repeating: 0, count: format.byteCount)
    while fill(&picture, from: file) { sums.add(picture) }
    close(file)
    sums.tell()
  }

  private static func fill(_ picture: inout [UInt8], from file: Int32) -> Bool {
    let count = picture.count
    var at = 0
    return picture.withUnsafeMutableBytes { bytes in
      while at < count {
        let got = read(file, bytes.baseAddress! + at, count - at)
        if got <= 0 { return false }
        at += got
      }
      return true
    }
  }
}

/// One sequence, through an encoder and a decoder.
struct Sums: ~Copyable {
  private let format: PictureFormat
  private let quality: FrameQuality
  private var encoder: FrameEncoder
  private var decoder: FrameDecoder
  private var streams = Adler32()
  private var pictures = Adler32()
  private var count = 0
  private var bytes = 0

  init(_ format: PictureFormat, _ quality: FrameQuality, _ instructions: InstructionSet) {
    self.format = format
    self.quality = quality
    encoder = FrameEncoder(format: format, configuration: .init(quality: quality), instructions: instructions)
    decoder = FrameDecoder(instructions: instructions)
  }

  mutating func add(_ picture: [UInt8]) {
    count += 1
    guard
      let frame = try? encoder.encode(
        picture.span.bytes, captureTimeMicroseconds: UInt64(count), sequence: UInt32(count))
    else { exit(70) }
    var isDecoded = false
    for part in frame.parts {
      streams.append(part.span.bytes)
      bytes += part.count
      guard let decoded = try? decoder.receive(part.span.bytes) else { continue }
      isDecoded = quality != .lossless || decoded.picture == picture
      pictures.append(decoded.picture.span.bytes)
    }
    guard isDecoded else {
      print("picture \(count) of \(format.pixelFormat.name) \(format.width)x\(format.height) did not come back")
      exit(1)
    }
  }

  func tell() {
    print(
      "\(format.pixelFormat.name) \(format.width)x\(format.height) \(count) pictures, \(bytes) bytes: "
        + "\(streams.value) \(pictures.value)")
  }
}
