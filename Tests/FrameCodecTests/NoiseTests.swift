import EdgeCore
import FrameCodec
import Picture
import Testing

/// Noise that stays has codes that stay, made from estimates; whatever comes instead must not be worse for it.
@Suite("Noise")
struct NoiseTests {
  private func noisy(_ amplitude: UInt64, _ format: PictureFormat, _ random: inout SeededRandom) -> [UInt8] {
    var picture = [UInt8](repeating: 0, count: format.byteCount)
    // The sum of three even distributions is nearly a normal one.
    for index in picture.indices {
      let word = random.next()
      let sum = word % amplitude &+ (word >> 20) % amplitude &+ (word >> 40) % amplitude
      picture[index] = UInt8(truncatingIfNeeded: 60 + UInt64(index / 7 % 90) + sum)
    }
    return picture
  }

  @Test(arguments: [(PixelFormat.yuyv, 512, 320), (.y16, 320, 240), (.rgb24, 320, 240)])
  func `noise that grows, stops and comes back is carried bit for bit`(
    kind: PixelFormat, width: Int, height: Int
  ) throws {
    let format = try #require(PictureFormat(width: width, height: height, pixelFormat: kind))
    var random = SeededRandom(seed: 21)
    var encoder = FrameEncoder(format: format)
    var decoder = FrameDecoder()
    // Amplitudes of single frames; 0 is a picture of random bytes.
    let course: [UInt64] = [3, 3, 3, 3, 3, 3, 3, 4, 0, 4, 3, 3, 6, 6, 6, 6, 12, 12, 1, 1, 1, 3, 3, 60, 3, 3]
    for (number, amplitude) in course.enumerated() {
      let picture = amplitude == 0 ? random.bytes(format.byteCount) : noisy(amplitude, format, &random)
      let frame = try encoder.encode(picture, number, key: number == 14)
      #expect(frame.parts.allSatisfy { $0.count <= 65_536 })
      let isSame = try decoder.receiveAll(frame.parts).picture == picture
      #expect(isSame, "\(format) picture \(number)")
    }
  }

  @Test func `steady noise costs little more than its entropy`() throws {
    let format = try #require(PictureFormat(width: 640, height: 240, pixelFormat: .grey))
    var random = SeededRandom(seed: 22)
    var encoder = FrameEncoder(format: format)
    var bytes = 0
    for number in 0..<16 {
      let frame = try encoder.encode(noisy(3, format, &random), number)
      if number >= 8 { bytes += frame.byteCount }
    }
    // Three even choices of three: 1, 3, 6, 7, 6, 3, 1 of 27, 2.5 bits. Their prediction has noise too.
    let bits = Double(bytes * 8) / Double(8 * format.byteCount)
    #expect(bits < 2.85, "\(bits)")
  }
}
