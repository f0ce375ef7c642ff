import EdgeCore
import SIP

/// Dialogs that an INVITE made through this server: counted, known to be somebody's, and followed when one of their
/// ends comes back over another flow.
///
/// The media runs from peer to peer, so this is all the server knows of a session.
struct Sessions {
  /// What a request of one end to the other end is made of (RFC 3261 §12.2.1.1).
  struct End {
    /// The flow the dialog was made over, which its Record-Route names for as long as it lives.
    let original: Flow
    /// Where this end is reached now.
    var flow: Flow
    /// `nil` for one that was not known when the dialog was made.
    let account: String?
    /// With its tag.
    var address: NameAddress
    var target: URI
    /// The highest CSeq number it has sent.
    var sequence: UInt32

    init(
      flow: Flow, original: Flow? = nil, account: String?, address: NameAddress, target: URI, sequence: UInt32
    ) {
      self.original = original ?? flow
      self.flow = flow
      self.account = account
      self.address = address
      self.target = target
      self.sequence = sequence
    }
  }

  struct Session {
    /// The account that called.
    var account: String
    /// The serial or account it called.
    var called: String
    var caller: End
    var callee: End
    var touched: Instant
    /// When an end's flow was lost, and none has taken its place.
    var lostAt: Instant?
  }

  /// A dialog that shows no sign of life for so long was left without a BYE.
  private static let lifetime: Duration = .seconds(12 * 3600)
  /// How long a device whose network changed may take to come back to its calls.
  private static let grace: Duration = .seconds(60)

  private var byID: [String: Session] = [:]
  private var ofFlow: [Flow: Set<String>] = [:]
  private var lost: Set<String> = []

  /// Those with both ends there.
  var count: Int { byID.count - lost.count }
  var isEmpty: Bool { byID.isEmpty }

  subscript(callID: String) -> Session? { byID[callID] }

  /// In a fixed order.
  var callIDs: [String] { byID.keys.sorted() }

  func uses(_ flow: Flow, callID: String) -> Bool {
    byID[callID].map { $0.caller.flow == flow || $0.callee.flow == flow } ?? false
  }

  /// Where the end that a flow token names is reached now.
  func presentFlow(of named: Flow, callID: String) -> Flow {
    guard let session = byID[callID] else { return named }
    if session.caller.original == named { return session.caller.flow }
    return session.callee.original == named ? session.callee.flow : named
  }

  mutating func begin(_ callID: String, _ session: Session, limit: Int) {
    if byID[callID] != nil {
      byID[callID]?.touched = session.touched
      return
    }
    guard byID.count < limit else { return }
    byID[callID] = session
    ofFlow[session.caller.flow, default: []].insert(callID)
    ofFlow[session.callee.flow, default: []].insert(callID)
  }

  /// A request inside the dialog passed.
  mutating func note(_ callID: String, sequence: UInt32, from flow: Flow, at now: Instant) {
    guard var session = byID[callID] else { return }
    session.touched = now
    if session.caller.flow == flow { session.caller.sequence = max(session.caller.sequence, sequence) }
    if session.callee.flow == flow { session.callee.sequence = max(session.callee.sequence, sequence) }
    byID[callID] = session
  }

  /// The end that was made over `original` speaks over `flow` now, if `isOf` finds that its account is there.
  ///
  /// - Returns: the flow it was reached over until now, if that was another.
  mutating func follow(_ callID: String, from original: Flow, to flow: Flow, where isOf: (String) -> Bool) -> Flow? {
    guard var session = byID[callID] else { return nil }
    let isCaller = session.caller.original == original
    let end = isCaller ? session.caller : session.callee
    guard end.original == original, end.flow != flow, let account = end.account, isOf(account) else { return nil }
    if isCaller { session.caller.flow = flow } else { session.callee.flow = flow }
    session.lostAt = nil
    byID[callID] = session
    lost.remove(callID)
    forget(callID, on: end.flow)
    ofFlow[flow, default: []].insert(callID)
    return end.flow
  }

  /// A device logged in over another flow: its calls are there now, whether or not it has spoken in them.
  mutating func move(from old: Flow, to new: Flow) {
    guard old != new, let callIDs = ofFlow.removeValue(forKey: old) else { return }
    for callID in callIDs {
      if byID[callID]?.caller.flow == old { byID[callID]?.caller.flow = new }
      if byID[callID]?.callee.flow == old { byID[callID]?.callee.flow = new }
    }
    ofFlow[new, default: []].formUnion(callIDs)
  }

  mutating func end(_ callID: String) {
    guard let session = byID.removeValue(forKey: callID) else { return }
    lost.remove(callID)
    forget(callID, on: session.caller.flow)
    forget(callID, on: session.callee.flow)
  }

  private mutating func forget(_ callID: String, on flow: Flow) {
    ofFlow[flow]?.remove(callID)
    if ofFlow[flow]?.isEmpty == true { ofFlow[flow] = nil }
  }

  /// One end of these dialogs cannot be reached before it speaks up over another flow.
  mutating func flowLost(_ flow: Flow, at now: Instant) {
    for callID in ofFlow.removeValue(forKey: flow) ?? [] {
      // Nobody is left to come back to.
      guard byID[callID]?.lostAt == nil else {
        end(callID)
        continue
      }
      byID[callID]?.lostAt = now
      lost.insert(callID)
    }
  }

  mutating func removeExpired(at now: Instant) {
    for (callID, session) in byID {
      let isLost = session.lostAt.map { now - $0 >= Self.grace } ?? false
      if isLost || now - session.touched >= Self.lifetime { end(callID) }
    }
  }
}
