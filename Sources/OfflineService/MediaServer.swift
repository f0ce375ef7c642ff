public import EdgeCore
import MSRP
public import RendezvousLogic
public import SIP

/// A media server of the offline service: MSRP sessions and the store of messages by their receiver.
///
///     receive(SIP), receiveControl ─┐                  ┌─▶ toServer(SIP), toControl
///     opened, received, drained,    ┼─▶ MediaServer ───┼─▶ toPeer(bytes), connect, close
///     closed (MSRP), tick          ─┘                  └─▶ log
///
/// One application server gives it orders: over SIP it sets up and ends sessions, over the control channel it says
/// whose messages they carry. A message is in the store before its last chunk is answered 200, and noted as given
/// when its receiver's 200 (or success report, behind relays) has come.
public final class MediaServer {
  public struct Configuration: Sendable {
    /// The digest realm.
    public var domain: String
    /// What peers are told to connect to: a name or an address.
    public var host: String
    /// Where it listens for MSRP over TLS and over TCP; `nil`: not at all.
    public var securePort: UInt16?
    public var plainPort: UInt16?
    /// Where it takes SIP and the control channel; 0 within one process.
    public var controlPort: UInt16 = 0
    /// What an application server must know before it is obeyed; `nil` within one process.
    public var secret: String?
    /// Longest message taken, in bytes.
    public var maximumMessage = 8 << 20
    /// MSRP sessions at a time.
    public var maximumSessions = 2_000

    public init(domain: String, host: String, securePort: UInt16?, plainPort: UInt16?) {
      self.domain = domain
      self.host = host
      self.securePort = securePort
      self.plainPort = plainPort
    }
  }

  public enum Output: Hashable, Sendable {
    case toServer(Message)
    case toControl([UInt8])
    /// MSRP for a connection; call ``drained(_:at:)`` when the kernel has all of it.
    case toPeer([UInt8], UInt64)
    /// Open a plain TCP connection and report ``opened(_:at:)`` or ``closed(_:at:)``.
    case connect(UInt64, host: String, port: UInt16)
    case close(UInt64)
    case log(String, [String: String])
  }

  /// The user name an application server shows with the secret.
  public static let user = "application-server"

  /// One MSRP session with one SIP dialog to the application server.
  struct Session {
    var dialog: Dialog
    /// `TAG:TAG`, the application server's first.
    var connectionID: String
    var msrpID: String
    /// `nil` until the peer's path is known.
    var msrp: MSRPSession?
    var duty = Duty.undecided
    var connection: UInt64?
    /// This end opens the connection.
    var isActive = false
    /// The offer that waits for its answer: this end's URI of each section.
    var offered: [MSRPURI] = []
    /// The peer takes messages with who wrote them and when.
    var takesCPIM = false
    /// Since when nobody is at the other end; `nil` while there is a connection.
    var isAloneSince: Instant?
  }

  enum Duty {
    case undecided
    /// URIs of the sender and the receiver.
    case store(from: String, to: String)
    case push(Pushing)
  }

  struct Pushing {
    var from: String
    var account: String
    var terminal: String
    /// The CONTROL request that waits for its answer.
    var order: ControlFrame
    var sequence: Int64?
    var count = 0
    /// Nothing is heard of the terminal by then: it is given up.
    var deadline: Instant
  }

  struct Peer {
    var framer = MSRPFramer()
    /// The session the items after a head belong to; `nil` drops them.
    var current: String?
    /// What came before the answer did that says whose it is: the ACK takes another way than the peer's first request.
    var early: [MSRPFramer.Item] = []
    /// A request for no session of this connection, answered when it has ended.
    var refused: (head: MSRPHead, status: Int)?
    /// Chunks that may go out before the kernel has taken what was sent.
    var budget = MediaServer.chunksAhead
  }

  let configuration: Configuration
  let store: MessageBox
  let parseControl: ([UInt8]) -> ControlDocument?
  var random: AnyRandom
  var digest: DigestServer
  let ha1: String?
  /// By the ID in their MSRP URI.
  var sessions: [String: Session] = [:]
  var bindings = MSRPBindings<UInt64>()
  var peers: [UInt64: Peer] = [:]
  /// Connections that have named no session yet, and until when they must.
  var nameless: [UInt64: Instant] = [:]
  /// Messages whose storing session still runs: its sender may hear that a terminal has them.
  var arrivals: [Int64: (session: String, name: String)] = [:]
  var control = ControlFramer()
  var controlDialogID = ""
  public internal(set) var isControlReady = false
  var nextConnection: UInt64 = 1 << 62
  var now = Instant.zero
  var outputs: [Output] = []

  static let chunksAhead = 16
  static let mostEarly = 64
  /// How long a terminal that answered may take to connect, and to confirm a message.
  static let pushPatience = Duration.seconds(40)
  /// How long a session waits for its peer to connect, or to connect again.
  static let lonePatience = Duration.seconds(300)
  /// How long a connection may stay without a session.
  static let namelessPatience = Duration.seconds(30)

  public init(
    _ configuration: Configuration, store: MessageBox, hashes: Hashes,
    parseControl: @escaping ([UInt8]) -> ControlDocument?, random: some RandomNumberGenerator
  ) {
    self.configuration = configuration
    self.store = store
    self.parseControl = parseControl
    var random = random
    digest = DigestServer(realm: configuration.domain, hashes: hashes, key: random.bytes(32), capacity: 100)
    ha1 = configuration.secret.map {
      DigestAlgorithm.sha256.ha1(username: Self.user, realm: configuration.domain, password: $0, hashes)
    }
    self.random = AnyRandom(random)
  }

  /// MSRP sessions under way.
  public var count: Int { sessions.count }

  // MARK: Inputs

  public func receive(_ message: Message, at now: Instant) -> [Output] {
    step(at: now) { if message.isRequest { receiveRequest(message) } }
  }

  /// `nil` when the bytes are no control channel's, or not that of this application server: close it.
  public func receiveControl(_ bytes: [UInt8], at now: Instant) -> [Output]? {
    var isGood = true
    let outputs = step(at: now) { isGood = takeControl(bytes) }
    return isGood ? outputs : nil
  }

  /// The application server is gone: its sessions end.
  public func serverLost(at now: Instant) -> [Output] {
    step(at: now) {
      isControlReady = false
      control = ControlFramer()
      for id in sessions.keys.sorted() { endSession(id) }
    }
  }

  /// An MSRP connection was accepted or, after ``Output/connect(_:host:port:)``, opened.
  public func opened(_ connection: UInt64, at now: Instant) -> [Output] {
    step(at: now) { open(connection) }
  }

  /// `false`: not MSRP, close it.
  public func received(_ bytes: [UInt8], on connection: UInt64, at now: Instant) -> [Output] {
    step(at: now) { take(bytes, connection) }
  }

  public func drained(_ connection: UInt64, at now: Instant) -> [Output] {
    step(at: now) {
      peers[connection]?.budget = Self.chunksAhead
      pump(connection)
    }
  }

  public func closed(_ connection: UInt64, at now: Instant) -> [Output] {
    step(at: now) { lose(connection) }
  }

  public var nextDeadline: Instant? {
    var deadline: Instant?
    for session in sessions.values {
      deadline = Instant.earliest(deadline, session.msrp?.nextDeadline)
      if case .push(let push) = session.duty { deadline = Instant.earliest(deadline, push.deadline) }
      deadline = Instant.earliest(deadline, session.isAloneSince.map { $0 + Self.lonePatience })
    }
    for due in nameless.values { deadline = Instant.earliest(deadline, due) }
    return deadline
  }

  public func tick(at now: Instant) -> [Output] {
    step(at: now) {
      for id in sessions.keys.sorted() {
        perform(id) { $0.tick(at: now, into: &$1) }
        if case .push(let push) = sessions[id]?.duty, push.deadline <= now { finishPush(id, status: 408) }
        if let since = sessions[id]?.isAloneSince, since + Self.lonePatience <= now { abandon(id) }
      }
      for (connection, due) in nameless.sorted(by: { $0.key < $1.key }) where due <= now { drop(connection) }
    }
  }

  private func step(at now: Instant, _ body: () -> Void) -> [Output] {
    self.now = max(self.now, now)
    body()
    defer { outputs = [] }
    return outputs
  }

  func log(_ event: String, _ fields: [String: String]) { outputs.append(.log(event, fields)) }

  /// The account in a URI of the domain.
  func account(_ uri: String) -> String? { URI(uri)?.decodedUser }
}
