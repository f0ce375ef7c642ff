import EdgeCore

/// Dialogs that an INVITE made through this server: counted, and known to be somebody's.
///
/// The media runs from peer to peer, so this is all the server knows of a session.
struct Sessions {
  struct Session {
    var caller: Flow
    var callee: Flow
    var touched: Instant
  }

  /// A dialog that shows no sign of life for so long was left without a BYE.
  private static let lifetime: Duration = .seconds(12 * 3600)

  private var byID: [String: Session] = [:]
  private var ofFlow: [Flow: Set<String>] = [:]

  var count: Int { byID.count }

  func uses(_ flow: Flow, callID: String) -> Bool {
    byID[callID].map { $0.caller == flow || $0.callee == flow } ?? false
  }

  mutating func begin(_ callID: String, caller: Flow, callee: Flow, at now: Instant, limit: Int) {
    if byID[callID] != nil {
      byID[callID]?.touched = now
      return
    }
    guard byID.count < limit else { return }
    byID[callID] = Session(caller: caller, callee: callee, touched: now)
    ofFlow[caller, default: []].insert(callID)
    ofFlow[callee, default: []].insert(callID)
  }

  mutating func touch(_ callID: String, at now: Instant) { byID[callID]?.touched = now }

  mutating func end(_ callID: String) {
    guard let session = byID.removeValue(forKey: callID) else { return }
    for flow in [session.caller, session.callee] {
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
