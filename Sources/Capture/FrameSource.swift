import LinuxIO
public import Picture

/// How a source of pictures is.
public enum CaptureState: Hashable, Sendable {
  /// Nobody wants pictures; the device is closed.
  case idle
  case opening
  /// Pictures arrive.
  case streaming(CaptureFormat)
  /// It gives none; tried again after the delay.
  case failed(CaptureProblem, retryAfter: Duration)
  /// A file that is not looped is over, until it is stopped and started again.
  case ended
}

public enum CaptureEvent: Hashable, Sendable {
  case state(CaptureState)
  /// At most one a second is told; ``CaptureStatistics/badFrames`` counts all.
  case badFrame(BadFrame)
}

/// Counted since the source was made.
public struct CaptureStatistics: Hashable, Sendable {
  public var frames: UInt64 = 0
  /// Delivered by the source and unusable.
  public var badFrames: UInt64 = 0
  /// Made by the source and not taken in time.
  public var missedFrames: UInt64 = 0
  /// Those with a time stamp of the driver's.
  public var stampedFrames: UInt64 = 0
  /// Attempts to open the source after the first, since it was wanted.
  public var reopened: UInt64 = 0

  public init() {}
}

/// Something that gives pictures while somebody wants them: a camera, the test card, a file.
///
/// Frames go to a closure on the source's own thread; everything here is for the reactor's thread, and none of it waits.
public protocol FrameSource: AnyObject {
  var state: CaptureState { get }
  var statistics: CaptureStatistics { get }
  var onEvent: ((CaptureEvent) -> Void)? { get set }
  /// Wants pictures from now on, whatever comes between. Does nothing when it does already.
  func start()
  /// Wants none; the device is closed soon. One more frame may be on its way.
  func stop()
  /// The end: no event is delivered any more, and the thread ends soon.
  func close()
}

/// Where pictures come from.
public enum CaptureSource: Hashable, Sendable {
  case camera(path: String, CaptureRequest)
  /// Also serves where there is no camera at all.
  case testCard(PictureFormat, framesPerSecond: Int)
  /// A y4m file, at its own rate unless another is given; or JPEG pictures or H.264 one after the other, 25 a second
  /// unless told. H.264 has to be given its size.
  case file(path: String, loop: Bool, width: Int? = nil, height: Int? = nil, framesPerSecond: Int?)
}
