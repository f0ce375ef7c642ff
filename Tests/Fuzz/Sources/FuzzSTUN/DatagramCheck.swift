import EdgeCore
import STUN

/// Any bytes at all may arrive; none may trap, and what parses must mean the same when written again.
func checkDatagram(_ datagram: RawSpan) {
  let count = datagram.byteCount
  let source = SocketAddress(.v4(0xC000_0201), port: 5060)
  if let answer = BindingResponder.answer(to: datagram, from: source) {
    precondition(answer.count <= count + 12, "the responder amplifies")
  }
  guard let received = try? ReceivedMessage(parsing: datagram) else { return }
  precondition(received.bytes.count == count && STUNHeader.isPresent(in: datagram))
  let message = received.message
  _ = (message.mappedAddress, message.errorCode, message.unknownAttributes, message.text(.username))
  _ = (message.uint32(.priority), message.uint64(.iceControlling), message.unknownRequired { $0.isKnownToICE })
  let again = message.serialized(fingerprint: received.hasFingerprint)
  guard let reread = try? ReceivedMessage(parsing: again.span.bytes) else {
    preconditionFailure("what was written cannot be read")
  }
  precondition(reread.message == message && reread.hasFingerprint == received.hasFingerprint)
}
