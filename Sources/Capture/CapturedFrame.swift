public import EdgeCore
public import Picture

/// What is known of a frame beside its bytes.
public struct FrameInfo: Hashable, Sendable {
  public var format: PictureFormat
  /// Counts frames as the source does, gaps included; starts anew whenever the source is opened.
  public var sequence: UInt32
  /// Frames the source made and nobody took, since the one before.
  public var missed: UInt32
  /// When it was captured, on the clock of ``Reactor/now``.
  public var captured: Instant
  /// Whether that is the driver's time stamp.
  public var isStamped = false
  /// Stands for the pictures of a source that gives none.
  public var isPlaceholder: Bool

  public init(
    format: PictureFormat, sequence: UInt32, missed: UInt32, captured: Instant, isPlaceholder: Bool = false
  ) {
    self.format = format
    self.sequence = sequence
    self.missed = missed
    self.captured = captured
    self.isPlaceholder = isPlaceholder
  }
}

/// A frame the source delivered and that must not be used.
public enum BadFrame: Hashable, Sendable, CustomStringConvertible {
  /// The driver says that its contents are damaged (V4L2_BUF_FLAG_ERROR).
  case damaged
  /// Fewer bytes than the format needs.
  case short(bytes: Int, expected: Int)
  /// Compressed, and not what it should be.
  case notCompressed
  /// The driver could not deliver it (EIO).
  case lost

  public var description: String {
    switch self {
    case .damaged: "damaged, says the driver"
    case .short(let bytes, let expected): "\(bytes) bytes instead of \(expected)"
    case .notCompressed: "not a picture of the format agreed on"
    case .lost: "lost by the driver"
    }
  }
}
