internal import EdgeCore
public import Picture

/// What every part of a frame says of itself and of its frame (docs/frame-format.md, "Header").
public struct FrameHeader: Hashable, Sendable {
  /// How the body of the parts is coded.
  public enum Codec: UInt8, Sendable {
    /// Predicted, packed and Huffman-coded samples: this target's own coder.
    case planes = 0
    /// Bytes as the camera delivered them.
    case passThrough = 1
  }

  public var codec: Codec
  public var format: PictureFormat
  /// Counts the frames of one source; wraps.
  public var sequence: UInt32
  /// When the picture was captured, on the sender's clock.
  public var captureTimeMicroseconds: UInt64
  /// Can be decoded without any other frame.
  public var isKey: Bool
  /// The frame this one builds on; its own ``sequence`` for a key frame.
  public var reference: UInt32
  /// Adler-32 of the picture the decoder must produce. With ``isExact`` that is the raw picture,
  /// taken before encoding.
  public var checksum: UInt32
  /// No sample differs from the raw picture.
  public var isExact: Bool
  /// Largest difference of any sample from the raw picture; 0 when exact, 255 when not promised.
  public var maximumError: UInt8

  public init(
    codec: Codec, format: PictureFormat, sequence: UInt32, captureTimeMicroseconds: UInt64, isKey: Bool,
    reference: UInt32, checksum: UInt32, isExact: Bool, maximumError: UInt8
  ) {
    self.codec = codec
    self.format = format
    self.sequence = sequence
    self.captureTimeMicroseconds = captureTimeMicroseconds
    self.isKey = isKey
    self.reference = reference
    self.checksum = checksum
    self.isExact = isExact
    self.maximumError = maximumError
  }
}

/// One message: the header of its frame and the place of the part in it.
struct PartHeader: Hashable {
  var frame: FrameHeader
  /// 0..<``partCount``.
  var partIndex: Int
  var partCount: Int
  /// An averaged reference moves 1/2^shift of the way; 0 when no block averages. At most 7.
  var averageShift: UInt8 = 0
  /// What residuals against the reference are multiplied with: 1, 3, 5, 7 or 9.
  var step: UInt8 = 1
  /// Two of three colour planes are stored as differences to green.
  var isDecorrelated = false

  /// Bytes on the wire.
  static let byteCount = 36
  /// The version of the byte layout, first in every part.
  static let version: UInt8 = 2
  /// Largest part with its header, in bytes: one data channel message everybody accepts.
  static let largestPart = 65_536
  /// No picture needs more: 4096x2304 RGB in parts at least half full.
  static let mostParts = 2048

  func write(to writer: inout ByteWriter) {
    writer.write(Self.version)
    writer.write(frame.codec.rawValue)
    writer.write(UInt8((frame.isKey ? 1 : 0) | (frame.isExact ? 2 : 0) | (isDecorrelated ? 4 : 0)))
    writer.write(frame.format.pixelFormat.rawValue)
    writer.write(frame.sequence)
    writer.write(frame.captureTimeMicroseconds)
    writer.write(UInt16(frame.format.width))
    writer.write(UInt16(frame.format.height))
    writer.write(UInt16(partIndex))
    writer.write(UInt16(partCount))
    writer.write(frame.checksum)
    writer.write(frame.reference)
    writer.write(frame.maximumError)
    writer.write(averageShift)
    writer.write(step)
    writer.write(UInt8(0))
  }

  /// Whether a part with `other` in front can belong to the same frame.
  func isSameFrame(as other: Self) -> Bool {
    var aligned = other
    aligned.partIndex = partIndex
    return self == aligned
  }

  /// Replaces the header at the front of `message`.
  func overwrite(_ message: inout [UInt8]) {
    var writer = ByteWriter(reserving: Self.byteCount)
    write(to: &writer)
    message.replaceSubrange(0..<Self.byteCount, with: writer.bytes)
  }

  init(frame: FrameHeader, partIndex: Int, partCount: Int) {
    self.frame = frame
    self.partIndex = partIndex
    self.partCount = partCount
  }

  init(parsing part: RawSpan) throws(FrameError) {
    var reader = ByteReader(part)
    let bytes: (version: UInt8, codec: UInt8, flags: UInt8, pixelFormat: UInt8)
    let numbers: (sequence: UInt32, time: UInt64)
    let size: (width: UInt16, height: UInt16)
    let place: (index: UInt16, count: UInt16)
    let sums: (checksum: UInt32, reference: UInt32, maximumError: UInt8)
    let coding: (averageShift: UInt8, step: UInt8)
    do throws(ShortRead) {
      bytes = try (reader.readUInt8(), reader.readUInt8(), reader.readUInt8(), reader.readUInt8())
      numbers = try (reader.readUInt32(), reader.readUInt64())
      size = try (reader.readUInt16(), reader.readUInt16())
      place = try (reader.readUInt16(), reader.readUInt16())
      sums = try (reader.readUInt32(), reader.readUInt32(), reader.readUInt8())
      coding = try (reader.readUInt8(), reader.readUInt8())
      // Reserved: whatever is there, this version ignores it.
      try reader.skip(1)
    } catch {
      throw .truncated(offset: error.offset, wanted: error.wanted)
    }
    guard bytes.version == Self.version else { throw .unsupportedVersion(bytes.version) }
    guard let codec = FrameHeader.Codec(rawValue: bytes.codec), bytes.flags & ~7 == 0,
      let pixelFormat = PixelFormat(rawValue: bytes.pixelFormat),
      pixelFormat.isCompressed == (codec == .passThrough), coding.averageShift <= 7, coding.step % 2 == 1,
      coding.step <= 9
    else { throw .malformed(.header) }
    guard let format = PictureFormat(width: Int(size.width), height: Int(size.height), pixelFormat: pixelFormat)
    else { throw .refusedSize(width: Int(size.width), height: Int(size.height)) }
    guard part.byteCount <= Self.largestPart, place.count >= 1, place.count <= Self.mostParts,
      place.index < place.count
    else { throw .malformed(.parts) }
    let isKey = bytes.flags & 1 == 1
    guard isKey == (sums.reference == numbers.sequence) else { throw .malformed(.header) }
    frame = FrameHeader(
      codec: codec, format: format, sequence: numbers.sequence, captureTimeMicroseconds: numbers.time, isKey: isKey,
      reference: sums.reference, checksum: sums.checksum, isExact: bytes.flags & 2 == 2,
      maximumError: sums.maximumError)
    partIndex = Int(place.index)
    partCount = Int(place.count)
    averageShift = coding.averageShift
    step = coding.step
    isDecorrelated = bytes.flags & 4 == 4
  }
}
