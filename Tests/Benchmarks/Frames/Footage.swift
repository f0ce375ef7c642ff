import EdgeCore
import FrameCodec
import Glibc
import Picture

enum Footage {
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  /// Reads raw pictures and adds noise. The noise is new for every picture and the same for every run.
  static func load(_ options: Options) throws -> [[UInt8]] {
    guard let file = fopen(options.path, "rb") else { throw Failure(description: "cannot open \(options.path)") }
    defer { fclose(file) }
    var noise = Noise(sigma: options.sigma)
    var pictures: [[UInt8]] = []
    var clean = [UInt8](repeating: 0, count: options.format.byteCount)
    for number in 0..<options.frames {
      if number == 0 || !options.isStatic {
        guard fread(&clean, 1, clean.count, file) == clean.count else {
          throw Failure(description: "\(options.path) has only \(number) pictures")
        }
      }
      pictures.append(noise.added(to: clean, options.format))
    }
    return pictures
  }

  /// Y, U and V of 4:2:2 one after the other, what other coders call yuv422p.
  static func writePlanar(_ pictures: [[UInt8]], _ format: PictureFormat, to path: String) throws {
    guard let file = fopen(path, "wb") else { throw Failure(description: "cannot write \(path)") }
    defer { fclose(file) }
    for picture in pictures {
      var planar: [UInt8] = []
      planar.reserveCapacity(picture.count)
      for plane in format.planes {
        for row in 0..<plane.height {
          let start = plane.offset + row * plane.rowBytes
          for column in 0..<plane.width { planar.append(picture[start + column * plane.step]) }
        }
      }
      fwrite(planar, 1, planar.count, file)
    }
  }

  /// Every part with its length, 4 bytes, highest first, in front.
  static func writeParts(_ frames: [EncodedFrame], to path: String) throws {
    guard let file = fopen(path, "wb") else { throw Failure(description: "cannot write \(path)") }
    defer { fclose(file) }
    for part in frames.flatMap(\.parts) {
      var writer = ByteWriter()
      writer.write(UInt32(part.count))
      fwrite(writer.bytes, 1, 4, file)
      fwrite(part, 1, part.count, file)
    }
  }
}

/// White Gaussian noise from a table of quantiles and a seeded generator: neither repeats visibly.
struct Noise {
  private let luma: [Int8]
  private let chroma: [Int8]
  private var random = SeededRandom(seed: 20)

  init(sigma: Double) {
    luma = Self.table(sigma)
    chroma = Self.table(sigma * 0.5.squareRoot())
  }

  /// 65,536 rounded samples, drawn by Box and Muller's method.
  private static func table(_ sigma: Double) -> [Int8] {
    var random = SeededRandom(seed: 19)
    return (0..<65536).map { _ in
      let u = Double.random(in: Double.leastNormalMagnitude..<1, using: &random)
      let v = Double.random(in: 0..<1, using: &random)
      return Int8(max(-127, min(127, (sigma * (-2 * log(u)).squareRoot() * cos(2 * .pi * v)).rounded())))
    }
  }

  mutating func added(to picture: [UInt8], _ format: PictureFormat) -> [UInt8] {
    guard luma.contains(where: { $0 != 0 }) else { return picture }
    var noisy = picture
    for (index, plane) in format.planes.enumerated() {
      let table = index == 0 ? luma : chroma
      for row in 0..<plane.height {
        var at = plane.offset + row * plane.rowBytes
        for _ in 0..<plane.width {
          let offset = Int(table[Int(random.next() >> 48)])
          noisy[at] = UInt8(max(0, min(255, Int(noisy[at]) + offset)))
          at += plane.step
        }
      }
    }
    return noisy
  }
}
