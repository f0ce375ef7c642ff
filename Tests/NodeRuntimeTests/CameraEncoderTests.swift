import Capture
import EdgeCore
import FrameCodec
import LinuxIO
import NodeLogic
import Picture
import Testing

@testable import NodeRuntime

@Suite("Camera encoder")
struct CameraEncoderTests {
  static let format = PictureFormat(width: 64, height: 48, pixelFormat: .grey)!
  static let rendition = Rendition(quality: .lossless)

  /// An encoder, and what came out of it.
  final class Scene {
    let reactor: Reactor
    let mailbox: Mailbox<EncodedPicture>
    let encoder: CameraEncoder
    private let taken: Taken
    private(set) var number: UInt32 = 0

    final class Taken { var pictures: [EncodedPicture] = [] }

    init(capacity: Int = 12) throws {
      let taken = Taken()
      reactor = try Reactor()
      mailbox = try Mailbox(reactor: reactor, capacity: capacity) { taken.pictures.append($0) }
      encoder = CameraEncoder(mailbox: mailbox)
      encoder.setRenditions([CameraEncoderTests.rendition])
      self.taken = taken
    }

    deinit { mailbox.close() }

    var pictures: [EncodedPicture] { taken.pictures }

    /// The camera's next picture, at a time of the test's.
    func capture(_ format: PictureFormat = CameraEncoderTests.format, milliseconds: Int) {
      let now = Instant.zero + .seconds(10) + .milliseconds(milliseconds)
      number += 1
      let bytes = [UInt8](repeating: UInt8(number & 255), count: format.byteCount)
      encoder.encode(
        FrameInfo(format: format, sequence: number, missed: 0, captured: now), bytes.span.bytes, at: now)
    }

    func take() throws { try reactor.turn(waitingAtMost: .zero) }
  }

  @Test func `key frames asked for with every picture are one a second`() throws {
    let scene = try Scene()
    for tenth in 0..<35 {
      scene.encoder.requestKeyFrame(Self.rendition)
      scene.capture(milliseconds: tenth * 100)
      try scene.take()
    }
    // The first is the encoder's own, and counts.
    let keys = scene.pictures.filter { $0.frame.isKey }.map { $0.number - 1 }
    #expect(scene.pictures.count == 35)
    #expect(keys == [0, 10, 20, 30])
  }

  @Test func `a reactor that takes nothing costs pictures, and not one key frame`() throws {
    let scene = try Scene(capacity: 3)
    for tenth in 0..<10 { scene.capture(milliseconds: tenth * 100) }
    try scene.take()
    #expect(scene.encoder.refusedPictures == 7)
    for tenth in 10..<30 {
      scene.capture(milliseconds: tenth * 100)
      try scene.take()
    }
    let pictures = scene.pictures
    #expect(pictures.map { $0.number } == [1, 2, 3] + Array(11...30))
    #expect(pictures.filter { $0.frame.isKey }.map { $0.number } == [1])
    // Nothing that was refused is missed by what came after.
    var decoder = FrameDecoder()
    for picture in pictures {
      var decoded: DecodedFrame?
      for part in picture.frame.parts { decoded = try decoder.receive(part.span.bytes) }
      #expect(decoded?.picture.first == UInt8(picture.number))
    }
  }

  /// Numbered access units, an IDR picture with every tenth; the parameter sets come once, in a buffer of their own.
  static func accessUnit(_ number: Int) -> [UInt8] {
    let start: [UInt8] = [0, 0, 0, 1]
    if number == 0 { return parameterSets }
    let isKey = number % 10 == 1
    return start + [isKey ? 0x65 : 0x41, 0x80 | UInt8(number / 100), 0x80 | UInt8(number % 100)]
  }

  static let parameterSets: [UInt8] = [0, 0, 0, 1, 0x67, 0x42, 0, 0x1E, 0x95, 0xA8, 0, 0, 0, 1, 0x68, 0xCE, 0x38, 0x80]

  @Test func `H.264 for which there was no room goes on at an IDR picture with its parameter sets`() throws {
    let format = try #require(PictureFormat(width: 64, height: 48, pixelFormat: .h264))
    let scene = try Scene()
    var gate = DeliveryGate(budgetBytes: 60)
    var delivered: [[UInt8]] = []
    var unsent = 0
    var decoder = FrameDecoder()
    var offered = 0
    for number in 0..<200 {
      let unit = Self.accessUnit(number)
      // What a narrow path does to the feed: nothing is made while there is no room.
      scene.encoder.setHeld(Self.rendition, !gate.hasRoom(bytes: 20, unsentBytes: unsent))
      scene.encoder.encode(
        FrameInfo(format: format, sequence: UInt32(number), missed: 0, captured: .zero), unit.span.bytes,
        at: .zero + .milliseconds(number * 40))
      try scene.take()
      unsent = max(0, unsent - 4)
      for picture in scene.pictures[offered...] {
        offered += 1
        let bytes = Self.accessUnit(picture.number - 1).count
        // And what another viewer with room makes of it: pictures that are made and do not fit.
        if number % 37 == 30 { unsent += 60 }
        guard gate.admit(bytes: bytes, isKey: picture.frame.isKey, unsentBytes: unsent) == .send else { continue }
        unsent += bytes
        for part in picture.frame.parts {
          if let frame = try decoder.receive(part.span.bytes) { delivered.append(frame.picture) }
        }
      }
    }
    var last: Int?
    var gaps = 0
    for picture in delivered {
      let number = try #require((0..<200).first { Self.accessUnit($0).suffix(7) == picture.suffix(7) })
      if last.map({ $0 + 1 != number }) ?? true {
        if last != nil { gaps += 1 }
        #expect(picture == Self.parameterSets + Self.accessUnit(number))
        #expect(number % 10 == 1)
      }
      last = number
    }
    #expect(gaps > 3)
    #expect(delivered.count > 40)
  }

  @Test func `a camera that changes its size goes on with a key frame of that size`() throws {
    let scene = try Scene()
    let large = try #require(PictureFormat(width: 128, height: 96, pixelFormat: .grey))
    scene.capture(milliseconds: 0)
    scene.capture(milliseconds: 40)
    scene.capture(large, milliseconds: 80)
    scene.capture(large, milliseconds: 120)
    try scene.take()
    #expect(scene.pictures.map { $0.frame.isKey } == [true, false, true, false])
    var decoder = FrameDecoder()
    var sizes: [Int] = []
    for part in scene.pictures.flatMap({ $0.frame.parts }) {
      if let frame = try decoder.receive(part.span.bytes) { sizes.append(frame.header.format.width) }
    }
    #expect(sizes == [64, 64, 128, 128])
  }
}
