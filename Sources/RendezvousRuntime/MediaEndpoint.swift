import Config
import EdgeCore
import LinuxIO
import OfflineService
import RendezvousLogic
import SIP
import SecureStreams
import SecureTransport
import Storage

/// The MSRP sockets and the clock around one media server. Decides nothing.
final class MediaEndpoint {
  private let media: MediaServer
  private let reactor: Reactor
  private let log: Log
  private var listeners: [TCPListener] = []
  private var streams: [UInt64: StreamConnection] = [:]
  /// Where an accepted connection came from, and how many a site has.
  private var sites: [UInt64: UInt64] = [:]
  private var connectionsOf: [UInt64: Int] = [:]
  private var nextConnection: UInt64 = 0
  private var timer: (at: Instant, token: Reactor.TimerToken)?
  /// SIP and control for the application server.
  var onMessage: ((Message) -> Void)?
  var onControl: (([UInt8]) -> Void)?

  /// A peer that does not read what it is sent, so much of it, is gone.
  private static let maximumUnsent = 16 << 20
  private static let maximumConnections = 2_000
  /// Of one site (``IPAddress/site``): it may be a carrier's NAT with many people behind.
  private static let maximumPerSite = 500
  /// A terminal that went without a word is noticed.
  private static let keepAlive = Duration.seconds(120)

  init(_ media: MediaServer, reactor: Reactor, log: Log) {
    self.media = media
    self.reactor = reactor
    self.log = log
  }

  func add(_ listener: TCPListener, _ security: StreamConnection.ServerSecurity) {
    listeners.append(listener)
    listener.onAccept = { [weak self] connection in
      let site = connection.peerAddress.ip.site
      guard let self, self.streams.count < Self.maximumConnections,
        self.connectionsOf[site, default: 0] < Self.maximumPerSite
      else { return connection.close() }
      connection.keepAlive(after: Self.keepAlive)
      nextConnection += 1
      adopt(StreamConnection.accept(connection, reactor: reactor, security: security), nextConnection, site: site)
    }
  }

  func close() {
    for listener in listeners { listener.close() }
    for stream in streams.values { stream.closeAfterSending(within: .seconds(1)) }
    streams = [:]
    if let timer { reactor.cancel(timer.token) }
    timer = nil
  }

  // MARK: From the application server

  func receive(_ message: Message) { carryOut(media.receive(message, at: reactor.now)) }

  /// `false`: close the control channel.
  func receiveControl(_ bytes: [UInt8]) -> Bool {
    guard let outputs = media.receiveControl(bytes, at: reactor.now) else { return false }
    carryOut(outputs)
    return true
  }

  func serverLost() { carryOut(media.serverLost(at: reactor.now)) }

  // MARK: Peers

  private func adopt(_ stream: StreamConnection, _ id: UInt64, site: UInt64? = nil) {
    stream.maxUnsentBytes = Self.maximumUnsent
    streams[id] = stream
    if let site {
      sites[id] = site
      connectionsOf[site, default: 0] += 1
    }
    stream.onOpen = { [weak self] in
      guard let self else { return }
      carryOut(media.opened(id, at: reactor.now))
    }
    stream.onBytes = { [weak self] bytes in
      guard let self else { return }
      carryOut(media.received([UInt8](copying: bytes), on: id, at: reactor.now))
    }
    stream.onDrained = { [weak self] in
      guard let self else { return }
      carryOut(media.drained(id, at: reactor.now))
    }
    stream.onClosed = { [weak self] reason in
      guard let self else { return }
      log.debug("msrp-closed", [("reason", "\(reason)")])
      _ = remove(id)
      carryOut(media.closed(id, at: reactor.now))
    }
  }

  private func remove(_ id: UInt64) -> StreamConnection? {
    if let site = sites.removeValue(forKey: id) {
      let left = connectionsOf[site, default: 1] - 1
      connectionsOf[site] = left > 0 ? left : nil
    }
    return streams.removeValue(forKey: id)
  }

  private func carryOut(_ outputs: [MediaServer.Output]) {
    var written: Set<UInt64> = []
    for output in outputs {
      switch output {
      case .toServer(let message): onMessage?(message)
      case .toControl(let bytes): onControl?(bytes)
      case .toPeer(let bytes, let id):
        streams[id]?.send(bytes)
        written.insert(id)
      case .connect(let id, let host, let port): connect(id, host, port)
      case .close(let id): remove(id)?.closeAfterSending(within: .seconds(2))
      case .log(let event, let fields):
        log.log(.info, event, fields.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
      }
    }
    for id in written.sorted() where streams[id]?.unsentBytes == 0 {
      // The kernel took it at once, so it will not tell.
      reactor.enqueue(.bulk) { [weak self] in
        guard let self, streams[id] != nil else { return }
        carryOut(media.drained(id, at: reactor.now))
      }
    }
    wake()
  }

  private func connect(_ id: UInt64, _ host: String, _ port: UInt16) {
    guard let ip = NameResolver.numeric(host) else {
      // A peer behind a name has to connect itself (RFC 6135).
      return reactor.enqueue(.signalling) { [weak self] in
        guard let self else { return }
        carryOut(media.closed(id, at: reactor.now))
      }
    }
    adopt(
      StreamConnection.connect(reactor: reactor, to: [SocketAddress(ip, port: port)], security: .plain), id)
  }

  private func wake() {
    guard let deadline = media.nextDeadline else { return }
    if let timer {
      guard deadline < timer.at else { return }
      reactor.cancel(timer.token)
    }
    let token = reactor.schedule(at: deadline) { [weak self] in
      guard let self else { return }
      timer = nil
      carryOut(media.tick(at: reactor.now))
    }
    timer = (deadline, token)
  }
}

extension MediaEndpoint {
  /// A media server with its listeners, its messages in `store`.
  static func open(
    _ configuration: RendezvousConfiguration, store: AccountStore, controlPort: UInt16, secret: String?,
    reactor: Reactor, log: Log, context: TLSContext?
  ) throws(StartError) -> (endpoint: MediaEndpoint, listeners: [(String, SocketAddress)]) {
    var opened: [(TCPListener, StreamConnection.ServerSecurity)] = []
    var named: [(String, SocketAddress)] = []
    var ports: [String: UInt16] = [:]
    for (name, addresses) in [("msrps", configuration.listen.msrps), ("msrp", configuration.listen.msrp)] {
      for address in addresses {
        let security: StreamConnection.ServerSecurity
        if name == "msrps" {
          guard let context else { continue }
          security = .tls(context)
        } else {
          security = .plain
        }
        do throws(SystemError) {
          let listener = try TCPListener(reactor: reactor, bind: address)
          opened.append((listener, security))
          named.append((name, listener.localAddress))
          if ports[name] == nil { ports[name] = listener.localAddress.port }
        } catch {
          throw Server.cannotListen(name, "TCP", address, error)
        }
      }
    }
    var core = MediaServer.Configuration(
      domain: configuration.domain, host: configuration.media.host ?? configuration.domain,
      securePort: ports["msrps"], plainPort: ports["msrp"])
    core.controlPort = controlPort
    core.secret = secret
    let media = MediaServer(
      core, store: .keeping(in: MessageStore(sharing: store, kind: .large), log: log), hashes: .openSSL,
      parseControl: { ControlDocument(parsing: $0) }, random: SystemRandom())
    let endpoint = MediaEndpoint(media, reactor: reactor, log: log)
    for (listener, security) in opened { endpoint.add(listener, security) }
    return (endpoint, named)
  }

  static func secret(_ configuration: RendezvousConfiguration) throws(StartError) -> String? {
    guard let file = configuration.media.secretFile else { return nil }
    let bytes: [UInt8]
    do throws(FileError) {
      bytes = try File.read(file, maxBytes: 4096).filter { $0 > 0x20 && $0 < 0x7F }
    } catch {
      throw StartError("cannot read the media servers' secret: \(error)")
    }
    guard bytes.count >= 16 else { throw StartError("the secret in \(file) has fewer than 16 characters") }
    return String(decoding: bytes, as: UTF8.self)
  }
}
