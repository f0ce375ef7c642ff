import Config
import EdgeCore
import LinuxIO
import STUN
import SecureStreams
import SecureTransport
import TURN

/// The relay: a loop on the process's own thread for streams, and for UDP a loop with a thread of its own on every
/// processor, so that no load of packets delays the signalling.
///
/// The loops share ports, quotas and policy (``RelayLedger``), and nothing a relayed packet needs.
final class RelayServer {
  private let log: Log
  private let network: RelayNetwork
  /// The process's own first.
  private let loops: [RelayLoop]
  private let streams: RelayStreams
  private var threads: [Thread] = []
  private var isClosed = false

  /// More threads than this serve nobody better.
  private static let maximumThreads = 16

  init(
    _ configuration: RendezvousConfiguration.Relay, listening: [SocketAddress], secret: [UInt8], reactor: Reactor,
    log: Log
  ) throws(SystemError) {
    self.log = log
    let network = RelayNetwork(configuration, listening: listening)
    self.network = network
    var core = TURNServer.Configuration(
      secrets: [secret], relayAddresses: network.relayAddresses, ports: configuration.ports,
      policy: PeerPolicy(allowsPrivate: configuration.allowsPrivatePeers, ownAddresses: network.ownAddresses))
    core.takesOldChannels = configuration.allowsOldChannels
    core.onlySignalledPeers = !configuration.allowsUnsignalledPeers
    core.nonceLifetime = configuration.nonceLifetime
    core.bytesPerAllocation = configuration.maximumBytes
    core.durationOfAllocation = configuration.maximumDuration
    var random = SystemRandom()
    let key = random.bytes(32)
    let lock = Lock()
    let ledger = RelayLedger(
      core, key: key, hashes: .openSSL, exclusion: .init(begin: { lock.acquire() }, end: { lock.release() }))
    let count = min(configuration.threads ?? ProcessFacts.processors, Self.maximumThreads)
    var loops: [RelayLoop] = []
    for number in 0...count {
      let reactor = number == 0 ? reactor : try Reactor()
      let server = TURNServer(
        core, key: key, hashes: .openSSL, unixTime: reactor.wallClockSeconds, at: reactor.now, ledger: ledger,
        loop: number)
      loops.append(
        try RelayLoop(
          number, reactor: reactor, server: server, network: network, log: log,
          coalescing: number == 0 ? nil : DatagramPump.Coalescing()))
    }
    self.loops = loops
    streams = RelayStreams(loop: loops[0], takesOldChannels: configuration.allowsOldChannels)
    loops[0].streams = streams
    loops[0].connections = RelayConnections(loop: loops[0], network: network)
    let mailboxes = loops.map { $0.mailbox! }
    for loop in loops { loop.siblings = mailboxes }
  }

  var addresses: [IPAddress] { network.relayAddresses }

  /// Of all loops.
  var statistics: TURNServer.Statistics {
    var sum = loops[0].statistics
    for loop in loops.dropFirst() where !threads.isEmpty {
      let answer = WorkQueue<TURNServer.Statistics>(capacity: 1)
      // A loop never waits for this thread, so this thread may wait for it.
      guard loop.mailbox.post(.tellStatistics(answer)), let found = answer.pop() else { continue }
      sum += found
    }
    return sum
  }

  /// The ends of a session named these addresses of theirs.
  func addPeers(_ addresses: [IPAddress], session: String) {
    guard !isClosed else { return }
    loops[0].addPeers(addresses, session: session)
  }

  /// Serves a UDP address on every loop; returns it, with the port the kernel chose when 0 was asked for.
  func serve(_ address: SocketAddress) throws(SystemError) -> SocketAddress {
    let sharers = loops.count > 1 ? Array(loops.dropFirst()) : loops
    guard sharers.count > 1 else { return try sharers[0].serve(address, isShared: false) }
    var address = address
    // Sockets that share an address would share it with another program of this user's as well.
    address = try address.bindable(isTCP: false)
    for loop in sharers { address = try loop.serve(address, isShared: true) }
    return address
  }

  /// Serves a TCP port; `context` makes it TLS.
  func serve(_ listener: TCPListener, context: TLSContext?) { streams.serve(listener, context: context) }

  /// RFC 7983 §7: how a client of the relay begins, and no text does.
  static func isTURN(_ bytes: RawSpan) -> Bool { MuxedProtocol(of: bytes) == .stun }

  /// Takes over a connection that was shared until its first bytes came.
  func adopt(_ connection: StreamConnection, local: SocketAddress, remote: SocketAddress, _ bytes: RawSpan) {
    streams.adopt(connection, local: local, remote: remote, bytes)
  }

  /// Everything is served: the loops begin.
  func start() throws(SystemError) {
    for loop in loops.dropFirst() { threads.append(try Thread(name: "relay-\(loop.number)") { loop.run() }) }
  }

  func close() {
    guard !isClosed else { return }
    isClosed = true
    for loop in loops.dropFirst() { loop.mailbox.post(.stop) }
    for thread in threads { thread.join() }
    streams.close()
    for loop in loops { loop.close() }
  }
}

extension TURNServer.Statistics {
  static func += (sum: inout Self, other: Self) {
    sum.allocations += other.allocations
    sum.permissions += other.permissions
    sum.channels += other.channels
    sum.traffic.toPeers &+= other.traffic.toPeers
    sum.traffic.toPeersBytes &+= other.traffic.toPeersBytes
    sum.traffic.toClients &+= other.traffic.toClients
    sum.traffic.toClientsBytes &+= other.traffic.toClientsBytes
    sum.malformed &+= other.malformed
    sum.unwanted &+= other.unwanted
    sum.refusedPeers &+= other.refusedPeers
    sum.suppressed &+= other.suppressed
  }
}
