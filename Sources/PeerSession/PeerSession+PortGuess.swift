internal import EdgeCore
internal import ICE
internal import LinuxIO
internal import SDP
internal import SecureTransport

/// The sockets and the timer of a ``BirthdayPunch``.
final class PortGuess {
  var punch: BirthdayPunch<SystemRandom>
  /// What the many sockets are, or none when the session's own is used.
  var sockets: [UDPSocket] = []
  var timer: Reactor.TimerToken?

  init(_ part: BirthdayPunch<SystemRandom>.Part, target: SocketAddress, now: Instant) {
    punch = BirthdayPunch(part, target: target, random: SystemRandom(), now: now)
  }
}

/// Guessing ports where nothing else joins two ends directly, if both are configured to.
extension PeerSession {
  /// Says in a description that this end takes part (RFC 8839 §5.6: who does not know an option ignores it).
  static let guessOption = "birthday"
  /// What ordinary checks need where they work at all.
  private static let guessDelay = Duration.milliseconds(400)
  /// After the last datagram: what it met has come back by then.
  private static let guessPatience = Duration.seconds(2)

  /// Both descriptions are known.
  func considerGuessing() {
    guard configuration.guessesPorts, !hasGuessed, remote?.hasICEOption(Self.guessOption) == true else { return }
    hasGuessed = true
    _ = reactor.schedule(after: Self.guessDelay) { [self] in startGuessing() }
  }

  private func startGuessing() {
    guard phase != .closed, guess == nil, !isDirect else { return }
    let ours = mappedPorts(
      (agent?.localCandidates ?? []).filter { $0.kind == .serverReflexive }.map { ($0.base.ip, $0.address) })
    let theirs = mappedPorts(
      (remote?.candidates ?? []).filter { $0.kind == .serverReflexive }.map { ($0.address.ip, $0.address) })
    guard !ours.isEmpty, let target = theirs.first, (ours.count > 1) != (theirs.count > 1) else { return }
    let guess = PortGuess(ours.count > 1 ? .sockets : .guesses, target: target, now: reactor.now)
    self.guess = guess
    shoot(guess)
  }

  /// Asked through two ports of one server, a NAT that takes another port for every peer shows two addresses.
  private func mappedPorts(_ found: [(base: IPAddress, address: SocketAddress)]) -> [SocketAddress] {
    guard let first = found.first(where: { $0.address.ip.isV4 }) else { return [] }
    return found.filter { $0.base == first.base && $0.address.ip == first.address.ip }.map { $0.address }
  }

  private var isDirect: Bool { path.map { $0.kind != .relay } ?? false }

  private func shoot(_ guess: PortGuess) {
    guess.timer = nil
    guard phase != .closed, self.guess === guess else { return }
    guard !isDirect else { return endGuessing() }
    guard let base = agent?.localCandidates.first(where: { $0.kind == .serverReflexive && $0.base.ip.isV4 })?.base
    else {
      return endGuessing()
    }
    var out = Outbox<ICEEvent>()
    for shot in guess.punch.shots(at: reactor.now) {
      var source = base
      if guess.punch.part == .sockets {
        guard let socket = try? UDPSocket(reactor: reactor, bind: SocketAddress(.anyV4, port: 0)) else { continue }
        let target = guess.punch.target
        socket.onDatagram = { [self] bytes, source, local in
          // Whoever it is shows it by its credentials; at another address nobody is waited for.
          guard source.ip == target.ip, phase != .closed else { return }
          takeGuess(local)
          receive(bytes, from: source, to: local)
        }
        guess.sockets.append(socket)
        source = SocketAddress(base.ip, port: socket.localAddress.port)
      }
      agent?.shoot(from: source, to: shot.destination, into: &out)
    }
    apply(out)
    let next = guess.punch.nextDeadline ?? reactor.now + Self.guessPatience
    let isLast = guess.punch.isOver
    guess.timer = reactor.schedule(at: next) { [self] in if isLast { endGuessing() } else { shoot(guess) } }
  }

  /// Something came to one of the many sockets: its address is a candidate now, which nobody needs to be told of.
  private func takeGuess(_ local: SocketAddress) {
    guard agent?.localCandidates.contains(where: { $0.base == local }) == false else { return }
    var out = Outbox<ICEEvent>()
    agent?.addLocalCandidate(
      base: local, address: local, kind: .host, localPreference: local.port >> 1, at: reactor.now, into: &out)
    apply(out)
  }

  /// It worked, or it did not: all sockets but the one in use are closed.
  func endGuessing() {
    guard let guess else { return }
    if let timer = guess.timer { reactor.cancel(timer) }
    guess.timer = nil
    let used = phase == .closed ? nil : agent?.selectedPath?.base.port
    let bases = (agent?.localCandidates ?? []).map { $0.base }
    for socket in guess.sockets where socket.localAddress.port != used {
      let port = socket.localAddress.port
      for base in bases where base.port == port && base.ip.isV4 { agent?.removeLocalCandidates(base: base) }
      socket.close()
    }
    guess.sockets.removeAll { !$0.isOpen }
    if guess.sockets.isEmpty { self.guess = nil }
  }

  /// The socket a base belongs to, when it is one of the many.
  func guessedSocket(at base: SocketAddress) -> UDPSocket? {
    guess?.sockets.first { $0.localAddress.port == base.port }
  }
}
