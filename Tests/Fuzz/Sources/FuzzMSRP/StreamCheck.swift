import EdgeCore
import MSRP

/// Any bytes at all may arrive, in any pieces; none may trap, what parses must mean the same when written again, how a
/// stream is cut must not matter, and a session stays within its bounds whatever it is given.
func checkMSRP(_ bytes: [UInt8]) {
  let whole = messages(of: [bytes])
  let cut = bytes.isEmpty ? 0 : Int(bytes[bytes.count / 2]) * bytes.count / 256
  precondition(messages(of: [Array(bytes[..<cut]), Array(bytes[cut...])]) == whole, "the cut shows")
  for message in whole.complete where message.head.isIntelligible {
    let again = messages(of: [message.head.serialized(body: message.body, flag: message.flag)])
    precondition(again.complete == [message], "what was written reads differently")
  }
  for uri in whole.complete.flatMap({ $0.head.toPath + $0.head.fromPath }) {
    precondition(MSRPURI(uri.text) == uri, "a URI reads differently")
  }
  checkSession(bytes)
}

struct MSRPMessages: Equatable {
  struct Complete: Equatable {
    var head: MSRPHead
    var body: [UInt8]?
    var flag: MSRPFlag
  }

  var complete: [Complete] = []
  /// The body of the message that has not ended.
  var rest: [UInt8]?
  var error: MSRPFramer.FramingError?
}

func messages(of pieces: [[UInt8]]) -> MSRPMessages {
  var framer = MSRPFramer()
  var found = MSRPMessages()
  var head: MSRPHead?
  for piece in pieces {
    framer.append(piece)
    do throws(MSRPFramer.FramingError) {
      while let item = try framer.next() {
        switch item {
        case .head(let next, let hasBody):
          head = next
          found.rest = hasBody ? [] : nil
        case .body(let bytes): found.rest? += bytes
        case .end(let flag):
          if let head { found.complete.append(.init(head: head, body: found.rest, flag: flag)) }
          found.rest = nil
        }
      }
    } catch {
      found.error = error
      found.rest = nil
      return found
    }
  }
  return found
}

/// The session answers to whoever the first request is for.
private func checkSession(_ bytes: [UInt8]) {
  guard let first = messages(of: [bytes]).complete.first?.head else { return }
  for delivery in [MSRPSession.Delivery.whole(maximum: 4096), .pieces(maximum: 4096)] {
    var configuration = MSRPSession.Configuration()
    configuration.delivery = delivery
    var link = MSRPLink(
      MSRPSession(
        local: first.toPath[0], remotePath: first.fromPath, configuration: configuration,
        random: AnyRandom(SeededRandom(seed: 1))))
    var out = MSRPSession.Output()
    link.session.send(.init(contentType: "text/plain", body: [1, 2, 3]), into: &out)
    _ = link.session.pull(at: .zero, into: &out)
    let span = bytes.span
    _ = link.receive(span.bytes, at: .zero, into: &out)
    for case .received(_, _, let body, let total) in out.events { precondition(body.count <= 4096 && total <= 4096) }
    for message in out.messages { precondition(messages(of: [message]).complete.count == 1, "an answer is none") }
    while let deadline = link.session.nextDeadline { link.session.tick(at: deadline, into: &out) }
  }
}
