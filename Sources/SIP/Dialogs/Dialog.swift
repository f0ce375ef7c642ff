import EdgeCore

/// Names a dialog, seen from this side (RFC 3261 §12).
public struct DialogID: Hashable, Sendable {
  public var callID: String
  public var localTag: String
  public var remoteTag: String

  public init(callID: String, localTag: String, remoteTag: String) {
    self.callID = callID
    self.localTag = localTag
    self.remoteTag = remoteTag
  }

  /// The dialog that a request from the other side belongs to; `nil` for one outside any dialog.
  public init?(receivedRequest request: Message) {
    guard let callID = request.callID, let local = request.to?.tag, !local.isEmpty else { return nil }
    self.init(callID: callID, localTag: local, remoteTag: request.from?.tag ?? "")
  }

  /// The dialog that a response to one's own request makes or belongs to.
  public init?(receivedResponse response: Message) {
    guard let callID = response.callID, let local = response.from?.tag, let remote = response.to?.tag, !remote.isEmpty
    else { return nil }
    self.init(callID: callID, localTag: local, remoteTag: remote)
  }
}

/// A peer-to-peer relationship between two user agents (RFC 3261 §12, RFC 6665 §4.4.1).
public struct Dialog: Hashable, Sendable {
  public let id: DialogID
  /// Us, with our tag.
  public let local: NameAddress
  /// The other side, with its tag.
  public let remote: NameAddress
  /// Where requests go: the other side's Contact.
  public private(set) var remoteTarget: URI
  /// Fixed when the dialog is made (RFC 3261 §12.1).
  public let routeSet: [NameAddress]
  public private(set) var localCSeq: UInt32
  public private(set) var remoteCSeq: UInt32?

  /// RFC 3261 §12.1.2: from a response with a To tag and a Contact to one's own request.
  public init?(request: Message, response: Message) {
    guard let id = DialogID(receivedResponse: response), let local = request.from, let remote = response.to,
      let target = response.contact?.uri ?? request.requestURI, let cseq = request.cseq
    else { return nil }
    self.id = id
    self.local = local
    self.remote = remote
    remoteTarget = target
    routeSet = response.recordRoutes.reversed()
    localCSeq = cseq.number
  }

  /// RFC 3261 §12.1.1: from a request that this side accepts with `localTag`.
  public init?(accepting request: Message, localTag: String) {
    guard let callID = request.callID, var local = request.to, let remote = request.from,
      let target = request.contact?.uri, let cseq = request.cseq
    else { return nil }
    local.tag = localTag
    id = DialogID(callID: callID, localTag: localTag, remoteTag: remote.tag ?? "")
    self.local = local
    self.remote = remote
    remoteTarget = target
    routeSet = request.recordRoutes
    remoteCSeq = cseq.number
    localCSeq = 0
  }

  /// The number for a request that is sent again with credentials (RFC 3261 §22.2).
  public mutating func nextNumber() -> UInt32 {
    localCSeq += 1
    return localCSeq
  }

  /// A request inside the dialog without Via and Contact (RFC 3261 §12.2.1.1).
  public mutating func request(_ method: Method) -> Message {
    localCSeq += 1
    return request(method, number: localCSeq)
  }

  /// The ACK for a 2xx (RFC 3261 §13.2.2.4): numbered like the INVITE.
  public func acknowledgement(ofInvite number: UInt32) -> Message { request(.ack, number: number) }

  private func request(_ method: Method, number: UInt32) -> Message {
    var target = remoteTarget
    target.headers = nil
    var routes = routeSet
    if let first = routes.first, !first.uri.parameters.contains("lr") {
      // A strict router: it becomes the target, and the target the last route.
      routes.removeFirst()
      routes.append(NameAddress(target))
      target = first.uri
    }
    var message = Message(request: method, target)
    message.maxForwards = 70
    message.routes = routes
    message.from = local
    message.to = remote
    message.callID = id.callID
    message.cseq = CSeq(number, method)
    return message
  }

  /// Checks the number of a request that came in the dialog (RFC 3261 §12.2.2); `false` means answer 500.
  /// An ACK carries its INVITE's number and is not checked here.
  public mutating func accepts(_ request: Message) -> Bool {
    guard let number = request.cseq?.number else { return false }
    if let remoteCSeq, number <= remoteCSeq { return false }
    remoteCSeq = number
    return true
  }

  /// Takes a new remote target from a re-INVITE, UPDATE, SUBSCRIBE or NOTIFY, or from a 2xx to one.
  public mutating func refreshTarget(from message: Message) {
    if let contact = message.contact?.uri, contact.isSIP { remoteTarget = contact }
  }
}
