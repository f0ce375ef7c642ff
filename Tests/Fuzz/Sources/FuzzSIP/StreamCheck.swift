import EdgeCore
import SIP

/// Any bytes at all may arrive, in any pieces; none may trap, what parses must mean the same when
/// written again, and how a stream is cut must not matter.
func checkStream(_ bytes: [UInt8]) {
  checkDatagram(bytes)
  for side in [StreamFramer.Side.client, .server] {
    let whole = items(of: [bytes], side)
    let cut = bytes.isEmpty ? 0 : Int(bytes[bytes.count / 2]) * bytes.count / 256
    precondition(items(of: [Array(bytes[..<cut]), Array(bytes[cut...])], side) == whole, "the cut shows")
    checkTransactions(whole.messages)
  }
}

private func checkDatagram(_ bytes: [UInt8]) {
  let message: Message
  do throws(MessageError) {
    message = try Message(parsing: bytes)
  } catch {
    if case .refused(let refusal) = error {
      // Whatever was refused can be answered.
      _ = Message.response(to: refusal.request, status: refusal.status, tag: "t").serialized()
    }
    return
  }
  precondition(message.to != nil && message.from != nil && message.callID != nil && message.cseq != nil)
  precondition(message.topVia != nil && message.viaCount == message.vias.count)
  guard let again = try? Message(parsing: message.serialized(), framing: .stream) else {
    preconditionFailure("what was written cannot be read")
  }
  precondition(again == message, "what was written reads differently")
  _ = (message.contactList, message.routes, message.recordRoutes, message.path, message.expires, message.maxForwards)
  _ = (message.event, message.subscriptionState, message.mediaType, message.retryAfter, message.flowTimer)
  _ = (message.list(.allow), message.unknownExtensions(known: ["path"]), message.requestURI?.addressOfRecord)
  for address in [message.to, message.from, message.contact].compactMap({ $0 }) {
    precondition(NameAddress(address.description) == address, "an address reads differently")
    precondition(address.uri.isEquivalent(to: address.uri))
  }
  for challenge in message.challenges { precondition(DigestChallenge(challenge.description) == challenge) }
  for credentials in message.credentials { precondition(DigestCredentials(credentials.description) == credentials) }
}

private struct Items: Equatable {
  var items: [StreamFramer.Item] = []
  var error: StreamFramer.FramingError?

  var messages: [Message] {
    items.compactMap { if case .message(let message) = $0 { message } else { nil } }
  }
}

private func items(of pieces: [[UInt8]], _ side: StreamFramer.Side) -> Items {
  var framer = StreamFramer(side: side)
  var found = Items()
  for piece in pieces {
    framer.append(piece)
    do throws(StreamFramer.FramingError) {
      while let item = try framer.next() { found.items.append(item) }
    } catch {
      found.error = error
      return found
    }
  }
  return found
}

/// Whatever comes, the table stays within its bounds and empties itself in the end.
private func checkTransactions(_ messages: [Message]) {
  guard !messages.isEmpty else { return }
  var layer = TransactionLayer<Int>(capacity: 4)
  var out = TransactionOutbox<Int>()
  var now = Instant.zero
  for message in messages {
    if message.isRequest, message.method != .ack {
      _ = layer.send(message, over: 1, isReliable: false, at: now, into: &out)
    }
    layer.receive(message, from: 0, isReliable: false, at: now, into: &out)
    if let response = message.isRequest ? Message.response(to: message, status: 200, tag: "t") : nil {
      layer.receive(response, from: 1, isReliable: false, at: now, into: &out)
      for case .request(let id, _, _, _) in out.events { layer.respond(id, response, at: now, into: &out) }
    }
    precondition(layer.count <= 4)
    out.removeAll()
    now = now + .milliseconds(700)
  }
  var turns = 0
  while let deadline = layer.nextDeadline {
    now = max(now, deadline)
    layer.tick(at: now, into: &out)
    out.removeAll()
    turns += 1
    precondition(turns < 10_000, "the layer never comes to rest")
  }
  // An INVITE that nobody answers waits for its user, without a timer.
  precondition(layer.count <= 4)
}
