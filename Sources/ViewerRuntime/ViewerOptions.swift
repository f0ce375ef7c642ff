public import EdgeCore
public import NodeLogic
import PeerSession

/// What a viewer is asked to do.
public struct ViewerOptions {
  /// What the session is for.
  public enum Task: Hashable, Sendable {
    case watch
    case listControls
    case setControl(name: String, value: Int64)
  }

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
  /// As one JSON object on standard output instead of lines on standard error.
  public var explainsAsJSON = false
  /// What is asked of the node.
  public var wish = StreamWish()
  public var task = Task.watch
  /// Shows the pictures as they come: in a player's window, or in this terminal.
  public var plays = false
  /// Where the page with the live picture listens.
  public var page: SocketAddress?
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

  /// What is asked of the node, by the names of the command line; `false` for a quality there is none of.
  public mutating func want(quality: String, width: Int?, height: Int?, framesPerSecond: Int?) -> Bool {
    guard let known = StreamWish.Quality(name: quality) else { return false }
    wish = StreamWish(quality: known, width: width, height: height, framesPerSecond: framesPerSecond)
    return true
  }

  var policy: PeerConfiguration.Policy {
    switch route {
    case .any: .all
    case .relayOnly: .relayOnly
    case .noRelay: .noRelay
    }
  }
}
