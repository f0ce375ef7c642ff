import EdgeCore
import SIP
import STUN

// From bytes to messages, with everything that is decided before a message is understood.
extension Rendezvous {
  func receiveStream(_ bytes: [UInt8], on flow: Flow) {
    guard var state = flows[flow], var framer = state.framer else { return }
    state.lastHeard = now
    // Out of the table while it is worked on, so that its buffer is not copied.
    state.framer = nil
    flows[flow] = state
    framer.append(bytes)
    do throws(StreamFramer.FramingError) {
      while flows[flow] != nil, let item = try framer.next() {
        guard spendAllowance(of: flow) else { return loseFlow(flow, because: "flood", close: true) }
        take(item, on: flow)
      }
    } catch {
      counters.malformed &+= 1
      log(.debug, "framing", ("flow", "\(flow)"), ("error", error.text))
      return loseFlow(flow, because: "not-sip", close: true)
    }
    guard var after = flows[flow] else { return }
    after.partialSince = framer.isInsideMessage ? after.partialSince ?? now : nil
    after.framer = framer
    flows[flow] = after
  }

  private func spendAllowance(of flow: Flow) -> Bool {
    if flow == Self.serviceFlow { return true }
    flows[flow]?.allowance -= 1
    return (flows[flow]?.allowance ?? 0) > 0
  }

  private func take(_ item: StreamFramer.Item, on flow: Flow) {
    // Only what follows the last complete message is a message that is late.
    flows[flow]?.partialSince = nil
    switch item {
    case .message(let message): receive(message, on: flow)
    case .refused(let refusal):
      guard isWorthAnswering(flow) else { return loseFlow(flow, because: "limited", close: true) }
      refuse(refusal, on: flow)
    case .malformed: counters.malformed &+= 1
    case .ping:
      counters.pings &+= 1
      send([0x0D, 0x0A], on: flow)
    case .pong: break
    }
  }

  func receiveDatagram(_ bytes: [UInt8], on flow: Flow) {
    let isKnown = flows[flow] != nil
    if isKnown { flows[flow]?.lastHeard = now }
    guard let first = bytes.first else { return }
    // RFC 5764 §5.1.2 and RFC 5626 §4.4.2: STUN begins with two zero bits, SIP with a letter.
    if first < 4 {
      if let answer = bindingAnswer(bytes, source: flow.remote, isKnown: isKnown) { send(answer, on: flow) }
      return
    }
    // Keep-alives of old devices: line ends, which RFC 5626 gives no answer on UDP.
    guard bytes.count > 4 || bytes.contains(where: { $0 != 0x0D && $0 != 0x0A }) else { return }
    if isKnown {
      guard spendAllowance(of: flow) else {
        counters.limited &+= 1
        return
      }
    } else {
      // Before the parser: a flood costs its rate limit and no more.
      guard isWorthAnswering(flow) else { return }
    }
    do throws(MessageError) {
      receive(try Message(parsing: bytes, framing: .datagram), on: flow)
    } catch {
      switch error {
      case .malformed: counters.malformed &+= 1
      case .refused(let refusal): refuse(refusal, on: flow)
      }
    }
  }

  private func receive(_ message: Message, on flow: Flow) {
    if message.isRequest {
      counters.requests &+= 1
      flows[flow]?.sawRequest = true
      receiveRequest(message, on: flow)
    } else {
      counters.responses &+= 1
      receiveResponse(message, on: flow)
    }
  }

  private func refuse(_ refusal: Refusal, on flow: Flow) {
    counters.malformed &+= 1
    // RFC 3261 §17.1.1.3: an ACK is never answered.
    guard refusal.request.method != .ack, refusal.request.contains(.via) else { return }
    respond(to: refusal.request, refusal.status, on: flow)
  }

  /// Takes one reply from the share of an address that has not shown who it is.
  func isWorthAnswering(_ flow: Flow) -> Bool {
    if flows[flow]?.account != nil { return true }
    if strangers.allows(flow.remote.ip, at: now) { return true }
    counters.limited &+= 1
    return false
  }

  func bindingAnswer(_ bytes: [UInt8], source: SocketAddress, isKnown: Bool) -> [UInt8]? {
    guard isKnown || strangers.allows(source.ip, at: now) else {
      counters.limited &+= 1
      return nil
    }
    guard let answer = unsafe BindingResponder.answer(to: bytes.span.bytes, from: source) else { return nil }
    counters.bindingRequests &+= 1
    return answer
  }
}

extension StreamFramer.FramingError {
  var text: String {
    switch self {
    case .tooLarge: "message too large"
    case .contentLength: "no usable Content-Length"
    case .notSIP: "not SIP"
    }
  }
}
