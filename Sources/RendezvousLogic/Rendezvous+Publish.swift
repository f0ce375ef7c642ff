import EdgeCore
import PIDF
import SIP

// The event state compositor for presence (RFC 3903 §6): what a node has on its network.
extension Rendezvous {
  func publish(_ request: Message, _ key: AnswerKey, on flow: Flow) {
    guard acceptsExtensions(of: request, on: flow) else { return }
    guard let account = authenticate(request, on: flow, .server) else { return }
    // Step 1: one publishes for oneself; any other name answers as if it did not exist.
    guard request.requestURI?.decodedUser == account else { return conclude(request, key, 404, on: flow) }
    // Step 2.
    guard request.event?.package == Self.package else { return refusePackage(request, key, on: flow) }
    guard directory.accounts[account]?.isNode == true else {
      log(.warning, "publish-refused", ("account", account), ("reason", "not a node account"))
      return conclude(request, key, 403, on: flow) { $0.append(.warning, self.warning("not a node account")) }
    }
    guard let binding = locations.binding(of: account, on: flow) else {
      return conclude(request, key, 403, on: flow) { $0.append(.warning, self.warning("register on this flow first")) }
    }
    // Step 3.
    let old = request.sipIfMatch
    if let old {
      guard let publication = publications[old], publication.account == account else {
        return conclude(request, key, 412, on: flow)
      }
    }
    // Step 4.
    let wanted = request.expires ?? configuration.maximumExpires
    if wanted > 0, wanted < configuration.minimumExpires {
      let minimum = configuration.minimumExpires
      return conclude(request, key, 423, on: flow) { $0.minExpires = minimum }
    }
    if wanted == 0 {
      guard let old else { return conclude(request, key, 400, on: flow) }
      let changed = publications.remove(old)
      conclude(request, key, 200, on: flow) {
        $0.expires = 0
        $0.sipETag = old
      }
      return serialsChanged(changed)
    }
    let lifetime = min(wanted, configuration.maximumExpires)
    // Step 5: a body replaces; without one an existing publication is refreshed.
    if request.body.isEmpty {
      guard let old, let publication = publications[old] else { return conclude(request, key, 400, on: flow) }
      return store(publication.resources, [], request, key, binding, lifetime, replacing: old)
    }
    guard request.mediaType == Presence.contentType else {
      return conclude(request, key, 415, on: flow) { $0.append(.accept, Presence.contentType) }
    }
    guard let resources = environment.parsePresence(request.body)?.tuples,
      resources.count <= configuration.maximumResourcesPerPublication,
      resources.allSatisfy({ Directory.isName($0.serial) }),
      Set(resources.map(\.serial)).count == resources.count
    else { return conclude(request, key, 400, on: flow) }
    if old == nil, publications.count(of: account) >= configuration.maximumPublicationsPerAccount {
      // A node that forgot its tags after each restart: its oldest publication makes room.
      if let oldest = publications.tags(of: account).first { serialsChanged(publications.remove(oldest)) }
    }
    let (kept, refused) = claim(resources, for: account, on: flow)
    guard !kept.isEmpty || refused.isEmpty else {
      return conclude(request, key, 403, on: flow) { $0.append(.warning, self.warning(refused)) }
    }
    store(kept, refused, request, key, binding, lifetime, replacing: old)
  }

  /// The first node that publishes a serial keeps it. One taken serial does not cost a node its others.
  private func claim(
    _ resources: [Presence.Tuple], for account: String, on flow: Flow
  ) -> (kept: [Presence.Tuple], refused: [String]) {
    var kept: [Presence.Tuple] = []
    var refused: [String] = []
    for resource in resources {
      let serial = resource.serial
      if directory.owner(of: serial) == account {
        kept.append(resource)
        continue
      }
      let verdict: Environment.Claim =
        directory.accounts[serial] != nil || directory.owner(of: serial) != nil
        ? .refused : environment.claim(serial, account)
      guard verdict == .owned else {
        log(
          .warning, "serial-refused", ("serial", serial), ("account", account), ("flow", "\(flow)"),
          ("reason", verdict == .refused ? "belongs to another account" : "could not be stored"))
        refused.append(serial)
        continue
      }
      directory.bind(serial, to: account)
      log(.info, "serial-bound", ("serial", serial), ("account", account))
      kept.append(resource)
    }
    return (kept, refused)
  }

  private func store(
    _ resources: [Presence.Tuple], _ refused: [String], _ request: Message, _ key: AnswerKey,
    _ binding: Locations.Binding,
    _ lifetime: UInt32, replacing old: String?
  ) {
    guard let account = request.requestURI?.decodedUser else { return }
    let tag = random.token(16)
    let named = Set(resources.map(\.serial)).union((old.flatMap { publications[$0] }?.resources ?? []).map(\.serial))
    let shown = named.map { ($0, publications.carrier(of: $0)?.resource) }
    _ = publications.store(
      resources, account: account, instance: binding.instance, flow: binding.flow,
      expires: now + .seconds(Int64(lifetime)), tag: tag, replacing: old)
    counters.publications &+= 1
    // Step 6: "the ESC MUST send a 200 (OK) response ... The response MUST contain an Expires ...
    // the ESC MUST include the new entity-tag".
    conclude(request, key, 200, on: binding.flow) { response in
      response.sipETag = tag
      response.expires = lifetime
      if !refused.isEmpty { response.append(.warning, self.warning(refused)) }
    }
    if old == nil {
      log(.info, "published", ("account", account), ("serials", resources.map(\.serial).joined(separator: ",")))
    }
    // A refresh alone changes nothing that anybody sees.
    serialsChanged(shown.filter { publications.carrier(of: $0.0)?.resource != $0.1 }.map(\.0).sorted())
  }

  func refusePackage(_ request: Message, _ key: AnswerKey, on flow: Flow) {
    // RFC 6665 §4.2.1.1: 489 with the packages that are known.
    conclude(request, key, 489, on: flow) { $0.append(.allowEvents, self.packages) }
  }

  private func warning(_ serials: [String]) -> String {
    warning("taken by another account: " + serials.prefix(16).joined(separator: " "))
  }

  /// RFC 3261 §20.43: 399 is free text for people.
  func warning(_ text: String) -> String { "399 \(configuration.domain) \"\(text)\"" }
}
