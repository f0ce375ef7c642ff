import EdgeCore
import LinuxIO
import PIDF
import RendezvousLogic
import StatusModel
import TURN

/// The core's snapshot in the words of `edge-rendezvous status`.
struct StatusReport {
  let status: RendezvousStatus
  private let uptime: Duration
  private let snapshot: Snapshot
  /// `nil`: this server relays nothing.
  private let relay: TURNServer.Statistics?

  init(
    snapshot: Snapshot, domain: String, listeners: [RendezvousStatus.Listener], accounts: Int, uptime: Duration,
    now: Int64, storeFailure: String?, relay: TURNServer.Statistics?
  ) {
    self.relay = relay
    self.snapshot = snapshot
    self.uptime = uptime
    var status = RendezvousStatus(
      version: Version.current, domain: domain, since: now - uptime.components.seconds)
    status.listeners = listeners
    status.accounts = accounts
    status.nodes = snapshot.nodes.map { node in
      RendezvousStatus.Node(
        account: node.account, transport: node.flow.transport.viaName.lowercased(), remote: "\(node.flow.remote)",
        since: now - node.age.components.seconds, serials: node.serials.map(\.serial))
    }
    status.serials = snapshot.serials
    status.flowsTLS = snapshot.contactFlows[.tls] ?? 0
    status.flowsTCP = snapshot.contactFlows[.tcp] ?? 0
    status.flowsUDP = snapshot.contactFlows[.udp] ?? 0
    status.sessions = snapshot.sessions
    status.subscriptions = snapshot.subscriptions
    status.memoryBytes = Int64(ProcessFacts.residentBytes ?? 0)
    if let storeFailure {
      status.health.append(Health(code: "database", severity: .error, text: storeFailure))
    }
    self.status = status
  }

  var text: String {
    guard let relay else { return status.text }
    let bytes = relay.traffic.toPeersBytes &+ relay.traffic.toClientsBytes
    return status.text + "  relay: allocations: \(relay.allocations), relayed bytes: \(bytes), "
      + "refused peers: \(relay.refusedPeers)\n"
  }

  /// The status, and the counters behind it.
  var json: String {
    guard case .object(var members) = status.json else { return "" }
    let counters = snapshot.counters
    members.append(.init("uptime_s", .integer(uptime.components.seconds)))
    members.append(.init("contacts", .integer(snapshot.contacts)))
    members.append(.init("connections", .integer(snapshot.connections)))
    members.append(.init("pending", .integer(snapshot.pending)))
    members.append(
      .init(
        "counters",
        .object([
          .init("requests", .integer(counters.requests)), .init("responses", .integer(counters.responses)),
          .init("malformed", .integer(counters.malformed)), .init("registrations", .integer(counters.registrations)),
          .init("challenges", .integer(counters.challenges)),
          .init("wrong_passwords", .integer(counters.wrongPasswords)),
          .init("publications", .integer(counters.publications)),
          .init("notifications", .integer(counters.notifications)),
          .init("invitations", .integer(counters.invitations)), .init("pings", .integer(counters.pings)),
          .init("binding_requests", .integer(counters.bindingRequests)),
          .init("flows_lost", .integer(counters.flowsLost)), .init("limited", .integer(counters.limited)),
        ])))
    if let relay { members.append(.init("relay", Self.json(relay))) }
    return JSONWriter.text(.object(members), style: .indented) + "\n"
  }

  private static func json(_ relay: TURNServer.Statistics) -> JSONValue {
    .object([
      .init("allocations", .integer(relay.allocations)), .init("permissions", .integer(relay.permissions)),
      .init("channels", .integer(relay.channels)), .init("to_peers_packets", .integer(relay.traffic.toPeers)),
      .init("to_peers_bytes", .integer(relay.traffic.toPeersBytes)),
      .init("to_clients_packets", .integer(relay.traffic.toClients)),
      .init("to_clients_bytes", .integer(relay.traffic.toClientsBytes)),
      .init("malformed", .integer(relay.malformed)), .init("unwanted", .integer(relay.unwanted)),
      .init("refused_peers", .integer(relay.refusedPeers)), .init("suppressed", .integer(relay.suppressed)),
    ])
  }
}
