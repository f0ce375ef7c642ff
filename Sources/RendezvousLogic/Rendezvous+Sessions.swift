import EdgeCore
import SIP

// Calls that are under way, and their end when the right to them is gone.
extension Rendezvous {
  /// A request that was forwarded has its final answer, a 2xx.
  func noteSession(_ exchange: ServerExchange, _ key: ClientKey, _ answer: Message) {
    guard let callID = exchange.request.callID else { return }
    if exchange.method == .bye { return sessions.end(callID) }
    guard exchange.method == .invite, let callee = proxy.clients[key]?.flow else { return }
    // A call of the offline service is its own to end.
    guard exchange.flow != Self.serviceFlow else { return }
    let request = exchange.request
    guard let from = request.from, let to = answer.to, let sequence = request.cseq?.number,
      let here = request.contact?.uri, let there = answer.contact?.uri
    else { return }
    let session = Sessions.Session(
      account: exchange.account ?? "", called: request.requestURI?.decodedUser ?? "",
      caller: Sessions.End(
        flow: exchange.flow, account: exchange.account, address: from, target: here, sequence: sequence),
      callee: Sessions.End(
        flow: callee, account: flows[callee]?.account, address: to, target: there, sequence: 0), touched: now)
    sessions.begin(callID, session, limit: configuration.maximumSessions)
    // Called off a moment too late.
    if exchange.account != nil, !isAllowed(session.account, session.called, since: directory) {
      endSession(callID, session)
    }
  }

  /// Ends what `directory` no longer allows and did before.
  func endSessions(changedFrom old: Directory) {
    for callID in sessions.callIDs {
      guard let session = sessions[callID], !isAllowed(session.account, session.called, since: old) else { continue }
      log(.info, "session-ended", ("account", session.account), ("called", session.called), ("why", "right withdrawn"))
      endSession(callID, session)
    }
    // What still rings is called off; the caller gets the 487 of the device.
    var ringing: [ClientKey] = []
    for exchange in proxy.pendingInvites {
      guard let account = exchange.account, let called = exchange.request.requestURI?.decodedUser,
        !isAllowed(account, called, since: old)
      else { continue }
      ringing += exchange.open
    }
    for key in ringing.sorted() { cancel(key) }
  }

  private func isAllowed(_ account: String, _ called: String, since old: Directory) -> Bool {
    let callee = directory.owner(of: called) ?? called
    for party in [account, callee] {
      // Gone, or with another password: who calls under the old one is a stranger.
      guard let known = directory.accounts[party], known == old.accounts[party] else { return false }
    }
    return callee == called ? directory.mayReach(account, called) : directory.mayWatch(account, called)
  }

  /// Says BYE to both ends, to each in the name of the other: an end believes a BYE of its dialog, and only the
  /// node can stop the media, which do not come past here. A proxy of RFC 3261 would have to leave the call alone.
  private func endSession(_ callID: String, _ session: Sessions.Session) {
    sessions.end(callID)
    sayGoodbye(callID, from: session.caller, to: session.callee)
    sayGoodbye(callID, from: session.callee, to: session.caller)
  }

  private func sayGoodbye(_ callID: String, from near: Sessions.End, to far: Sessions.End) {
    var request = Message(request: .bye, far.target)
    request.maxForwards = 70
    request.from = near.address
    request.to = far.address
    request.callID = callID
    request.cseq = CSeq(near.sequence &+ 1, .bye)
    // RFC 3326 §2: what the caller would be told now.
    request.append(.reason, "SIP;cause=404;text=\"Not Found\"")
    startRequest(request, on: far.flow, for: .goodbye)
  }
}
