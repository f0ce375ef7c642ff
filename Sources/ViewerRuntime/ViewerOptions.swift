import PeerSession

/// What a viewer is asked to do.
public struct ViewerOptions {
  /// Which paths may be used.
  public enum Route: Hashable, Sendable { case any, relayOnly, noRelay }

  public var serial: String
  /// A file, or `-` for standard output; `nil` looks at the pictures and keeps none.
  public var output: String?
  public var format: PictureFileFormat
  /// Ends after so many pictures.
  public var frames: Int?
  /// Ends after so long, counted from the start.
  public var duration: Duration?
  public var route: Route
  public var includesLoopback = false
  /// Says of every pair of addresses what became of it, when a session ends.
  public var explains = false
  /// How long to wait for the first picture of a session before saying why there is none.
  public var patience: Duration = .seconds(20)

  public init(
    serial: String, output: String?, format: PictureFileFormat = .y4m, frames: Int? = nil, duration: Duration? = nil,
    route: Route = .any
  ) {
    self.serial = serial
    self.output = output
    self.format = format
    self.frames = frames
    self.duration = duration
    self.route = route
  }

  var policy: PeerConfiguration.Policy {
    switch route {
    case .any: .all
    case .relayOnly: .relayOnly
    case .noRelay: .noRelay
    }
  }
}
