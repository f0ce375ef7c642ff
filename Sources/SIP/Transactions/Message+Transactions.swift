extension Message {
  /// The CANCEL for a request that was sent (RFC 3261 §9.1).
  public static func cancel(for request: Message) -> Message? {
    guard let uri = request.requestURI, let via = request[.via], let cseq = request.cseq else { return nil }
    var cancel = Message(request: .cancel, uri)
    cancel.append(.via, via)
    cancel.maxForwards = 70
    cancel.copy([.route, .from, .to, .callID], from: request)
    cancel.cseq = CSeq(cseq.number, .cancel)
    return cancel
  }

  /// The ACK for a response of 300 to 699 (RFC 3261 §17.1.1.3).
  public static func acknowledgement(of response: Message, to request: Message) -> Message? {
    guard let uri = request.requestURI, let via = request[.via], let cseq = request.cseq else { return nil }
    var ack = Message(request: .ack, uri)
    ack.append(.via, via)
    ack.maxForwards = 70
    ack.copy([.route, .from, .callID], from: request)
    ack.copy([.to], from: response)
    ack.cseq = CSeq(cseq.number, .ack)
    return ack
  }

  mutating func copy(_ names: [HeaderName], from other: Message) {
    for header in other.headers where names.contains(header.name) { headers.append(header) }
  }
}
