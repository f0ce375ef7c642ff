internal import EdgeCore
public import Picture

/// A frame ready to send: every part is one message.
public struct EncodedFrame: Sendable {
  public var sequence: UInt32
  public var isKey: Bool
  /// Messages of at most 65,536 bytes, to be sent in this order.
  public var parts: [[UInt8]]

  public init(sequence: UInt32, isKey: Bool, parts: [[UInt8]]) {
    self.sequence = sequence
    self.isKey = isKey
    self.parts = parts
  }

  /// Bytes of all parts.
  public var byteCount: Int { parts.reduce(0) { $0 + $1.count } }
}

/// How far the decoded picture may differ from the captured one.
public enum FrameQuality: Hashable, Sendable {
  /// Bit-exact.
  case lossless
  /// No sample differs by more than this, 1 to ``largestError``; what is outside is taken for the nearest, 0 for lossless.
  case maximumError(Int)
  /// Blocks that changed by no more than the camera's own noise are left as they were.
  case gate

  /// What ``maximumError(_:)`` may be at most.
  public static let largestError = 4
}

/// Turns the raw pictures of one source into frames.
///
/// One encoder per source and quality, whatever the number of viewers. Compressed kinds
/// (MJPEG, H.264) are not touched, only cut into parts. The output is a function of the calls
/// made: no clock, no random numbers.
public struct FrameEncoder: ~Copyable {
  public struct Configuration: Hashable, Sendable {
    public var quality: FrameQuality

    public init(quality: FrameQuality = .lossless) { self.quality = quality }
  }

  public let format: PictureFormat
  /// May be changed between frames.
  public var configuration: Configuration
  private let instructions: InstructionSet
  private var reference: UInt32?
  /// `nil` for a compressed kind.
  private var planes: PlaneEncoder?
  private var wasPredicted = false

  /// - Parameter instructions: what the processor has; makes the same stream in less time.
  public init(
    format: PictureFormat, configuration: Configuration = Configuration(), instructions: InstructionSet = .common
  ) {
    self.format = format
    self.instructions = instructions
    self.configuration = configuration
  }

  /// Encodes one picture.
  ///
  /// - Parameters:
  ///   - picture: tight rows in ``format``; for a compressed kind any bytes, 16 MiB at most.
  ///   - captureTimeMicroseconds: on the sender's clock, carried to the viewer as it is.
  ///   - sequence: any number other than the one of the frame before.
  ///   - key: makes a frame that needs no other. The first frame is one in any case. For a
  ///     compressed kind it says what the camera made, and forces nothing.
  /// - Throws: ``FrameError/wrongPictureLength(expected:got:)``, and nothing is changed.
  public mutating func encode(
    _ picture: RawSpan, captureTimeMicroseconds: UInt64, sequence: UInt32, key: Bool = false
  ) throws(FrameError) -> EncodedFrame {
    if format.pixelFormat.isCompressed {
      return try passThrough(picture, captureTimeMicroseconds, sequence, key || format.pixelFormat == .mjpeg)
    }
    guard picture.byteCount == format.byteCount else {
      throw .wrongPictureLength(expected: format.byteCount, got: picture.byteCount)
    }
    let isKey = key || reference == nil
    let header = FrameHeader(
      codec: .planes, format: format, sequence: sequence, captureTimeMicroseconds: captureTimeMicroseconds,
      isKey: isKey, reference: isKey ? sequence : reference ?? sequence, checksum: 0, isExact: true, maximumError: 0)
    if planes == nil { planes = PlaneEncoder(format: format, instructions: instructions) }
    let parts = planes!.encode(picture, header, configuration.quality)
    reference = sequence
    wasPredicted = !isKey
    return EncodedFrame(sequence: sequence, isKey: isKey, parts: parts)
  }

  private mutating func passThrough(
    _ picture: RawSpan, _ time: UInt64, _ sequence: UInt32, _ key: Bool
  ) throws(FrameError) -> EncodedFrame {
    guard picture.byteCount > 0, picture.byteCount <= Self.largestPassThrough else {
      throw .wrongPictureLength(expected: Self.largestPassThrough, got: picture.byteCount)
    }
    let header = FrameHeader(
      codec: .passThrough, format: format, sequence: sequence, captureTimeMicroseconds: time, isKey: key,
      reference: key ? sequence : reference ?? sequence &- 1, checksum: Adler32.checksum(picture), isExact: true,
      maximumError: 0)
    reference = sequence
    return cut(picture, header)
  }

  /// Where the last picture encoded differs from those before it; `nil` before the first predicted frame, after a
  /// key frame, which is not compared with anything, and for a compressed kind.
  public var activity: BlockActivity? {
    guard wasPredicted else { return nil }
    switch planes {
    case .some(let planes): return planes.activity
    case .none: return nil
    }
  }

  private func cut(_ bytes: RawSpan, _ header: FrameHeader) -> EncodedFrame {
    let room = PartHeader.largestPart - PartHeader.byteCount
    let count = (bytes.byteCount + room - 1) / room
    var parts: [[UInt8]] = []
    parts.reserveCapacity(count)
    for index in 0..<count {
      let start = index * room
      let end = min(bytes.byteCount, start + room)
      var writer = ByteWriter(reserving: PartHeader.byteCount + end - start)
      PartHeader(frame: header, partIndex: index, partCount: count).write(to: &writer)
      writer.write([UInt8](copying: bytes.extracting(start..<end)))
      parts.append(writer.bytes)
    }
    return EncodedFrame(sequence: header.sequence, isKey: header.isKey, parts: parts)
  }

  /// Bytes of the largest compressed picture carried.
  static let largestPassThrough = 16 << 20
}
