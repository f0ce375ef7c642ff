import Config
import EdgeCore
import LinuxIO
import OfflineService
import SIP
import SecureStreams
import SecureTransport
import Storage

/// `edge-rendezvous media-server`: one media server, and its port for the application server's SIP and control channel.
final class MediaProgram {
  private let endpoint: MediaEndpoint
  private let reactor: Reactor
  private let log: Log
  private var listeners: [TCPListener] = []
  private var links: [ObjectIdentifier: StreamConnection] = [:]
  /// The connection whose owner has shown that it knows the secret.
  private var trusted: StreamConnection?
  /// The one that is being answered.
  private var asking: StreamConnection?
  private var control: StreamConnection?

  init(_ configuration: RendezvousConfiguration, reactor: Reactor, log: Log) throws(StartError) {
    self.reactor = reactor
    self.log = log
    guard let secret = try MediaEndpoint.secret(configuration) else {
      throw StartError("media.secret-file is missing: what the application server and its media servers share")
    }
    guard !configuration.listen.sipTCP.isEmpty else {
      throw StartError("listen.sip-tcp is missing: where the application server reaches this media server")
    }
    guard !configuration.listen.msrp.isEmpty || !configuration.listen.msrps.isEmpty else {
      throw StartError("listen has neither msrp nor msrps: nobody could send messages")
    }
    let store = try AccountStore.open(configuration.database)
    let context = configuration.listen.msrps.isEmpty ? nil : try ServerCertificate.context(configuration, log: log)
    var port: UInt16 = 0
    for address in configuration.listen.sipTCP {
      do throws(SystemError) {
        let listener = try TCPListener(reactor: reactor, bind: address)
        if port == 0 { port = listener.localAddress.port }
        listeners.append(listener)
        log.notice("listening", ("name", "sip-tcp"), ("address", "tcp \(listener.localAddress)"))
      } catch {
        throw Server.cannotListen("sip-tcp", "TCP", address, error)
      }
    }
    let opened = try MediaEndpoint.open(
      configuration, store: store, controlPort: port, secret: secret, reactor: reactor, log: log, context: context)
    endpoint = opened.endpoint
    for (name, address) in opened.listeners { log.notice("listening", ("name", name), ("address", "tcp \(address)")) }
    endpoint.onMessage = { [weak self] message in self?.send(message) }
    endpoint.onControl = { [weak self] bytes in self?.control?.send(bytes) }
    for listener in listeners {
      listener.onAccept = { [weak self] connection in self?.accept(connection) ?? connection.close() }
    }
  }

  func close() {
    for listener in listeners { listener.close() }
    for link in links.values { link.closeAfterSending(within: .seconds(1)) }
    endpoint.close()
  }

  private static let maximumLinks = 16

  private func accept(_ connection: TCPConnection) {
    guard links.count < Self.maximumLinks else { return connection.close() }
    let stream = StreamConnection.accept(connection, reactor: reactor, security: .plain)
    let id = ObjectIdentifier(stream)
    links[id] = stream
    var framer = StreamFramer(side: .server)
    var isControl: Bool?
    stream.onBytes = { [weak self, unowned stream] span in
      guard let self else { return stream.close() }
      let bytes = [UInt8](copying: span)
      // "CFW " begins a control channel; no SIP method begins with these.
      if isControl == nil { isControl = bytes.starts(with: "CFW".utf8) }
      if isControl == true {
        control = stream
        if !endpoint.receiveControl(bytes) { drop(stream) }
        return
      }
      framer.append(bytes)
      do throws(StreamFramer.FramingError) {
        while let item = try framer.next() {
          if case .message(let message) = item { receive(message, stream) }
          if case .ping = item { stream.send([0x0D, 0x0A]) }
        }
      } catch {
        drop(stream)
      }
    }
    stream.onClosed = { [weak self, unowned stream] _ in self?.lost(stream) }
    // Who says nothing useful goes.
    _ = reactor.schedule(after: .seconds(10)) { [weak self, weak stream] in
      guard let self, let stream, trusted !== stream, control !== stream else { return }
      drop(stream)
    }
  }

  private func drop(_ stream: StreamConnection) {
    stream.closeAfterSending(within: .seconds(1))
    lost(stream)
  }

  private func lost(_ stream: StreamConnection) {
    guard links.removeValue(forKey: ObjectIdentifier(stream)) != nil else { return }
    if control === stream { control = nil }
    guard trusted === stream else { return }
    trusted = nil
    log.notice("application-server-lost")
    endpoint.serverLost()
  }

  private func receive(_ message: Message, _ stream: StreamConnection) {
    // Of one that has not shown the secret only the request that has it show that.
    let isFirst = message.method == .invite && message.body.containsControl
    guard trusted === stream || isFirst else { return }
    asking = stream
    endpoint.receive(message)
    asking = nil
  }

  private func send(_ message: Message) {
    if let asking, trusted !== asking, message.status?.isSuccess == true {
      trusted = asking
      log.notice("application-server", ("remote", asking.peerAddress.map { "\($0)" } ?? ""))
    }
    (asking ?? trusted)?.send(message.serialized())
  }
}

extension [UInt8] {
  /// An SDP that asks for a control channel.
  fileprivate var containsControl: Bool { String(decoding: self, as: UTF8.self).contains(" cfw") }
}
