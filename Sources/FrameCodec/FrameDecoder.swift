internal import EdgeCore
internal import Picture

/// A whole picture, checked against the sender's checksum.
public struct DecodedFrame: Hashable, Sendable {
  public var header: FrameHeader
  /// Tight rows in `header.format`, or the camera's own bytes for a compressed kind.
  public var picture: [UInt8]
}

/// Rebuilds pictures from the parts of one source.
///
/// Parts of a frame may come in any order, frames in the order sent. What it holds is bounded by
/// `Limits` whatever is received, and time is linear in the bytes received.
public struct FrameDecoder: ~Copyable {
  public struct Limits: Hashable, Sendable {
    /// Pixels of the largest picture accepted.
    public var pixels: Int
    /// Bytes of the largest compressed (MJPEG, H.264) picture accepted.
    public var compressedBytes: Int

    public init(pixels: Int = 4096 * 2304, compressedBytes: Int = 16 << 20) {
      self.pixels = pixels
      self.compressedBytes = compressedBytes
    }
  }

  /// Nothing can be decoded until a key frame comes: ask for one.
  public private(set) var needsKeyFrame = true
  private let limits: Limits
  private let instructions: InstructionSet
  /// The frame being put together.
  private var assembly: Assembly?
  /// The last frame decoded, which the next one may build on.
  private var last: UInt32?
  /// Kept from frame to frame, for the reference in it; `nil` before the first raw picture.
  private var planes: PlaneDecoder?

  private struct Assembly {
    var header: PartHeader
    var isReceived: [Bool]
    var missing: Int
    /// Bytes of the parts of a compressed picture, which are joined at the end.
    var pieces: [[UInt8]]
    var byteCount = 0
  }

  /// - Parameter instructions: what the processor has; makes the same pictures in less time.
  public init(limits: Limits = Limits(), instructions: InstructionSet = .common) {
    self.limits = limits
    self.instructions = instructions
  }

  /// Takes one part; returns the picture when it was the last one missing.
  ///
  /// Parts of frames already decoded, and parts received before, are dropped without an error.
  public mutating func receive(_ part: RawSpan) throws(FrameError) -> DecodedFrame? {
    do throws(FrameError) {
      return try accept(part)
    } catch {
      if case .unsupportedVersion = error { throw error }
      assembly = nil
      needsKeyFrame = true
      throw error
    }
  }

  private mutating func accept(_ part: RawSpan) throws(FrameError) -> DecodedFrame? {
    let header = try PartHeader(parsing: part)
    let frame = header.frame
    guard frame.format.width * frame.format.height <= limits.pixels else {
      throw .refusedSize(width: frame.format.width, height: frame.format.height)
    }
    if last == frame.sequence, !needsKeyFrame { return nil }
    if let abandoned = assembly?.header.frame.sequence, abandoned != frame.sequence {
      assembly = nil
      needsKeyFrame = true
      if !frame.isKey { throw .incomplete(sequence: abandoned) }
    }
    if assembly == nil { try begin(header) }
    guard assembly!.header.isSameFrame(as: header) else { throw .malformed(.parts) }
    guard !assembly!.isReceived[header.partIndex] else { return nil }
    assembly!.isReceived[header.partIndex] = true
    assembly!.missing -= 1
    switch frame.codec {
    case .planes: try planes!.decode(part, header)
    case .passThrough:
      assembly!.byteCount += part.byteCount - PartHeader.byteCount
      guard assembly!.byteCount <= limits.compressedBytes else { throw .malformed(.parts) }
      assembly!.pieces[header.partIndex] = [UInt8](copying: part.extracting(PartHeader.byteCount..<part.byteCount))
    }
    guard assembly!.missing == 0 else { return nil }
    let picture = try finish(header)
    assembly = nil
    last = frame.sequence
    needsKeyFrame = false
    return DecodedFrame(header: frame, picture: picture)
  }

  private mutating func begin(_ header: PartHeader) throws(FrameError) {
    let frame = header.frame
    guard frame.isKey || (!needsKeyFrame && last == frame.reference) else {
      throw .missingReference(sequence: frame.sequence, reference: frame.reference)
    }
    if frame.codec == .planes {
      if planes?.format != frame.format {
        guard frame.isKey else { throw .malformed(.header) }
        planes = nil
        planes = PlaneDecoder(format: frame.format, instructions: instructions)
      }
      planes!.begin(header)
    }
    assembly = Assembly(
      header: header, isReceived: Array(repeating: false, count: header.partCount), missing: header.partCount,
      pieces: frame.codec == .planes ? [] : Array(repeating: [], count: header.partCount))
  }

  private mutating func finish(_ header: PartHeader) throws(FrameError) -> [UInt8] {
    if header.frame.codec == .planes { return try planes!.finish(header) }
    var picture: [UInt8] = []
    picture.reserveCapacity(assembly!.byteCount)
    for piece in assembly!.pieces { picture += piece }
    guard Adler32.checksum(picture) == header.frame.checksum else {
      throw .checksumMismatch(sequence: header.frame.sequence)
    }
    return picture
  }
}
