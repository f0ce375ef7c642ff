public import EdgeCore
import SIP

/// One subscription of ours (RFC 6665).
struct Subscription: Hashable {
  let user: String
  let event: String
  let accept: String
  var dialog: Dialog?
  /// Call-ID and From tag of the SUBSCRIBE that is to make the dialog: its first NOTIFY may come before the 200.
  var callID = ""
  var localTag = ""
  /// When to renew it, or to make it anew when there is no dialog.
  var refreshAt: Instant?
  /// A SUBSCRIBE is under way.
  var isSending = false
  /// Seconds to ask for.
  var expires: UInt32 = 600
  /// The server's minimum was taken on, and it has not agreed yet.
  var isCorrected = false
  /// How often it ended in a row without having lasted.
  var failures = 0
  var activeSince: Instant?

  /// What lasted this long was no failure.
  static let stability = Duration.seconds(60)
}

extension UserAgent {
  /// Subscribes to what the server knows of a serial, or of everything the account may see when
  /// `user` is the account itself. Renewed until ``unsubscribe(_:at:into:)``, over reconnects too.
  public mutating func subscribe(
    to user: String, event: String, accept: String, at now: Instant, into out: inout UserAgentOutbox
  ) -> SubscriptionHandle? {
    guard subscriptions.count < Self.capacity else { return nil }
    let handle = SubscriptionHandle(number: nextNumber())
    subscriptions[handle] = Subscription(user: user, event: event, accept: accept)
    if state == .ready { sendInitialSubscribe(handle, at: now, into: &out) }
    return handle
  }

  public mutating func unsubscribe(_ handle: SubscriptionHandle, at now: Instant, into out: inout UserAgentOutbox) {
    guard let subscription = subscriptions.removeValue(forKey: handle), state == .ready,
      var dialog = subscription.dialog
    else { return }
    var request = dialog.request(.subscribe)
    decorate(&request, subscription, expires: 0)
    start(request, for: .unsubscribe, at: now, into: &out)
  }

  private mutating func decorate(_ request: inout Message, _ subscription: Subscription, expires: UInt32) {
    var contact = contact
    if subscription.event == Self.messagePackage {
      // Names the terminal: what this one was given is not given to it again.
      contact.instance = configuration.instance
      request.setBody(Array(subscription.user.utf8), type: "text/plain")
    }
    request.contact = contact
    request.event = Event(subscription.event)
    request.append(.accept, subscription.accept)
    request.expires = expires
  }

  private mutating func sendInitialSubscribe(
    _ handle: SubscriptionHandle, at now: Instant, into out: inout UserAgentOutbox
  ) {
    guard var subscription = subscriptions[handle] else { return }
    var request = newRequest(.subscribe, to: URI(.sip, user: subscription.user, host: configuration.domain))
    decorate(&request, subscription, expires: subscription.expires)
    subscription.dialog = nil
    subscription.callID = request.callID ?? ""
    subscription.localTag = request.from?.tag ?? ""
    subscription.refreshAt = nil
    subscription.isSending = true
    subscriptions[handle] = subscription
    start(request, for: .subscribe(handle), at: now, into: &out)
  }

  private mutating func sendRefresh(_ handle: SubscriptionHandle, at now: Instant, into out: inout UserAgentOutbox) {
    guard let subscription = subscriptions[handle] else { return }
    guard var request = subscriptions[handle]?.dialog?.request(.subscribe) else {
      sendInitialSubscribe(handle, at: now, into: &out)
      return
    }
    decorate(&request, subscription, expires: subscription.expires)
    subscriptions[handle]?.isSending = true
    start(request, for: .subscribe(handle), at: now, into: &out)
  }

  mutating func receiveSubscribeFinal(
    _ response: Message, _ status: StatusCode, to request: Message, _ handle: SubscriptionHandle, at now: Instant,
    into out: inout UserAgentOutbox
  ) {
    // An answer about a dialog that is over says nothing about the next one.
    guard var subscription = subscriptions[handle], subscription.callID == request.callID else { return }
    subscription.isSending = false
    subscriptions[handle] = subscription
    guard status.isSuccess else {
      receiveSubscribeFailure(response, status, handle, at: now, into: &out)
      return
    }
    if subscription.dialog == nil { subscription.dialog = Dialog(request: request, response: response) }
    subscription.isCorrected = false
    subscription.activeSince = subscription.activeSince ?? now
    subscription.refreshAt = now + Self.renewal(of: response.expires ?? subscription.expires)
    subscriptions[handle] = subscription
  }

  private mutating func receiveSubscribeFailure(
    _ response: Message, _ status: StatusCode, _ handle: SubscriptionHandle, at now: Instant,
    into out: inout UserAgentOutbox
  ) {
    guard let subscription = subscriptions[handle] else { return }
    if status == 423, let minimum = response.minExpires, minimum > subscription.expires, minimum <= 86_400,
      !subscription.isCorrected
    {
      // RFC 6665 §4.1.2.1 with RFC 3261 §10.2.8: once more, with the server's minimum.
      subscriptions[handle]?.expires = minimum
      subscriptions[handle]?.isCorrected = true
      sendRefresh(handle, at: now, into: &out)
    } else if subscription.dialog != nil, status == 481 || status == 408 || 500..<600 ~= status.value {
      // RFC 6665 §4.1.2.2: the server forgot us, or is in trouble; subscribing anew is the remedy.
      retrySubscription(handle, after: response.retryAfter, at: now)
    } else {
      endSubscription(handle, status, into: &out)
    }
  }

  mutating func subscribeTimedOut(_ handle: SubscriptionHandle, at now: Instant, into out: inout UserAgentOutbox) {
    if subscriptions[handle]?.dialog != nil {
      retrySubscription(handle, after: nil, at: now)
    } else {
      endSubscription(handle, 408, into: &out)
    }
  }

  /// Subscribes anew after a while: at least what the server asks for, and longer each time in a row.
  mutating func retrySubscription(_ handle: SubscriptionHandle, after seconds: UInt32?, at now: Instant) {
    guard var subscription = subscriptions[handle] else { return }
    if let since = subscription.activeSince, now - since >= Subscription.stability { subscription.failures = 0 }
    // 1, 2, 4 ... 120 s, of which a random 50 to 100 %.
    let nominal = min(Duration.seconds(1 << min(subscription.failures, 7)), .seconds(120)).wholeNanoseconds
    let wait = Duration.nanoseconds(Int64.random(in: nominal / 2...nominal, using: &random))
    subscription.failures += 1
    subscription.activeSince = nil
    subscription.dialog = nil
    subscription.callID = ""
    subscription.localTag = ""
    subscription.isSending = false
    subscription.refreshAt = now + max(wait, .seconds(Int64(min(seconds ?? 0, 3600))))
    subscriptions[handle] = subscription
  }

  /// How long a subscription may go without being renewed.
  private static func renewal(of granted: UInt32) -> Duration {
    .seconds(Int64(min(max(granted, 10), 86_400) / 10 * 8))
  }

  mutating func receiveNotify(
    _ request: Message, _ dialog: DialogID, in id: TransactionHandle, at now: Instant, into out: inout UserAgentOutbox
  ) {
    let found = subscriptions.first {
      $0.value.dialog.map { $0.id == dialog }
        ?? ($0.value.callID == dialog.callID && $0.value.localTag == dialog.localTag)
    }
    guard let (handle, subscription) = found, request.event?.package == subscription.event else {
      respond(id, .response(to: request, status: 481), at: now, into: &out)
      return
    }
    if subscription.dialog != nil, subscriptions[handle]?.dialog?.accepts(request) != true {
      respond(id, .response(to: request, status: 500), at: now, into: &out)
      return
    }
    subscriptions[handle]?.dialog?.refreshTarget(from: request)
    let isForMessages = subscription.event == Self.messagePackage
    if isForMessages, !request.body.isEmpty {
      receiveMessage(request, in: id, at: now, into: &out)
    } else {
      respond(id, .response(to: request, status: 200), at: now, into: &out)
    }
    if request.body.isEmpty ? isForMessages : !isForMessages {
      out.events.append(.notified(handle, contentType: request.mediaType ?? "", body: request.body))
    }
    guard let told = request.subscriptionState else { return }
    if told.state == .terminated {
      receiveTermination(told, handle, at: now, into: &out)
    } else if let seconds = told.expires, subscription.dialog != nil, !subscription.isSending {
      // RFC 6665 §4.1.3: the notifier's word about the duration is the one that counts.
      subscriptions[handle]?.refreshAt = now + Self.renewal(of: seconds)
    }
  }

  /// RFC 6665 §4.1.3: some reasons invite to come again, others forbid it.
  private mutating func receiveTermination(
    _ told: SubscriptionState, _ handle: SubscriptionHandle, at now: Instant, into out: inout UserAgentOutbox
  ) {
    switch told.reason.map({ ASCII.lowercased($0) }) {
    case "deactivated", "timeout": retrySubscription(handle, after: told.retryAfter, at: now)
    case "probation", "giveup": retrySubscription(handle, after: told.retryAfter ?? 30, at: now)
    case "rejected", "noresource", "invariant": endSubscription(handle, nil, into: &out)
    default:
      if let seconds = told.retryAfter {
        retrySubscription(handle, after: seconds, at: now)
      } else {
        endSubscription(handle, nil, into: &out)
      }
    }
  }

  mutating func tickSubscriptions(at now: Instant, into out: inout UserAgentOutbox) {
    for handle in sortedSubscriptions {
      guard let due = subscriptions[handle]?.refreshAt, now >= due else { continue }
      subscriptions[handle]?.refreshAt = nil
      sendRefresh(handle, at: now, into: &out)
    }
  }

  /// The flow is gone, and with it what was under way.
  mutating func suspendSubscriptions() {
    for handle in sortedSubscriptions {
      subscriptions[handle]?.isSending = false
      subscriptions[handle]?.refreshAt = nil
    }
  }

  /// After a reconnect the server has forgotten the old flow's subscriptions.
  mutating func resumeSubscriptions(at now: Instant, into out: inout UserAgentOutbox) {
    for handle in sortedSubscriptions { sendInitialSubscribe(handle, at: now, into: &out) }
  }

  private var sortedSubscriptions: [SubscriptionHandle] { subscriptions.keys.sorted { $0.number < $1.number } }

  mutating func endSubscription(
    _ handle: SubscriptionHandle, _ status: StatusCode?, into out: inout UserAgentOutbox
  ) {
    guard subscriptions.removeValue(forKey: handle) != nil else { return }
    out.events.append(.subscriptionEnded(handle, status))
  }
}
