import Config
import EdgeCore
import LinuxIO
import RendezvousLogic
import SIP
import SecureTransport
import StatusModel

/// Every socket the configuration asks for, and what reads it.
extension Server {
  func openListeners() throws(StartError) {
    for address in configuration.listen.sips {
      try listen("sips", .tls, address, isShared: configuration.listen.stunTLS.contains(address))
    }
    for address in configuration.listen.sipTCP { try listen("sip-tcp", .tcp, address) }
    for address in configuration.listen.sipUDP {
      let socket = try udpSocket("sip-udp", address)
      udpSockets.append(socket)
      socket.onDatagram = { [unowned self] bytes, from, to in
        carryOut(rendezvous.receive([UInt8](copying: bytes), on: Flow(.udp, local: to, remote: from), at: reactor.now))
      }
    }
    for address in configuration.listen.stun {
      if let relay {
        try serve(address, relay)
        relay.serve(try tcpListener("stun", address), context: nil)
        continue
      }
      let socket = try udpSocket("stun", address)
      stunSockets.append(socket)
      socket.onDatagram = { [unowned self, unowned socket] bytes, from, to in
        guard let answer = rendezvous.answerBinding([UInt8](copying: bytes), from: from, at: reactor.now) else {
          return
        }
        socket.send(Datagram(source: to, destination: from, bytes: answer))
      }
    }
  }

  private func serve(_ address: SocketAddress, _ relay: RelayServer) throws(StartError) {
    do throws(SystemError) {
      listeners.append(.init(name: "stun", address: "udp \(try relay.serve(address))"))
    } catch {
      throw Self.cannotListen("stun", "UDP", address, error)
    }
  }

  func startRelay() throws(StartError) {
    do throws(SystemError) { try relay?.start() } catch { throw StartError("cannot start the relay: \(error)") }
  }

  func openRelayTLS() throws(StartError) {
    guard let relay, let context else { return }
    for address in configuration.listen.stunTLS where !configuration.listen.sips.contains(address) {
      relay.serve(try tcpListener("stun-tls", address), context: context)
    }
  }

  private func tcpListener(_ name: String, _ address: SocketAddress) throws(StartError) -> TCPListener {
    do throws(SystemError) {
      let listener = try TCPListener(reactor: reactor, bind: address)
      listeners.append(.init(name: name, address: "tcp \(listener.localAddress)"))
      return listener
    } catch {
      throw Self.cannotListen(name, "TCP", address, error)
    }
  }

  func openDiscovery() throws(StartError) {
    let addresses = configuration.listen.natDiscovery
    guard !addresses.isEmpty else { return }
    let server = DiscoveryServer(addresses, reactor: reactor, rendezvous: rendezvous)
    discovery = server
    for address in addresses {
      for port in [address.port, DiscoveryServer.secondPort(of: address)] {
        server.add(try udpSocket("nat-discovery", SocketAddress(address.ip, port: port)))
      }
    }
  }

  /// Large messages for those who are not there.
  func openOffline() throws(StartError) {
    guard OfflineRuntime.isWanted(configuration) else { return }
    let runtime = try OfflineRuntime(configuration, store: store, reactor: reactor, log: log, context: context)
    offline = runtime
    runtime.onMessage = { [weak self] message in
      guard let self else { return }
      carryOut(rendezvous.receive(message.serialized(), on: Rendezvous.serviceFlow, at: reactor.now))
    }
    for (name, address) in runtime.listeners { listeners.append(.init(name: name, address: "tcp \(address)")) }
    runtime.start()
  }

  private func udpSocket(_ name: String, _ address: SocketAddress) throws(StartError) -> UDPSocket {
    do throws(SystemError) {
      let options = UDPSocket.Options(receiveBufferBytes: 4 << 20, sendBufferBytes: 4 << 20)
      let socket = try UDPSocket(reactor: reactor, bind: address, options: options)
      listeners.append(.init(name: name, address: "udp \(socket.localAddress)"))
      return socket
    } catch {
      throw Self.cannotListen(name, "UDP", address, error)
    }
  }

  private func listen(
    _ name: String, _ transport: FlowTransport, _ address: SocketAddress, isShared: Bool = false
  ) throws(StartError) {
    let listener = try tcpListener(name, address)
    listener.onAccept = { [unowned self] in accept($0, transport, isShared: isShared) }
    tcpListeners.append(listener)
  }

  static func cannotListen(
    _ name: String, _ transport: String, _ address: SocketAddress, _ error: SystemError
  ) -> StartError {
    let what = "cannot listen on \(transport) \(address) (\(name))"
    // errno(3): EACCES 13, EADDRINUSE 98, EADDRNOTAVAIL 99.
    switch error.errno {
    case 98: return StartError("\(what): another program uses it; stop that, or choose another port under 'listen'")
    case 99: return StartError("\(what): this machine has no such address; correct it under 'listen'")
    case 13: return StartError("\(what): ports below 1024 need root or CAP_NET_BIND_SERVICE")
    default: return StartError("\(what): \(error)")
    }
  }
}
