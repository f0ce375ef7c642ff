import Config
import EdgeCore
import LinuxIO
import SecureTransport
import TURN

/// What the two ends of a session are told of the relay.
final class RelayOffers {
  /// Each way to it, the credentials left open.
  private var ways: [RelayOffer] = []
  private var secret: [UInt8] = []
  /// Where the addresses of a session's ends are made use of.
  var onSignalled: ((_ session: String, _ addresses: [IPAddress]) -> Void)?

  /// Long enough to begin with: an allocation outlives its credentials.
  private static let lifetime: Int64 = 600

  /// Our own relay: a listener on one address may be behind the router that has the other.
  func set(addresses: [IPAddress], listen: RendezvousConfiguration.Listen, secret: [UInt8]) {
    self.secret = secret
    let nobody = RelayCredentials(username: "", password: "")
    for address in addresses {
      let host = "\(address)"
      for listener in listen.stun where listener.ip.isV4 == address.isV4 {
        for transport in [RelayOffer.Transport.udp, .tcp] {
          ways.append(RelayOffer(transport, host: host, port: listener.port, credentials: nobody))
        }
      }
      for listener in listen.stunTLS where listener.ip.isV4 == address.isV4 {
        ways.append(RelayOffer(.tls, host: host, port: listener.port, credentials: nobody))
      }
    }
  }

  /// Somebody else's, that has the same secret.
  func set(servers: [String], secret: [UInt8]) throws(StartError) {
    self.secret = secret
    for server in servers {
      guard let way = RelayOffer("<\(server)>;username=x;password=x"), IPAddress(way.host) != nil else {
        throw StartError(
          "'\(server)' under relay.servers is no TURN URI with an address, such as turn:203.0.113.9:3478?transport=udp")
      }
      ways.append(way)
    }
  }

  func offers(for session: String) -> [String] {
    guard !ways.isEmpty else { return [] }
    let credentials = RelayCredentials.issue(
      session: session, expiry: MonotonicClock.wallClockSeconds + Self.lifetime, secret: secret, hashes: .openSSL)
    return ways.map { RelayOffer($0.transport, host: $0.host, port: $0.port, credentials: credentials).text }
  }
}
