/// What a node's daemon says of itself: the answer behind `edge status`.
///
/// Times are unix seconds; what is not known is `nil` and becomes `null`.
public struct NodeStatus: Hashable, Sendable {
  public struct Link: Hashable, Sendable {
    public enum State: String, Hashable, Sendable {
      /// Logged in, and the heartbeat is answered.
      case connected
      case connecting
      /// Waiting before the next try; ``Link/reason`` says why.
      case down
    }

    public var state: State
    /// `sips:rv.example.org:5061`.
    public var server: String
    /// `tls`, `tcp` or `udp`.
    public var transport: String
    /// When ``state`` began.
    public var since: Int64?
    /// How long ago the server last answered.
    public var lastHeartbeat: Duration?
    public var roundTrip: Duration?
    /// Since the daemon started.
    public var reconnects: Int
    /// Why the link is not, or was last not, connected.
    public var reason: String?

    public init(
      state: State, server: String, transport: String, since: Int64? = nil, lastHeartbeat: Duration? = nil,
      roundTrip: Duration? = nil, reconnects: Int = 0, reason: String? = nil
    ) {
      self.state = state
      self.server = server
      self.transport = transport
      self.since = since
      self.lastHeartbeat = lastHeartbeat
      self.roundTrip = roundTrip
      self.reconnects = reconnects
      self.reason = reason
    }
  }

  /// RFC 4787 §4.1 and §5: how the NAT in front of this node treats new peers.
  public struct NAT: Hashable, Sendable {
    public enum Behavior: String, Hashable, Sendable {
      case none
      case endpointIndependent = "endpoint-independent"
      case addressDependent = "address-dependent"
      case addressAndPortDependent = "address-and-port-dependent"
      case unknown
    }

    public var mapping: Behavior
    public var filtering: Behavior
    /// As the server sees this node: `203.0.113.5:40000`.
    public var publicAddress: String?

    public init(mapping: Behavior = .unknown, filtering: Behavior = .unknown, publicAddress: String? = nil) {
      self.mapping = mapping
      self.filtering = filtering
      self.publicAddress = publicAddress
    }
  }

  public struct Resource: Hashable, Sendable {
    public enum State: String, Hashable, Sendable {
      /// Ready; nobody watches.
      case idle
      case streaming
      /// A health line says why.
      case unavailable
      /// Another device on the LAN: known, not looked after.
      case published
    }

    public var serial: String
    public var name: String
    /// `v4l2`, `testcard`, `file`, `rtsp`, `http`, `tcp`.
    public var type: String
    public var ip: String?
    public var port: Int?
    public var state: State
    /// `YUYV`, ...
    public var format: String?
    /// `640x480`.
    public var size: String?
    /// Pictures per second, times 1000.
    public var framesPerSecondThousandths: Int64?
    /// What the source delivered since the daemon's start; `nil` for what is no camera.
    public var counts: Counts?

    public struct Counts: Hashable, Sendable {
      public var captured: Int64
      /// Gaps in the driver's numbers: made by the camera and not taken in time.
      public var missed: Int64
      public var bad: Int64
      /// Encoded, and dropped because the daemon was busy.
      public var refused: Int64
      /// Captured with a time stamp of the driver's; the others have the time they were taken.
      public var stamped: Int64

      public init(captured: Int64 = 0, missed: Int64 = 0, bad: Int64 = 0, refused: Int64 = 0, stamped: Int64 = 0) {
        self.stamped = stamped
        self.captured = captured
        self.missed = missed
        self.bad = bad
        self.refused = refused
      }
    }

    public init(
      serial: String, name: String? = nil, type: String, ip: String? = nil, port: Int? = nil, state: State,
      format: String? = nil, size: String? = nil, framesPerSecondThousandths: Int64? = nil, counts: Counts? = nil
    ) {
      self.counts = counts
      self.serial = serial
      self.name = name ?? serial
      self.type = type
      self.ip = ip
      self.port = port
      self.state = state
      self.format = format
      self.size = size
      self.framesPerSecondThousandths = framesPerSecondThousandths
    }
  }

  public struct Session: Hashable, Sendable {
    public var viewer: String
    public var serial: String
    /// `nil` until the path is found.
    public var path: Path?
    /// The viewer's address, or the relay's.
    public var remote: String?
    /// The node's own address as the viewer sees it.
    public var local: String?
    public var roundTrip: Duration?
    public var sentBytes: Int64
    public var framesSent: Int64
    public var framesDropped: Int64
    public var since: Int64
    /// What is sent: `lossless`, `max-error:1, 1 of 3 pictures`.
    public var rendition: String?
    public var latency: LatencyTrace

    public init(
      viewer: String, serial: String, path: Path? = nil, remote: String? = nil, roundTrip: Duration? = nil,
      sentBytes: Int64 = 0, framesSent: Int64 = 0, framesDropped: Int64 = 0, since: Int64, local: String? = nil,
      rendition: String? = nil, latency: LatencyTrace = LatencyTrace()
    ) {
      self.local = local
      self.rendition = rendition
      self.latency = latency
      self.viewer = viewer
      self.serial = serial
      self.path = path
      self.remote = remote
      self.roundTrip = roundTrip
      self.sentBytes = sentBytes
      self.framesSent = framesSent
      self.framesDropped = framesDropped
      self.since = since
    }
  }

  /// The kind of the remote candidate in use (RFC 8445 §4).
  public enum Path: String, Hashable, Sendable { case host, srflx, prflx, relay }

  public var version: String
  public var node: String
  public var link: Link
  public var nat: NAT
  public var resources: [Resource]
  public var sessions: [Session]
  public var health: [Health]

  public init(
    version: String, node: String, link: Link, nat: NAT = NAT(), resources: [Resource] = [],
    sessions: [Session] = [], health: [Health] = []
  ) {
    self.version = version
    self.node = node
    self.link = link
    self.nat = nat
    self.resources = resources
    self.sessions = sessions
    self.health = health
  }

  /// What `edge status` returns.
  public var exitCode: ExitCode {
    guard link.state == .connected else { return .no }
    return health.hasProblems ? .problems : .fine
  }
}
