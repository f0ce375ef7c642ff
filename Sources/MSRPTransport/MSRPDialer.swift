import EdgeCore
public import LinuxIO
import MSRP
import SDP
import SecureStreams
import SecureTransport
public import Uplink

/// Descriptions of this end of MSRP sessions, and connections to the other: this end is behind a NAT as often as not,
/// so it opens every connection itself (`a=setup:active`, RFC 6135).
public final class MSRPDialer {
  let reactor: Reactor
  let uplink: Uplink
  private let resolver: NameResolver
  private var random = SystemRandom()

  public init(uplink: Uplink, reactor: Reactor, resolver: NameResolver) {
    self.uplink = uplink
    self.reactor = reactor
    self.resolver = resolver
  }

  /// This end of a session that is to be.
  struct Place {
    /// This end itself.
    var uri: MSRPURI
    /// What was agreed with the relay, when there is one.
    var pass: RelayLogin.Pass?

    /// RFC 4976 §5.1: "reverses the list of URIs in the Use-Path header, and appends the client's own URI".
    var path: [MSRPURI] { Array((pass?.usePath ?? []).reversed()) + [uri] }
  }

  /// Makes a place for a session, at the relay when one is configured; `nil` with why there is none.
  func prepare(_ ready: @escaping (Place?, MSRPObstacle?) -> Void) {
    let uri = newURI()
    guard let relay = uplink.relay else { return ready(Place(uri: uri, pass: nil), nil) }
    find(relay) { [self] addresses, security, obstacle in
      guard let security else { return ready(nil, obstacle) }
      _ = RelayLogin(
        reactor: reactor, to: addresses, security: security, relay: relay, local: uri, digest: uplink.digest()
      ) { pass, obstacle in
        ready(pass.map { Place(uri: uri, pass: $0) }, obstacle)
      }
    }
  }

  /// What this end takes.
  static let acceptTypes = ["message/cpim", "text/plain", "*"]

  /// A URI of this end for one session. Nobody connects to it.
  func newURI() -> MSRPURI {
    let address = uplink.localAddress.map { "\($0.ip)" } ?? "127.0.0.1"
    return MSRPURI(isSecure: uplink.isSecure, host: address, port: 9, sessionID: random.token(20))
  }

  /// A description of this end; port 9 says that it does not listen (RFC 6135 §4.2).
  func description(_ place: Place) -> MSRPDescription {
    var description = MSRPDescription(
      path: place.path, acceptTypes: Self.acceptTypes, setup: place.pass == nil ? .active : nil)
    description.acceptWrappedTypes = ["*"]
    return description
  }

  /// Opens the connection to the first hop of `peer`; `nil` when it is one this end must not use.
  ///
  /// Over a protected link every hop must be protected, not only the first (RFC 4975 §14.1).
  ///
  /// `ready` is called with the stream, before anything happens on it, or with why there is none.
  func connect(
    _ peer: MSRPDescription, from place: Place, _ configuration: MSRPSession.Configuration,
    ready: @escaping (MSRPStream?, MSRPObstacle?) -> Void
  ) {
    let hops = (place.pass?.usePath ?? []) + peer.path
    guard !uplink.isSecure || hops.allSatisfy({ $0.isSecure }) else {
      return ready(nil, MSRPObstacle("a part of the way to it is not protected", isLasting: true))
    }
    var configuration = configuration
    // A relay may buffer whole chunks, and little of them: what RFC 4975 §7.1.1 has for everybody.
    if place.pass != nil || peer.path.count > 1 { configuration.chunkBytes = 2048 }
    let session = MSRPSession(
      local: place.uri, remotePath: hops, configuration: configuration,
      random: AnyRandom(SystemRandom()))
    if let pass = place.pass {
      return ready(MSRPStream(reactor: reactor, over: pass.stream, session: session), nil)
    }
    find(peer.path[0]) { [reactor] addresses, security, obstacle in
      guard let security else { return ready(nil, obstacle) }
      ready(MSRPStream(reactor: reactor, to: addresses, security: security, session: session), nil)
    }
  }

  /// Where a hop is and how the connection to it is protected; no security with why it must not be used.
  private func find(
    _ hop: MSRPURI, ready: @escaping ([SocketAddress], StreamConnection.ClientSecurity?, MSRPObstacle?) -> Void
  ) {
    let port = hop.port ?? 2855
    let isServer = ASCII.equalIgnoringCase(hop.host, uplink.domain)
    let security: StreamConnection.ClientSecurity
    if hop.isSecure {
      guard let trusted = uplink.security(serverName: isServer ? nil : hop.host) else {
        return ready([], nil, MSRPObstacle("no certificate can be checked", isLasting: true))
      }
      security = trusted
    } else {
      // What goes to the server protected does not go on in the clear.
      guard !uplink.isSecure else {
        return ready([], nil, MSRPObstacle("it offers no protected connection", isLasting: true))
      }
      security = .plain
    }
    let open = { (addresses: [IPAddress]) in ready(addresses.map { SocketAddress($0, port: port) }, security, nil) }
    if let address = NameResolver.numeric(hop.host) { return open([address]) }
    // The server's domain need not be its host's name: it is where the link goes.
    if isServer, let server = uplink.serverAddress { return open([server.ip]) }
    _ = resolver.resolve(hop.host) { answer in
      switch answer {
      case .success(let found): open(found)
      case .failure(let error): ready([], nil, MSRPObstacle(error.description))
      }
    }
  }
}
