import Doctor
import EdgeCore
import ICE
import NATDiscovery
import PeerSession
import Uplink

/// `edge view --explain`: every pair of addresses and what became of it, the kind of NAT on this side, and why the
/// path is what it is.
extension Viewer {
  /// More would hide what matters.
  private static let maximumRows = 40

  func startExplaining() {
    guard options.explains, natProbe == nil, natReport == nil, let stunServer else { return }
    let server = SocketAddress(stunServer.ip, port: NATProbe.standardPort)
    natProbe = NATProbe.start(reactor: reactor, server: server, plainServer: stunServer) {
      [unowned(unsafe) self] report in
      natProbe = nil
      natReport = report
    }
  }

  func stopExplaining() {
    natProbe?.cancel()
    natProbe = nil
  }

  /// Says it when a session ends, however it ends.
  func explain(_ session: PeerSession) {
    guard options.explains else { return }
    let pairs = session.pairs
    if pairs.isEmpty { progress.fail("explain: no pair of addresses was ever formed") }
    for pair in pairs.prefix(Self.maximumRows) {
      progress.fail(
        "explain: \(pair.local.kind.text) \(pair.local.address) -> \(pair.remote.kind.text) \(pair.remote.address): "
          + Self.fate(pair))
    }
    if pairs.count > Self.maximumRows { progress.fail("explain: and \(pairs.count - Self.maximumRows) more") }
    if let natReport {
      let finding = natReport.hasUDP ? natReport.finding : Finding("nat", .warning, "no answer over UDP")
      progress.fail("explain: this side: " + finding.text)
      if !finding.remedy.isEmpty { progress.fail("explain: " + finding.remedy) }
    }
    progress.fail("explain: " + verdict(session.path ?? lastPath, pairs))
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

  private func verdict(_ path: PeerPath?, _ pairs: [PairReport]) -> String {
    guard let path else {
      return "no path: a relay is needed between these networks (edge doctor on both sides says what could be changed)"
    }
    guard path.kind == .relay else { return "the path is direct, \(path.local) to \(path.remote)" }
    if options.route == .relayOnly { return "the path is the relay because --relay-only asks for it" }
    if natReport?.hasUDP == false { return "the path is the relay because UDP does not get out of this network" }
    if natReport?.mapping == .addressAndPortDependent || natReport?.mapping == .addressDependent {
      return "the path is the relay because this router takes another port for every peer and the other side filters"
    }
    let direct = pairs.filter { $0.local.kind != .relay && $0.remote.kind != .relay }
    if direct.isEmpty { return "the path is the relay because the node named no address this machine could reach" }
    return "the path is the relay because nothing came back from the node's own addresses: its router filters or takes "
      + "another port for every peer (edge doctor there says which)"
  }
}
