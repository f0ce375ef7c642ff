public import EdgeCore
public import NATDiscovery
public import StatusModel

/// What was measured, before anybody says what it means. `nil` is: not tried.
public struct Facts: Hashable, Sendable {
  /// What became of an attempt to reach something.
  public enum Outcome: Hashable, Sendable {
    case worked(roundTrip: Duration?)
    /// In the words of whoever failed.
    case failed(String)
    case notTried(String)
  }

  /// A file or directory the configuration names.
  public struct File: Hashable, Sendable {
    public var what: String
    public var path: String
    /// `nil`: all is well.
    public var trouble: String?

    public init(what: String, path: String, trouble: String?) {
      self.what = what
      self.path = path
      self.trouble = trouble
    }
  }

  public struct Camera: Hashable, Sendable {
    public var serial: String
    public var source: String
    public var trouble: String?

    public init(serial: String, source: String, trouble: String?) {
      self.serial = serial
      self.source = source
      self.trouble = trouble
    }
  }

  /// `sips:rv.example.org:5061`.
  public var server: String
  public var host: String
  /// Unix seconds.
  public var clock: Int64
  public var files: [File] = []
  /// Free bytes where the state directory is.
  public var freeBytes: Int64?
  public var addresses: [IPAddress] = []
  public var lookupFailure: String?
  /// The link as configured: TCP and, when it is TLS, the certificate.
  public var link = Outcome.notTried("")
  /// Unix seconds: how long the server's certificate is good.
  public var certificateEnds: Int64?
  /// The certificate was refused because of this machine's clock.
  public var isClockToBlame = false
  public var login: Login?
  /// STUN over UDP and TCP.
  public var stunUDP = Outcome.notTried("")
  public var stunTCP = Outcome.notTried("")
  /// Whether TURN asks for a password there, as a relay does.
  public var relayUDP = Outcome.notTried("")
  public var relayTCP = Outcome.notTried("")
  public var relayTLS = Outcome.notTried("")
  public var nat: NATReport?
  /// What the running daemon says; `nil` without one.
  public var daemon: NodeStatus?
  /// Why there is no ``daemon``, for a node; `nil` for a viewer.
  public var daemonTrouble: String?
  public var cameras: [Camera] = []

  public enum Login: Hashable, Sendable {
    case accepted
    case refused(String)
    case failed(String)
  }

  public init(server: String, host: String, clock: Int64) {
    self.server = server
    self.host = host
    self.clock = clock
  }
}
