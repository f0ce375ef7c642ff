import FrameCodec
import LinuxIO
import Picture
import Testing

@Suite("Instruction sets")
struct InstructionSetTests {
  @Test(
    .enabled(if: ProcessFacts.processorIsX86V3, "this processor has no AVX2"), arguments: rawKinds,
    [FrameQuality.lossless, .maximumError(2), .gate])
  func `streams and pictures are the same with and without AVX2`(kind: PixelFormat, quality: FrameQuality) throws {
    let format = try #require(PictureFormat(width: 150, height: 82, pixelFormat: kind))
    for footage in Footage.Kind.allCases {
      var source = Footage(format, footage, seed: 5)
      var common = FrameEncoder(format: format, configuration: .init(quality: quality))
      var v3 = FrameEncoder(format: format, configuration: .init(quality: quality), instructions: .x86v3)
      var commonDecoder = FrameDecoder()
      var v3Decoder = FrameDecoder(instructions: .x86v3)
      for number in 0..<8 {
        let picture = source.picture(number)
        let frame = try common.encode(picture, number)
        let isSameStream = try v3.encode(picture, number).parts == frame.parts
        #expect(isSameStream, "\(footage) \(number)")
        let isSamePicture = try commonDecoder.receiveAll(frame.parts) == v3Decoder.receiveAll(frame.parts)
        #expect(isSamePicture, "\(footage) \(number)")
      }
    }
  }
}
