import Config
import EdgeCore
import LinuxIO
import OfflineService
import SIP
import SecureStreams
import SecureTransport
import Storage

/// The application server of the offline service between this process's proxy and its media servers: one in the
/// process, or several over TCP.
final class OfflineRuntime {
  /// For the proxy.
  var onMessage: ((Message) -> Void)?
  /// Of a media server in this process.
  let listeners: [(String, SocketAddress)]
  private let server: ApplicationServer
  private let local: MediaEndpoint?
  private let reactor: Reactor
  private let log: Log
  private var links: [MediaLink] = []
  private var work: [() -> Void] = []
  private var isWorking = false
  private var timer: (at: Instant, token: Reactor.TimerToken)?
  private var isClosed = false

  static func isWanted(_ configuration: RendezvousConfiguration) -> Bool {
    !configuration.media.servers.isEmpty || !configuration.listen.msrp.isEmpty || !configuration.listen.msrps.isEmpty
  }

  init(
    _ configuration: RendezvousConfiguration, store: AccountStore, reactor: Reactor, log: Log, context: TLSContext?
  ) throws(StartError) {
    self.reactor = reactor
    self.log = log
    let remote = configuration.media.servers
    if remote.isEmpty {
      (local, listeners) = try MediaEndpoint.open(
        configuration, store: store, controlPort: 0, secret: nil, reactor: reactor, log: log, context: context)
    } else {
      local = nil
      listeners = []
    }
    server = ApplicationServer(
      .init(
        domain: configuration.domain, weights: remote.isEmpty ? [1] : remote.map(\.weight),
        secret: remote.isEmpty ? nil : try MediaEndpoint.secret(configuration)),
      environment: .init(
        hashes: .openSSL, parseControl: { ControlDocument(parsing: $0) },
        parseRegistrations: { Registration.all(in: $0) }), random: SystemRandom())
    for (index, media) in remote.enumerated() {
      links.append(MediaLink(index, media.address, reactor: reactor))
    }
  }

  func start() {
    run { [self] in server.start(at: reactor.now) }
    if let local {
      local.onMessage = { [weak self] message in
        self?.run { [weak self] in self.map { $0.server.receive(message, fromMedia: 0, at: $0.reactor.now) } ?? [] }
      }
      local.onControl = { [weak self] bytes in
        self?.run { [weak self] in
          self.map { $0.server.receiveControl(bytes, from: 0, at: $0.reactor.now) ?? [] } ?? []
        }
      }
      run { [self] in server.mediaConnected(0, at: reactor.now) }
    }
    for link in links {
      link.onConnected = { [weak self] index in
        self?.run { [weak self] in self.map { $0.server.mediaConnected(index, at: $0.reactor.now) } ?? [] }
      }
      link.onLost = { [weak self] index in
        self?.run { [weak self] in self.map { $0.server.mediaLost(index, at: $0.reactor.now) } ?? [] }
      }
      link.onMessage = { [weak self] message, index in
        self?.run { [weak self] in self.map { $0.server.receive(message, fromMedia: index, at: $0.reactor.now) } ?? [] }
      }
      link.onControlOpened = { [weak self] index in
        self?.run { [weak self] in self.map { $0.server.controlOpened(index, at: $0.reactor.now) } ?? [] }
      }
      link.onControl = { [weak self] bytes, index in
        self?.run { [weak self] in
          guard let self else { return [] }
          guard let outputs = server.receiveControl(bytes, from: index, at: reactor.now) else {
            links[index].fail()
            return []
          }
          return outputs
        }
      }
      link.connect()
    }
  }

  func close() {
    isClosed = true
    if let timer { reactor.cancel(timer.token) }
    timer = nil
    local?.close()
    for link in links { link.close() }
  }

  /// One SIP message of the proxy. What it leads to happens after the proxy has carried out what it is at.
  func receive(_ bytes: [UInt8]) {
    guard let message = try? Message(parsing: bytes, framing: .stream) else { return }
    reactor.enqueue(.signalling) { [weak self] in
      self?.run { [weak self] in self.map { $0.server.receive(message, at: $0.reactor.now) } ?? [] }
    }
  }

  /// Everything in the order it arose, however the parts call each other.
  private func run(_ step: @escaping () -> [ApplicationServer.Output]) {
    guard !isClosed else { return }
    work.append { [self] in carryOut(step()) }
    guard !isWorking else { return }
    isWorking = true
    while !work.isEmpty { work.removeFirst()() }
    isWorking = false
    wake()
  }

  private func carryOut(_ outputs: [ApplicationServer.Output]) {
    for output in outputs {
      switch output {
      case .toProxy(let message): onMessage?(message)
      case .toMedia(let message, let index):
        if let local { local.receive(message) } else { links[index].send(message.serialized()) }
      case .openControl(let index, _, let port):
        if local != nil {
          run { [self] in server.controlOpened(index, at: reactor.now) }
        } else {
          links[index].openControl(port)
        }
      case .toControl(let bytes, let index):
        if let local { _ = local.receiveControl(bytes) } else { links[index].sendControl(bytes) }
      case .log(let event, let fields):
        log.log(.info, event, fields.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
      }
    }
  }

  private func wake() {
    guard !isClosed, let deadline = server.nextDeadline else { return }
    if let timer {
      guard deadline < timer.at else { return }
      reactor.cancel(timer.token)
    }
    let token = reactor.schedule(at: deadline) { [weak self] in
      guard let self else { return }
      timer = nil
      run { [self] in server.tick(at: reactor.now) }
    }
    timer = (deadline, token)
  }
}
