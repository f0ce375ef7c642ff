import EdgeCore
import FrameCodec
import Picture
import Testing

@Suite("Lost and hostile parts")
struct HostileTests {
  private func sequence(
    _ kind: PixelFormat = .yuyv, _ footage: Footage.Kind = .noisyCard, width: Int = 320, height: Int = 160,
    keys: Set<Int> = [], count: Int = 6
  ) throws -> (pictures: [[UInt8]], frames: [EncodedFrame]) {
    let format = try #require(PictureFormat(width: width, height: height, pixelFormat: kind))
    var source = Footage(format, footage, seed: 13)
    var encoder = FrameEncoder(format: format)
    let pictures = (0..<count).map { source.picture($0) }
    var frames: [EncodedFrame] = []
    for (number, picture) in pictures.enumerated() {
      frames.append(try encoder.encode(picture, number, key: keys.contains(number)))
    }
    return (pictures, frames)
  }

  private func error(_ decoder: inout FrameDecoder, _ part: [UInt8]) -> FrameError? {
    do throws(FrameError) {
      _ = try decoder.receive(part.span.bytes)
      return nil
    } catch { return error }
  }

  @Test func `after a lost part nothing is shown until a key frame`() throws {
    let (pictures, frames) = try sequence(.yuyv, .randomBytes, keys: [4])
    var decoder = FrameDecoder()
    #expect(decoder.needsKeyFrame == true)
    #expect(try decoder.receiveAll(frames[0].parts).picture == pictures[0])
    #expect(decoder.needsKeyFrame == false)
    for part in frames[1].parts.dropFirst() { #expect(error(&decoder, part) == nil) }
    #expect(error(&decoder, frames[2].parts[0]) == .incomplete(sequence: 1))
    #expect(decoder.needsKeyFrame == true)
    #expect(error(&decoder, frames[2].parts[1]) == .missingReference(sequence: 2, reference: 1))
    #expect(error(&decoder, frames[3].parts[0]) == .missingReference(sequence: 3, reference: 2))
    #expect(try decoder.receiveAll(frames[4].parts).picture == pictures[4])
    #expect(decoder.needsKeyFrame == false)
    #expect(try decoder.receiveAll(frames[5].parts).picture == pictures[5])
  }

  @Test func `a lost frame is noticed by the next one`() throws {
    let (_, frames) = try sequence()
    var decoder = FrameDecoder()
    _ = try decoder.receiveAll(frames[0].parts)
    #expect(error(&decoder, frames[2].parts[0]) == .missingReference(sequence: 2, reference: 1))
    #expect(decoder.needsKeyFrame == true)
    // A key frame may interrupt an unfinished frame without an error.
    var other = FrameDecoder()
    let (pictures, more) = try sequence(.yuyv, .randomBytes, keys: [1])
    #expect(error(&other, more[0].parts[0]) == nil)
    #expect(try other.receiveAll(more[1].parts).picture == pictures[1])
  }

  @Test func `headers are refused for what is wrong with them`() throws {
    let (_, frames) = try sequence(count: 1)
    let part = frames[0].parts[0]
    func refusal(_ changes: [Int: UInt8]) -> FrameError? {
      var changed = part
      for (at, value) in changes { changed[at] = value }
      var decoder = FrameDecoder()
      return error(&decoder, changed)
    }
    #expect(refusal([0: 1]) == .unsupportedVersion(1))
    #expect(refusal([0: 3]) == .unsupportedVersion(3))
    #expect(refusal([1: 7]) == .malformed(.header))
    #expect(refusal([1: 1]) == .malformed(.header))
    #expect(refusal([2: 0x80]) == .malformed(.header))
    #expect(refusal([2: 2]) == .malformed(.header))
    #expect(refusal([3: 0]) == .malformed(.header))
    #expect(refusal([16: 0, 17: 15]) == .refusedSize(width: 15, height: 160))
    #expect(refusal([16: 0xFF, 17: 0xFE]) == .refusedSize(width: 65534, height: 160))
    #expect(refusal([22: 0, 23: 0]) == .malformed(.parts))
    #expect(refusal([20: 0, 21: 9]) == .malformed(.parts))
    #expect(refusal([33: 8]) == .malformed(.header))
    #expect(refusal([34: 2]) == .malformed(.header))
    #expect(refusal([36: 0xFF]) == .malformed(.rows))
    var decoder = FrameDecoder()
    #expect(error(&decoder, Array(part.prefix(20))) == .truncated(offset: 20, wanted: 2))
    #expect(error(&decoder, part + [UInt8](repeating: 0, count: 65_536)) == .malformed(.parts))
    var small = FrameDecoder(limits: .init(pixels: 320 * 160 - 1))
    #expect(error(&small, part) == .refusedSize(width: 320, height: 160))
  }

  @Test func `a wrong picture is never shown`() throws {
    let (_, frames) = try sequence(count: 2)
    var decoder = FrameDecoder()
    var parts = frames[0].parts
    for index in parts.indices { parts[index][27] ^= 1 }
    for part in parts.dropLast() { #expect(error(&decoder, part) == nil) }
    #expect(error(&decoder, parts[parts.count - 1]) == .checksumMismatch(sequence: 0))
    #expect(decoder.needsKeyFrame == true)
    #expect(error(&decoder, frames[1].parts[0]) == .missingReference(sequence: 1, reference: 0))
  }

  /// Whatever arrives is refused or decodes to a picture of the announced size, and the next key frame
  /// decodes as if nothing had happened.
  @Test(arguments: [PixelFormat.yuyv, .nv12, .rgb24, .grey, .y16], UInt64(0)..<8)
  func `changed parts never trap and never stick`(kind: PixelFormat, seed: UInt64) throws {
    let (pictures, frames) = try sequence(kind, seed % 2 == 0 ? .noisyCard : .extremes, width: 96, height: 64, count: 3)
    var random = SeededRandom(seed: seed)
    var decoder = FrameDecoder()
    for _ in 0..<150 {
      for frame in frames {
        for part in frame.parts {
          var changed = part
          switch random.next() % 4 {
          case 0: changed.removeLast(Int(random.next() % UInt64(changed.count)))
          case 1: changed += random.bytes(Int(random.next() % 64))
          default:
            for _ in 0..<1 + random.next() % 4 {
              // Half of the changes go to the headers.
              let range = random.next() & 1 == 0 ? min(changed.count, 140) : changed.count
              changed[Int(random.next() % UInt64(range))] = UInt8(truncatingIfNeeded: random.next())
            }
          }
          // Sizes stay small, so that memory does.
          if changed.count > 20 { (changed[16], changed[18]) = (0, 0) }
          if let decoded = try? decoder.receive(changed.span.bytes) {
            #expect(decoded.picture.count == decoded.header.format.byteCount)
          }
        }
      }
    }
    // Whatever frame is open now, and whatever format: a key frame starts over.
    var restart = frames[0].parts
    for index in restart.indices { restart[index].replaceSubrange(4..<8, with: [0xEE, 0, 0, 1]) }
    for index in restart.indices { restart[index].replaceSubrange(28..<32, with: [0xEE, 0, 0, 1]) }
    #expect(try decoder.receiveAll(restart).picture == pictures[0])
  }

  @Test func `noise from the network is refused`() {
    var random = SeededRandom(seed: 14)
    var decoder = FrameDecoder(limits: .init(pixels: 640 * 480, compressedBytes: 1 << 16))
    for _ in 0..<20_000 {
      var bytes = random.bytes(Int(random.next() % 120))
      // Far enough into the parser to matter.
      if bytes.count > 3 { (bytes[0], bytes[1], bytes[2]) = (1, bytes[1] & 1, bytes[2] & 7) }
      if bytes.count > 30, random.next() & 1 == 0 {
        bytes.replaceSubrange(28..<min(bytes.count, 32), with: bytes[4..<4 + min(bytes.count, 32) - 28])
        (bytes[16], bytes[18], bytes[20], bytes[22]) = (1, 1, 0, 0)
      }
      _ = try? decoder.receive(bytes.span.bytes)
    }
    #expect(decoder.needsKeyFrame == true)
  }
}
