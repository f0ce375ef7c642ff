import EdgeCore
import PIDF
import SIP

// Flows from their first byte to their end (RFC 5626 §4.4, §5.3).
extension Rendezvous {
  var hasTimedState: Bool {
    !flows.isEmpty || locations.count > 0 || publications.count > 0 || subscriptions.count > 0 || !answered.isEmpty
      || !sessions.isEmpty || !messages.isEmpty
  }

  func openConnection(_ flow: Flow) {
    let source = flow.remote.ip.unmapped
    let open = connectionsByAddress[source] ?? 0
    guard open < configuration.maximumConnectionsPerAddress else {
      counters.limited &+= 1
      log(.warning, "too-many-connections", ("remote", "\(source)"), ("limit", "\(open)"))
      outputs.append(.close(flow))
      return
    }
    // The kernel gives out an address pair again only after the old connection is gone.
    if flows[flow] != nil { loseFlow(flow, because: "replaced", close: false) }
    connectionsByAddress[source, default: 0] += 1
    flows[flow] = FlowState(opened: now, lastHeard: now, framer: StreamFramer(side: .server))
  }

  /// Forgets a flow and all that lived on it, and tells whom it concerns.
  func loseFlow(_ flow: Flow, because reason: String, close: Bool) {
    guard let state = flows.removeValue(forKey: flow) else { return }
    if flow.transport.isReliable {
      let source = flow.remote.ip.unmapped
      let open = (connectionsByAddress[source] ?? 1) - 1
      connectionsByAddress[source] = open > 0 ? open : nil
    }
    if close, flow.transport.isReliable { outputs.append(.close(flow)) }
    if state.contacts > 0 { counters.flowsLost &+= 1 }
    for account in state.contacts > 0 ? state.accounts : [] {
      let gone = locations.remove(of: account) { $0.flow == flow }
      log(.info, "flow-lost", ("account", account), ("flow", "\(flow)"), ("reason", reason))
      releasePublications(of: account, on: flow, instances: gone.map(\.instance))
    }
    subscriptions.remove(on: flow)
    failForwarding(over: flow)
    sessions.flowLost(flow, at: now)
  }

  /// What a lost flow published goes to another live flow of the same device, or ends.
  func releasePublications(of account: String, on flow: Flow, instances: [String]) {
    for instance in instances where !instance.isEmpty {
      guard let other = locations.bindings(of: account).first(where: { $0.instance == instance }) else { continue }
      publications.move(account: account, instance: instance, from: flow, to: other.flow)
    }
    var changed: [String] = []
    for tag in publications.tags(of: account) where publications[tag]?.flow == flow {
      changed += publications.remove(tag)
    }
    serialsChanged(changed)
  }

  /// Looks over everything that ends by time alone.
  func sweep() {
    nextSweep = nil
    var lost: [(flow: Flow, reason: String)] = []
    for (flow, state) in flows {
      if let reason = endOfFlow(state, flow) { lost.append((flow, reason)) }
      if state.allowance < FlowState.allowancePerSweep { flows[flow]?.allowance = FlowState.allowancePerSweep }
    }
    for (flow, reason) in lost.sorted(by: { $0.flow < $1.flow }) {
      loseFlow(flow, because: reason, close: true)
    }
    for account in locations.expired(at: now) { expireContacts(of: account) }
    var changed: [String] = []
    for tag in publications.expired(at: now) { changed += publications.remove(tag) }
    serialsChanged(changed)
    expireSubscriptions()
    sweepMessages()
    contactRequests.forget(at: now)
    answered.removeExpired(at: now)
    sessions.removeExpired(at: now)
  }

  private func endOfFlow(_ state: FlowState, _ flow: Flow) -> String? {
    guard flow != Self.serviceFlow else { return nil }
    if state.isMonitored, now - state.lastHeard >= configuration.silenceLimit { return "silent" }
    guard flow.transport.isReliable else { return nil }
    if let since = state.partialSince, now - since >= configuration.partialMessageDeadline { return "partial-message" }
    if !state.sawRequest, now - state.opened >= configuration.firstRequestDeadline { return "no-request" }
    if state.contacts == 0, now - state.lastHeard >= configuration.idleDeadline { return "idle" }
    return nil
  }

  func makeSnapshot(at now: Instant) -> Snapshot {
    var snapshot = Snapshot()
    for account in locations.accounts where directory.accounts[account]?.isNode == true {
      for binding in locations.bindings(of: account) {
        let resources = publications.tags(of: account).flatMap { tag -> [Presence.Tuple] in
          guard let publication = publications[tag], publication.flow == binding.flow else { return [] }
          return publication.resources.filter { publications.carrier(of: $0.serial)?.publication.flow == binding.flow }
        }
        let state = flows[binding.flow]
        snapshot.nodes.append(
          Snapshot.Node(
            account: account, flow: binding.flow, silence: now - (state?.lastHeard ?? now),
            age: now - (state?.opened ?? now), serials: resources))
      }
    }
    snapshot.contacts = locations.count
    snapshot.flows = flows.count
    for (flow, state) in flows where state.contacts > 0 { snapshot.contactFlows[flow.transport, default: 0] += 1 }
    snapshot.connections = connectionsByAddress.values.reduce(0, +)
    snapshot.serials = publications.serialCount
    snapshot.subscriptions = subscriptions.count
    snapshot.sessions = sessions.count
    snapshot.pending = proxy.count
    snapshot.counters = counters
    return snapshot
  }
}
