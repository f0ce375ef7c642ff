import EdgeCore
import FrameCodec
import Picture
import Testing

@Suite("Near-lossless")
struct NearLosslessTests {
  @Test(arguments: rawKinds, [1, 2, 3, 4])
  func `no sample differs by more than was promised`(kind: PixelFormat, limit: Int) throws {
    for footage in Footage.Kind.allCases {
      let format = try #require(PictureFormat(width: 98, height: 54, pixelFormat: kind))
      var source = Footage(format, footage, seed: UInt64(limit))
      var encoder = FrameEncoder(format: format, configuration: .init(quality: .maximumError(limit)))
      var decoder = FrameDecoder()
      for number in 0..<6 {
        let picture = source.picture(number)
        let decoded = try decoder.receiveAll(encoder.encode(picture, number).parts)
        #expect(!decoded.header.isExact)
        #expect(decoded.header.maximumError == limit)
        #expect(largestError(picture, decoded.picture, kind) <= limit)
      }
    }
  }

  @Test(arguments: [(-1, 0), (0, 0), (5, 4), (1000, 4)])
  func `an error that cannot be promised is taken for the nearest that can`(asked: Int, promised: UInt8) throws {
    let format = try #require(PictureFormat(width: 64, height: 48, pixelFormat: .yu12))
    var source = Footage(format, .noisyCard, seed: 4)
    var encoder = FrameEncoder(format: format, configuration: .init(quality: .maximumError(asked)))
    var decoder = FrameDecoder()
    for number in 0..<3 {
      let decoded = try decoder.receiveAll(encoder.encode(source.picture(number), number).parts)
      #expect(decoded.header.maximumError == promised)
      #expect(decoded.header.isExact == (promised == 0))
    }
  }

  @Test(arguments: rawKinds)
  func `a gate keeps its promise too`(kind: PixelFormat) throws {
    let format = try #require(PictureFormat(width: 98, height: 54, pixelFormat: kind))
    var source = Footage(format, .noisyCard, seed: 9)
    var encoder = FrameEncoder(format: format, configuration: .init(quality: .gate))
    var decoder = FrameDecoder()
    for number in 0..<6 {
      let picture = source.picture(number)
      let decoded = try decoder.receiveAll(encoder.encode(picture, number).parts)
      #expect(decoded.header.maximumError <= 12)
      #expect(largestError(picture, decoded.picture, kind) <= Int(decoded.header.maximumError))
    }
  }

  @Test func `quality may change from frame to frame`() throws {
    let format = try #require(PictureFormat(width: 160, height: 96, pixelFormat: .yuyv))
    var source = Footage(format, .noisyCard, seed: 10)
    var encoder = FrameEncoder(format: format)
    var decoder = FrameDecoder()
    var sizes: [Int: Int] = [:]
    for number in 0..<12 {
      let limit = number % 4
      encoder.configuration.quality = limit == 0 ? .lossless : .maximumError(limit)
      let picture = source.picture(number)
      let frame = try encoder.encode(picture, number)
      let decoded = try decoder.receiveAll(frame.parts)
      #expect(largestError(picture, decoded.picture, .yuyv) <= limit)
      if number >= 4 { sizes[limit, default: 0] += frame.byteCount }
    }
    #expect(sizes[1]! < sizes[0]! && sizes[2]! < sizes[0]! && sizes[3]! < sizes[0]!)
  }

  private func largestError(_ a: [UInt8], _ b: [UInt8], _ kind: PixelFormat) -> Int {
    if kind == .y16 {
      return stride(from: 0, to: a.count, by: 2).map { index in
        abs(Int(a[index]) + Int(a[index + 1]) << 8 - Int(b[index]) - Int(b[index + 1]) << 8)
      }.max() ?? 0
    }
    return zip(a, b).map { abs(Int($0) - Int($1)) }.max() ?? 0
  }
}
