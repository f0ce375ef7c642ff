public import EdgeCore
internal import STUN

/// Who decides which pair is used (RFC 8445 §6.1.1): the side that made the offer is controlling.
public enum ICERole: Hashable, Sendable {
  case controlling, controlled

  var other: ICERole { self == .controlling ? .controlled : .controlling }
}

/// The path data takes.
public struct SelectedPath: Hashable, Sendable {
  /// Our address as the peer sees it.
  public var local: Candidate
  public var remote: Candidate
  /// What to send from, and what to send to. From a relayed base the owner sends through TURN.
  public var base: SocketAddress
  public var destination: SocketAddress
  /// `nil` until an unambiguous answer has come (a resent request does not tell).
  public var roundTrip: Duration?
}

public enum ICEEvent: Hashable, Sendable {
  /// Data may flow on this path now; a better one may still replace it until `completed`.
  case selected(SelectedPath)
  /// A pair has been nominated. Comes once after start and once after each restart, behind the
  /// `selected` of the pair.
  case completed
  /// Two consent checks in a row went unanswered: time to look for another path (restart).
  case consentDoubtful
  /// Answers have come back after `consentDoubtful`.
  case consentRestored
  /// What ``ICEAgent/maySend(at:into:)`` held back may leave now.
  case consentRenewed
  /// RFC 7675 §5.1: the path has been silent for the expiry time. Nothing may be sent on it any more.
  case consentLost
  /// No pair worked. Comes at most once after start and after each restart, and never beside `completed`.
  case failed(ICEFailure)
}

public enum ICEFailure: Hashable, Sendable {
  /// The peer named no address, or none that any of ours could reach (IPv4 against IPv6, say).
  case noPairs
  /// Every pair was tried; ``ICEAgent/pairs`` says what became of each.
  case allPairsFailed
}

public struct ICEConfiguration: Hashable, Sendable {
  /// Ta (RFC 8445 §14.2).
  public var pace: Duration = .milliseconds(50)
  /// How many checks may go out at once before ``pace`` holds them back.
  public var burst = 10
  /// RFC 8445 §6.1.2.5.
  public var maxPairs = 100
  public var maxRemoteCandidates = 64
  /// How many addresses the peer may have that it did not signal. Two NATs that give every destination
  /// its own mapping would otherwise show each other new ones without end.
  public var maxPeerReflexive = 16
  /// RFC 8445 §14.3 scales the first wait with the number of checks; this is as far as it goes.
  public var maxInitialRTO: Duration = .seconds(2)
  /// RFC 8863 §4: no failure before this has passed since both sides' credentials were known.
  public var patience: Duration = .milliseconds(39500)
  /// Failure at the latest after this, whatever is still in flight.
  public var deadline: Duration = .seconds(60)
  /// How long the controlling side waits for a direct path before it nominates a relayed one. Data
  /// flows meanwhile.
  public var relayNominationDelay: Duration = .seconds(2)
  /// RFC 7675 §5.1: between two consent checks, before the random factor 0.8 to 1.2. At least 5 s.
  public var consentInterval: Duration = .seconds(5)
  /// RFC 7675 §5.1.
  public var consentExpiry: Duration = .seconds(30)
  /// RFC 7675 §5.1 wants consent of whoever sends. After so long without data (``ICEAgent/maySend(at:into:)`` tells) it
  /// is let run out. `nil`: never, for an owner that does not tell.
  public var idleAfter: Duration?
  /// Between two checks of an idle path, and up to a tenth more: what keeps the NATs open. RFC 4787 §4.3 has mappings
  /// last two minutes at least. One check and its answer serve both ends.
  public var idleInterval: Duration = .seconds(41)
  /// How far checks go that are only to open this side's NAT, while the peer has not begun its own: over our
  /// routers, not as far as the peer's. One that came too early there would make some routers (those of Linux
  /// that do not drop what nobody asked for) take another port for the peer's answer, and no path would be found.
  /// `nil`: every check goes all the way.
  public var openingHops: UInt8?
  /// The longest a peer is taken to be not yet begun.
  public var openingTime: Duration = .seconds(2)
  /// Loopback addresses are no candidates (RFC 8445 §5.1.1.1), except where everything is on one machine.
  public var allowsLoopback = false

  public init() {}
}

/// A user name fragment and password (RFC 8445 §5.3).
struct Credentials { var ufrag, password: String }

/// Finds a working path between this node and one peer (RFC 8445).
///
/// One agent, one peer, one component, UDP. Gathering is outside: the owner adds
/// host, server-reflexive and relayed candidates as it learns them (RFC 8838).
/// The agent has no socket, clock or random source of its own, so a run is a
/// function of its inputs:
///
///     receive ─┐                    ┌─▶ datagrams
///     tick    ─┼─▶ ICEAgent ─Outbox─┤
///     command ─┘                    └─▶ events
///
/// The owner calls ``tick(at:into:)`` no later than ``nextDeadline``, and never
/// passes a `now` earlier than one it has passed before. Every datagram has a source: a host base, or
/// a relayed address, whose datagrams go through TURN (the owner makes the permission, RFC 8445 §7.2.1).
///
/// How mistakes others made are kept out: an answer counts only with the right checksum and from and to
/// the right addresses; a role changes once per conflict; pairs, early checks, peer-reflexive addresses and
/// checks per pair are bounded, so that no sequence of packets makes the agent send without end.
public struct ICEAgent<Random: RandomNumberGenerator>: ~Copyable {
  public typealias Event = ICEEvent
  public typealias Configuration = ICEConfiguration

  /// Where the agent is between start and end.
  enum Phase { case running, completed, failed, consentLost }

  public let configuration: Configuration
  public internal(set) var role: ICERole
  /// RFC 8445 §5.3. New after each restart.
  public var localUfrag: String { local.ufrag }
  public var localPassword: String { local.password }
  public internal(set) var localCandidates: [Candidate] = []
  public internal(set) var remoteCandidates: [Candidate] = []
  /// The path data takes now, `nil` when there is none.
  public internal(set) var selectedPath: SelectedPath?

  let hashes: Hashes
  var random: Random
  var tiebreaker: UInt64
  var local: Credentials
  var remote: Credentials?
  var phase = Phase.running
  var checklist: Checklist
  var checks: [Check] = []
  var pacer: Pacer
  var early: [EarlyCheck] = []
  var foundations: [FoundationKey] = []
  var foundationSerial = 0
  var remoteCandidatesEnded = false
  /// When both sides' credentials became known: the start of the RFC 8863 timer.
  var startedAt: Instant?
  var firstValidAt: Instant?
  /// The peer checks too: it has been heard, or signalling said so.
  var peerHasBegun = false
  var completedAt: Instant?
  var selectedPair: Int?
  var consent: Consent?
  /// The path and credentials from before a restart, in use until the new session selects a pair.
  var previous: PreviousSession?
  /// Not a part of `previous`: assigning through `previous?.` in this noncopyable struct leaks when optimised
  /// (Swift 6.3.1; found by the fuzzer, whose input is kept).
  var previousConsent: Consent?

  public init(
    role: ICERole, configuration: Configuration = .init(), hashes: Hashes, random: Random, now: Instant
  ) {
    self.role = role
    self.configuration = configuration
    self.hashes = hashes
    self.random = random
    tiebreaker = self.random.next()
    local = Self.makeCredentials(&self.random)
    checklist = Checklist(limit: configuration.maxPairs)
    pacer = Pacer(interval: configuration.pace, burst: configuration.burst)
  }

  /// RFC 8445 §5.3: at least 24 and 128 random bits; these have 47 and 142.
  static func makeCredentials(_ random: inout Random) -> Credentials {
    Credentials(ufrag: random.token(8), password: random.token(24))
  }

  /// What the peer's description says (RFC 8839 §5.4), also with other values after the peer restarted.
  ///
  /// Other values than those set before mean that the peer has restarted: then this agent restarts too,
  /// and ``localUfrag`` and ``localPassword`` are new ones to answer with (RFC 8445 §9).
  public mutating func setRemoteCredentials(
    ufrag: String, password: String, at now: Instant, into out: inout Outbox<Event>
  ) {
    if let remote {
      guard remote.ufrag != ufrag || remote.password != password else { return }
      restart(at: now)
    }
    remote = Credentials(ufrag: ufrag, password: password)
    startedAt = now
    replayEarlyChecks(at: now, into: &out)
    pump(at: now, into: &out)
  }

  /// The peer has this side's description: its checks are on their way, and ours may go all the way now
  /// (``Configuration/openingHops``). Not needed when nothing tells: they do after ``Configuration/openingTime``.
  public mutating func peerBegins(at now: Instant, into out: inout Outbox<Event>) {
    guard !peerHasBegun else { return }
    peerHasBegun = true
    for index in checks.indices where !checks[index].isCancelled && checks[index].hasOnlyOpened {
      checks[index].hasOnlyOpened = false
      resend(checks[index], at: now, into: &out)
    }
  }

  /// The peer will name no further candidates (RFC 8838 §8.2): failure need not wait for more.
  public mutating func endOfRemoteCandidates(at now: Instant, into out: inout Outbox<Event>) {
    remoteCandidatesEnded = true
    pump(at: now, into: &out)
  }

  public mutating func tick(at now: Instant, into out: inout Outbox<Event>) {
    tickConsent(at: now, into: &out)
    retransmit(at: now, into: &out)
    pump(at: now, into: &out)
  }

  /// Does whatever is due: nominate, send the checks the pace allows, give up.
  mutating func pump(at now: Instant, into out: inout Outbox<Event>) {
    nominateIfDue(at: now)
    sendDueChecks(at: now, into: &out)
    failIfHopeless(at: now, into: &out)
  }

  /// When ``tick(at:into:)`` next has work to do; `nil` means never.
  public var nextDeadline: Instant? {
    var deadline = Instant.earliest(consentDeadline, nominationDeadline)
    for check in checks { deadline = Instant.earliest(deadline, check.deadline) }
    if remote != nil && (phase == .running || phase == .completed) && checklist.hasWork {
      deadline = Instant.earliest(deadline, pacer.nextSlot)
    }
    return Instant.earliest(deadline, failureDeadline)
  }

  /// Whether a check of ours succeeded on this 5-tuple in this session or, during a restart, the one
  /// before: the only places data (DTLS above all) may be taken from and sent to. Everybody else's
  /// ClientHello is to be ignored, or anyone could end the session.
  public func isValidated(local base: SocketAddress, remote address: SocketAddress) -> Bool {
    if phase != .consentLost, let index = checklist.index(base: base, remote: address), checklist[index].isValid {
      return true
    }
    guard let previous, let path = previous.path else { return false }
    return path.base == base && path.destination.unscoped == address.unscoped
  }

  /// A pair was nominated, and nothing has happened since that undid it.
  public var isCompleted: Bool { phase == .completed }

  /// Everything tried and what became of it, best pair first.
  public var pairs: [PairReport] {
    checklist.pairs.map { pair in
      PairReport(
        local: pair.validLocal ?? pair.local, remote: pair.remote, state: pair.state, reason: pair.reason,
        isNominated: pair.isNominated, isSelected: pair.id == selectedPair, checks: pair.checks,
        roundTrip: pair.roundTrip)
    }
  }

  /// Smoothed over the consent checks of the selected path; `nil` until known.
  public var roundTrip: Duration? { selectedPath?.roundTrip }
}
