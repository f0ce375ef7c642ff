import Config
import EdgeCore
import LinuxIO
import NATDiscovery
import PeerSession
import StatusModel
import Uplink

/// `edge view --explain`: gathers what there is to say.
extension Viewer {
  func startExplaining() {
    guard options.explains, natProbe == nil, natReport == nil,
      let stunServer = stunServers.first(where: { $0.ip.isV4 }) ?? stunServers.first
    else { return }
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
    let explanation = Explanation(
      serial: options.serial, path: session.path ?? lastPath, pairs: session.pairs, route: options.route,
      nat: natReport, nodeNAT: nodeNAT, relayFailure: relayFailure, hasRelay: hasRelay,
      server: Explanation.Server(
        uri: account.uri.description, clock: reactor.wallClockSeconds, certificateEnds: uplink.certificateEnds,
        heartbeatAge: lastHeartbeatAt.map { reactor.now - $0 }))
    if options.explainsAsJSON {
      Program.writeOutput(JSONWriter.text(explanation.json) + "\n")
    } else {
      for line in explanation.lines { progress.fail("explain: " + line) }
    }
  }
}
