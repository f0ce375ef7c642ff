/// Why a picture or a received part was refused.
///
/// All cases of a decoder are the sender's or the network's doing. After any of them but
/// ``unsupportedVersion(_:)`` the remedy is the same: ask for a key frame when
/// ``FrameDecoder/needsKeyFrame`` says so.
public enum FrameError: Error, Hashable, Sendable {
  /// The part ended inside a field. Both values are in bytes.
  case truncated(offset: Int, wanted: Int)
  /// A newer sender: nothing but an update of this program helps.
  case unsupportedVersion(UInt8)
  /// The part breaks docs/frame-format.md.
  case malformed(Defect)
  /// A picture this decoder is not allowed to hold, or that no camera makes.
  case refusedSize(width: Int, height: Int)
  /// The part builds on frame `reference`, which this decoder does not have.
  case missingReference(sequence: UInt32, reference: UInt32)
  /// Part of frame `sequence` never came, and the next frame has begun.
  case incomplete(sequence: UInt32)
  /// All of frame `sequence` came, and it is not the picture that was sent.
  case checksumMismatch(sequence: UInt32)
  /// Encoder only: the picture has not the length of its format. Values in bytes.
  case wrongPictureLength(expected: Int, got: Int)

  public enum Defect: Hashable, Sendable {
    /// An unknown codec, pixel format, flag, or a combination of them that cannot be.
    case header
    /// Part number, part count or part length out of range, or unlike the frame's other parts.
    case parts
    /// Block rows that are not the picture's, or twice the same.
    case rows
    /// A block class or prediction that does not exist.
    case blockMap
    /// Not a zlib stream, or one with a feature the format does not use.
    case stream
    /// The side table does not fit the stream.
    case entryPoints
    /// The Adler-32 at the end of the stream.
    case streamChecksum
  }
}
