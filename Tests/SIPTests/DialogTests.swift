import EdgeCore
import SIP
import Testing

@Suite("Dialogs")
struct DialogTests {
  static func invite() -> Message {
    var message = TransactionTests.request(.invite)
    message[.contact] = "<sip:a@192.0.2.1:5060>"
    message.append(.recordRoute, "<sip:p2.example.com;lr>")
    message.append(.recordRoute, "<sip:p1.example.com;lr>")
    return message
  }

  static func pair() throws -> (caller: Dialog, callee: Dialog) {
    let invite = invite()
    var ok = Message.response(to: invite, status: 200, tag: "b")
    ok[.contact] = "<sip:b@192.0.2.2>"
    return (
      try #require(Dialog(request: invite, response: ok)), try #require(Dialog(accepting: invite, localTag: "b"))
    )
  }

  @Test func `both ends make the same dialog with the route set turned round`() throws {
    let (caller, callee) = try Self.pair()
    #expect(caller.id == DialogID(callID: "c", localTag: "1", remoteTag: "b"))
    #expect(callee.id == DialogID(callID: "c", localTag: "b", remoteTag: "1"))
    #expect(caller.routeSet.map(\.uri.host) == ["p1.example.com", "p2.example.com"])
    #expect(callee.routeSet.map(\.uri.host) == ["p2.example.com", "p1.example.com"])
    #expect(caller.remoteTarget.description == "sip:b@192.0.2.2")
    #expect(callee.remoteTarget.description == "sip:a@192.0.2.1:5060")
  }

  @Test func `requests inside are numbered upwards and find the dialog of the other side`() throws {
    var (caller, callee) = try Self.pair()
    let info = caller.request(.info)
    #expect(info.cseq == CSeq(2, .info))
    #expect(info.requestURI == caller.remoteTarget)
    #expect(info.routes.map(\.uri.host) == ["p1.example.com", "p2.example.com"])
    #expect(DialogID(receivedRequest: info) == callee.id)
    #expect(callee.accepts(info) == true)
    // RFC 3261 §12.2.2: lower or equal is out of order.
    #expect(callee.accepts(info) == false)
    #expect(callee.accepts(caller.request(.bye)) == true)
    #expect(caller.acknowledgement(ofInvite: 1).cseq == CSeq(1, .ack))
    let bye = callee.request(.bye)
    #expect(bye.cseq == CSeq(1, .bye))
    #expect(DialogID(receivedRequest: bye) == caller.id)
    #expect(caller.accepts(bye) == true)
  }

  @Test func `a strict router becomes the Request-URI and the target the last route`() throws {
    var invite = Self.invite()
    invite.set(.recordRoute, [NameAddress(URI("sip:strict.example.com")!)])
    var dialog = try #require(Dialog(accepting: invite, localTag: "b"))
    let bye = dialog.request(.bye)
    #expect(bye.requestURI?.host == "strict.example.com")
    #expect(bye.routes.map(\.uri.description) == ["sip:a@192.0.2.1:5060"])
  }

  @Test func `a new Contact moves the remote target and not the route set`() throws {
    var (caller, _) = try Self.pair()
    var update = TransactionTests.request(.update)
    update[.contact] = "<sip:b@198.51.100.7>"
    caller.refreshTarget(from: update)
    #expect(caller.request(.bye).requestURI?.host == "198.51.100.7")
    #expect(caller.routeSet.count == 2)
  }

  @Test func `a 2xx is repeated until its ACK, or given up after 64 T1`() {
    var answer = AnswerRetransmission(timing: TransactionTiming(), at: .zero)
    var resends: [Int64] = []
    var gaveUp: Int64?
    while let deadline = answer.nextDeadline {
      switch answer.tick(at: deadline) {
      case .resend: resends.append(deadline.nanoseconds / 1_000_000)
      case .giveUp: gaveUp = deadline.nanoseconds / 1_000_000
      case .none: Issue.record("tick at the deadline did nothing")
      }
    }
    #expect(resends == [500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500])
    #expect(gaveUp == 32000)
    var acknowledged = AnswerRetransmission(timing: TransactionTiming(), at: .zero)
    #expect(acknowledged.receiveAcknowledgement() == true)
    #expect(acknowledged.receiveAcknowledgement() == false)
    #expect(acknowledged.nextDeadline == nil)
  }
}
