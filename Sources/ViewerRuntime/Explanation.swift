import Doctor
import EdgeCore
import ICE
import NATDiscovery
import PeerSession
import StatusModel

/// Why the path of a session is what it is: what `edge view --explain` says when the session ends.
struct Explanation {
  var serial: String
  var path: PeerPath?
  var pairs: [PairReport]
  var route: ViewerOptions.Route
  /// This side's NAT, and the node's as it says itself.
  var nat: NATReport?
  var nodeNAT: NATReport?
  /// Why there is no relay, in the words of whoever failed.
  var relayFailure: String?
  var hasRelay: Bool
  var server: Server

  /// What is known of the link to the server.
  struct Server {
    var uri: String
    /// Unix seconds.
    var clock: Int64
    var certificateEnds: Int64?
    var heartbeatAge: Duration?
  }

  /// More would hide what matters.
  private static let maximumRows = 40

  // MARK: Text

  var lines: [String] {
    var lines: [String] = []
    if pairs.isEmpty { lines.append("no pair of addresses was ever formed") }
    for pair in pairs.prefix(Self.maximumRows) {
      lines.append(
        "\(pair.local.kind.text) \(pair.local.address) -> \(pair.remote.kind.text) \(pair.remote.address): "
          + Self.fate(pair))
    }
    if pairs.count > Self.maximumRows { lines.append("and \(pairs.count - Self.maximumRows) more") }
    if let nat { lines.append("this side: " + Self.finding(nat).text) }
    if let nodeNAT { lines.append("the node's side: " + nodeNAT.finding.text) }
    if let relayFailure { lines.append("relay: " + relayFailure) }
    var link = "server: " + server.uri + ", clock here " + Plain.time(server.clock)
    if let end = server.certificateEnds { link += ", certificate right until " + Plain.time(end) }
    if let age = server.heartbeatAge { link += ", last heartbeat " + Plain.interval(age) + " ago" }
    lines.append(link)
    lines.append(verdict)
    if !remedy.isEmpty { lines.append(remedy) }
    return lines
  }

  private static func finding(_ nat: NATReport) -> Finding {
    nat.hasUDP ? nat.finding : Finding("nat", .warning, "no answer over UDP")
  }

  private static func fate(_ pair: PairReport) -> String {
    if pair.isSelected { return "in use" + (pair.roundTrip.map { ", \($0.wholeMilliseconds) ms" } ?? "") }
    let checks = pair.checks == 1 ? "1 check" : "\(pair.checks) checks"
    switch pair.reason {
    case .notTried: return "not tried"
    case .awaitingAnswer: return "no answer yet (\(checks))"
    case .answered: return "works, not needed"
    case .timedOut: return "no answer (\(checks))"
    case .nonSymmetric: return "answered from another address: a NAT in between gives every peer its own"
    case .refused(let code): return "refused with error \(code)"
    case .notNeeded: return pair.checks > 0 ? "no answer before another pair was chosen (\(checks))" : "not needed"
    case .consentLost: return "worked, and then fell silent"
    }
  }

  var verdict: String {
    guard let path else { return "no path: a relay is needed between these networks" }
    guard path.kind == .relay else { return "the path is direct, \(path.local) to \(path.remote)" }
    if route == .relayOnly { return "the path is the relay because --relay-only asks for it" }
    if nat?.hasUDP == false { return "the path is the relay because UDP does not get out of this network" }
    if nodeNAT?.hasUDP == false { return "the path is the relay because UDP does not get out of the node's network" }
    if nat?.mapping.isPerPeer == true {
      return "the path is the relay because this router takes another port for every peer and the other side filters"
    }
    if nodeNAT?.mapping.isPerPeer == true {
      return "the path is the relay because the node's router takes another port for every peer and this side filters"
    }
    let direct = pairs.filter { $0.local.kind != .relay && $0.remote.kind != .relay }
    if direct.isEmpty { return "the path is the relay because the node named no address this machine could reach" }
    return "the path is the relay because nothing came back from the node's own addresses: its router filters or takes "
      + "another port for every peer (edge doctor there says which)"
  }

  /// What the person can do about it; empty when there is nothing to do.
  var remedy: String {
    if path == nil, route == .noRelay { return "leave --no-relay out" }
    if path == nil, !hasRelay { return "the server offers no relay: add a relay section to its rendezvous.yaml" }
    guard path.map({ $0.kind == .relay }) ?? true, route != .relayOnly else { return "" }
    if let nat, !nat.hasUDP { return "let UDP out of this network" }
    if let nodeNAT, !nodeNAT.hasUDP { return "let UDP out of the node's network" }
    if nat?.mapping.isPerPeer == true { return nat?.finding.remedy ?? "" }
    if nodeNAT?.mapping.isPerPeer == true { return "at the node's router: " + (nodeNAT?.finding.remedy ?? "") }
    return ""
  }

  // MARK: JSON

  /// Fields are added, never renamed or reordered.
  var json: JSONValue {
    .object([
      .init("serial", .string(serial)),
      .init("path", path.map { Self.json($0) } ?? .null),
      .init("verdict", .string(verdict)),
      .init("remedy", .string(remedy)),
      .init(
        "nat",
        .object([
          .init("here", nat.map { Self.json($0) } ?? .null), .init("node", nodeNAT.map { Self.json($0) } ?? .null),
        ])
      ),
      .init("relay", .object([.init("found", .bool(hasRelay)), .init("failure", .optional(relayFailure))])),
      .init(
        "server",
        .object([
          .init("uri", .string(server.uri)), .init("clock", .timestamp(server.clock)),
          .init("certificate_until", server.certificateEnds.map { .timestamp($0) } ?? .null),
          .init("heartbeat_age_ms", server.heartbeatAge.map { .milliseconds($0) } ?? .null),
        ])),
      .init("pairs", .array(pairs.map { Self.json($0) })),
    ])
  }

  private static func json(_ path: PeerPath) -> JSONValue {
    .object([
      .init("kind", .string(path.kind.text)), .init("local", .string(path.local.description)),
      .init("remote", .string(path.remote.description)),
      .init("rtt_ms", path.roundTrip.map { .milliseconds($0) } ?? .null),
    ])
  }

  private static func json(_ nat: NATReport) -> JSONValue {
    .object([
      .init("udp", .bool(nat.hasUDP)), .init("mapping", .string(nat.mapping.rawValue)),
      .init("filtering", .string(nat.filtering.rawValue)),
      .init("public_address", .optional(nat.publicAddress?.description)), .init("text", .string(finding(nat).text)),
    ])
  }

  private static func json(_ pair: PairReport) -> JSONValue {
    .object([
      .init("local_kind", .string(pair.local.kind.text)), .init("local", .string(pair.local.address.description)),
      .init("remote_kind", .string(pair.remote.kind.text)), .init("remote", .string(pair.remote.address.description)),
      .init("selected", .bool(pair.isSelected)), .init("nominated", .bool(pair.isNominated)),
      .init("checks", .integer(pair.checks)), .init("rtt_ms", pair.roundTrip.map { .milliseconds($0) } ?? .null),
      .init("fate", .string(fate(pair))),
    ])
  }
}

extension NATBehavior {
  /// What is called symmetric.
  fileprivate var isPerPeer: Bool { self == .addressAndPortDependent || self == .addressDependent }
}
