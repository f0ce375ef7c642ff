import EdgeCore
import SIP

/// Dialogs that an INVITE made through this server: counted, and known to be somebody's.
///
/// The media runs from peer to peer, so this is all the server knows of a session.
struct Sessions {
  /// What a request of one end to the other end is made of (RFC 3261 §12.2.1.1).
  struct End {
    var flow: Flow
    /// With its tag.
    var address: NameAddress
    var target: URI
    /// The highest CSeq number it has sent.
    var sequence: UInt32
  }

  struct Session {
    /// The account that called.
    var account: String
    /// The serial or account it called.
    var called: String
    var caller: End
    var callee: End
    var touched: Instant
  }

  /// A dialog that shows no sign of life for so long was left without a BYE.
  private static let lifetime: Duration = .seconds(12 * 3600)

  private var byID: [String: Session] = [:]
  private var ofFlow: [Flow: Set<String>] = [:]

  var count: Int { byID.count }

  subscript(callID: String) -> Session? { byID[callID] }

  /// In a fixed order.
  var callIDs: [String] { byID.keys.sorted() }

  func uses(_ flow: Flow, callID: String) -> Bool {
    byID[callID].map { $0.caller.flow == flow || $0.callee.flow == flow } ?? false
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

  mutating func end(_ callID: String) {
    guard let session = byID.removeValue(forKey: callID) else { return }
    for flow in [session.caller.flow, session.callee.flow] {
      ofFlow[flow]?.remove(callID)
      if ofFlow[flow]?.isEmpty == true { ofFlow[flow] = nil }
    }
  }

  /// A dialog one of whose ends lost its flow cannot be ended by a BYE along it any more.
  mutating func flowLost(_ flow: Flow) {
    for callID in ofFlow[flow] ?? [] { end(callID) }
  }

  mutating func removeExpired(at now: Instant) {
    for (callID, session) in byID where now - session.touched >= Self.lifetime { end(callID) }
  }
}
