public import EdgeCore

/// Who logs in, where, and how.
public struct UserAgentConfiguration: Hashable, Sendable {
  /// What carries the SIP messages to the server.
  public enum Transport: Hashable, Sendable {
    case tls, tcp, udp

    /// The Via and URI parameter form (RFC 3261 §20.42).
    var name: String {
      switch self {
      case .tls: "TLS"
      case .tcp: "TCP"
      case .udp: "UDP"
      }
    }

    var isReliable: Bool { self != .udp }
  }

  /// The account's name, the user part of its address of record.
  public var account: String
  /// The server's SIP domain.
  public var domain: String
  /// Only challenges of this realm are answered (RFC 3261 §22.1); the domain unless told otherwise.
  public var realm: String
  public var password: String
  /// Whether an MD5 challenge may be answered, for an old server that knows nothing better (RFC 8760 §2.3).
  public var allowsMD5: Bool
  public var transport: Transport
  /// `urn:uuid:...`, the same at every start (RFC 5626 §4.1).
  public var instance: String
  /// A node registers to be reachable; a viewer that only places calls need not.
  public var registers: Bool
  /// Seconds. What the registration asks for; the server may grant less.
  public var registrationExpires: UInt32
  /// Heartbeat when the server sends no `Flow-Timer`.
  public var heartbeat: Duration
  /// Media types of offers that a call may come with; another one is refused with 415 (RFC 3261 §8.2.3).
  public var offerTypes: [String]
  /// Info packages the owner understands (RFC 6086 §3); others are refused with 469.
  public var infoPackages: [String]
  /// Goes into the User-Agent header field.
  public var product: String

  public init(
    account: String, domain: String, password: String, transport: Transport, instance: String,
    registers: Bool = true, registrationExpires: UInt32 = 600, heartbeat: Duration = .seconds(25),
    realm: String? = nil, allowsMD5: Bool = false, offerTypes: [String] = ["application/sdp"],
    infoPackages: [String] = ["trickle-ice"], product: String = "edge/" + Version.current
  ) {
    self.account = account
    self.domain = domain
    self.realm = realm ?? domain
    self.password = password
    self.allowsMD5 = allowsMD5
    self.transport = transport
    self.instance = instance
    self.registers = registers
    self.registrationExpires = registrationExpires
    self.heartbeat = heartbeat
    self.offerTypes = offerTypes
    self.infoPackages = infoPackages
    self.product = product
  }
}
