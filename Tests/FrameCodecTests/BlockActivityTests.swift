import EdgeCore
import FrameCodec
import Picture
import Testing

@Suite("Block activity")
struct BlockActivityTests {
  @Test func `a frame that was not predicted says nothing`() throws {
    let format = try #require(PictureFormat(width: 96, height: 40, pixelFormat: .yuyv))
    var source = Footage(format, .noisyCard, seed: 1)
    var encoder = FrameEncoder(format: format)
    isSilent(encoder.activity)
    _ = try encoder.encode(source.picture(0), 0)
    isSilent(encoder.activity)
    _ = try encoder.encode(source.picture(0), 1)
    let activity = try told(encoder.activity)
    #expect(activity.columns == 3 && activity.rows == 5 && activity.energies.count == 15)
    _ = try encoder.encode(source.picture(0), 2, key: true)
    isSilent(encoder.activity)
  }

  @Test(arguments: rawKinds, [FrameQuality.lossless, .maximumError(2), .gate])
  func `a block that moves stands out of the noise, and no other`(kind: PixelFormat, quality: FrameQuality) throws {
    let format = try #require(PictureFormat(width: 320, height: 160, pixelFormat: kind))
    var random = SeededRandom(seed: 2)
    var encoder = FrameEncoder(format: format, configuration: .init(quality: quality))
    let plane = format.planes[0]
    for number in 0..<12 {
      var picture = [UInt8](repeating: 100, count: format.byteCount)
      for index in picture.indices { picture[index] += UInt8(random.next() % 5) }
      // 32x8 samples, one block further to the right in every frame: what comes and what is uncovered.
      for row in 80..<88 {
        for column in number % 4 * 32..<number % 4 * 32 + 32 {
          picture[plane.offset + row * plane.rowBytes + column * plane.step] += 50
        }
      }
      _ = try encoder.encode(picture, number)
      guard number >= 6 else { continue }
      let activity = try told(encoder.activity)
      #expect(activity.noise > BlockActivity.leastNoise)
      for row in 0..<activity.rows {
        for column in 0..<activity.columns {
          let level = activity.level(column: column, row: row)
          if row == 10 && column == number % 4 {
            #expect(level > 100, "\(number): \(level)")
          } else if row != 10 {
            #expect((8..<28).contains(level), "\(number): \(level) at \(column), \(row)")
          }
        }
      }
    }
  }

  @Test func `a source without noise has the least`() throws {
    let format = try #require(PictureFormat(width: 64, height: 48, pixelFormat: .nv12))
    var encoder = FrameEncoder(format: format)
    let picture = try #require(TestCard(format: format)).picture(3)
    for number in 0..<6 { _ = try encoder.encode(picture, number) }
    let activity = try told(encoder.activity)
    #expect(activity.noise == BlockActivity.leastNoise && activity.energies.allSatisfy { $0 == 0 })
  }

  @Test func `what was kept stays as it was`() throws {
    let format = try #require(PictureFormat(width: 64, height: 48, pixelFormat: .grey))
    var source = Footage(format, .noisyCard, seed: 3)
    var encoder = FrameEncoder(format: format)
    for number in 0..<3 { _ = try encoder.encode(source.picture(number), number) }
    let kept = try told(encoder.activity)
    let energies = kept.energies.map { Int($0) }
    _ = try encoder.encode(source.picture(9), 4)
    #expect(kept.energies.map { Int($0) } == energies)
    let changed = try told(encoder.activity)
    #expect(changed != kept)
  }

  // `#expect` cannot look into a value that may not be copied.
  private func told(_ activity: BlockActivity?) throws -> BlockActivity { try #require(activity) }

  private func isSilent(_ activity: BlockActivity?) { #expect(activity == nil) }
}
