public import EdgeCore
public import PIDF

/// What the owner of the server may set, and the caps that keep strangers from using it up.
public struct Configuration: Sendable {
  /// The SIP domain and digest realm: what stands behind the `@` of every account and serial.
  public var domain: String
  /// Further host names and addresses that mean this server in a Request-URI or Route.
  public var aliases: [String] = []
  /// RFC 5626 §4.4.1, in seconds: how often at least a device shows that its flow lives.
  public var flowTimer: UInt32 = 25

  /// Bounds of a registration, in seconds (RFC 3261 §10.3 step 7).
  public var minimumExpires: UInt32 = 60
  public var defaultExpires: UInt32 = 600
  public var maximumExpires: UInt32 = 3600

  public var maximumContactsPerAccount = 10
  public var maximumPublicationsPerAccount = 8
  public var maximumResourcesPerPublication = 256
  public var maximumSubscriptionsPerAccount = 64
  /// Contacts of one account, with those it asked and those that ask it.
  public var maximumContactsListed = 250
  /// Requests of one account that are being forwarded at one time.
  public var maximumPendingPerAccount = 64
  /// Requests that are being forwarded at one time, by anybody.
  public var maximumPending = 20_000
  public var maximumConnectionsPerAddress = 512
  /// Dialogs that are counted as sessions; beyond this they run uncounted.
  public var maximumSessions = 100_000

  /// A connection that has shown no valid request by then is closed.
  public var firstRequestDeadline: Duration = .seconds(10)
  /// A message that has begun must be complete by then.
  public var partialMessageDeadline: Duration = .seconds(10)
  /// A connection without a contact is closed after this much silence.
  public var idleDeadline: Duration = .seconds(180)

  /// Replies per second to one address that has not shown who it is, and how many at once.
  public var strangerRepliesPerSecond: Float = 50
  public var strangerReplyBurst: Float = 200
  /// Wrong passwords per second from one address, and how many at once.
  public var failuresPerSecond: Float = 0.5
  public var failureBurst: Float = 20

  public init(domain: String) { self.domain = domain }

  /// RFC 5626 §4.4.1 lets a ping be that late; a flow that is silent for longer has failed.
  var silenceLimit: Duration { .milliseconds(Int64(flowTimer) * 1500) }
}

/// What the core asks of the world, as functions, so that it stays free of it.
public struct Environment {
  /// What became of a wish to publish a serial.
  public enum Claim: Hashable, Sendable {
    case owned
    /// It belongs to another account, or is the name of one.
    case refused
    /// It could not be stored.
    case unavailable
  }

  public var hashes: Hashes
  /// Makes `serial` the account's own for good, if nobody else has it. Durable when it returns.
  public var claim: (_ serial: String, _ account: String) -> Claim
  /// Reads a PIDF body (RFC 3863); `nil` when it is none. The parser is C, which has no place here.
  public var parsePresence: (_ body: [UInt8]) -> Presence?
  /// Relays for the ends of a session, with credentials bound to it: values of ``Rendezvous/relayField``.
  public var relays: (_ session: String) -> [String] = { _ in [] }
  /// The ends of a session named these addresses of theirs: nobody else is to be relayed to for it.
  public var signalled: (_ session: String, _ addresses: [IPAddress]) -> Void = { _, _ in }
  /// 32 random bytes that outlive a restart, so that flow tokens made before it still fail as 430.
  public var flowKey: [UInt8]
  /// Where contact lists are kept; without it they cannot be changed.
  public var contacts: ContactBook?
  /// Where messages to accounts are kept; without it they are only passed on to who is there.
  public var mailbox: MessageBox?
  /// The offline service is at the other end of ``Rendezvous/serviceFlow``.
  public var hasOfflineService = false

  public init(
    hashes: Hashes, flowKey: [UInt8], claim: @escaping (_ serial: String, _ account: String) -> Claim,
    parsePresence: @escaping (_ body: [UInt8]) -> Presence?, mailbox: MessageBox? = nil
  ) {
    self.hashes = hashes
    self.flowKey = flowKey
    self.claim = claim
    self.parsePresence = parsePresence
    self.mailbox = mailbox
  }
}
