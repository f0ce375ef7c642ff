public import EdgeCore
public import SIP

/// The application server of the offline service: a back-to-back user agent that speaks SIP only.
///
///     receive(from proxy)  ─┐                       ┌─▶ toProxy(message)
///     receive(from media)  ─┼─▶ ApplicationServer ──┼─▶ toMedia(message, server)
///     receiveControl, tick ─┘                       └─▶ toControl(bytes, server), openControl
///
/// It answers calls with messages for accounts that are not there, has the caller talk MSRP to the media server with
/// the fewest sessions for its weight, and never ends such a session itself while its caller is there. When an account registers, which it
/// learns by its subscription to the registrar (RFC 3680), it calls each of the account's terminals in the name of
/// the original sender, for the media server that holds the oldest message (third-party call control, RFC 3725),
/// and says BYE when all of that sender's are sent.
///
/// All its flows are connections or this process: no transaction of it repeats itself.
public final class ApplicationServer {
  public struct Configuration: Sendable {
    /// What follows the @ of every account.
    public var domain: String
    /// Of each media server, in the order of its number.
    public var weights: [Int]
    /// What media servers ask for before they take orders; `nil`: they are in this process.
    public var secret: String?

    public init(domain: String, weights: [Int], secret: String? = nil) {
      self.domain = domain
      self.weights = weights
      self.secret = secret
    }
  }

  public enum Output: Hashable, Sendable {
    case toProxy(Message)
    case toMedia(Message, Int)
    /// Open the control channel to where the media server said it listens, then call ``controlOpened(_:at:)``.
    case openControl(Int, host: String, port: UInt16)
    case toControl([UInt8], Int)
    case log(String, [String: String])
  }

  /// What the world has to do for it.
  public struct Environment {
    public var hashes: Hashes
    /// Reads a control document; the parser is C.
    public var parseControl: ([UInt8]) -> ControlDocument?
    /// Reads a `application/reginfo+xml` body (RFC 3680 §5).
    public var parseRegistrations: ([UInt8]) -> [Registration]

    public init(
      hashes: Hashes, parseControl: @escaping ([UInt8]) -> ControlDocument?,
      parseRegistrations: @escaping ([UInt8]) -> [Registration]
    ) {
      self.hashes = hashes
      self.parseControl = parseControl
      self.parseRegistrations = parseRegistrations
    }
  }

  /// One media server.
  struct Media {
    var isConnected = false
    var isReady = false
    /// Names the control channel to be (RFC 6230 §4.1).
    var dialogID = ""
    var framer = ControlFramer()
    var digest: DigestClient?
    var answeredChallenges = 0
  }

  /// Why a request was sent.
  enum Purpose {
    case subscribe
    case control(Int)
    case store(Int)
    case pushMedia(Int)
    case pushUser(Int)
    case goodbye
  }

  enum ControlPurpose {
    case sync
    case restore(Int)
    /// Whether the server holds something for the terminal of this push.
    case ask(Int, server: Int)
    case send(Int)
    case keepAlive
  }

  /// A call of somebody who leaves messages.
  struct Store {
    var invite: Message
    var dialog: Dialog
    var from: String
    var to: String
    var server: Int
    var mediaInvite: Message?
    var media: Dialog?
    var answer: [UInt8] = []
    var isAnswered = false
  }

  struct PushKey: Hashable {
    var account: String
    var terminal: String
  }

  /// Bringing one terminal what it has not had.
  struct Push {
    var key: PushKey
    var terminal: Registration.Terminal
    /// Servers whose answer is still to come.
    var asked: Set<Int> = []
    var found: (server: Int, from: String, accepted: Int64)?
    var mediaInvite: Message?
    var media: Dialog?
    var userInvite: Message?
    var user: Dialog?
    var isCounted = false
    /// Something was stored meanwhile: ask once more.
    var isAgain = false
  }

  let configuration: Configuration
  let environment: Environment
  var random: AnyRandom
  var media: [Media]
  public internal(set) var choice: ServerChoice
  var requests: [String: (message: Message, purpose: Purpose)] = [:]
  var controls: [String: ControlPurpose] = [:]
  private(set) var stores: [Int: Store] = [:]
  /// Storing sessions by their caller.
  private var storesOf: [String: Int] = [:]
  var pushes: [Int: Push] = [:]
  var registrations: [String: [Registration.Terminal]] = [:]
  var subscription: Dialog?
  var nextNumber = 0
  var nextSubscribe: Instant?
  var nextKeepAlive: Instant?
  var now = Instant.zero
  var outputs: [Output] = []

  /// Sessions that may be under way at a time.
  static let capacity = 10_000
  /// Storing sessions one caller may have at a time.
  static let perCaller = 50
  /// RFC 6230 §4.1: the Keep-Alive of the channel, in seconds.
  static let keepAlive = 100

  public init(
    _ configuration: Configuration, environment: Environment, random: some RandomNumberGenerator
  ) {
    self.configuration = configuration
    self.environment = environment
    self.random = AnyRandom(random)
    media = configuration.weights.map { _ in
      var server = Media()
      server.digest = configuration.secret.map {
        DigestClient(
          username: MediaServer.user, password: $0, realm: configuration.domain, hashes: environment.hashes)
      }
      return server
    }
    choice = ServerChoice(weights: configuration.weights)
  }

  // MARK: Inputs

  /// Subscribes at the registrar.
  public func start(at now: Instant) -> [Output] { step(at: now) { subscribe() } }

  /// The SIP connection to a media server stands.
  public func mediaConnected(_ server: Int, at now: Instant) -> [Output] {
    step(at: now) { connectControl(server) }
  }

  /// The SIP connection or the control channel of a media server is gone.
  public func mediaLost(_ server: Int, at now: Instant) -> [Output] {
    step(at: now) { lose(server) }
  }

  public func receive(_ message: Message, at now: Instant) -> [Output] {
    step(at: now) {
      if message.isRequest { receiveRequest(message) } else { receiveResponse(message) }
    }
  }

  public func receive(_ message: Message, fromMedia server: Int, at now: Instant) -> [Output] {
    step(at: now) {
      if message.isRequest { receiveRequest(message, fromMedia: server) } else { receiveResponse(message) }
    }
  }

  /// The control channel's connection stands.
  public func controlOpened(_ server: Int, at now: Instant) -> [Output] {
    step(at: now) { synchronise(server) }
  }

  /// `nil` when the bytes are no control channel's: close it, and call ``mediaLost(_:at:)``.
  public func receiveControl(_ bytes: [UInt8], from server: Int, at now: Instant) -> [Output]? {
    var isGood = true
    let outputs = step(at: now) { isGood = takeControl(bytes, server) }
    return isGood ? outputs : nil
  }

  public var nextDeadline: Instant? { Instant.earliest(nextSubscribe, nextKeepAlive) }

  public func tick(at now: Instant) -> [Output] {
    step(at: now) {
      if let due = nextSubscribe, due <= self.now { subscribe() }
      if let due = nextKeepAlive, due <= self.now { keepAlive() }
    }
  }

  func step(at now: Instant, _ body: () -> Void) -> [Output] {
    self.now = max(self.now, now)
    body()
    defer { outputs = [] }
    return outputs
  }

  // MARK: Storing sessions

  /// Whether there is room for one more storing session of an account's.
  func mayStore(_ caller: String) -> Bool {
    stores.count + pushes.count < Self.capacity && storesOf[caller, default: 0] < Self.perCaller
  }

  func add(_ store: Store) -> Int {
    let number = newNumber()
    stores[number] = store
    storesOf[store.from, default: 0] += 1
    choice.opened(store.server)
    return number
  }

  func change(_ number: Int, _ edit: (inout Store) -> Void) {
    if stores[number] != nil { edit(&stores[number]!) }
  }

  func remove(_ number: Int) -> Store? {
    guard let store = stores.removeValue(forKey: number) else { return nil }
    let left = storesOf[store.from, default: 1] - 1
    storesOf[store.from] = left > 0 ? left : nil
    choice.closed(store.server)
    return store
  }

  // MARK: What the procedures share

  func log(_ event: String, _ fields: [String: String]) { outputs.append(.log(event, fields)) }

  func newNumber() -> Int {
    nextNumber += 1
    return nextNumber
  }

  func uri(_ account: String) -> String { "sip:\(account)@\(configuration.domain)" }

  /// The account in one of this domain's URIs.
  func account(_ uri: String) -> String? {
    guard let uri = URI(uri), ASCII.equalIgnoringCase(uri.host, configuration.domain) else { return nil }
    return uri.decodedUser
  }

  var contact: NameAddress { NameAddress(URI(.sip, user: "offline-messages", host: configuration.domain)) }

  /// Outside a dialog, without Via and body.
  func newRequest(_ method: SIP.Method, to target: URI, from: String, as to: String) -> Message {
    var request = Message(request: method, target)
    request.maxForwards = 70
    var sender = NameAddress(URI(from) ?? contact.uri)
    sender.tag = random.token(12)
    request.from = sender
    request.to = NameAddress(URI(to) ?? target)
    request.callID = random.token(20) + "@" + configuration.domain
    request.cseq = CSeq(1, method)
    request.append(.contact, contact.description)
    return request
  }

  /// Puts a Via on it and remembers why it went out. An ACK has no answer.
  func pushVia(_ request: Message, for purpose: Purpose?) -> Message {
    var request = request
    let branch = Via.magicCookie + random.token(16)
    request.push(Via(transport: "TCP", host: configuration.domain, port: 5060, branch: branch))
    if let purpose { requests[branch] = (request, purpose) }
    return request
  }

  func sendToProxy(_ request: Message, for purpose: Purpose?) {
    outputs.append(.toProxy(pushVia(request, for: purpose)))
  }

  func sendToMedia(_ request: Message, _ server: Int, for purpose: Purpose?) {
    outputs.append(.toMedia(pushVia(request, for: purpose), server))
  }

  func answer(_ request: Message, _ status: StatusCode, tag: String? = nil) {
    outputs.append(.toProxy(.response(to: request, status: status, tag: tag ?? random.token(12))))
  }
}
