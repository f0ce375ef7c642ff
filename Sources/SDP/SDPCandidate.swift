public import EdgeCore

/// A `candidate` attribute (RFC 8839 §5.1): a UDP transport address of a peer, and what is known of it.
public struct SDPCandidate: Hashable, Sendable {
  public enum Kind: Hashable, Sendable { case host, serverReflexive, peerReflexive, relayed }

  /// Equal for candidates of one kind, base and server; 1 to 32 `ice-char`s.
  public var foundation: String
  /// 1...256; the only one a data channel has is 1.
  public var component: Int
  /// 1...2^31-1, larger is preferred.
  public var priority: UInt32
  public var address: SocketAddress
  public var kind: Kind
  /// `raddr` and `rport`: the base of a reflexive candidate, or 0.0.0.0:0 to keep it private.
  public var relatedAddress: SocketAddress?
  /// Extensions we have no use for, kept in order: `generation 0`, `network-id 1`, `ufrag x`.
  public var extensions: [Extension] = []

  public struct Extension: Hashable, Sendable {
    public var name: String
    public var value: String

    public init(name: String, value: String) {
      self.name = name
      self.value = value
    }
  }

  public init(
    foundation: String, component: Int = 1, priority: UInt32, address: SocketAddress, kind: Kind,
    relatedAddress: SocketAddress? = nil
  ) {
    self.foundation = foundation
    self.component = component
    self.priority = priority
    self.address = address
    self.kind = kind
    self.relatedAddress = relatedAddress
  }
}

/// Why a candidate was not taken.
public enum SDPCandidateError: Error, Hashable, Sendable {
  /// Breaks RFC 8839 §5.1.
  case malformed
  /// Fine, and of no use to us. RFC 8839 §5.1: candidates with a transport, address family, name
  /// or type an agent does not know "MUST" be ignored, which is no error of the description.
  case unsupported(Unsupported)

  public enum Unsupported: Hashable, Sendable { case transport, address, type }
}

extension SDPCandidate {
  /// The value of an `a=candidate:` line: what comes after `candidate:`.
  public var serialized: String {
    var text =
      "\(foundation) \(component) udp \(priority) \(address.ip) \(address.port) typ \(kind.text)"
    if let relatedAddress { text += " raddr \(relatedAddress.ip) rport \(relatedAddress.port)" }
    for item in extensions { text += " \(item.name) \(item.value)" }
    return text
  }

  /// Takes the value of the attribute, with or without a leading `candidate:` (browsers hand it over
  /// in both forms).
  public init(_ text: String) throws(SDPCandidateError) {
    let bytes = Array(text.utf8)
    let prefix = Array("candidate:".utf8)
    try self.init(fields: words(bytes.starts(with: prefix) ? bytes[prefix.count...] : bytes[...]))
  }

  private init(fields: [String]) throws(SDPCandidateError) {
    guard fields.count >= 8, fields[6] == "typ" else { throw .malformed }
    guard Grammar.isICEText(fields[0], 1...32),
      let component = ASCII.decimal(fields[1], max: 256), component > 0,
      let priority = ASCII.decimal(fields[3], max: 0x7FFF_FFFF), priority > 0,
      let port = ASCII.decimal(fields[5], max: 65_535)
    else { throw .malformed }
    guard ASCII.equalIgnoringCase(fields[2], "udp") else { throw .unsupported(.transport) }
    // A name (RFC 8839 §5.1 FQDN, `*.local` of RFC 8828) is not resolved: who chose it would learn where we look it up.
    guard let ip = IPAddress(fields[4]), port > 0 else { throw .unsupported(.address) }
    guard let kind = Kind(fields[7]) else { throw .unsupported(.type) }
    self.init(
      foundation: fields[0], component: Int(component), priority: UInt32(priority),
      address: SocketAddress(ip, port: UInt16(port)), kind: kind)
    var index = 8
    var relatedIP: IPAddress?
    var relatedPort: UInt16?
    while index + 1 < fields.count {
      switch fields[index] {
      case "raddr": relatedIP = IPAddress(fields[index + 1])
      case "rport": relatedPort = ASCII.decimal(fields[index + 1], max: 65_535).map { UInt16($0) }
      default: extensions.append(Extension(name: fields[index], value: fields[index + 1]))
      }
      index += 2
    }
    if let relatedIP, let relatedPort { relatedAddress = SocketAddress(relatedIP, port: relatedPort) }
  }
}

extension SDPCandidate.Kind {
  /// `host`, `srflx`, `prflx` or `relay`.
  public var text: String {
    switch self {
    case .host: "host"
    case .serverReflexive: "srflx"
    case .peerReflexive: "prflx"
    case .relayed: "relay"
    }
  }

  init?(_ text: String) {
    switch text {
    case "host": self = .host
    case "srflx": self = .serverReflexive
    case "prflx": self = .peerReflexive
    case "relay": self = .relayed
    default: return nil
    }
  }
}
