import EdgeCore
import SIP

/// Every exchange that is not over, and when each next has something to do.
struct ProxyTable {
  enum Timer {
    case client(ClientKey)
    case server(AnswerKey)
  }

  private(set) var clients: [ClientKey: ClientExchange] = [:]
  private(set) var servers: [AnswerKey: ServerExchange] = [:]
  private var merged: [String: AnswerKey] = [:]
  private var pendingOfAccount: [String: Int] = [:]
  private var useOfFlow: [Flow: Int] = [:]
  private var timers = DeadlineHeap<Timer>()

  /// Requests that are being forwarded, those that wait out their timers included.
  var count: Int { servers.count }
  var nextDeadline: Instant? { timers.first }

  func pending(of account: String) -> Int { pendingOfAccount[account] ?? 0 }

  /// Whether the same request is already here by another way.
  func isMerged(_ mergeKey: String, _ key: AnswerKey) -> Bool { merged[mergeKey].map { $0 != key } ?? false }

  func uses(_ flow: Flow) -> Bool { useOfFlow[flow] != nil }

  /// Keys of what runs over a flow, in a fixed order.
  func clientKeys(on flow: Flow) -> [ClientKey] { clients.filter { $0.value.flow == flow }.map(\.key).sorted() }

  func serverKeys(on flow: Flow) -> [AnswerKey] { servers.filter { $0.value.flow == flow }.map(\.key) }

  /// INVITEs that have no final answer yet, in no order.
  var pendingInvites: [ServerExchange] { servers.values.filter { $0.method == .invite && $0.state == .proceeding } }

  mutating func add(_ exchange: ClientExchange, _ key: ClientKey) {
    guard clients.updateValue(exchange, forKey: key) == nil else { return }
    useOfFlow[exchange.flow, default: 0] += 1
    timers.insert(.client(key), at: exchange.nextDeadline)
  }

  mutating func add(_ exchange: ServerExchange, _ key: AnswerKey) {
    servers[key] = exchange
    useOfFlow[exchange.flow, default: 0] += 1
    if let account = exchange.account { pendingOfAccount[account, default: 0] += 1 }
    if let mergeKey = exchange.mergeKey { merged[mergeKey] = key }
  }

  /// Changes an exchange and notes its new deadline; a change that returns `false` ends it.
  mutating func update(_ key: ClientKey, _ change: (inout ClientExchange) -> Bool) {
    guard var exchange = clients[key] else { return }
    guard change(&exchange) else { return remove(key) }
    clients[key] = exchange
    timers.insert(.client(key), at: exchange.nextDeadline)
  }

  mutating func update(_ key: AnswerKey, _ change: (inout ServerExchange) -> Bool) {
    guard var exchange = servers[key] else { return }
    guard change(&exchange) else { return remove(key) }
    servers[key] = exchange
    if let deadline = exchange.nextDeadline { timers.insert(.server(key), at: deadline) }
  }

  mutating func remove(_ key: ClientKey) {
    guard let exchange = clients.removeValue(forKey: key) else { return }
    release(exchange.flow)
  }

  mutating func remove(_ key: AnswerKey) {
    guard let exchange = servers.removeValue(forKey: key) else { return }
    release(exchange.flow)
    if let mergeKey = exchange.mergeKey, merged[mergeKey] == key { merged[mergeKey] = nil }
    if let account = exchange.account {
      let left = (pendingOfAccount[account] ?? 1) - 1
      pendingOfAccount[account] = left > 0 ? left : nil
    }
  }

  private mutating func release(_ flow: Flow) {
    let left = (useOfFlow[flow] ?? 1) - 1
    useOfFlow[flow] = left > 0 ? left : nil
  }

  /// The next timer that is due. One that was moved meanwhile is handed out all the same, and its
  /// exchange then finds nothing to do.
  mutating func takeDue(at now: Instant) -> Timer? { timers.removeFirst(at: now) }
}

/// A binary heap of deadlines. Entries are never taken out early: who owns one checks when it is due.
struct DeadlineHeap<Value> {
  private var items: [(at: Instant, value: Value)] = []

  var first: Instant? { items.first?.at }

  mutating func insert(_ value: Value, at deadline: Instant) {
    items.append((deadline, value))
    var child = items.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard items[child].at < items[parent].at else { break }
      items.swapAt(child, parent)
      child = parent
    }
  }

  mutating func removeFirst(at now: Instant) -> Value? {
    guard let top = items.first, top.at <= now else { return nil }
    items.swapAt(0, items.count - 1)
    items.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < items.count && items[child].at < items[least].at {
        least = child
      }
      guard least != parent else { break }
      items.swapAt(parent, least)
      parent = least
    }
    return top.value
  }
}
