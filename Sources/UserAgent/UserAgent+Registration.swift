import EdgeCore
import SIP

/// What is known of our own binding at the registrar.
struct Registration: Hashable {
  /// RFC 3261 §10.2: the same Call-ID for all registrations, CSeq rising.
  var callID = ""
  var fromTag = ""
  var sequence: UInt32 = 0
  var refreshAt: Instant?
  /// Seconds to ask for; the server's minimum once it told one.
  var expires: UInt32 = 0
  /// RFC 3261 §10.2: no new registration before the last one is answered.
  var isSending = false
  /// The server's minimum was taken on, and it has not agreed yet.
  var isCorrected = false

  /// Longer than this is asked for by nobody in their right mind.
  static let longest: UInt32 = 86_400
}

extension UserAgent {
  /// The account's address of record.
  var accountURI: URI { URI(.sip, user: configuration.account, host: configuration.domain) }

  /// Where in-dialog requests reach us. The server finds us by our flow, not by this address.
  var contact: NameAddress {
    var uri = URI(.sip, user: configuration.account, host: hostText, port: localAddress.port)
    uri.parameters["transport"] = ASCII.lowercased(configuration.transport.name)
    // RFC 5626 §4.3: dialogs follow the flow.
    uri.parameters["ob"] = ""
    return NameAddress(uri)
  }

  private var hostText: String { localAddress.ip.isV4 ? "\(localAddress.ip)" : "[\(localAddress.ip)]" }

  mutating func newBranch() -> String { Via.magicCookie + random.token(20) }

  mutating func via() -> Via {
    var via = Via(
      transport: configuration.transport.name, host: hostText, port: localAddress.port, branch: newBranch())
    via.requestRport()
    return via
  }

  mutating func sendRegister(
    expires: UInt32, purpose: Purpose, at now: Instant, into out: inout UserAgentOutbox
  ) {
    registration.sequence += 1
    registration.isSending = true
    var request = Message(request: .register, URI(.sip, host: configuration.domain))
    request.maxForwards = 70
    var from = NameAddress(accountURI)
    from.tag = registration.fromTag
    request.from = from
    request.to = NameAddress(accountURI)
    request.callID = registration.callID
    request.cseq = CSeq(registration.sequence, .register)
    var contact = contact
    contact.instance = configuration.instance
    contact.registrationID = 1
    request.contact = contact
    request.expires = expires
    // RFC 5626 §4.2.1 and RFC 3327 §5.1.
    request.append(.supported, "path, outbound")
    request.append(.allow, Self.allowedMethods)
    request.append(.userAgent, configuration.product)
    start(request, for: purpose, at: now, into: &out)
  }

  mutating func receiveRegisterResponse(
    _ response: Message, _ status: StatusCode, at now: Instant, into out: inout UserAgentOutbox
  ) {
    registration.isSending = false
    if case .leaving = state {
      // Taking leave had to wait for this answer.
      sendRegister(expires: 0, purpose: .unregister, at: now, into: &out)
      return
    }
    switch status.value {
    case 200..<300:
      registration.isCorrected = false
      takeFlowTimer(response, at: now)
      let granted = grantedSeconds(response)
      registration.refreshAt = now + .seconds(Int64(max(granted / 10 * 8, 1)))
      if case .loggingIn = state { becomeReady(at: now, into: &out) }
    case 423:
      // RFC 3261 §10.2.8: try again with at least the server's minimum; once, or the two would never agree.
      let minimum = response.minExpires ?? 3600
      guard !registration.isCorrected, minimum > registration.expires, minimum <= Registration.longest else {
        registration.isCorrected = false
        registration.expires = configuration.registrationExpires
        fail(.refused(status), flowIsOpen: true, at: now, into: &out)
        return
      }
      registration.isCorrected = true
      registration.expires = minimum
      sendRegister(expires: minimum, purpose: .register, at: now, into: &out)
    default:
      let retryAfter = response.retryAfter.map { Duration.seconds(Int64($0)) }
      fail(.refused(status), retryAfter: retryAfter, flowIsOpen: true, at: now, into: &out)
    }
  }

  private mutating func takeFlowTimer(_ response: Message, at now: Instant) {
    guard let interval = response.flowTimer, interval > 0 else { return }
    // A hostile or careless value must neither flood the server nor let the NAT mapping close.
    let wanted = Duration.seconds(Int64(min(max(interval, 5), 1800)))
    guard wanted != heartbeatInterval else { return }
    heartbeatInterval = wanted
    // While a pong is awaited the next rest takes the new interval on.
    if case .resting = heartbeat { heartbeat.start(interval: wanted, at: now, using: &random) }
  }

  /// Seconds until our own binding ends, as the registrar tells them (RFC 3261 §10.2.4).
  private func grantedSeconds(_ response: Message) -> UInt32 {
    var granted = response.expires ?? registration.expires
    if case .addresses(let contacts)? = response.contactList {
      for contact in contacts where contact.instance == configuration.instance {
        granted = contact.expires ?? granted
      }
    }
    return min(max(granted, 10), Registration.longest)
  }
}
