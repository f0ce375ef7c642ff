internal import EdgeCore
public import LinuxIO
public import SecureTransport
public import TURN

/// Gets a session its relayed address: every way a server offers is tried, UDP a little ahead of the streams, and the
/// first that answers is used.
public final class RelayFinder {
  /// Where TLS is concerned: whom to trust, and the name the certificate must carry.
  public struct TLS {
    public var context: TLSContext
    public var serverName: String

    public init(context: TLSContext, serverName: String) {
      self.context = context
      self.serverName = serverName
    }
  }

  /// Called with why there is none, when every way has failed.
  public var onFailed: ((_ why: String) -> Void)?

  private let reactor: Reactor
  private let session: PeerSession
  private var trying: [TURNRelay] = []
  private var waiting: [TURNRelay] = []
  private var reasons: [String] = []
  private var timer: Reactor.TimerToken?
  private var isDone = false

  /// How far UDP is ahead: where it works it is the better way, where it is blocked little is lost.
  private static let headStart: Duration = .milliseconds(150)

  /// Offers whose host is a name are left out: the server names addresses. The session waits for the outcome.
  public init(_ offers: [RelayOffer], for session: PeerSession, reactor: Reactor, tls: TLS?) {
    self.reactor = reactor
    self.session = session
    session.expectRelay()
    for offer in offers.prefix(8) {
      guard let ip = IPAddress(offer.host).map(session.reachable) else { continue }
      let security: TURNRelay.Security
      switch offer.transport {
      case .udp: security = .udp
      case .tcp: security = .tcp
      case .tls:
        guard let tls else { continue }
        security = .tls(tls.context, serverName: tls.serverName)
      }
      let relay = TURNRelay(
        reactor: reactor, server: SocketAddress(ip, port: offer.port), security: security,
        credentials: offer.credentials)
      if offer.transport == .udp { trying.append(relay) } else { waiting.append(relay) }
    }
  }

  public func start() {
    guard !isDone else { return }
    let first = trying
    trying = []
    for relay in first { begin(relay) }
    guard !waiting.isEmpty else {
      if trying.isEmpty { failed("the server offers no relay") }
      return
    }
    if trying.isEmpty {
      beginWaiting()
    } else {
      timer = reactor.schedule(after: Self.headStart) { [self] in
        timer = nil
        beginWaiting()
      }
    }
  }

  private func beginWaiting() {
    let next = waiting
    waiting = []
    for relay in next { begin(relay) }
  }

  private func begin(_ relay: TURNRelay) {
    guard !isDone else { return }
    trying.append(relay)
    relay.onReady = { [self, unowned(unsafe) relay] in ready(relay) }
    relay.onEnded = { [self, unowned(unsafe) relay] why in
      trying.removeAll { $0 === relay }
      reasons.append(why)
      if trying.isEmpty && waiting.isEmpty { failed(reasons.first ?? why) }
      if trying.isEmpty && !waiting.isEmpty { beginWaiting() }
    }
    relay.start()
  }

  private func ready(_ relay: TURNRelay) {
    guard !isDone else { return }
    let others = trying.filter { $0 !== relay }
    settle()
    for other in others { other.close() }
    relay.onEnded = nil
    guard !session.isClosed else { return relay.close() }
    session.addRelay(relay)
    session.relaySettled()
  }

  private func failed(_ why: String) {
    guard !isDone else { return }
    let handler = onFailed
    settle()
    session.relaySettled()
    handler?(why)
  }

  private func settle() {
    isDone = true
    if let timer { reactor.cancel(timer) }
    timer = nil
    trying = []
    waiting = []
    onFailed = nil
  }

  /// Still looking.
  var isSearching: Bool { !isDone }

  /// Gives up: the session is over.
  public func close() {
    guard !isDone else { return }
    let open = trying
    settle()
    for relay in open { relay.close() }
  }
}
