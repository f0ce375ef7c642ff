/// What a rendezvous server says of itself: the answer behind `edge-rendezvous status`.
public struct RendezvousStatus: Hashable, Sendable {
  public struct Listener: Hashable, Sendable {
    /// `sips`, `sip-tcp`, `sip-udp`, `stun`, `stun-tls`.
    public var name: String
    public var address: String

    public init(name: String, address: String) {
      self.name = name
      self.address = address
    }
  }

  /// An account that is logged in and has published.
  public struct Node: Hashable, Sendable {
    public var account: String
    /// `tls`, `tcp` or `udp`.
    public var transport: String
    public var remote: String
    /// Unix seconds.
    public var since: Int64
    public var serials: [String]

    public init(account: String, transport: String, remote: String, since: Int64, serials: [String]) {
      self.account = account
      self.transport = transport
      self.remote = remote
      self.since = since
      self.serials = serials
    }
  }

  public var version: String
  public var domain: String
  /// When the server started, in unix seconds.
  public var since: Int64
  public var listeners: [Listener] = []
  public var nodes: [Node] = []
  /// Accounts in the database.
  public var accounts = 0
  /// Serials that can be reached now.
  public var serials = 0
  /// Live connections of registered contacts, by transport.
  public var flowsTLS = 0
  public var flowsTCP = 0
  public var flowsUDP = 0
  /// Calls set up and not ended.
  public var sessions = 0
  public var subscriptions = 0
  /// Resident memory of the process.
  public var memoryBytes: Int64 = 0
  public var health: [Health] = []

  public init(version: String, domain: String, since: Int64) {
    self.version = version
    self.domain = domain
    self.since = since
  }

  public var exitCode: ExitCode { health.hasProblems ? .problems : .fine }
}

extension RendezvousStatus {
  /// Fields are added, never renamed or reordered.
  public var json: JSONValue {
    var listening: [JSONValue] = []
    for listener in listeners {
      listening.append(.object([.init("name", .string(listener.name)), .init("address", .string(listener.address))]))
    }
    return .object([
      .init("version", .string(version)),
      .init("domain", .string(domain)),
      .init("since", .timestamp(since)),
      .init("listeners", .array(listening)),
      .init("nodes", .array(nodes.map { $0.json })),
      .init("accounts", .integer(accounts)),
      .init("serials", .integer(serials)),
      .init(
        "flows",
        .object([
          .init("tls", .integer(flowsTLS)), .init("tcp", .integer(flowsTCP)), .init("udp", .integer(flowsUDP)),
        ])),
      .init("sessions", .integer(sessions)),
      .init("subscriptions", .integer(subscriptions)),
      .init("memory_bytes", .integer(memoryBytes)),
      .init("health", .array(health.map { $0.json })),
    ])
  }

  /// Reads what ``json`` wrote; unknown fields are skipped. `nil` if it is no server's status.
  public init?(_ json: JSONValue) {
    guard let version = json["version"]?.text, let domain = json["domain"]?.text else { return nil }
    self.init(version: version, domain: domain, since: json["since"]?.unixSeconds ?? 0)
    func count(_ value: JSONValue?) -> Int { Int(clamping: value?.integer ?? 0) }
    for item in json["listeners"]?.elements ?? [] {
      listeners.append(Listener(name: item["name"]?.text ?? "", address: item["address"]?.text ?? ""))
    }
    for item in json["nodes"]?.elements ?? [] {
      if let node = Node(item) { nodes.append(node) }
    }
    accounts = count(json["accounts"])
    serials = count(json["serials"])
    flowsTLS = count(json["flows"]?["tls"])
    flowsTCP = count(json["flows"]?["tcp"])
    flowsUDP = count(json["flows"]?["udp"])
    sessions = count(json["sessions"])
    subscriptions = count(json["subscriptions"])
    memoryBytes = json["memory_bytes"]?.integer ?? 0
    for item in json["health"]?.elements ?? [] {
      if let line = Health(item) { health.append(line) }
    }
  }

  /// What `edge-rendezvous status` prints. Plain ASCII, each line ended by a newline.
  public var text: String {
    var text = "\(Plain.text(domain)) (edge-rendezvous \(Plain.text(version))): running since \(Plain.time(since))\n"
    text +=
      "  accounts: \(accounts), nodes online: \(nodes.count), serials: \(serials), sessions: \(sessions), "
      + "subscriptions: \(subscriptions)\n"
    text += "  flows: \(flowsTLS) tls, \(flowsTCP) tcp, \(flowsUDP) udp; memory: \(Plain.byteCount(memoryBytes))\n"
    text += "\nListening:\n"
    text +=
      listeners.isEmpty ? "  nowhere\n" : Plain.table(listeners.map { [Plain.text($0.name), Plain.text($0.address)] })
    text += "\nNodes:\n"
    text += nodes.isEmpty ? "  none\n" : Plain.table(nodes.map { $0.row })
    return text + health.textLines
  }
}

extension RendezvousStatus.Node {
  fileprivate var json: JSONValue {
    .object([
      .init("account", .string(account)),
      .init("transport", .string(transport)),
      .init("remote", .string(remote)),
      .init("since", .timestamp(since)),
      .init("serials", .array(serials.map { .string($0) })),
    ])
  }

  fileprivate init?(_ json: JSONValue) {
    guard let account = json["account"]?.text else { return nil }
    var serials: [String] = []
    for item in json["serials"]?.elements ?? [] {
      if let serial = item.text { serials.append(serial) }
    }
    self.init(
      account: account, transport: json["transport"]?.text ?? "", remote: json["remote"]?.text ?? "",
      since: json["since"]?.unixSeconds ?? 0, serials: serials)
  }

  fileprivate var row: [String] {
    var list = ""
    for serial in serials { list += (list.utf8.isEmpty ? "" : " ") + Plain.text(serial) }
    return [
      Plain.text(account), "\(Plain.text(transport)) \(Plain.text(remote))", "since " + Plain.time(since), list,
    ]
  }
}
