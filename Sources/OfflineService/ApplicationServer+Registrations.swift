import EdgeCore
import SIP

// Who is there: a subscription at the registrar to the registrations of the domain (RFC 3680).
extension ApplicationServer {
  /// Seconds a subscription is asked for; it is renewed at half of that.
  static let subscriptionLifetime: UInt32 = 3600

  func subscribe() {
    nextSubscribe = now + .seconds(Int64(Self.subscriptionLifetime / 2))
    let target = URI(.sip, host: configuration.domain)
    var request =
      subscription?.request(.subscribe)
      ?? newRequest(.subscribe, to: target, from: contact.uri.description, as: target.description)
    if request.contact == nil { request.append(.contact, contact.description) }
    request.event = Event("reg")
    request.append(.accept, "application/reginfo+xml")
    request.expires = Self.subscriptionLifetime
    sendToProxy(request, for: .subscribe)
  }

  func subscribed(_ response: Message, to request: Message, _ status: StatusCode) {
    guard status.isSuccess else {
      subscription = nil
      nextSubscribe = now + .seconds(10)
      return log("offline-not-subscribed", ["status": "\(status.value)"])
    }
    if subscription == nil { subscription = Dialog(request: request, response: response) }
  }

  func receiveNotify(_ request: Message) {
    guard request.event?.package == "reg" else { return answer(request, 489) }
    answer(request, 200)
    for registration in environment.parseRegistrations(request.body) {
      registrations[registration.account] = registration.terminals.isEmpty ? nil : registration.terminals
      for terminal in registration.terminals { push(to: registration.account, terminal) }
    }
  }
}
