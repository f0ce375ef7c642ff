internal import EdgeCore

/// How far the check of a pair has come (RFC 8445 §6.1.2.6).
public enum PairState: Hashable, Sendable { case frozen, waiting, inProgress, succeeded, failed }

/// Why a pair is in its state, for the person who asks.
public enum PairReason: Hashable, Sendable {
  /// In the queue: nothing has been tried yet.
  case notTried
  /// Requests are out, no answer yet.
  case awaitingAnswer
  case answered
  /// Every copy of the request went unanswered.
  case timedOut
  /// The answer came from or to another address than the request (RFC 8445 §7.2.5.2.1): a NAT that
  /// gives every destination its own mapping.
  case nonSymmetric
  /// The peer refused with this STUN error code.
  case refused(Int)
  /// Another pair was nominated before this one was decided.
  case notNeeded
  /// It worked once and then stopped answering (RFC 7675).
  case consentLost
}

/// One row of the table that explains what was tried.
public struct PairReport: Hashable, Sendable {
  public var local: Candidate
  public var remote: Candidate
  public var state: PairState
  public var reason: PairReason
  public var isNominated: Bool
  public var isSelected: Bool
  /// Checks begun, retransmissions not counted.
  public var checks: Int
  public var roundTrip: Duration?
}

/// A base of ours and an address of the peer's, and what is known about sending from one to the other.
struct Pair {
  /// Never reused within an agent.
  let id: Int
  var local: Candidate
  var remote: Candidate
  var priority: UInt64 = 0
  var state = PairState.waiting
  var reason = PairReason.notTried

  /// Set once a check succeeded: the candidate the peer sees us at (RFC 8445 §7.2.5.3.2). The valid
  /// pair is `validLocal` and `remote`.
  var validLocal: Candidate?
  var isNominated = false
  /// Controlled: the peer nominated the pair before we could validate it (RFC 8445 §7.3.1.5).
  var isNominatedByPeer = false
  /// Controlling: the next check carries USE-CANDIDATE, or the one in flight does.
  var isBeingNominated = false
  /// The peer moved here after ICE had completed: success makes this the selected pair.
  var isMove = false
  /// The peer was first seen at this address by such a move.
  var hasMoved = false
  /// Taken out of the checklist when another pair was nominated (RFC 8445 §8.1.2).
  var isRemoved = false
  var isQueued = false
  var checks = 0
  var roundTrip: Duration?

  init(id: Int, local: Candidate, remote: Candidate) {
    self.id = id
    self.local = local
    self.remote = remote
  }

  var base: SocketAddress { local.base }
  var destination: SocketAddress { remote.address.scoped(like: local.base) }
  var isValid: Bool { validLocal != nil }
  var isPending: Bool { !isRemoved && (state == .waiting || state == .inProgress || state == .frozen) }
  var isRelayed: Bool { (validLocal ?? local).kind == .relay || remote.kind == .relay }

  func hasFoundation(of other: Pair) -> Bool {
    local.foundation == other.local.foundation && remote.foundation == other.remote.foundation
  }

  /// RFC 8445 §6.1.2.3.
  static func priority(local: UInt32, remote: UInt32, role: ICERole) -> UInt64 {
    let (g, d) = role == .controlling ? (UInt64(local), UInt64(remote)) : (UInt64(remote), UInt64(local))
    return min(g, d) << 32 + 2 * max(g, d) + (g > d ? 1 : 0)
  }

  func validPriority(role: ICERole) -> UInt64 {
    Self.priority(local: (validLocal ?? local).priority, remote: remote.priority, role: role)
  }
}
