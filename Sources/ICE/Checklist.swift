import EdgeCore

/// The pairs to check, best first, and the queue of those that must not wait (RFC 8445 §6.1.2, §6.1.4).
struct Checklist {
  private(set) var pairs: [Pair] = []
  private var triggered: [Int] = []
  private var nextID = 1
  let limit: Int

  init(limit: Int) { self.limit = limit }

  func index(id: Int) -> Int? { pairs.firstIndex { $0.id == id } }

  func index(base: SocketAddress, remote: SocketAddress) -> Int? {
    let unscoped = remote.unscoped
    return pairs.firstIndex { $0.remote.address == unscoped && $0.base == base }
  }

  subscript(index: Int) -> Pair {
    get { pairs[index] }
    _modify { yield &pairs[index] }
  }

  /// Adds a pair, unless it is redundant with one that is there (RFC 8445 §6.1.2.4) or the list is
  /// full of better ones (§6.1.2.5). Returns its id, or that of the one it is redundant with.
  mutating func insert(local: Candidate, remote: Candidate, role: ICERole, mayEvict: Bool) -> Int? {
    if let index = index(base: local.base, remote: remote.address) {
      // Same base, same remote: keep the higher priority of the two.
      if local.priority > pairs[index].local.priority {
        pairs[index].local = local
        sort(role: role)
      }
      return self.index(base: local.base, remote: remote.address).map { pairs[$0].id }
    }
    var pair = Pair(id: nextID, local: local, remote: remote)
    pair.priority = Pair.priority(local: local.priority, remote: remote.priority, role: role)
    if pairs.count >= limit {
      guard mayEvict, evict(below: pair.priority) else { return nil }
    }
    nextID += 1
    // RFC 8445 §6.1.2.6: of each foundation one pair is Waiting, the others are Frozen until it is done.
    let isTaken = pairs.contains {
      !$0.isRemoved && ($0.state == .waiting || $0.state == .inProgress) && $0.hasFoundation(of: pair)
    }
    if isTaken { pair.state = .frozen }
    let place = pairs.firstIndex { $0.priority < pair.priority } ?? pairs.count
    pairs.insert(pair, at: place)
    return pair.id
  }

  /// Makes room by dropping the last pair nobody has checked yet, if it is worth less, or one that is over.
  private mutating func evict(below priority: UInt64) -> Bool {
    let victim = pairs.lastIndex {
      !$0.isValid
        && ($0.isRemoved || $0.state == .failed || ($0.checks == 0 && !$0.isQueued && $0.priority < priority))
    }
    guard let victim else { return false }
    remove(at: victim)
    return true
  }

  mutating func remove(at index: Int) {
    let id = pairs[index].id
    triggered.removeAll { $0 == id }
    pairs.remove(at: index)
  }

  mutating func removeAll() {
    pairs.removeAll()
    triggered.removeAll()
  }

  /// RFC 8445 §7.3.1.1: "A change in roles will require an agent to recompute pair priorities".
  mutating func sort(role: ICERole) {
    for index in pairs.indices {
      pairs[index].priority = Pair.priority(
        local: pairs[index].local.priority, remote: pairs[index].remote.priority, role: role)
    }
    pairs.sort { $0.priority == $1.priority ? $0.id < $1.id : $0.priority > $1.priority }
  }

  /// A signalled candidate turned out to be one already learned from a check: it keeps its pairs.
  mutating func update(remote: Candidate, role: ICERole) {
    for index in pairs.indices where pairs[index].remote.address == remote.address { pairs[index].remote = remote }
    sort(role: role)
  }

  /// RFC 8445 §7.3.1.4: puts a pair at the end of the triggered-check queue and makes it Waiting.
  mutating func trigger(_ index: Int) {
    pairs[index].isRemoved = false
    pairs[index].state = .waiting
    guard !pairs[index].isQueued else { return }
    pairs[index].isQueued = true
    triggered.append(pairs[index].id)
  }

  mutating func cancelTrigger(_ index: Int) {
    guard pairs[index].isQueued else { return }
    let id = pairs[index].id
    pairs[index].isQueued = false
    triggered.removeAll { $0 == id }
  }

  /// RFC 8445 §7.2.5.3.3: success frees the frozen pairs of the same foundation.
  mutating func unfreeze(foundationOf index: Int) {
    let winner = pairs[index]
    for other in pairs.indices where pairs[other].state == .frozen && pairs[other].hasFoundation(of: winner) {
      pairs[other].state = .waiting
    }
  }

  /// Whether ``next()`` would find a pair.
  var hasWork: Bool { !triggered.isEmpty || pairs.contains { !$0.isRemoved && $0.state == .waiting } || canUnfreeze }

  private var canUnfreeze: Bool {
    pairs.contains { frozen in !frozen.isRemoved && frozen.state == .frozen && isFree(frozen) }
  }

  private func isFree(_ frozen: Pair) -> Bool {
    !pairs.contains {
      !$0.isRemoved && ($0.state == .waiting || $0.state == .inProgress) && $0.hasFoundation(of: frozen)
    }
  }

  /// The pair to check now, by the steps of RFC 8445 §6.1.4.2.
  mutating func next() -> Int? {
    while !triggered.isEmpty {
      let id = triggered.removeFirst()
      guard let index = index(id: id) else { continue }
      pairs[index].isQueued = false
      return index
    }
    if let index = pairs.firstIndex(where: { !$0.isRemoved && $0.state == .waiting }) { return index }
    var found: Int?
    for index in pairs.indices where !pairs[index].isRemoved && pairs[index].state == .frozen {
      guard isFree(pairs[index]) else { continue }
      pairs[index].state = .waiting
      found = found ?? index
    }
    return found
  }

  /// RFC 8445 §8.1.2: after a nomination the other pairs are out; those decided keep their record.
  mutating func removeOthers(than winner: Int) {
    triggered.removeAll()
    for index in pairs.indices where index != winner {
      pairs[index].isQueued = false
      if pairs[index].isPending { pairs[index].reason = .notNeeded }
      pairs[index].isRemoved = true
      pairs[index].isBeingNominated = false
    }
  }

  var activeCount: Int {
    var count = 0
    for pair in pairs where !pair.isRemoved && (pair.state == .waiting || pair.state == .inProgress) { count += 1 }
    return count
  }
}
