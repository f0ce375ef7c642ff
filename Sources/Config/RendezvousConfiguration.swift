public import EdgeCore

/// `rendezvous.yaml`: the server's domain, where it listens, and where it keeps its data.
///
/// Relative file names are relative to the directory of the file.
public struct RendezvousConfiguration: Hashable, Sendable {
  public struct Listen: Hashable, Sendable {
    /// SIP over TLS. `0.0.0.0:5061` unless the `listen` section is there and does without.
    public var sips: [SocketAddress]
    public var sipTCP: [SocketAddress]
    public var sipUDP: [SocketAddress]
    /// STUN and TURN over UDP and TCP. `0.0.0.0:3478` unless the `listen` section does without.
    public var stun: [SocketAddress]
    /// STUN and TURN over TLS.
    public var stunTLS: [SocketAddress]
    /// Tells clients what kind of NAT they are behind (RFC 5780): one address, or two with one port. The port after
    /// it is used too. `0.0.0.0:3479` unless the `listen` section does without.
    public var natDiscovery: [SocketAddress]
    /// MSRP over TCP, for messages too large for SIP.
    public var msrp: [SocketAddress]
    /// MSRP over TLS. `0.0.0.0:2855` unless the `listen` section is there and does without.
    public var msrps: [SocketAddress]

    public init(
      sips: [SocketAddress] = [], sipTCP: [SocketAddress] = [], sipUDP: [SocketAddress] = [],
      stun: [SocketAddress] = [], stunTLS: [SocketAddress] = [], natDiscovery: [SocketAddress] = [],
      msrp: [SocketAddress] = [], msrps: [SocketAddress] = []
    ) {
      self.msrp = msrp
      self.msrps = msrps
      self.natDiscovery = natDiscovery
      self.sips = sips
      self.sipTCP = sipTCP
      self.sipUDP = sipUDP
      self.stun = stun
      self.stunTLS = stunTLS
    }
  }

  /// Made on first start when absent.
  public struct TLS: Hashable, Sendable {
    public var certificate: String
    public var key: String
    /// The private authority that signed `certificate`: what nodes are given. `ca.pem` beside the certificate
    /// unless `ca` says otherwise.
    public var authority: String

    public init(certificate: String, key: String, authority: String) {
      self.certificate = certificate
      self.key = key
      self.authority = authority
    }
  }

  public struct Relay: Hashable, Sendable {
    /// `nil`: found out by the server (`auto`).
    public var externalAddress: IPAddress?
    public var ports: ClosedRange<UInt16>
    /// Peers with a private address may be relayed to.
    public var allowsPrivatePeers: Bool
    /// Peers need not be addresses the two ends of the session have signalled.
    public var allowsUnsignalledPeers = false
    /// What credentials are made with, in a file; `nil`: a secret of the server's own.
    public var secretFile: String?
    /// URIs of another TURN server to offer instead of relaying here; it has the same secret.
    public var servers: [String] = []
    /// Channel numbers of RFC 5766 are taken too.
    public var allowsOldChannels = false
    /// Loops for UDP, each on a thread; `nil`: one for each processor. 0: none but the process's own.
    public var threads: Int?
    /// How long a nonce is good. RFC 8656 §5: an hour at most.
    public var nonceLifetime: Duration = .seconds(3000)
    /// Payload one allocation may carry, and how long it may last; `nil`: no limit.
    public var maximumBytes: UInt64?
    public var maximumDuration: Duration?

    public init(
      externalAddress: IPAddress? = nil, ports: ClosedRange<UInt16> = 49_152...65_535, allowsPrivatePeers: Bool = false,
      secretFile: String? = nil
    ) {
      self.secretFile = secretFile
      self.externalAddress = externalAddress
      self.ports = ports
      self.allowsPrivatePeers = allowsPrivatePeers
    }
  }

  /// The offline service's share of large messages (docs/messages.md).
  public struct Media: Hashable, Sendable {
    /// A media server that is a process of its own.
    public struct Server: Hashable, Sendable {
      /// Where it takes SIP.
      public var address: SocketAddress
      /// How much of the work it takes in proportion, 1 to 1000.
      public var weight: Int

      public init(address: SocketAddress, weight: Int) {
        self.address = address
        self.weight = weight
      }
    }

    /// What peers connect to for MSRP: a name or an address; `nil` is the domain.
    public var host: String?
    /// What the application server shows to media servers, in a file.
    public var secretFile: String?
    /// Empty: this process is the media server, when it listens for MSRP.
    public var servers: [Server] = []

    public init() {}
  }

  public var media = Media()
  public var domain: String
  public var listen: Listen
  public var tls: TLS
  /// An SQLite file.
  public var database: String
  /// `nil`: no relay.
  public var relay: Relay?
  /// RFC 5626 §4.4: how often a client sends its keep-alive.
  public var flowTimer: Duration
  public var controlSocket: String
  public var logLevel: LogLevel

  public init(
    domain: String, listen: Listen, tls: TLS, database: String, relay: Relay? = nil, flowTimer: Duration = .seconds(25),
    controlSocket: String, logLevel: LogLevel = .info
  ) {
    self.domain = domain
    self.listen = listen
    self.tls = tls
    self.database = database
    self.relay = relay
    self.flowTimer = flowTimer
    self.controlSocket = controlSocket
    self.logLevel = logLevel
  }

  private static let keys = [
    "domain", "listen", "tls", "database", "relay", "flow-timer", "control-socket", "log-level", "media",
  ]

  public init(yaml bytes: [UInt8], file: String) throws(ConfigError) {
    let root = try YAMLNode(yaml: bytes, file: file)
    let problems = Problems(file: file)
    let top = Section(root, path: "", line: 1, keys: Self.keys, problems)
    _ = top.requiredText("domain", "what follows the @ of every address, usually the server's DNS name")
    let domain = top.value("domain", "a domain name or address") { AccountConfiguration.domain($0) }
    listen = Listen(top)
    database = top.file("database") ?? "/var/lib/edge-rendezvous/rendezvous.sqlite"
    let directory = Self.directory(of: database)
    let tls = top.section("tls", keys: ["certificate", "key", "ca"])
    let certificate = tls.file("certificate") ?? directory + "server.pem"
    if tls.has("certificate") != tls.has("key") {
      let missing = tls.has("key") ? "certificate" : "key"
      tls.report(missing, "is missing: a certificate and its key go together")
    }
    self.tls = TLS(
      certificate: certificate, key: tls.file("key") ?? directory + "server.key",
      authority: tls.file("ca") ?? Self.directory(of: certificate) + "ca.pem")
    relay =
      top.has("relay")
      ? Relay(
        top.section(
          "relay",
          keys: [
            "external-ip", "ports", "allow-private-peers", "unsignalled-peers", "secret-file", "old-channels",
            "threads", "nonce-seconds", "max-megabytes", "max-hours",
            "servers",
          ]))
      : nil
    media = Media(top.section("media", keys: ["host", "secret-file", "servers"]))
    flowTimer = .seconds(top.integer("flow-timer", 5...600) ?? 25)
    controlSocket = top.file("control-socket") ?? "/run/edge-rendezvous/control.sock"
    if controlSocket.utf8.count > 107 { top.report("control-socket", "is longer than 107 bytes") }
    logLevel = top.word("log-level", kind: "level", LogLevel.words).flatMap { LogLevel(word: $0) } ?? .info
    self.domain = domain ?? ""
    try problems.check()
  }

  private static func directory(of path: String) -> String {
    let bytes = Array(path.utf8)
    guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return "" }
    return String(decoding: bytes[...slash], as: UTF8.self)
  }
}

extension RendezvousConfiguration.Listen {
  fileprivate init(_ top: Section) {
    let listen = top.section(
      "listen", keys: ["sips", "sip-tcp", "sip-udp", "stun", "stun-tls", "nat-discovery", "msrp", "msrps"])
    guard top.has("listen") else {
      sips = [SocketAddress(.anyV4, port: 5061)]
      sipTCP = []
      sipUDP = []
      stun = [SocketAddress(.anyV4, port: 3478)]
      stunTLS = []
      natDiscovery = [SocketAddress(.anyV4, port: 3479)]
      msrp = []
      msrps = [SocketAddress(.anyV4, port: 2855)]
      return
    }
    sips = listen.addresses("sips")
    sipTCP = listen.addresses("sip-tcp")
    sipUDP = listen.addresses("sip-udp")
    stun = listen.addresses("stun")
    stunTLS = listen.addresses("stun-tls")
    natDiscovery = listen.addresses("nat-discovery")
    msrp = listen.addresses("msrp")
    msrps = listen.addresses("msrps")
    if let first = natDiscovery.first,
      natDiscovery.count > 2 || first.port == .max
        || natDiscovery.count == 2 && (natDiscovery[1].port != first.port || natDiscovery[1].ip == first.ip)
    {
      listen.report("nat-discovery", "must be one address, or two of one port; the port after it is used too")
    }
    if !listen.has("sips") && !listen.has("sip-tcp") && !listen.has("sip-udp") {
      top.report("listen", "has none of sips, sip-tcp and sip-udp: nobody could log in")
    }
    // sip-udp takes UDP ports, stun both, the others TCP ports; what is both sips and stun-tls is shared.
    let relaysOnly = stunTLS.filter { [sips] in !sips.contains($0) }
    listen.reportClash(
      "TCP",
      [
        ("sips", sips), ("sip-tcp", sipTCP), ("stun", stun), ("stun-tls", relaysOnly),
        ("msrp", msrp), ("msrps", msrps),
      ])
    listen.reportClash("UDP", [("sip-udp", sipUDP), ("stun", stun), ("nat-discovery", natDiscovery)])
  }
}

extension Section {
  /// One `address:port`, or a list of them.
  fileprivate func addresses(_ key: String) -> [SocketAddress] {
    guard let node = node(key) else { return [] }
    let items: [YAMLNode] = if case .sequence(let items) = node.content { items } else { [node] }
    var found: [SocketAddress] = []
    guard items.count <= 16 else {
      report(key, "has more than 16 addresses")
      return []
    }
    for item in items {
      guard case .scalar(let text, _) = item.content else {
        problems.add(item.line, child(key), "must be an address and port, or a list of them")
        continue
      }
      if let address = SocketAddress(text), address.port > 0 {
        found.append(address)
      } else {
        problems.add(
          item.line, child(key), "'\(printable(text))' is not an address and port such as 0.0.0.0:5061 or \"[::]:5061\""
        )
      }
    }
    return found
  }

  /// One text, or a list of up to 8 of them.
  fileprivate func texts(_ key: String) -> [String] {
    guard let node = node(key) else { return [] }
    let items: [YAMLNode] = if case .sequence(let items) = node.content { items } else { [node] }
    var found: [String] = []
    for item in items {
      guard case .scalar(let text, _) = item.content, found.count < 8 else {
        problems.add(item.line, child(key), "must be a text, or a list of at most 8")
        return []
      }
      found.append(text)
    }
    return found
  }

  fileprivate func reportClash(_ transport: String, _ groups: [(key: String, addresses: [SocketAddress])]) {
    var seen: [(key: String, address: SocketAddress)] = []
    for group in groups {
      for address in group.addresses {
        for earlier in seen where earlier.address == address {
          report(group.key, "\(transport) \(address) is already used by \(earlier.key)")
        }
        seen.append((group.key, address))
      }
    }
  }
}

extension RendezvousConfiguration.Media {
  fileprivate init(_ section: Section) {
    host = section.value("host", "a host name or address") { AccountConfiguration.domain($0) }
    secretFile = section.file("secret-file")
    for item in section.sections("servers", keys: ["address", "weight"]).prefix(64) {
      _ = item.requiredText("address", "where the media server takes SIP")
      let address = item.value("address", "an address and port such as 10.0.0.2:5070") { SocketAddress($0) }
      let weight = item.integer("weight", 1...1000) ?? 1
      if let address { servers.append(Server(address: address, weight: weight)) }
    }
    if !servers.isEmpty && secretFile == nil {
      section.report("servers", "needs 'secret-file', the secret those servers have too")
    }
  }
}

extension RendezvousConfiguration.Relay {
  fileprivate init(_ section: Section) {
    externalAddress = nil
    if section.text("external-ip") != "auto" {
      externalAddress = section.value("external-ip", "'auto' or an IP address") { IPAddress($0) }
    }
    ports =
      section.value("ports", "a range such as 49152-65535, of ports from 1024 up") { Self.range($0) }
      ?? 49_152...65_535
    allowsPrivatePeers = section.bool("allow-private-peers") ?? false
    allowsUnsignalledPeers = section.bool("unsignalled-peers") ?? false
    secretFile = section.file("secret-file")
    allowsOldChannels = section.bool("old-channels") ?? false
    threads = section.integer("threads", 0...64)
    nonceLifetime = section.integer("nonce-seconds", 5...3600).map { .seconds($0) } ?? .seconds(3000)
    maximumBytes = section.integer("max-megabytes", 1...1_000_000_000).map { UInt64($0) << 20 }
    maximumDuration = section.integer("max-hours", 1...8760).map { .seconds($0 * 3600) }
    servers = section.texts("servers")
    if !servers.isEmpty && secretFile == nil {
      section.report("servers", "needs 'secret-file', the secret that server has too")
    }
  }

  private static func range(_ text: String) -> ClosedRange<UInt16>? {
    let bytes = Array(text.utf8)
    guard let dash = bytes.firstIndex(of: UInt8(ascii: "-")),
      let low = ASCII.decimal(bytes[..<dash], max: 65_535), let high = ASCII.decimal(bytes[(dash + 1)...], max: 65_535),
      low >= 1024, low <= high
    else { return nil }
    return UInt16(low)...UInt16(high)
  }
}
