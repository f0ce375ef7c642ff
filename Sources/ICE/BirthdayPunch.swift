public import EdgeCore
internal import STUN

/// One end's part in guessing a port, where one NAT takes another port for every peer and the other lets in only ports it
/// was told of: neither end can name a pair of addresses that works.
///
/// The end behind the first opens many sockets, each with a port of its own at its NAT, and sends from each to the one
/// address of the other end; that end sends to ports at random. As with birthdays, two choices soon agree: 256 ports of
/// 64,512 are met by one of 1,024 guesses with a probability of 98 percent, in whatever order they come. The rest is
/// ICE's: what gets through is a connectivity check.
///
/// This is work for two networks, so it is done only where both ends want it, once, at a bounded rate.
public struct BirthdayPunch<Random: RandomNumberGenerator>: ~Copyable {
  public enum Part: Hashable, Sendable {
    /// Our NAT takes another port for every peer: many sockets.
    case sockets
    /// Our NAT keeps its port: many guesses.
    case guesses
  }

  public struct Configuration: Hashable, Sendable {
    public var sockets = 256
    public var guesses = 1024
    /// Datagrams a second.
    public var rate = 400
    /// Where NATs take ports from.
    public var ports: ClosedRange<UInt16> = 1024...65_535

    public init() {}
  }

  /// A check to send.
  public struct Shot: Hashable, Sendable {
    /// Which of the many sockets; 0 for guesses, which all leave from the one.
    public var socket: Int
    public var destination: SocketAddress
  }

  public let part: Part
  public let target: SocketAddress
  private let configuration: Configuration
  private var random: Random
  private let startedAt: Instant
  private var fired = 0
  /// A bit for every port guessed.
  private var guessed = [UInt64](repeating: 0, count: 1024)

  /// `target` is the other end's server-reflexive address; of one that guesses, only its IP counts.
  public init(
    _ part: Part, target: SocketAddress, configuration: Configuration = .init(), random: Random, now: Instant
  ) {
    self.part = part
    self.target = target
    self.configuration = configuration
    self.random = random
    startedAt = now
  }

  private var total: Int {
    part == .sockets ? configuration.sockets : min(configuration.guesses, configuration.ports.count)
  }

  /// Everything was sent: what was to be met has been, or will be within a round trip.
  public var isOver: Bool { fired >= total }

  public var nextDeadline: Instant? { isOver ? nil : startedAt + .seconds(1) * fired / configuration.rate }

  /// What is due, at most a tenth of a second's worth at a time: an owner that was late sends no burst.
  public mutating func shots(at now: Instant) -> [Shot] {
    var shots: [Shot] = []
    while let due = nextDeadline, due <= now, shots.count < max(configuration.rate / 10, 1) {
      switch part {
      case .sockets: shots.append(Shot(socket: fired, destination: target))
      case .guesses: shots.append(Shot(socket: 0, destination: SocketAddress(target.ip, port: guess())))
      }
      fired += 1
    }
    return shots
  }

  /// A port not guessed yet.
  private mutating func guess() -> UInt16 {
    while true {
      let port = UInt16.random(in: configuration.ports, using: &random)
      let bit = UInt64(1) << UInt64(port & 63)
      guard guessed[Int(port >> 6)] & bit == 0 else { continue }
      guessed[Int(port >> 6)] |= bit
      return port
    }
  }
}

extension ICEAgent {
  /// Sends one check outside of the checklist: whoever gets it learns where it came from (RFC 8445 §7.3.1.3) and checks
  /// back. Nothing waits for an answer.
  public mutating func shoot(from base: SocketAddress, to destination: SocketAddress, into out: inout Outbox<Event>) {
    guard let remote, phase == .running else { return }
    let candidate = Candidate(
      kind: .host, address: base, priority: Candidate.priority(kind: .host, localPreference: 0), foundation: "guess")
    let bytes = bindingRequest(TransactionID(using: &random), from: candidate, nominates: false, to: remote)
    out.datagrams.append(Datagram(source: base, destination: destination, bytes: bytes))
  }
}
